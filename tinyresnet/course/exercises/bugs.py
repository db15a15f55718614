"""Lesson 05: five planted bugs to find and repair."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Form, form

from ...layers.linear import LinearCache, linear_backward, linear_forward
from ...layers.pool import AvgPoolCache, avg_pool_backward, avg_pool_forward
from ...layers.shortcut import SubsamplePadCache, subsample_pad_backward, subsample_pad_forward
from .model import Exercise, Function, Rng
from .words import hints


def linear(x: Any, weight: Any, bias: Any) -> Any:
    """y, cache = (x, weight)."""
    return linear_forward(x, weight, bias)[0], (x, weight)


def draw_linear(rng: Rng) -> tuple[Any, ...]:
    """x, weight, bias."""
    N, I, O = rng.integers(3, 7, 3)
    return rng.standard_normal((N, I)), rng.standard_normal((O, I)), rng.standard_normal(O)


def dropout(x: Any, kept: Any, p: float) -> Any:
    """y, cache = (kept, p)."""
    return x * kept / (1 - p), (kept, p)


def draw_dropout(rng: Rng) -> tuple[Any, ...]:
    """x, kept, p."""
    shape, p = tuple(rng.integers(3, 6, 3)), float(rng.uniform(0.2, 0.45))
    return rng.standard_normal(shape), rng.random(shape) >= p, p


def avg_pool(x: Any, kernel: int, stride: int) -> Any:
    """y, cache = (shape, kernel, stride)."""
    return avg_pool_forward(x, kernel=kernel, stride=stride)[0], (x.shape, kernel, stride)


def avg_pool_back(dy: Any, cache: Any) -> Any:
    """dx."""
    shape, kernel, stride = cache
    return avg_pool_backward(
        dy, AvgPoolCache(Form(tuple(shape), dy.dtype, False), (kernel,) * 2, (stride,) * 2, (0, 0))
    )


def draw_pool(rng: Rng, kernel: int, stride: int) -> tuple[Any, ...]:
    """x, kernel, stride."""
    return rng.standard_normal((*rng.integers(2, 4, 2), *rng.integers(6, 9, 2))), kernel, stride


def picture_mean(x: Any) -> Any:
    """y (N, C, 1, 1), cache = x's shape."""
    return x.mean(axis=(2, 3), keepdims=True), x.shape


def picture_mean_back(dy: Any, shape: Any) -> Any:
    """dx."""
    return np.broadcast_to(dy / (shape[2] * shape[3]), shape).copy()


def draw_picture(rng: Rng) -> tuple[Any, ...]:
    """x of unequal height and width."""
    return (rng.standard_normal((*rng.integers(2, 5, 2), 3, int(rng.integers(4, 7)))),)


def shortcut(x: Any, channels: int, stride: int) -> Any:
    """y, cache = (shape, stride, front)."""
    y, cache = subsample_pad_forward(x, out_channels=channels, stride=stride)
    return y, (x.shape, stride, cache.front)


def shortcut_back(dy: Any, cache: Any) -> Any:
    """dx."""
    shape, stride, front = cache
    return subsample_pad_backward(dy, SubsamplePadCache(form(np.empty(shape)), dy.shape, stride, front))


def draw_shortcut(rng: Rng) -> tuple[Any, ...]:
    """x, channels, stride."""
    C = int(rng.integers(2, 4))
    return rng.standard_normal((2, C, *rng.integers(5, 8, 2))), 2 * C + 1, 2


BUGS = Exercise(
    "bugs",
    5,
    "Find five planted bugs",
    (
        Function(
            "linear_backward",
            2,
            draw_linear,
            lambda dy, cache: linear_backward(dy, LinearCache(*cache)),
            ("dx", "dweight", "dbias"),
            ({},),
            linear,
            hints("linear_backward"),
        ),
        Function(
            "dropout_backward",
            2,
            draw_dropout,
            lambda dy, cache: dy * cache[0] / (1 - cache[1]),
            ("dx",),
            ({},),
            dropout,
            hints("dropout_backward"),
        ),
        Function(
            "avg_pool_backward",
            2,
            draw_pool,
            avg_pool_back,
            ("dx",),
            ({"kernel": 3, "stride": 2}, {"kernel": 2, "stride": 2}, {"kernel": 3, "stride": 1}),
            avg_pool,
            hints("avg_pool_backward"),
        ),
        Function(
            "global_avg_pool_backward",
            2,
            draw_picture,
            picture_mean_back,
            ("dx",),
            ({},),
            picture_mean,
            hints("global_avg_pool_backward"),
        ),
        Function(
            "shortcut_a_backward",
            2,
            draw_shortcut,
            shortcut_back,
            ("dx",),
            ({},),
            shortcut,
            hints("shortcut_a_backward"),
        ),
    ),
)
