"""im2col and col2im: the two moves between a picture and its windows. NumPy and CuPy.

A window of a 3x3 kernel becomes a column of 9 numbers a channel, so that a convolution is one matrix product.
Picture (C=1, 3x3), kernel 2x2, stride 1, so OH = OW = 2:

    a b c             window      0 1 2 3          col2im goes the other way, and where windows
    d e f   im2col -> (0,0)       a b d e          overlap it adds: the gradient of e is the sum of
    g h i             (0,1)       b c e f          four numbers, one from each window that saw e.
                      (1,0)       d e g h
                      (1,1)       e f h i
"""

from __future__ import annotations

from typing import TypeAlias

from .arrays import Array, array_module
from .dispatch import accelerated

Pair: TypeAlias = tuple[int, int]


def pair(value: int | Pair) -> Pair:
    """(height, width): an int stands for both."""
    return (value, value) if isinstance(value, int) else value


def output_size(size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    """Number of window positions along one axis: floor((size + 2 pad - dilation (kernel - 1) - 1) / stride) + 1."""
    return (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1


def windows(x: Array, kernel: Pair, stride: Pair, dilation: Pair) -> Array:
    """A read-only view (N, C, KH, KW, OH, OW) of x (N, C, H, W): element [n, c, i, j, oh, ow] is x[n, c, oh*s + i*d, ow*s + j*d]."""
    xp = array_module(x)
    N, C, H, W = x.shape
    OH = output_size(H, kernel[0], stride[0], 0, dilation[0])
    OW = output_size(W, kernel[1], stride[1], 0, dilation[1])
    sN, sC, sH, sW = x.strides
    view = xp.lib.stride_tricks.as_strided(
        x,
        shape=(N, C, *kernel, OH, OW),
        strides=(sN, sC, sH * dilation[0], sW * dilation[1], sH * stride[0], sW * stride[1]),
    )
    if xp.__name__ == "numpy":
        view.flags.writeable = False
    return view  # type: ignore[no-any-return]


@accelerated
def im2col(x: Array, kernel: Pair, stride: Pair = (1, 1), pad: Pair = (0, 0), dilation: Pair = (1, 1)) -> Array:
    """Columns (N, C*KH*KW, OH*OW) of x (N, C, H, W), zero-padded; rows run c, then kernel row, then kernel column."""
    xp = array_module(x)
    x = xp.pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    view = windows(x, kernel, stride, dilation)
    N, C, KH, KW, OH, OW = view.shape
    return view.reshape(N, C * KH * KW, OH * OW)


@accelerated
def col2im(
    cols: Array,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair = (1, 1),
    pad: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> Array:
    """The adjoint of im2col: add every element of cols (N, C*KH*KW, OH*OW) to the pixel of (N, C, H, W) = shape it came from."""
    xp = array_module(cols)
    (N, C, H, W), (KH, KW) = shape, kernel
    OH = output_size(H, KH, stride[0], pad[0], dilation[0])
    OW = output_size(W, KW, stride[1], pad[1], dilation[1])
    cols = cols.reshape(N, C, KH, KW, OH, OW)
    x = xp.zeros((N, C, H + 2 * pad[0], W + 2 * pad[1]), cols.dtype)
    for i in range(KH):  # each kernel position adds one strided picture: no pixel occurs twice in it, so += is safe
        for j in range(KW):
            top, left = i * dilation[0], j * dilation[1]
            x[:, :, top : top + OH * stride[0] : stride[0], left : left + OW * stride[1] : stride[1]] += cols[
                :, :, i, j
            ]
    return x[:, :, pad[0] : pad[0] + H, pad[1] : pad[1] + W]  # type: ignore[no-any-return]
