"""ReLU: what is negative becomes zero, and what became zero gets no gradient."""

from __future__ import annotations

from typing import NamedTuple

from tinyresnet_kernels import Array, Form, accelerated, array_module, form, like_memory

from . import checks
from .base import Layer


class ReluCache(NamedTuple):
    """`mask` is True where x passed."""

    mask: Array
    x: Form


@accelerated
def relu_forward(x: Array) -> tuple[Array, ReluCache]:
    """y = x where x > 0, else 0, for x of any shape. A NaN passes, so that it is seen. Complex x is judged by its real part."""
    checks.numbers("relu", "x", x)
    mask = ~(x.real <= 0)
    return like_memory(array_module(x).where(mask, x, 0), x), ReluCache(mask, form(x))


@accelerated
def relu_backward(dy: Array, cache: ReluCache) -> Array:
    """dx = dy where x > 0, else 0; at the kink x = 0 the subgradient 0 is chosen, as everywhere in the field."""
    checks.upstream("relu_backward", dy, cache.x.shape, cache.x)
    return like_memory(array_module(dy).where(cache.mask, dy, 0), cache.x)


class ReLU(Layer):
    """y = max(x, 0)."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, ReluCache]:
        return relu_forward(x)

    def backward(self, dy: Array, cache: ReluCache) -> Array:
        return relu_backward(dy, cache)
