"""Batch normalisation (Ioffe & Szegedy 2015), with PyTorch's conventions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array, accelerated, array_module, like_memory

from ..errors import InputError
from . import checks
from .base import Layer, Param

AXES = (0, 2, 3)  # a channel's statistics run over pictures, rows and columns: M = N*H*W values


class BatchNormCache(NamedTuple):
    """What backward needs; `mean` and `var` are the batch's in training, the running ones in evaluation."""

    x: Array
    weight: Array
    mean: Array
    var: Array
    eps: float
    train: bool


def batch_norm_forward(
    x: Array, weight: Array, bias: Array, *, running: tuple[Array, Array] | None = None, eps: float = 1e-5
) -> tuple[Array, BatchNormCache]:
    """y = weight * xhat + bias with xhat = (x - mean) / sqrt(var + eps), per channel of x (N, C, H, W); weight, bias (C,).

    In training (`running` is None) mean and var are the batch's, var divided by M = N*H*W; in evaluation running = (mean, var), each (C,).
    Raises InputError on shapes and dtypes that do not fit, and in training if M < 2.
    """
    checks.array("batch_norm", "x", x, "N C H W")
    N, C, H, W = x.shape
    for name, vector in [("weight", weight), ("bias", bias), *zip(("mean", "var"), running or (), strict=False)]:
        checks.vector("batch_norm", name, vector, C, x)
    if running is None and N * H * W < 2:
        raise InputError(f"batch_norm: x has shape {x.shape}: at least 2 values per channel are wanted in training")
    mean, var = moments(x) if running is None else running
    y = scale_and_shift(x, mean, weight / (var + eps) ** 0.5, bias)
    return y, BatchNormCache(x, weight, mean, var, eps, train=running is None)


def batch_norm_backward(dy: Array, cache: BatchNormCache) -> tuple[Array, Array, Array]:
    """dx (N, C, H, W), dweight (C,) and dbias (C,), for dy (N, C, H, W).

    In evaluation mean and var are constants: dx = dy * weight / sqrt(var + eps). In training each x also moves the batch's mean and
    variance, and so every other output; two more terms say by how much (Ioffe & Szegedy 2015, section 3, gathered up):

        dx = weight / sqrt(var + eps) * (dy  -  mean(dy)  -  xhat * mean(dy * xhat))
                                       direct  by the mean   by the variance
    """
    x, weight, mean, var, eps, train = cache
    checks.upstream("batch_norm_backward", dy, x.shape, x)
    inverse_std = 1 / (var + eps) ** 0.5
    dbias, dot = gradient_sums(dy, x, mean)
    dweight = dot * inverse_std  # the sum of dy * xhat
    if not train:
        return like_memory(dy * per_channel(weight * inverse_std), x), dweight, dbias
    M = x.size // x.shape[1]
    dx = normalized_gradient(dy, x, mean, weight * inverse_std, dbias / M, dweight / M * inverse_std)
    return dx, dweight, dbias


# The four passes over the pictures that this takes; what is per channel is above.


@accelerated
def moments(x: Array) -> tuple[Array, Array]:
    """mean (C,) and var (C,) of x (N, C, H, W): var is the mean of (x - mean)^2."""
    mean = x.mean(axis=AXES)
    centred = x - per_channel(mean)
    return mean, (centred * centred).mean(axis=AXES)  # not x.var(): of complex x that takes absolute values


@accelerated
def scale_and_shift(x: Array, mean: Array, scale: Array, shift: Array) -> Array:
    """y (N, C, H, W) = (x - mean) * scale + shift, each of the three (C,)."""
    y = (x - per_channel(mean)) * per_channel(scale)
    y += per_channel(shift)
    return like_memory(y, x)


@accelerated
def gradient_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """The sums (C,) of dy (N, C, H, W), and of dy * (x - mean)."""
    return dy.sum(axis=AXES), (dy * (x - per_channel(mean))).sum(axis=AXES)


@accelerated
def normalized_gradient(dy: Array, x: Array, mean: Array, scale: Array, by_mean: Array, by_variance: Array) -> Array:
    """dx (N, C, H, W) = scale * (dy - by_mean - (x - mean) * by_variance), all but dy and x (C,)."""
    by = (x - per_channel(mean)) * per_channel(by_variance)
    by += per_channel(by_mean)
    return like_memory((dy - by) * per_channel(scale), x)


def per_channel(vector: Array) -> Array:
    """(C,) as (C, 1, 1), to stand beside (N, C, H, W)."""
    return vector[:, None, None]


class BatchNorm2d(Layer):
    """Batch norm over C channels. Running statistics move by `momentum` towards each training batch's, the unbiased variance."""

    buffers = ("running_mean", "running_var", "num_batches_tracked")

    def __init__(
        self, C: int, *, eps: float = 1e-5, momentum: float = 0.1, dtype: np.typing.DTypeLike = np.float32
    ) -> None:
        self.weight, self.bias = Param(np.ones(C, dtype)), Param(np.zeros(C, dtype))
        self.running_mean, self.running_var = np.zeros(C, dtype), np.ones(C, dtype)
        self.num_batches_tracked = np.zeros((), np.int64)
        self.eps, self.momentum = eps, momentum

    def forward(self, x: Array, *, train: bool) -> tuple[Array, BatchNormCache]:
        running = (
            None if train else (self.running_mean.copy(), self.running_var.copy())
        )  # a later step must not change this cache
        y, cache = batch_norm_forward(x, self.weight.data, self.bias.data, running=running, eps=self.eps)
        if train:
            self.track(cache.mean, cache.var, x.size // x.shape[1])
        return y, cache

    def track(self, mean: Array, var: Array, M: int) -> None:
        """Move the running statistics towards a batch's mean and variance (C,), which were taken over M values."""
        self.running_mean += self.momentum * (mean - self.running_mean)
        self.running_var += self.momentum * (var * (M / (M - 1)) - self.running_var)
        self.num_batches_tracked += 1

    def backward(self, dy: Array, cache: BatchNormCache) -> Array:
        dx, dweight, dbias = batch_norm_backward(dy, cache)
        self.weight.grad += dweight
        self.bias.grad += dbias
        return dx


def zero_init(layer: BatchNorm2d) -> None:
    """Set weight to 0, so that a block that ends in this layer starts as its shortcut alone (Goyal et al. 2017, section 5.1)."""
    layer.weight.data = array_module(layer.weight.data).zeros_like(layer.weight.data)
