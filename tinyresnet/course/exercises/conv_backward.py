"""Lesson 03: convolution backward, and col2im."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import col2im, output_size

from ...gradcheck.museum.parts import overwrite, scatter
from ...layers import Conv2d
from .convolution import SETTINGS, backward, columns, conv_cache, draw, draw_columns, forward
from .model import Exercise, Function, Rng
from .museum import first_given, holding, pieces, random, slips
from .words import hints


def draw_back(rng: Rng, stride: int, pad: int) -> tuple[Any, ...]:
    """cols, shape, kernel, stride, pad."""
    x, kernel, _, _ = draw_columns(rng, stride, pad)
    return rng.standard_normal(columns(x, kernel, stride, pad).shape), x.shape, kernel, stride, pad


def back(cols: Any, shape: Any, kernel: Any, stride: int, pad: int) -> Any:
    """col2im with whole numbers."""
    return col2im(cols, tuple(shape), tuple(kernel), (stride, stride), (pad, pad))


def _museum(bug: Any, dy: Any, cache: Any) -> Any:
    _, weight, bias, stride, pad = cache
    layer = Conv2d(
        weight.shape[1],
        len(weight),
        weight.shape[2:],
        stride=stride,
        pad=pad,
        bias=True,
        rng=random(),
        dtype=np.float64,
    )
    return holding(layer, weight=weight, bias=bias), dy, conv_cache(*cache)


def _parts(cols: Any, shape: Any, kernel: Any, stride: int, pad: int) -> Any:
    (KH, KW), (N, C, H, W) = kernel, shape
    OH, OW = (output_size(size, k, stride, pad, 1) for size, k in ((H, KH), (W, KW)))
    return cols.reshape(N, C, KH, KW, OH, OW)


def _last_place(cols: Any, shape: Any, kernel: Any, stride: int, pad: int) -> Any:
    parts, (_, _, H, W) = _parts(cols, shape, kernel, stride, pad), shape
    image = np.zeros((*shape[:2], H + 2 * pad, W + 2 * pad))
    for i, j in np.ndindex(*kernel):
        rows, columns = (np.s_[k : k + n * stride : stride] for k, n in zip((i, j), parts.shape[4:], strict=True))
        image[:, :, rows, columns] = parts[:, :, i, j]
    return image[:, :, pad : pad + H, pad : pad + W]


BACK_SLIPS = slips(
    (
        "col2im: overwritten",
        "overwritten",
        lambda c, shape, k, s, p: overwrite(_parts(c, shape, k, s, p), shape, (s, s), (p, p)),
    ),
    ("col2im: the last kernel place wins", "overwritten", lambda *a: _last_place(*a)),
    (
        "col2im: cut off on one side",
        "shifted",
        lambda c, shape, k, s, p: scatter(_parts(c, shape, k, s, p), shape, (s, s), (0, 0)),
    ),
    (
        "col2im: stride forgotten",
        "other",
        lambda c, shape, k, s, p: scatter(_parts(c, shape, k, s, p), shape, (1, 1), (p, p)),
    ),
    (
        "col2im: averaged",
        "mean for sum",
        lambda c, shape, k, s, p: back(c, shape, k, s, p) / np.maximum(back(np.ones_like(c), shape, k, s, p), 1),
    ),
)


CONV = Exercise(
    "conv",
    3,
    "Convolution backward, col2im",
    (
        Function(
            "col2im",
            3,
            draw_back,
            back,
            ("x",),
            SETTINGS,
            hints=hints("col2im"),
            slips=BACK_SLIPS,
        ),
        Function(
            "conv2d_backward",
            6,
            draw,
            backward,
            ("dx", "dweight", "dbias"),
            SETTINGS,
            forward,
            hints("conv2d_backward"),
            pieces("conv2d", _museum, first_given),
        ),
    ),
)
