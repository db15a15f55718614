"""Convolution: all the maths on one screen. As six loops, slow and plain, it stands in `conv_loops.py`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array, Form, Pair, accelerated, col2im, im2col, like_memory, output_size, pair

from ..errors import InputError
from . import checks
from .base import Layer, Param, he_normal


class ConvCache(NamedTuple):
    """What backward needs. x itself, not its columns: 9 times less memory for a 3x3 kernel."""

    x: Array
    weight: Array
    bias: Array | None
    stride: Pair
    pad: Pair
    dilation: Pair
    groups: int


def conv2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int | Pair = 1,
    pad: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> tuple[Array, ConvCache]:
    """Cross-correlate x (N, C, H, W) with weight (O, C/groups, KH, KW), add bias (O,): y (N, O, OH, OW).

    y[n,o,oh,ow] = bias[o] + sum over c, i, j of weight[o,c,i,j] x[n, c, oh*stride + i*dilation - pad, ow*stride + j*dilation - pad],
    OH = floor((H + 2 pad - dilation (KH - 1) - 1) / stride) + 1. Output channel o sees only the input channels of its group.
    Raises InputError on shapes, dtypes and settings that do not fit.
    """
    cache = ConvCache(x, weight, bias, pair(stride), pair(pad), pair(dilation), groups)
    conv2d_shape(cache)
    y = correlate(x, weight, cache.stride, cache.pad, cache.dilation, groups)
    if bias is not None:
        y += bias[:, None, None]
    return y, cache


def conv2d_backward(dy: Array, cache: ConvCache) -> tuple[Array, Array, Array | None]:
    """dx (N, C, H, W), dweight (O, C/groups, KH, KW) and dbias (O,) or None, for dy (N, O, OH, OW)."""
    x, weight, bias, stride, pad, dilation, groups = cache
    checks.upstream("conv2d_backward", dy, conv2d_shape(cache), x)
    dx = input_gradient(dy, weight, x, stride, pad, dilation, groups)
    dweight = weight_gradient(dy, weight, x, stride, pad, dilation, groups)
    dbias = dy.sum(axis=(0, 2, 3)) if bias is not None else None
    return dx, dweight, dbias


# The three products below are all there is to it, and where the time goes. With the window of output pixel p as column p of `cols`, and
# the weight as a matrix W (O, C*KH*KW), each picture is one matrix product Y = W @ cols; its two gradients are the two other products that
# can be made of these matrices: dW = dY @ cols^T, dcols = W^T @ dY. With groups, G of each side by side.


@accelerated
def correlate(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """y (N, O, OH, OW) of x (N, C, H, W): im2col, then one matrix product per picture and group."""
    (N, _, H, W), (O, CG, KH, KW), G = x.shape, weight.shape, groups
    OH, OW = (output_size(*axis) for axis in zip((H, W), (KH, KW), stride, pad, dilation, strict=True))
    cols = im2col(x, (KH, KW), stride, pad, dilation).reshape(N, G, CG * KH * KW, OH * OW)
    y = weight.reshape(G, O // G, CG * KH * KW) @ cols  # (G, O/G, CKK) @ (N, G, CKK, P) -> (N, G, O/G, P)
    return like_memory(y.reshape(N, O, OH, OW), x)


@accelerated
def weight_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """dweight (O, C/groups, KH, KW) for dy (N, O, OH, OW): every picture used the same weight, so their dY @ cols^T are summed."""
    (N, O, OH, OW), (_, CG, KH, KW), G = dy.shape, weight.shape, groups
    cols = im2col(x, (KH, KW), stride, pad, dilation).reshape(N, G, CG * KH * KW, OH * OW)
    dweight = dy.reshape(N, G, O // G, OH * OW) @ cols.swapaxes(2, 3)  # (N, G, O/G, P) @ (N, G, P, CKK)
    return dweight.sum(axis=0).reshape(weight.shape)  # type: ignore[no-any-return]


@accelerated
def input_gradient(
    dy: Array, weight: Array, x: Array | Form, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Array:
    """dx (N, C, H, W) for dy (N, O, OH, OW): a pixel gets the sum over all windows it was in. Of x only the form counts."""
    (N, O, OH, OW), (_, CG, KH, KW), G = dy.shape, weight.shape, groups
    dcols = weight.reshape(G, O // G, CG * KH * KW).swapaxes(1, 2) @ dy.reshape(N, G, O // G, OH * OW)  # (N, G, CKK, P)
    return like_memory(col2im(dcols, x.shape, (KH, KW), stride, pad, dilation), x)


def conv2d_shape(cache: ConvCache) -> tuple[int, int, int, int]:
    """(N, O, OH, OW) of the output. Raises InputError on shapes, dtypes and settings that do not fit."""
    x, weight, bias, stride, pad, dilation, groups = cache
    checks.array("conv2d", "x", x, "N C H W")
    checks.array("conv2d", "weight", weight, "O C/groups KH KW")
    checks.same_precision("conv2d", "weight", weight, x)
    for name, value, least in (
        ("stride", stride, 1),
        ("pad", pad, 0),
        ("dilation", dilation, 1),
        ("groups", groups, 1),
    ):
        checks.at_least("conv2d", name, value, least)
    (N, C, H, W), (O, CG, KH, KW) = x.shape, weight.shape
    if CG * groups != C or O % groups:
        raise InputError(
            f"conv2d: x has {C} channels, weight is {weight.shape} and groups {groups}: ({O}, {C}/groups, KH, KW) is wanted"
        )
    if bias is not None:
        checks.vector("conv2d", "bias", bias, O, x)
    OH, OW = (output_size(*axis) for axis in zip((H, W), (KH, KW), stride, pad, dilation, strict=True))
    if OH < 1 or OW < 1:
        raise InputError(
            f"conv2d: kernel {KH}x{KW} with dilation {dilation} does not fit into a {H}x{W} picture padded by {pad}"
        )
    return N, O, OH, OW


class Conv2d(Layer):
    """A convolution from C to O channels, initialised as He et al. 2015 with the fan-out, as torchvision does it."""

    def __init__(
        self,
        C: int,
        O: int,
        kernel: int | Pair = 3,
        *,
        stride: int | Pair = 1,
        pad: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = False,
        rng: np.random.Generator,
        dtype: np.typing.DTypeLike = np.float32,
    ) -> None:
        if C % groups or O % groups:
            raise InputError(
                f"conv2d: {C} -> {O} channels cannot be shared out among {groups} groups: a divisor of both is wanted"
            )
        self.stride, self.pad, self.dilation, self.groups = pair(stride), pair(pad), pair(dilation), groups
        KH, KW = pair(kernel)
        self.weight = Param(he_normal((O, C // groups, KH, KW), O // groups * KH * KW, rng, dtype))
        self.bias = Param(np.zeros(O, dtype)) if bias else None

    def forward(self, x: Array, *, train: bool) -> tuple[Array, ConvCache]:
        bias = self.bias.data if self.bias else None
        settings = {"stride": self.stride, "pad": self.pad, "dilation": self.dilation}
        return conv2d_forward(x, self.weight.data, bias, **settings, groups=self.groups)

    def backward(self, dy: Array, cache: ConvCache) -> Array:
        dx, dweight, dbias = conv2d_backward(dy, cache)
        self.weight.grad += dweight
        if self.bias and dbias is not None:
            self.bias.grad += dbias
        return dx

    def multiply_adds(self, y_shape: tuple[int, ...]) -> int:
        return math.prod(y_shape) * math.prod(self.weight.data.shape[1:])
