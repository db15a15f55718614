"""im2col and gather-form col2im."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, array_module, empty_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from . import launch


def _columns_fit(x: Array, kernel: Pair, stride: Pair = (1, 1), pad: Pair = (0, 0), dilation: Pair = (1, 1)) -> bool:
    return launch.supported(x) and _sizes(x.shape, kernel, stride, pad, dilation)[1] < 1 << 31


def _sizes(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair, dilation: Pair
) -> tuple[tuple[int, int, int], int, list[np.int32]]:
    """The shape of the columns, how many numbers they are, and the kernels' integers."""
    N, C, H, W = shape
    OH, OW = (output_size(*axis) for axis in zip((H, W), kernel, stride, pad, dilation, strict=True))
    columns = (N, C * kernel[0] * kernel[1], OH * OW)
    integers = (N * C, H, W, OH, OW, *kernel, *stride, *pad, *dilation)
    return columns, columns[0] * columns[1] * columns[2], [np.int32(i) for i in integers]


def in_c_order(x: Array) -> Array:
    """The numbers of x in the order of its axes, as one array: a view where its memory runs so."""
    return launch.flat(array_module(x).ascontiguousarray(x))


@replaces("cuda", when=_columns_fit)
def im2col(x: Array, kernel: Pair, stride: Pair = (1, 1), pad: Pair = (0, 0), dilation: Pair = (1, 1)) -> Array:
    """As the readable form: columns (N, C*KH*KW, OH*OW)."""
    shape, count, sizes = _sizes(x.shape, kernel, stride, pad, dilation)
    cols = empty_memory(shape, x, channels_last=False)
    run = launch.kernel("im2col", "im2col", x)
    run(launch.blocks(count // (kernel[0] * kernel[1])), (launch.THREADS,), (in_c_order(x), cols.reshape(-1), *sizes))
    return cols


@replaces("cuda", when=launch.supported)
def col2im(
    cols: Array,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Array:
    """As the readable form: x (N, C, H, W) = shape."""
    x = empty_memory(shape, cols, channels_last=False)
    _, _, sizes = _sizes(shape, kernel, stride, pad, dilation)
    run = launch.kernel("im2col", "col2im", cols)
    run(launch.blocks(x.size), (launch.THREADS,), (in_c_order(cols), x.reshape(-1), *sizes))
    return x
