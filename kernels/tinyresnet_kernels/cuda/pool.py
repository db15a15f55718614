"""Pooling of channels-last pictures. Kernels: `pool.cu`; the mean over whole pictures is a sum per channel, as in batch norm: `norm.cu`."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Array, Form, empty_memory, like_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from .launch import THREADS, blocks, channels_last, kernel, supported
from .norm import grid_of, ints, width_of

Shape = tuple[int, ...]
MOST_PICTURES = 65_535  # a grid's second axis has at most so many blocks


def run(
    name: str,
    like: Array,
    arrays: list[Array],
    shape: Shape,
    out: Shape,
    settings: tuple[Pair, Pair, Pair],
    *,
    forward: bool,
) -> None:
    """Run a kernel on its arrays, for x of `shape` and y of shape `out`: a thread a vector of y, or of dx if not `forward`."""
    N, C, H, W = shape
    (KH, KW), (SH, SW), (PH, PW) = settings
    width = width_of(like, C)
    results = math.prod(out if forward else shape) // width
    sizes = ints(N, C, H, out[2], KH, SH, PH, W, out[3], KW, SW, PW, width)
    kernel("pool", name, like)(blocks(results), (THREADS,), (*map(channels_last, arrays), *sizes))


def window_positions(shape: Shape, kernel: Pair, stride: Pair, pad: Pair) -> Shape:
    """(N, C, OH, OW)."""
    OH, OW = (output_size(*axis, 1) for axis in zip(shape[2:], kernel, stride, pad, strict=True))
    return (*shape[:2], OH, OW)


@replaces("cuda", when=lambda x, *settings: supported(x))
def window_maxima(x: Array, kernel: Pair, stride: Pair, pad: Pair) -> tuple[Array, Array]:
    """As the readable form: y and winner (N, C, OH, OW)."""
    out = window_positions(x.shape, kernel, stride, pad)
    y = empty_memory(out, x, channels_last=True)
    winner = empty_memory(out, x, channels_last=True, dtype=np.int32)
    run("window_maxima", x, [x, y, winner], x.shape, out, (kernel, stride, pad), forward=True)
    return like_memory(y, x), winner


@replaces("cuda", when=lambda dy, *rest: supported(dy))
def window_maxima_gradient(dy: Array, winner: Array, x: Form, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    dx = empty_memory(x.shape, dy, channels_last=True)
    run("window_maxima_gradient", dy, [dy, winner, dx], x.shape, dy.shape, (kernel, stride, pad), forward=False)
    return like_memory(dx, x)


@replaces("cuda", when=lambda x, *settings: supported(x))
def window_means(x: Array, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """As the readable form: y (N, C, OH, OW)."""
    out = window_positions(x.shape, kernel, stride, pad)
    y = empty_memory(out, x, channels_last=True)
    run("window_means", x, [x, y], x.shape, out, (kernel, stride, pad), forward=True)
    return like_memory(y, x)


@replaces("cuda", when=lambda dy, *rest: supported(dy))
def window_means_gradient(dy: Array, x: Form, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    dx = empty_memory(x.shape, dy, channels_last=True)
    run("window_means_gradient", dy, [dy, dx], x.shape, dy.shape, (kernel, stride, pad), forward=False)
    return like_memory(dx, x)


@replaces("cuda", when=lambda x: supported(x) and len(x) <= MOST_PICTURES)
def picture_means(x: Array) -> Array:
    """As the readable form: y (N, C, 1, 1)."""
    N, C, H, W = x.shape
    y = empty_memory((N, C, 1, 1), x, channels_last=False)  # one pixel a picture: both layouts are one
    grid = grid_of(x)
    arguments = (channels_last(x), y, *ints(H * W, C, grid.lanes, grid.width))
    kernel("norm", "picture_means", x)((grid.groups, N), (THREADS,), arguments)
    return y
