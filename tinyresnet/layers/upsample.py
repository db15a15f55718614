"""Upsampling by whole factors: nearest repeats every pixel, bilinear draws straight lines between the pixels' centres.

A pixel is a square, and its number stands at its centre: seen from x, row i of y is at (i + 1/2) / SH - 1/2, and the corners of both
pictures meet (PyTorch's align_corners=False). Scale 2, along one axis:

    x      |       0       |       1       |
    y      |   0   |   1   |   2   |   3   |      y[1] is at 1/4:   nearest x[0];   bilinear 3/4 x[0] + 1/4 x[1]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array, Form, Pair, array_module, empty_memory, form, like_memory, pair

from . import checks
from .base import Layer


class UpsampleNearestCache(NamedTuple):
    """What backward needs: no values, for each number is copied."""

    x: Form
    scale: Pair


def upsample_nearest_forward(x: Array, *, scale: int | Pair) -> tuple[Array, UpsampleNearestCache]:
    """y (N, C, H*SH, W*SW): every pixel of x (N, C, H, W), SH*SW times: y[n, c, i, j] = x[n, c, i // SH, j // SW].

    Raises InputError if x is no picture, or the scale (SH, SW) is not whole.
    """
    SH, SW = picture_and_scale("upsample_nearest", x, scale)
    N, C, H, W = x.shape
    y = empty_memory((N, C, H * SH, W * SW), x, channels_last=form(x).channels_last)
    for i, j in np.ndindex(SH, SW):
        y[:, :, i::SH, j::SW] = x
    return y, UpsampleNearestCache(form(x), (SH, SW))


def upsample_nearest_backward(dy: Array, cache: UpsampleNearestCache) -> Array:
    """dx (N, C, H, W): a pixel was copied SH*SW times, so it gets the sum of its block of dy (N, C, H*SH, W*SW)."""
    x, (SH, SW) = cache
    N, C, H, W = x.shape
    checks.upstream("upsample_nearest_backward", dy, (N, C, H * SH, W * SW), x)
    first, *others = (dy[:, :, i::SH, j::SW] for i, j in np.ndindex(SH, SW))
    return like_memory(sum(others, first), x)


class UpsampleBilinearCache(NamedTuple):
    """The two matrices, `rows` (OH, H) and `columns` (OW, W): they are all of it, for the op is linear."""

    x: Form
    rows: Array
    columns: Array


def upsample_bilinear_forward(x: Array, *, scale: int | Pair) -> tuple[Array, UpsampleBilinearCache]:
    """y (N, C, OH, OW) = rows @ x @ columns^T for every channel of x (N, C, H, W): first along the rows, then along the columns.

    Raises InputError if x is no picture, or the scale (SH, SW) is not whole.
    """
    SH, SW = picture_and_scale("upsample_bilinear", x, scale)
    rows, columns = shares(x.shape[2], SH, x), shares(x.shape[3], SW, x)
    return like_memory(rows @ x @ columns.T, x), UpsampleBilinearCache(form(x), rows, columns)


def upsample_bilinear_backward(dy: Array, cache: UpsampleBilinearCache) -> Array:
    """dx (N, C, H, W) = rows^T @ dy @ columns: a pixel gets from each dy (N, C, OH, OW) the share that it gave."""
    x, rows, columns = cache
    checks.upstream("upsample_bilinear_backward", dy, (*x.shape[:2], len(rows), len(columns)), x)
    return like_memory(rows.T @ dy @ columns, x)


def shares(size: int, scale: int, like: Array) -> Array:
    """What share row i of y takes of each row of x, (size*scale, size): 1 - their distance, nothing at a distance of 1 or more.

    Beyond the outermost centres, half a pixel at either end, the outermost row is taken whole. Of size 3 and scale 2:

        1    0    0
        3/4  1/4  0         each row sums to 1; each column to the scale
        1/4  3/4  0
        0    3/4  1/4
        0    1/4  3/4
        0    0    1
    """
    xp = array_module(like)
    place = xp.clip((xp.arange(size * scale) + 0.5) / scale - 0.5, 0, size - 1)
    distance = abs(place[:, None] - xp.arange(size))
    return xp.clip(1 - distance, 0, 1).astype(like.dtype)  # type: ignore[no-any-return]


def picture_and_scale(op: str, x: Array, scale: int | Pair) -> Pair:
    """The scale as a pair. Raises InputError on what does not fit."""
    checks.array(op, "x", x, "N C H W")
    checks.at_least(op, "scale", scale, 1)
    return pair(scale)


class UpsampleNearest(Layer):
    """Every pixel becomes a block of itself."""

    def __init__(self, scale: int | Pair) -> None:
        self.scale = scale

    def forward(self, x: Array, *, train: bool) -> tuple[Array, UpsampleNearestCache]:
        return upsample_nearest_forward(x, scale=self.scale)

    def backward(self, dy: Array, cache: UpsampleNearestCache) -> Array:
        return upsample_nearest_backward(dy, cache)


class UpsampleBilinear(Layer):
    """Straight lines between the pixels' centres, along the rows and along the columns."""

    def __init__(self, scale: int | Pair) -> None:
        self.scale = scale

    def forward(self, x: Array, *, train: bool) -> tuple[Array, UpsampleBilinearCache]:
        return upsample_bilinear_forward(x, scale=self.scale)

    def backward(self, dy: Array, cache: UpsampleBilinearCache) -> Array:
        return upsample_bilinear_backward(dy, cache)
