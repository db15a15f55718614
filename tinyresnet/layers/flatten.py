"""Flatten: the same numbers, one row a picture."""

from __future__ import annotations

import math

from tinyresnet_kernels import Array, Form, form, like_memory

from ..errors import InputError
from . import checks
from .base import Layer


def flatten_forward(x: Array) -> tuple[Array, Form]:
    """y (N, C*H*W) of x (N, C, H, W), channels slowest; the cache is x's form. Raises InputError on fewer than 2 axes."""
    checks.numbers("flatten", "x", x)
    if x.ndim < 2:
        raise InputError(f"flatten: x has shape {x.shape}: (N, ...) with at least 2 axes is wanted")
    return x.reshape(len(x), math.prod(x.shape[1:])), form(x)


def flatten_backward(dy: Array, cache: Form) -> Array:
    """dx (N, C, H, W): dy (N, C*H*W) in x's shape."""
    N, *sizes = cache.shape
    checks.upstream("flatten_backward", dy, (N, math.prod(sizes)), cache)
    return like_memory(dy.reshape(cache.shape), cache)


class Flatten(Layer):
    """(N, C, H, W) -> (N, C*H*W)."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Form]:
        return flatten_forward(x)

    def backward(self, dy: Array, cache: Form) -> Array:
        return flatten_backward(dy, cache)
