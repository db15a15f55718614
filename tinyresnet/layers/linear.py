"""The linear (fully connected) layer: y = x W^T + b."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array, accelerated

from ..errors import InputError
from . import checks
from .base import Layer, Param


class LinearCache(NamedTuple):
    """What backward needs."""

    x: Array
    weight: Array


@accelerated
def linear_forward(x: Array, weight: Array, bias: Array) -> tuple[Array, LinearCache]:
    """y (N, O) = x (N, I) @ weight (O, I)^T + bias (O,). Raises InputError on shapes and dtypes that do not fit."""
    checks.array("linear", "x", x, "N I")
    checks.array("linear", "weight", weight, "O I")
    checks.same_precision("linear", "weight", weight, x)
    if x.shape[1] != weight.shape[1]:
        raise InputError(f"linear: x has shape {x.shape}: (N, {weight.shape[1]}) is wanted")
    checks.vector("linear", "bias", bias, weight.shape[0], x)
    return x @ weight.T + bias, LinearCache(x, weight)


@accelerated
def linear_backward(dy: Array, cache: LinearCache) -> tuple[Array, Array, Array]:
    """dx (N, I) = dy @ weight, dweight (O, I) = dy^T @ x, dbias (O,) = sum over n of dy, for dy (N, O)."""
    x, weight = cache
    checks.upstream("linear_backward", dy, (x.shape[0], weight.shape[0]), x)
    return dy @ weight, dy.T @ x, dy.sum(axis=0)


class Linear(Layer):
    """From I to O numbers. Weights start uniform in +-1/sqrt(I), as in PyTorch; biases start at zero."""

    def __init__(
        self,
        I: int,
        O: int,
        *,
        rng: np.random.Generator,
        dtype: np.typing.DTypeLike = np.float32,
    ) -> None:
        self.weight = Param(rng.uniform(-(I**-0.5), I**-0.5, (O, I)).astype(dtype))
        self.bias = Param(np.zeros(O, dtype))

    def forward(self, x: Array, *, train: bool) -> tuple[Array, LinearCache]:
        return linear_forward(x, self.weight.data, self.bias.data)

    def backward(self, dy: Array, cache: LinearCache) -> Array:
        dx, dweight, dbias = linear_backward(dy, cache)
        self.weight.grad += dweight
        self.bias.grad += dbias
        return dx

    def multiply_adds(self, y_shape: tuple[int, ...]) -> int:
        return y_shape[0] * self.weight.data.size
