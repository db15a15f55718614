"""Transposed convolution: a convolution the other way round. It makes a picture larger, as its stride makes another one smaller.

With the columns of `conv.py` a convolution is y = A x, each number of y a sum over a window of x, so that its input gradient is A^T dy.
The transposed convolution takes that for its forward pass, y = A^T x: each number of x lays its multiple of the kernel onto y, and where
kernels overlap they add up (Dumoulin & Visin 2016, chapter 4). Its backward pass is then the convolution itself, dx = A dy, and the
weight gradient is the convolution's with x and dy in exchanged roles. The three products are those of `conv.py`, and so are their fast
kernels: there is none to write here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array, Form, Pair, is_channels_last, like_memory, output_size, pair, same_kind

from ..errors import InputError
from . import checks
from .base import Layer, Param, he_normal
from .conv import correlate, input_gradient, weight_gradient

PLAIN = ((1, 1), 1)  # dilation and groups, which it has not


class ConvTransposeCache(NamedTuple):
    """What backward needs."""

    x: Array
    weight: Array
    bias: Array | None
    stride: Pair
    pad: Pair


def conv_transpose2d_forward(
    x: Array, weight: Array, bias: Array | None = None, *, stride: int | Pair = 1, pad: int | Pair = 0
) -> tuple[Array, ConvTransposeCache]:
    """Lay weight (C, O, KH, KW), times each number of x (N, C, H, W), onto y (N, O, OH, OW); add bias (O,).

    y[n,o,oh,ow] = bias[o] + sum over c and all h, i, w, j with h*stride + i - pad = oh and w*stride + j - pad = ow
                             of x[n,c,h,w] weight[c,o,i,j],
    OH = (H-1)*stride - 2 pad + KH: pad cuts off the border. Where the stride exceeds the kernel nothing is laid in between.
    Raises InputError on shapes, dtypes and settings that do not fit.
    """
    cache = ConvTransposeCache(x, weight, bias, pair(stride), pair(pad))
    y_form = Form(conv_transpose2d_shape(cache), x.dtype, is_channels_last(x))
    y = input_gradient(x, weight, y_form, cache.stride, cache.pad, *PLAIN)
    if bias is not None:
        y += bias[:, None, None]
    return y, cache


def conv_transpose2d_backward(dy: Array, cache: ConvTransposeCache) -> tuple[Array, Array, Array | None]:
    """dx (N, C, H, W), dweight (C, O, KH, KW) and dbias (O,) or None, for dy (N, O, OH, OW).

    dx[n,c,h,w] = sum over o, i, j of weight[c,o,i,j] dy[n, o, h*stride + i - pad, w*stride + j - pad]: the convolution of dy.
    dweight[c,o,i,j] = sum over n, h, w of x[n,c,h,w] dy[n, o, h*stride + i - pad, w*stride + j - pad].
    """
    x, weight, bias, stride, pad = cache
    checks.upstream("conv_transpose2d_backward", dy, conv_transpose2d_shape(cache), x)
    dx = like_memory(correlate(dy, weight, stride, pad, *PLAIN), x)
    dweight = weight_gradient(x, weight, dy, stride, pad, *PLAIN)
    dbias = dy.sum(axis=(0, 2, 3)) if bias is not None else None
    return dx, dweight, dbias


def conv_transpose2d_shape(cache: ConvTransposeCache) -> tuple[int, int, int, int]:
    """(N, O, OH, OW) of the output. Raises InputError on shapes, dtypes and settings that do not fit."""
    x, weight, bias, stride, pad = cache
    checks.array("conv_transpose2d", "x", x, "N C H W")
    checks.array("conv_transpose2d", "weight", weight, "C O KH KW")
    checks.same_precision("conv_transpose2d", "weight", weight, x)
    checks.at_least("conv_transpose2d", "stride", stride, 1)
    checks.at_least("conv_transpose2d", "pad", pad, 0)
    (N, C, H, W), (CW, O, KH, KW) = x.shape, weight.shape
    if CW != C:
        raise InputError(
            f"conv_transpose2d: x has {C} channels and weight is {weight.shape}: ({C}, O, KH, KW) is wanted"
        )
    if bias is not None:
        checks.vector("conv_transpose2d", "bias", bias, O, x)
    OH, OW = ((size - 1) * s - 2 * p + k for size, s, p, k in zip((H, W), stride, pad, (KH, KW), strict=True))
    if min(H, W, OH, OW) < 1:
        raise InputError(
            f"conv_transpose2d: pad {pad} leaves {OH}x{OW} of a {H}x{W} picture under a {KH}x{KW} kernel: at least 1x1 is wanted"
        )
    return N, O, OH, OW


class ConvTranspose2d(Layer):
    """A transposed convolution from C to O channels.

    Initialised as He et al. 2015, with the numbers that an output is the sum of: C KH KW / stride^2, on average over the pixels.
    """

    def __init__(
        self,
        C: int,
        O: int,
        kernel: int | Pair,
        *,
        stride: int | Pair = 1,
        pad: int | Pair = 0,
        bias: bool = False,
        rng: np.random.Generator,
        dtype: np.typing.DTypeLike = np.float32,
    ) -> None:
        self.stride, self.pad = pair(stride), pair(pad)
        checks.at_least("conv_transpose2d", "stride", self.stride, 1)  # the initialisation divides by it
        shape = (C, O, *pair(kernel))
        terms = C * math.prod(pair(kernel)) // math.prod(self.stride)
        self.weight = Param(he_normal(shape, max(terms, 1), rng, dtype))
        self.bias = Param(np.zeros(O, dtype)) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, ConvTransposeCache]:
        bias = self.bias.data if self.bias else None
        return conv_transpose2d_forward(x, self.weight.data, bias, stride=self.stride, pad=self.pad)

    def backward(self, dy: Array, cache: ConvTransposeCache) -> Array:
        dx, dweight, dbias = conv_transpose2d_backward(dy, cache)
        self.weight.grad += dweight
        if self.bias and dbias is not None:
            self.bias.grad += dbias
        return dx

    def multiply_adds(self, y_shape: tuple[int, ...]) -> int:
        axes = zip(y_shape[2:], self.weight.data.shape[2:], self.stride, self.pad, strict=True)
        H, W = (output_size(size, kernel, stride, pad, 1) for size, kernel, stride, pad in axes)
        return y_shape[0] * H * W * math.prod(self.weight.data.shape)


def bilinear_init(layer: ConvTranspose2d) -> None:
    """Set the weight to bilinear interpolation, each channel on its own (Long, Shelhamer & Darrell 2015, section 3.3).

    A kernel is a tent along each axis, 1 - |i - (KH-1)/2| / stride. Its size must be 2 stride - stride % 2, so that the tents of two
    neighbouring pixels overlap as far as each other's middle; with pad (KH - stride) / 2 the picture becomes stride times as large, and
    inside it is what `UpsampleBilinear(stride)` gives. At the border it fades into zeros, where interpolation repeats the last pixel.
    Raises InputError if the layer has another kernel, or C != O.
    """
    C, O, *kernel = layer.weight.data.shape
    wanted = tuple(2 * s - s % 2 for s in layer.stride)
    if C != O or tuple(kernel) != wanted:
        raise InputError(
            f"bilinear_init: weight is {layer.weight.data.shape} and stride {layer.stride}: ({C}, {C}, {wanted[0]}, {wanted[1]}) is wanted"
        )
    down, across = (1 - abs(np.arange(k) - (k - 1) / 2) / s for k, s in zip(wanted, layer.stride, strict=True))
    weight = np.eye(C)[:, :, None, None] * np.outer(down, across)
    layer.weight.data[...] = same_kind(weight.astype(layer.weight.data.dtype), layer.weight.data)
