"""Where did the NaN come from? The batch is run again, and the first layer that gives a NaN or an infinity is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinyresnet_kernels import Array, array_module

from .layers import Layer
from .observe import observe


class NonFiniteError(RuntimeError):
    """A NaN or an infinity appeared; the message says in which step and layer, and the last checkpoint is from before."""


def finite(values: Any) -> bool:
    """Whether an array, or each of a tuple of arrays, holds neither NaN nor infinity."""
    arrays = values if isinstance(values, tuple) else (values,)
    return all(bool(array_module(array).isfinite(array).all()) for array in arrays)


def first_nonfinite(model: Layer, x: Array, learn: Callable[[Any], tuple[Array, Any]]) -> str:
    """The first place where a NaN or infinity appears in one training step on pictures x (N, C, H, W), as half a sentence.

    learn(y) gives the loss of the model's output and its gradient. Looks at the pictures, the parameters, the forward pass, the loss, and
    the backward pass, in this order. The gradients are used up.
    """
    if not finite(x):
        return "in the pictures themselves"
    for name, param in model.named_params():
        if not finite(param.data):
            return f"in {name}, made by the update before"
    found: list[str] = []

    def after_forward(path: str, layer: Layer, x: Any, y: Any) -> None:
        if not found and not finite(y):
            found.append(f"in the forward pass of {path} ({type(layer).__name__})")

    def after_backward(path: str, layer: Layer, dy: Any, dx: Any) -> None:
        grads = tuple(param.grad for param in layer.params().values())
        if not found and not (finite(dx) and finite(grads)):
            found.append(f"in the backward pass of {path} ({type(layer).__name__})")

    model.zero_grad()
    with observe(model, forward=after_forward, backward=after_backward), np.errstate(all="ignore"):
        y, cache = model.forward(x, train=True)
        loss, dy = learn(y)
        if not found and not finite(loss):
            return "in the loss"
        model.backward(dy, cache)
    return found[0] if found else "nowhere on a second look"
