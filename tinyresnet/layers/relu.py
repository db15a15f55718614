"""ReLU: what is negative becomes zero, and what became zero gets no gradient."""

from __future__ import annotations

from typing import NamedTuple

from tinyresnet_kernels import Array, accelerated, array_module

from . import checks
from .base import Layer


class ReluCache(NamedTuple):
    """`mask` is True where x passed."""

    mask: Array


@accelerated
def relu_forward(x: Array) -> tuple[Array, ReluCache]:
    """y = x where x > 0, else 0, for x of any shape. A NaN passes, so that it is seen. Complex x is judged by its real part."""
    mask = ~(x.real <= 0)
    return array_module(x).where(mask, x, 0), ReluCache(mask)


@accelerated
def relu_backward(dy: Array, cache: ReluCache) -> Array:
    """dx = dy where x > 0, else 0; at the kink x = 0 the subgradient 0 is chosen, as everywhere in the field."""
    checks.shape("relu_backward", "dy", dy, cache.mask.shape)
    return array_module(dy).where(cache.mask, dy, 0)  # type: ignore[no-any-return]


class ReLU(Layer):
    """y = max(x, 0)."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, ReluCache]:
        return relu_forward(x)

    def backward(self, dy: Array, cache: ReluCache) -> Array:
        return relu_backward(dy, cache)
