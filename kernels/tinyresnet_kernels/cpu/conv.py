"""The implicit convolution: forward, gradient of the input, gradient of the weight, without ever writing the columns.

im2col's columns are never made: their numbers are found by address arithmetic (`geometry.py`). Each picture, or a band of its rows if it is
large, is copied once into a zero-bordered scratch that stays in the second-level cache (`plan.py`, `visit.py`); padding, stride and borders
live there. Weights are packed so that a register tile (`tiles.py`) reads them in one straight line. 3x3 convolutions of float32 go by
Winograd's tiles (`winograd.py`), as many groups as channels by vectors of channels (`depthwise.py`).
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..arrays import Array, Form, empty_memory, like_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from .geometry import forward_geometry, input_gradient_geometry, winograd_geometry
from .host import lanes
from .layout import channels_last
from .passes import Ways, as_it_is, outer, product, run

ENOUGH_TILES = 12  # of Winograd's: fewer, and packing the weight costs more than is saved

_direct: contextvars.ContextVar[bool] = contextvars.ContextVar("tinyresnet_direct", default=False)


def forward_ways(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Ways:
    """How y may be made from x, the fastest way first; the last one is always right."""
    (_, C, H, W), (O, _, *kernel) = x.shape, weight.shape
    direct = forward_geometry(H, W, C, O, (kernel[0], kernel[1]), stride, pad, dilation, groups)
    if winograd_pays(x, weight, stride, pad, dilation, groups):
        return winograd_geometry(H, W, C, O, pad, direct.column), direct
    return (direct,)


def backward_ways(
    x: tuple[int, ...], dy: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Ways:
    """How dx, of x's shape, may be made from dy, the fastest way first; the last one is always right."""
    (_, C, H, W), (O, _, *kernel) = x, weight.shape
    direct = input_gradient_geometry(H, W, C, O, (kernel[0], kernel[1]), stride, pad, dilation, groups)
    turned = (2 - pad[0], 2 - pad[1])
    if winograd_pays(dy, weight, stride, turned, dilation, groups):
        return winograd_geometry(*dy.shape[2:], O, C, turned, direct.column), direct
    return (direct,)


@contextlib.contextmanager
def direct() -> Iterator[None]:
    """Within the block, every convolution has the products of the definition: no Winograd."""
    token = _direct.set(True)
    try:
        yield
    finally:
        _direct.reset(token)


def winograd_pays(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> bool:
    """Whether to convolve x by Winograd's tiles: 3x3, whole vectors of channels, float32, and tiles enough that are mostly full.

    In float64, which is for checking, products are those of the definition.
    """
    if _direct.get():
        return False
    if weight.shape[2:] != (3, 3) or (stride, dilation, groups) != ((1, 1), (1, 1), 1) or x.dtype != np.float32:
        return False
    if min(pad) < 0 or weight.shape[0] % lanes(4) or weight.shape[1] % lanes(4):
        return False
    N, _, H, W = x.shape
    OH, OW = H + 2 * pad[0] - 2, W + 2 * pad[1] - 2
    tiles = -(-OH // 2) * -(-OW // 2)
    return N * tiles >= ENOUGH_TILES and 2 * tiles <= OH * OW


def supported(x: Array, weight: Array, *settings: Any) -> bool:
    """Whether the kernels take these arrays: float32 and float64; complex numbers and empty batches go to the readable form."""
    return x.dtype == weight.dtype and x.dtype in (np.float32, np.float64) and x.size > 0


@replaces("cpu", when=supported)
def correlate(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: y (N, O, OH, OW)."""
    (N, _, H, W), (O, _, *kernel) = x.shape, weight.shape
    OH, OW = (output_size(*axis) for axis in zip((H, W), kernel, stride, pad, dilation, strict=True))
    y = empty_memory((N, O, OH, OW), x, channels_last=True)
    ways = forward_ways(x, weight, stride, pad, dilation, groups)
    run(partial(product, channels_last(x), weight, y, groups, *as_it_is(x)), ways)
    return like_memory(y, x)


@replaces("cpu", when=supported)
def input_gradient(
    dy: Array, weight: Array, x: Array | Form, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    dx = empty_memory(x.shape, dy, channels_last=True)
    ways = backward_ways(x.shape, dy, weight, stride, pad, dilation, groups)
    run(partial(product, channels_last(dy), weight, dx, groups, *as_it_is(dy)), ways)
    return like_memory(dx, x)


@replaces("cpu", when=supported)
def weight_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: dweight (O, C/groups, KH, KW)."""
    copy, _ = as_it_is(x)
    ways = forward_ways(x, weight, stride, pad, dilation, groups)
    dweight: Array = run(partial(outer, channels_last(x), channels_last(dy), weight, groups, copy, copy), ways)
    return dweight
