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


def relu_forward(x: Array) -> tuple[Array, ReluCache]:
    """y = x where x > 0, else 0, for x of any shape. A NaN passes, so that it is seen. Complex x is judged by its real part."""
    checks.numbers("relu", "x", x)
    y, mask = rectify(x)
    return y, ReluCache(mask, form(x))


def relu_backward(dy: Array, cache: ReluCache) -> Array:
    """dx = dy where x > 0, else 0; at the kink x = 0 the subgradient 0 is chosen, as everywhere in the field."""
    checks.upstream("relu_backward", dy, cache.x.shape, cache.x)
    return like_memory(gate(dy, cache.mask), cache.x)


@accelerated
def rectify(x: Array) -> tuple[Array, Array]:
    """y, and the mask of what passed: all that is not <= 0."""
    mask = ~(x.real <= 0)
    return like_memory(array_module(x).where(mask, x, 0), x), mask


@accelerated
def gate(dy: Array, mask: Array) -> Array:
    """dx = dy where the mask is true, else 0."""
    return array_module(dy).where(mask, dy, 0)  # type: ignore[no-any-return]


class ReLU(Layer):
    """y = max(x, 0)."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, ReluCache]:
        return relu_forward(x)

    def backward(self, dy: Array, cache: ReluCache) -> Array:
        return relu_backward(dy, cache)
