"""The sigmoid: any number becomes a probability between 0 and 1."""

from __future__ import annotations

from typing import NamedTuple

from tinyresnet_kernels import Array, array_module, like_memory

from . import checks
from .base import Layer


class SigmoidCache(NamedTuple):
    """What backward needs: the output alone."""

    y: Array


def sigmoid_forward(x: Array) -> tuple[Array, SigmoidCache]:
    """y = 1 / (1 + exp(-x)), for x of any shape. A NaN stays one. Complex x is judged by its real part.

    exp(-x) overflows for a very negative x, in float32 below -88. So it is exp(-|x|), which is never above 1, that is computed; for
    x < 0 it is multiplied into numerator and denominator: y = exp(x) / (1 + exp(x)).
    """
    checks.numbers("sigmoid", "x", x)
    xp = array_module(x)
    negative = x.real < 0
    e = xp.exp(xp.where(negative, x, -x))
    y = like_memory(xp.where(negative, e, 1) / (1 + e), x)
    return y, SigmoidCache(y)


def sigmoid_backward(dy: Array, cache: SigmoidCache) -> Array:
    """dx = dy * y * (1 - y), as y' = exp(-x) / (1 + exp(-x))^2 = y (1 - y). It is at most dy / 4, and nothing where y is 0 or 1."""
    checks.upstream("sigmoid_backward", dy, cache.y.shape, cache.y)
    return like_memory(dy * cache.y * (1 - cache.y), cache.y)


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, SigmoidCache]:
        return sigmoid_forward(x)

    def backward(self, dy: Array, cache: SigmoidCache) -> Array:
        return sigmoid_backward(dy, cache)
