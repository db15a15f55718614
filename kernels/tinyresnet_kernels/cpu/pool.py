"""Pooling of channels-last pictures, a row of the result at a time; the innermost loop runs over the channels.

Every result is gathered: forward from the pixels of its window, backward from the windows that it was in. So each number is written by
one thread, in an order that the data alone decide. Padding is never looked at.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array, Form, empty_memory, like_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from .compiling import inline, kernel
from .layout import channels_last, flat
from .rows import is_flat, share

Sizes = tuple[int, ...]  # H W of the picture, OH OW of the windows, C, kernel, stride, pad


@inline
def inside(position, stride, pad, kernel, size):
    """The first row (or column) of window `position` in the picture, and which of its `kernel` rows lie in the picture: from, to."""
    start = position * stride - pad
    return start, max(0, -start), min(kernel, size - start)


@kernel
def maxima(x, y, winner, sizes, first, last):
    """y and winner for the output rows first..last-1, counted over all pictures."""
    H, W, OH, OW, C, KH, KW, SH, SW, PH, PW = sizes
    for row in range(first, last):
        top, i_from, i_to = inside(row % OH, SH, PH, KH, H)
        for ow in range(OW):
            left, j_from, j_to = inside(ow, SW, PW, KW, W)
            o = (row * OW + ow) * C
            best, who = y[o : o + C], winner[o : o + C]
            at = ((row // OH * H + top + i_from) * W + left + j_from) * C
            values, place = x[at : at + C], np.int32(i_from * KW + j_from)
            for c in range(C):
                best[c], who[c] = values[c], place
            for i in range(i_from, i_to):
                for j in range(j_from, j_to):
                    at = ((row // OH * H + top + i) * W + left + j) * C
                    values, place = x[at : at + C], np.int32(i * KW + j)
                    for c in range(C):
                        better = (best[c] == best[c]) & ~(values[c] <= best[c])  # a NaN beats all, and is not beaten
                        best[c] = values[c] if better else best[c]
                        who[c] = place if better else who[c]


@kernel
def maxima_gradient(dy, winner, dx, sizes, first, last):
    """dx for the picture rows first..last-1: the sum of dy over the windows in which a pixel won, in the order of its place in them."""
    H, W, OH, OW, C, KH, KW, SH, SW, PH, PW = sizes
    nothing = dx.dtype.type(0)
    for row in range(first, last):
        n, h = row // H, row % H
        for w in range(W):
            total = dx[(row * W + w) * C : (row * W + w + 1) * C]
            for c in range(C):
                total[c] = nothing
            for i in range(KH):
                oh, between = divmod(h + PH - i, SH)
                if between == 0 and 0 <= oh < OH:
                    for j in range(KW):
                        ow, between = divmod(w + PW - j, SW)
                        if between == 0 and 0 <= ow < OW:
                            o = ((n * OH + oh) * OW + ow) * C
                            upstream, who, place = dy[o : o + C], winner[o : o + C], i * KW + j
                            for c in range(C):
                                total[c] += upstream[c] if who[c] == place else nothing


@kernel
def means(x, y, sizes, first, last):
    """y for the output rows first..last-1: the sum over the window, row by row and then together, divided by its size."""
    H, W, OH, OW, C, KH, KW, SH, SW, PH, PW = sizes
    part = np.empty(C, x.dtype)
    nothing, count = y.dtype.type(0), y.dtype.type(KH * KW)
    for row in range(first, last):
        top, i_from, i_to = inside(row % OH, SH, PH, KH, H)
        for ow in range(OW):
            left, j_from, j_to = inside(ow, SW, PW, KW, W)
            total = y[(row * OW + ow) * C : (row * OW + ow + 1) * C]
            for c in range(C):
                total[c] = nothing
            for i in range(i_from, i_to):
                for c in range(C):
                    part[c] = nothing
                for j in range(j_from, j_to):
                    at = ((row // OH * H + top + i) * W + left + j) * C
                    values = x[at : at + C]
                    for c in range(C):
                        part[c] += values[c]
                for c in range(C):
                    total[c] += part[c]
            for c in range(C):
                total[c] /= count


@kernel
def means_gradient(dy, dx, sizes, first, last):
    """dx for the picture rows first..last-1: the sum of dy over the windows that a pixel was in, divided by their size."""
    H, W, OH, OW, C, KH, KW, SH, SW, PH, PW = sizes
    nothing, count = dx.dtype.type(0), dx.dtype.type(KH * KW)
    for row in range(first, last):
        n, h = row // H, row % H
        for w in range(W):
            total = dx[(row * W + w) * C : (row * W + w + 1) * C]
            for c in range(C):
                total[c] = nothing
            for i in range(KH):
                oh, between = divmod(h + PH - i, SH)
                if between == 0 and 0 <= oh < OH:
                    for j in range(KW):
                        ow, between = divmod(w + PW - j, SW)
                        if between == 0 and 0 <= ow < OW:
                            o = ((n * OH + oh) * OW + ow) * C
                            upstream = dy[o : o + C]
                            for c in range(C):
                                total[c] += upstream[c]
            for c in range(C):
                total[c] /= count


def supported(x: Array, *others: object) -> bool:
    """Whether the kernels take this array: float32 or float64, and not empty. Any memory layout: it is copied if need be."""
    return x.dtype in (np.float32, np.float64) and x.size > 0


def sizes_of(shape: Sizes, out: Sizes, kernel: Pair, stride: Pair, pad: Pair) -> Sizes:
    """All sizes in a row, as the kernels take them; shape (N, C, H, W), out (N, C, OH, OW)."""
    return (*shape[2:], *out[2:], shape[1], *kernel, *stride, *pad)


def window_positions(shape: Sizes, kernel: Pair, stride: Pair, pad: Pair) -> Sizes:
    """(N, C, OH, OW)."""
    OH, OW = (output_size(*axis, 1) for axis in zip(shape[2:], kernel, stride, pad, strict=True))
    return (*shape[:2], OH, OW)


@replaces("cpu", when=supported)
def window_maxima(x: Array, kernel: Pair, stride: Pair, pad: Pair) -> tuple[Array, Array]:
    """As the readable form: y and winner (N, C, OH, OW)."""
    out = window_positions(x.shape, kernel, stride, pad)
    y = empty_memory(out, x, channels_last=True)
    winner = empty_memory(out, x, channels_last=True, dtype=np.int32)
    numbers, best, who = flat(channels_last(x)), flat(y), flat(winner)
    sizes = sizes_of(x.shape, out, kernel, stride, pad)
    share(lambda first, last: maxima(numbers, best, who, sizes, first, last), out[0] * out[2], x.nbytes)
    return like_memory(y, x), winner


@replaces("cpu", when=supported)
def window_maxima_gradient(dy: Array, winner: Array, x: Form, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    N, _, H, _ = x.shape
    dx = empty_memory(x.shape, dy, channels_last=True)
    upstream, who, out = flat(channels_last(dy)), flat(channels_last(winner)), flat(dx)
    sizes = sizes_of(x.shape, dy.shape, kernel, stride, pad)
    share(lambda first, last: maxima_gradient(upstream, who, out, sizes, first, last), N * H, dx.nbytes)
    return like_memory(dx, x)


@replaces("cpu", when=supported)
def window_means(x: Array, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """As the readable form: y (N, C, OH, OW)."""
    out = window_positions(x.shape, kernel, stride, pad)
    y = empty_memory(out, x, channels_last=True)
    numbers, total = flat(channels_last(x)), flat(y)
    sizes = sizes_of(x.shape, out, kernel, stride, pad)
    share(lambda first, last: means(numbers, total, sizes, first, last), out[0] * out[2], x.nbytes)
    return like_memory(y, x)


@replaces("cpu", when=lambda x: supported(x) and is_flat(x))
def picture_means(x: Array) -> Array:
    """As the readable form: y (N, C, 1, 1), as means over one window that is as large as the picture."""
    return window_means(x, x.shape[2:], (1, 1), (0, 0))


@replaces("cpu", when=supported)
def window_means_gradient(dy: Array, x: Form, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    N, _, H, _ = x.shape
    dx = empty_memory(x.shape, dy, channels_last=True)
    upstream, out = flat(channels_last(dy)), flat(dx)
    sizes = sizes_of(x.shape, dy.shape, kernel, stride, pad)
    share(lambda first, last: means_gradient(upstream, out, sizes, first, last), N * H, dx.nbytes)
    return like_memory(dx, x)
