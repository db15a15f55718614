"""col2im, adding into a picture while it is in cache. im2col has no kernel: NumPy's own copy is as fast as any loop of ours was."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, empty_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from .compiling import inline, kernel
from .host import lanes
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


def supported(cols: Array, *settings: object) -> bool:
    """Whether the kernel takes this array: float32 or float64, and not empty. Any memory layout: it is copied if need be."""
    return cols.dtype in (np.float32, np.float64) and cols.size > 0


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
    numbers = np.ascontiguousarray(cols.reshape(N, C, *kernel, OH, OW)).reshape(-1)
    out, sizes = x.reshape(-1), (H, W, OH, OW, *kernel, *stride, *pad, *dilation)
    share(lambda first, last: add_columns(numbers, out, sizes, first, last), N * C, cols.nbytes)
    return x
