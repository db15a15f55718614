"""Lesson 11: nearest upsampling, one step of a feature pyramid, and how much boxes overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import form

from ...boxes import box_areas, intersections, pairwise_iou
from ...layers import UpsampleNearest
from ...layers.residual import add_backward, fork_backward
from ...layers.upsample import UpsampleNearestCache, upsample_nearest_backward, upsample_nearest_forward
from .model import Exercise, Function, Rng
from .museum import pieces, slips
from .words import hints


def upsample(x: Any, scale: int) -> Any:
    """y, cache = scale."""
    return upsample_nearest_forward(x, scale=scale)[0], scale


def upsample_back(dy: Any, scale: int) -> Any:
    """dx."""
    return upsample_nearest_backward(dy, _cache(dy, scale))


def merge_back(dp_fine: Any, dp_coarse: Any, scale: int) -> Any:
    """dfine and dcoarse: back through the add, the upsampling and the fork."""
    dfine, dlarge = add_backward(dp_fine, None)
    return dfine, fork_backward((dp_coarse, upsample_back(dlarge, scale)), None)


def draw_picture(rng: Rng, scale: int) -> tuple[Any, ...]:
    """x (N, C, H, W) and the scale; H is not W."""
    N, C, H = rng.integers(2, 4, 3)
    return rng.standard_normal((N, C, H, H + rng.integers(1, 3))), scale


def draw_levels(rng: Rng, scale: int) -> tuple[Any, ...]:
    """dp_fine, dp_coarse and the scale."""
    x, _ = draw_picture(rng, scale)
    return rng.standard_normal(upsample(x, scale)[0].shape), x, scale


def draw_boxes(rng: Rng, apart: bool = False) -> tuple[Any, ...]:
    """a (A, 4) and b (B, 4) in whole pixels; `apart`: no two of them touch, along either axis."""

    def some(count: int, start: int) -> Any:
        corner, size = start + rng.integers(0, 6, (count, 2)), rng.integers(1, 7, (count, 2))
        return np.concatenate([corner, corner + size], axis=1).astype(float)

    A = int(rng.integers(2, 5))
    return some(A, 0), some(A + 1, 20 if apart else 0)


def _cache(dy: Any, scale: int) -> UpsampleNearestCache:
    N, C, OH, OW = dy.shape
    return UpsampleNearestCache(form(np.empty((N, C, OH // scale, OW // scale), dy.dtype)), (scale, scale))


def _museum(bug: Any, dy: Any, scale: int) -> Any:
    return UpsampleNearest(scale), dy, _cache(dy, scale)


def _areas(a: Any, b: Any) -> tuple[Any, Any]:
    return box_areas(a)[:, None], box_areas(b)


def _negative_sides(a: Any, b: Any) -> Any:
    x, y = (np.minimum(a[:, None, i + 2], b[:, i + 2]) - np.maximum(a[:, None, i], b[:, i]) for i in (0, 1))
    return x * y / (sum(_areas(a, b)) - x * y)


def _inclusive(a: Any, b: Any) -> Any:
    return pairwise_iou(a + np.array([0.0, 0, 1, 1]), b + np.array([0.0, 0, 1, 1]))


SCALES = ({"scale": 2}, {"scale": 3}, {"scale": 1})

PYRAMID = Exercise(
    "pyramid",
    11,
    "Upsampling, a pyramid's step back, and overlap",
    (
        Function(
            "upsample_nearest_forward",
            1,
            draw_picture,
            upsample,
            ("y", "cache"),
            SCALES,
            hints=hints("upsample_nearest_forward"),
            slips=slips(
                ("upsample forward: tiled", "permuted", lambda x, s: (np.tile(x, (1, 1, s, s)), s)),
                ("upsample forward: zeros between", "part", lambda x, s: (np.kron(x, np.eye(s)[:1].T @ np.eye(s)[:1]), s)),
            ),
        ),
        Function(
            "upsample_nearest_backward",
            2,
            draw_picture,
            upsample_back,
            ("dx",),
            SCALES,
            upsample,
            hints("upsample_nearest_backward"),
            pieces("upsample_nearest", _museum),
        ),
        Function(
            "merge_backward",
            2,
            draw_levels,
            merge_back,
            ("dfine", "dcoarse"),
            SCALES,
            hints=hints("merge_backward"),
            slips=slips(
                ("merge: averaged over the block", "mean for sum", lambda f, c, s: (f, c + upsample_back(f, s) / s**2)),
                ("merge: fork forgotten", "missing term", lambda f, c, s: (f, upsample_back(f, s))),
                ("merge: way down forgotten", "missing term", lambda f, c, s: (f, c)),
                ("merge: averaged at the fork", "mean for sum", lambda f, c, s: (f, (c + upsample_back(f, s)) / 2)),
                ("merge: fine gets what came down", "extra term", lambda f, c, s: (f + upsample(c, s)[0], merge_back(f, c, s)[1])),
            ),
        ),
        Function(
            "pairwise_iou",
            2,
            draw_boxes,
            pairwise_iou,
            ("iou",),
            ({}, {"apart": True}),
            hints=hints("pairwise_iou"),
            slips=slips(
                ("iou: shared area counted twice", "extra term", lambda a, b: intersections(a, b) / sum(_areas(a, b))),
                ("iou: negative sides", "mask", _negative_sides),
                ("iou: over the smaller box", "other", lambda a, b: intersections(a, b) / np.minimum(*_areas(a, b))),
                ("iou: edges inclusive", "shifted", _inclusive),
            ),
        ),
    ),
)  # fmt: skip
