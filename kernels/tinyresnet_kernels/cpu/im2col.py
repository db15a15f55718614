"""im2col, a run of pixels at a time, and col2im, adding into a picture while it is in cache."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, empty_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from ..memory import pool
from .compiling import inline, kernel
from .host import lanes
from .layout import contiguous
from .rows import share
from .vector import add, load, store, zero

LANES4, LANES8 = lanes(4), lanes(8)


@inline
def seen(offset, stride, size, count):
    """For which window positions, from and to among `count`, the pixel offset + position * stride lies in 0..size-1."""
    first = (max(0, -offset) + stride - 1) // stride
    return min(first, count), min(max((size - offset + stride - 1) // stride, first), count)


@inline
def fill_run(y, o, count):
    """y[o] ... y[o + count - 1] = 0."""
    L = LANES4 if y.itemsize == 4 else LANES8
    done = count - count % L
    for i in range(0, done, L):
        store(y, o + i, zero(y))
    for i in range(done, count):
        y[o + i] = 0


@inline
def copy_run(x, at, y, o, count):
    """y[o + i] = x[at + i] for i < count."""
    L = LANES4 if y.itemsize == 4 else LANES8
    done = count - count % L
    for i in range(0, done, L):
        store(y, o + i, load(x, at + i))
    for i in range(done, count):
        y[o + i] = x[at + i]


@inline
def add_run(x, at, y, o, step, count):
    """y[o + i * step] += x[at + i] for i < count."""
    L = LANES4 if x.itemsize == 4 else LANES8
    done = 0
    if step == 1:
        done = count - count % L
        for i in range(0, done, L):
            store(y, o + i, add(load(y, o + i), load(x, at + i)))
    for i in range(done, count):
        y[o + i * step] += x[at + i]


@kernel
def write_columns(x, cols, sizes, first, last):
    """The columns of the pictures (N * C) first..last-1: one kernel place after the other, zeros where it looks beside the picture.

    Windows lie side by side (their stride along a row is 1), so that each row of them is a run of pixels.
    """
    H, W, OH, OW, KH, KW, SH, _, PH, PW, DH, DW = sizes
    for picture in range(first, last):
        for place in range(KH * KW):
            top, left = place // KW * DH - PH, place % KW * DW - PW
            oh_from, oh_to = seen(top, SH, H, OH)
            ow_from, ow_to = seen(left, 1, W, OW)
            o = (picture * KH * KW + place) * OH * OW
            fill_run(cols, o, oh_from * OW)
            fill_run(cols, o + oh_to * OW, (OH - oh_to) * OW)
            for oh in range(oh_from, oh_to):
                row = o + oh * OW
                fill_run(cols, row, ow_from)
                copy_run(x, (picture * H + top + oh * SH) * W + left + ow_from, cols, row + ow_from, ow_to - ow_from)
                fill_run(cols, row + ow_to, OW - ow_to)


@kernel
def add_columns(cols, x, sizes, first, last):
    """The pictures (N * C) first..last-1: zeros, and then one kernel place after the other is added."""
    H, W, OH, OW, KH, KW, SH, SW, PH, PW, DH, DW = sizes
    for picture in range(first, last):
        fill_run(x, picture * H * W, H * W)
        for place in range(KH * KW):
            top, left = place // KW * DH - PH, place % KW * DW - PW
            oh_from, oh_to = seen(top, SH, H, OH)
            ow_from, ow_to = seen(left, SW, W, OW)
            for oh in range(oh_from, oh_to):
                o = ((picture * KH * KW + place) * OH + oh) * OW + ow_from
                at = (picture * H + top + oh * SH) * W + left + ow_from * SW
                add_run(cols, o, x, at, SW, ow_to - ow_from)


def supported(array: Array, *settings: object) -> bool:
    """Whether the kernels take this array: float32 or float64, and not empty. Any memory layout: it is copied if need be."""
    return array.dtype in (np.float32, np.float64) and array.size > 0


def in_runs(x: Array, kernel: Pair, stride: Pair = (1, 1), *settings: object) -> bool:
    """Whether im2col copies runs of pixels: NumPy is faster where it skips some."""
    return supported(x) and stride[1] == 1


@replaces("cpu", when=in_runs)
def im2col(x: Array, kernel: Pair, stride: Pair = (1, 1), pad: Pair = (0, 0), dilation: Pair = (1, 1)) -> Array:
    """As the readable form: columns (N, C*KH*KW, OH*OW)."""
    N, C, H, W = x.shape
    OH, OW = (output_size(*axis) for axis in zip((H, W), kernel, stride, pad, dilation, strict=True))
    cols = pool.empty((N, C * kernel[0] * kernel[1], OH * OW), x.dtype)
    numbers, out = contiguous(x), cols.reshape(-1)
    sizes = (H, W, OH, OW, *kernel, *stride, *pad, *dilation)
    share(lambda first, last: write_columns(numbers, out, sizes, first, last), N * C, cols.nbytes)
    return cols


@replaces("cpu", when=supported)
def col2im(
    cols: Array,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Array:
    """As the readable form: x (N, C, H, W) = shape."""
    N, C, H, W = shape
    OH, OW = (output_size(*axis) for axis in zip((H, W), kernel, stride, pad, dilation, strict=True))
    x = empty_memory(shape, cols, channels_last=False)
    numbers = contiguous(cols)
    out, sizes = x.reshape(-1), (H, W, OH, OW, *kernel, *stride, *pad, *dilation)
    share(lambda first, last: add_columns(numbers, out, sizes, first, last), N * C, cols.nbytes)
    return x
