"""Pooling: each window becomes its maximum, or its average; global pooling has one window, the picture."""

from __future__ import annotations

from typing import NamedTuple

from tinyresnet_kernels import (
    Array,
    Form,
    Pair,
    accelerated,
    array_module,
    col2im,
    empty_memory,
    form,
    like_memory,
    pair,
)
from tinyresnet_kernels.im2col import output_size, windows

from ..errors import InputError
from . import checks
from .base import Layer


class MaxPoolCache(NamedTuple):
    """`winner` (N, C, OH, OW) is the place of each window's maximum, counted row by row within the window."""

    winner: Array
    x: Form
    kernel: Pair
    stride: Pair
    pad: Pair


def max_pool_forward(
    x: Array, *, kernel: int | Pair, stride: int | Pair, pad: int | Pair = 0
) -> tuple[Array, MaxPoolCache]:
    """y (N, C, OH, OW): the maximum over each window of x (N, C, H, W). Windows may overlap; padding never wins.

    The first maximum wins a tie, a NaN wins over all. Complex x is judged by its real part. Raises InputError if 2 pad > kernel.
    """
    kernel, stride, pad = pool_settings("max_pool", x, kernel, stride, pad)
    y, winner = window_maxima(x, kernel, stride, pad)
    return y, MaxPoolCache(winner, form(x), kernel, stride, pad)


def max_pool_backward(dy: Array, cache: MaxPoolCache) -> Array:
    """dx (N, C, H, W): each winner gets its window's dy (N, C, OH, OW); who wins in several windows gets their sum."""
    winner, x, kernel, stride, pad = cache
    checks.upstream("max_pool_backward", dy, winner.shape, x)
    return window_maxima_gradient(dy, winner, x, kernel, stride, pad)


@accelerated
def window_maxima(x: Array, kernel: Pair, stride: Pair, pad: Pair) -> tuple[Array, Array]:
    """y and winner (N, C, OH, OW) of x (N, C, H, W)."""
    xp = array_module(x)
    border = ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1]))
    view = windows(xp.pad(x, border, constant_values=-xp.inf), kernel, stride, (1, 1))
    N, C, KH, KW, OH, OW = view.shape
    candidates = view.reshape(N, C, KH * KW, OH, OW)
    winner = candidates.real.argmax(axis=2)
    y = xp.take_along_axis(candidates, winner[:, :, None], axis=2)[:, :, 0]
    inside = windows(xp.pad(xp.ones((1, 1, *x.shape[2:]), bool), border), kernel, stride, (1, 1))
    first_inside = inside.reshape(KH * KW, OH, OW).argmax(
        axis=0
    )  # wins where all of a window is -inf, like its padding
    winner = xp.where(y.real == -xp.inf, first_inside, winner).astype(xp.int32)
    return like_memory(y, x), winner


@accelerated
def window_maxima_gradient(dy: Array, winner: Array, x: Form, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """dx (N, C, H, W) for dy and winner (N, C, OH, OW)."""
    xp = array_module(dy)
    N, C, OH, OW = winner.shape
    place = xp.arange(kernel[0] * kernel[1])[:, None, None]
    cols = xp.where(winner[:, :, None] == place, dy[:, :, None], 0)  # (N, C, KH*KW, OH, OW): dy where it won, else 0
    return like_memory(col2im(cols.reshape(N, C * len(place), OH * OW), x.shape, kernel, stride, pad), x)


class AvgPoolCache(NamedTuple):
    """What backward needs: no values, for the average is linear."""

    x: Form
    kernel: Pair
    stride: Pair
    pad: Pair


def avg_pool_forward(
    x: Array, *, kernel: int | Pair, stride: int | Pair, pad: int | Pair = 0
) -> tuple[Array, AvgPoolCache]:
    """y (N, C, OH, OW): the mean over each window of x (N, C, H, W); padding counts as zeros, as in PyTorch's default."""
    kernel, stride, pad = pool_settings("avg_pool", x, kernel, stride, pad)
    return window_means(x, kernel, stride, pad), AvgPoolCache(form(x), kernel, stride, pad)


def avg_pool_backward(dy: Array, cache: AvgPoolCache) -> Array:
    """dx (N, C, H, W): every pixel of a window gets dy / (KH*KW)."""
    x, kernel, stride, pad = cache
    OH, OW = (output_size(*axis, 1) for axis in zip(x.shape[2:], kernel, stride, pad, strict=True))
    checks.upstream("avg_pool_backward", dy, (*x.shape[:2], OH, OW), x)
    return window_means_gradient(dy, x, kernel, stride, pad)


@accelerated
def window_means(x: Array, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """y (N, C, OH, OW) of x (N, C, H, W)."""
    padded = array_module(x).pad(x, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])))
    return like_memory(windows(padded, kernel, stride, (1, 1)).mean(axis=(2, 3)), x)


@accelerated
def window_means_gradient(dy: Array, x: Form, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """dx (N, C, H, W) for dy (N, C, OH, OW)."""
    (N, C, OH, OW), (KH, KW) = dy.shape, kernel
    share = dy[:, :, None] / (KH * KW)
    cols = array_module(dy).broadcast_to(share, (N, C, KH * KW, OH, OW))
    return like_memory(col2im(cols.reshape(N, C * KH * KW, OH * OW), x.shape, kernel, stride, pad), x)


def global_avg_pool_forward(x: Array) -> tuple[Array, Form]:
    """y (N, C, 1, 1): the mean over the pixels of each channel of x (N, C, H, W); the cache is x's form."""
    checks.array("global_avg_pool", "x", x, "N C H W")
    return picture_means(x), form(x)


def global_avg_pool_backward(dy: Array, cache: Form) -> Array:
    """dx (N, C, H, W): every pixel gets dy / (H*W)."""
    N, C, H, W = cache.shape
    checks.upstream("global_avg_pool_backward", dy, (N, C, 1, 1), cache)
    dx = empty_memory(cache.shape, dy, channels_last=cache.channels_last)
    dx[...] = dy / (H * W)
    return dx


@accelerated
def picture_means(x: Array) -> Array:
    """y (N, C, 1, 1) of x (N, C, H, W)."""
    return like_memory(x.mean(axis=(2, 3), keepdims=True), x)


def pool_settings(
    op: str, x: Array, kernel: int | Pair, stride: int | Pair, pad: int | Pair
) -> tuple[Pair, Pair, Pair]:
    """kernel, stride and pad as pairs. Raises InputError on what does not fit; a window must hold more picture than padding."""
    checks.array(op, "x", x, "N C H W")
    for name, value, least in (("kernel", kernel, 1), ("stride", stride, 1), ("pad", pad, 0)):
        checks.at_least(op, name, value, least)
    kernel, stride, pad = pair(kernel), pair(stride), pair(pad)
    if any(2 * p > k for p, k in zip(pad, kernel, strict=True)):
        raise InputError(f"{op}: pad is {pad}: at most half of the kernel {kernel} is wanted")
    if any(size + 2 * p < k for size, p, k in zip(x.shape[2:], pad, kernel, strict=True)):
        raise InputError(f"{op}: kernel {kernel} does not fit into a {x.shape[2]}x{x.shape[3]} picture padded by {pad}")
    return kernel, stride, pad


class MaxPool2d(Layer):
    """The maximum over each window."""

    def __init__(self, kernel: int | Pair, *, stride: int | Pair | None = None, pad: int | Pair = 0) -> None:
        self.kernel, self.stride, self.pad = kernel, stride or kernel, pad

    def forward(self, x: Array, *, train: bool) -> tuple[Array, MaxPoolCache]:
        return max_pool_forward(x, kernel=self.kernel, stride=self.stride, pad=self.pad)

    def backward(self, dy: Array, cache: MaxPoolCache) -> Array:
        return max_pool_backward(dy, cache)


class AvgPool2d(Layer):
    """The mean over each window."""

    def __init__(self, kernel: int | Pair, *, stride: int | Pair | None = None, pad: int | Pair = 0) -> None:
        self.kernel, self.stride, self.pad = kernel, stride or kernel, pad

    def forward(self, x: Array, *, train: bool) -> tuple[Array, AvgPoolCache]:
        return avg_pool_forward(x, kernel=self.kernel, stride=self.stride, pad=self.pad)

    def backward(self, dy: Array, cache: AvgPoolCache) -> Array:
        return avg_pool_backward(dy, cache)


class GlobalAvgPool(Layer):
    """The mean over the whole picture."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Form]:
        return global_avg_pool_forward(x)

    def backward(self, dy: Array, cache: Form) -> Array:
        return global_avg_pool_backward(dy, cache)
