"""Lesson 02: convolution forward, im2col, and the product of columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import output_size

from .convolution import SETTINGS, columns, draw, draw_columns, output
from .model import Exercise, Function, Rng
from .museum import slips
from .words import hints


def draw_product(rng: Rng, stride: int, pad: int) -> tuple[Any, ...]:
    """cols, weight, bias, size."""
    x, weight, bias, _, _ = draw(rng, stride, pad)
    size = output(x, weight, bias, stride, pad).shape[2:]
    return columns(x, weight.shape[2:], stride, pad), weight, bias, tuple(map(int, size))


def product(cols: Any, weight: Any, bias: Any, size: Any) -> Any:
    """y of columns."""
    return (weight.reshape(len(weight), -1) @ cols).reshape(len(cols), len(weight), *size) + bias[:, None, None]


def _with_pads(before: int, x: Any, weight: Any, bias: Any, stride: int, pad: int) -> Any:
    border = (before, 2 * pad - before)
    return output(np.pad(x, ((0, 0), (0, 0), border, border)), weight, bias, stride, 0)


def _down(x: Any, kernel: Any, stride: int, pad: int) -> Any:
    cols = columns(x, kernel, stride, pad)
    OH = output_size(x.shape[2], kernel[0], stride, pad, 1)
    return cols.reshape(*cols.shape[:2], OH, -1).swapaxes(2, 3).reshape(cols.shape)


FORWARD_SLIPS = slips(
    ("conv2d forward: kernel turned", "flipped", lambda x, w, b, s, p: output(x, w[:, :, ::-1, ::-1], b, s, p)),
    ("conv2d forward: bias forgotten", "missing term", lambda x, w, b, s, p: output(x, w, 0 * b, s, p)),
    ("conv2d forward: padded on one side", "shifted", lambda *a: _with_pads(0, *a)),
    ("conv2d forward: bias in every product", "scale", lambda x, w, b, s, p: output(x, w, b * w[0].size, s, p)),
)
COLUMN_SLIPS = slips(
    (
        "im2col: kernel column first",
        "permuted",
        lambda x, k, s, p: columns(x.swapaxes(2, 3), k[::-1], s, p).reshape(len(x), x.shape[1] * k[0] * k[1], -1),
    ),
    ("im2col: windows down the columns", "permuted", lambda x, k, s, p: _down(x, k, s, p)),
    (
        "im2col: channel last",
        "permuted",
        lambda x, k, s, p: (
            columns(x, k, s, p)
            .reshape(len(x), x.shape[1], k[0] * k[1], -1)
            .swapaxes(1, 2)
            .reshape(len(x), x.shape[1] * k[0] * k[1], -1)
        ),
    ),
)

CONV_FORWARD = Exercise(
    "conv_forward",
    2,
    "Convolution forward: loops, im2col, one product",
    (
        Function(
            "conv2d_forward",
            3,
            draw,
            output,
            ("y",),
            SETTINGS,
            hints=hints("conv2d_forward"),
            slips=FORWARD_SLIPS,
        ),
        Function(
            "im2col",
            3,
            draw_columns,
            columns,
            ("cols",),
            SETTINGS,
            hints=hints("im2col"),
            slips=COLUMN_SLIPS,
        ),
        Function(
            "conv2d_from_columns",
            2,
            draw_product,
            product,
            ("y",),
            SETTINGS[:3],
            hints=hints("conv2d_from_columns"),
        ),
    ),
)
