"""Dropout: in training each number is kept with probability 1 - p and scaled up, so that its expectation stays (Srivastava et al. 2014)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array, Form, form, like_memory, same_kind

from ..errors import InputError
from . import checks
from .base import Layer


class DropoutCache(NamedTuple):
    """`scale` is 1 / (1 - p) where x was kept and 0 where it was dropped; None in evaluation, where y = x."""

    scale: Array | None
    x: Form


def dropout_forward(x: Array, *, p: float, rng: np.random.Generator | None) -> tuple[Array, DropoutCache]:
    """y = x * scale for x of any shape; without an rng (evaluation) y = x. Raises InputError unless 0 <= p < 1.

    The draws are the host's, so that a run on a GPU drops the same numbers; there they are copied to the device.
    """
    checks.numbers("dropout", "x", x)
    if not 0 <= p < 1:
        raise InputError(f"dropout: p is {p}: 0 <= p < 1 is wanted")
    if rng is None:
        return x, DropoutCache(None, form(x))
    kept = rng.random(x.shape) >= p
    scale = same_kind((kept / (1 - p)).astype(x.real.dtype), x)
    return like_memory(x * scale, x), DropoutCache(scale, form(x))


def dropout_backward(dy: Array, cache: DropoutCache) -> Array:
    """dx = dy * scale, the same scale as forward."""
    checks.upstream("dropout_backward", dy, cache.x.shape, cache.x)
    return dy if cache.scale is None else like_memory(dy * cache.scale, cache.x)


class Dropout(Layer):
    """Drop with probability p in training. The rng moves on with every training forward; a checkpoint keeps its state."""

    def __init__(self, p: float, *, rng: np.random.Generator) -> None:
        self.p, self.rng = p, rng

    def forward(self, x: Array, *, train: bool) -> tuple[Array, DropoutCache]:
        return dropout_forward(x, p=self.p, rng=self.rng if train else None)

    def backward(self, dy: Array, cache: DropoutCache) -> Array:
        return dropout_backward(dy, cache)
