"""Flatten: the same numbers, one row a picture."""

from __future__ import annotations

import math

from tinyresnet_kernels import Array

from ..errors import InputError
from . import checks
from .base import Layer


def flatten_forward(x: Array) -> tuple[Array, tuple[int, ...]]:
    """y (N, C*H*W) of x (N, C, H, W), channels slowest; the cache is x's shape. Raises InputError on fewer than 2 axes."""
    if x.ndim < 2:
        raise InputError(f"flatten: x has shape {x.shape}: (N, ...) with at least 2 axes is wanted")
    return x.reshape(len(x), math.prod(x.shape[1:])), x.shape


def flatten_backward(dy: Array, cache: tuple[int, ...]) -> Array:
    """dx (N, C, H, W): dy (N, C*H*W) in x's shape."""
    checks.shape("flatten_backward", "dy", dy, (cache[0], math.prod(cache[1:])))
    return dy.reshape(cache)


class Flatten(Layer):
    """(N, C, H, W) -> (N, C*H*W)."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, tuple[int, ...]]:
        return flatten_forward(x)

    def backward(self, dy: Array, cache: tuple[int, ...]) -> Array:
        return flatten_backward(dy, cache)
