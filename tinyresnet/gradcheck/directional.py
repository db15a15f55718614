"""Directional derivatives: two forward passes tell the slope along a random direction, whatever the number of elements.

With a random upstream r the function checked is f = <r, y>; backward claims its gradient g. Along a random direction v the slope of f is
<g, v>, and (f(x + h v) - f(x - h v)) / 2h measures it with an error of order h^2, which one Richardson step lifts to h^4.
A random r matters: summing the output instead (r = 1) hides every mistake in batch norm's x, whose true gradient is then 0.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from ..layers import Layer

# For values of about 1 in float64, 1e-4 keeps truncation (h^4) and round-off (1e-16 / h) both below 1e-11. A kink (of a ReLU, a maximum)
# within the step spoils it: a shorter step then stops before the kink. A wrong gradient is wrong with every step.
STEPS = (1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class Comparison:
    """How far a claimed gradient lies from the measured slopes, for one input or parameter."""

    name: str
    error: float  # largest difference over all directions, relative to the size of the terms it sums


def compare_gradients(
    layer: Layer, x: Any, *, train: bool = True, directions: int = 3, rng: np.random.Generator
) -> list[Comparison]:
    """Compare the layer's gradients of its input (an array or a tuple of arrays) and of every parameter; all in float64.

    The layer is left as it was: every pass runs on a copy, so that batch statistics and random generators do not move on.
    """
    inputs = x if isinstance(x, tuple) else (x,)
    worker = copy.deepcopy(layer)
    worker.zero_grad()
    y, cache = worker.forward(x, train=train)
    upstream = _random_like(y, rng)
    dx = worker.backward(upstream, cache)
    claimed = dict(_named(dx)) | {name: param.grad for name, param in worker.named_params()}
    points = dict(_named(x)) | {name: param.data for name, param in layer.named_params()}

    def loss(name: str, moved: Array) -> float:
        """<upstream, y> with one input or parameter moved."""
        other = copy.deepcopy(layer)
        arrays = [moved if name == label else array for (label, _), array in zip(_named(x), inputs, strict=True)]
        for label, param in other.named_params():
            if label == name:
                param.data = moved
        y, _ = other.forward(tuple(arrays) if isinstance(x, tuple) else arrays[0], train=train)
        return sum(float((r * part).sum()) for (_, r), (_, part) in zip(_named(upstream), _named(y), strict=True))

    results = []
    for name, point in points.items():
        errors = []
        for _ in range(directions):
            v = rng.standard_normal(point.shape)
            terms = claimed[name] * v
            size = max(float(np.sqrt((terms**2).sum())), abs(float(terms.sum())), 1e-12)
            along = functools.partial(_along, loss, name, point, v)
            errors.append(min(abs(float(terms.sum()) - slope(along, h)) / size for h in STEPS))
        results.append(Comparison(name, max(errors)))
    return results


def _along(loss: Callable[[str, Array], float], name: str, point: Array, v: Array, t: float) -> float:
    """The loss with one input or parameter moved t times v."""
    return loss(name, point + t * v)


def slope(f: Callable[[float], float], h: float) -> float:
    """f'(0) by central differences with steps h and h/2 and one Richardson step: error of order h^4."""
    wide, narrow = ((f(step) - f(-step)) / (2 * step) for step in (h, h / 2))
    return (4 * narrow - wide) / 3


def _named(values: Any) -> list[tuple[str, Array]]:
    """An array as [("x", array)], a pair as [("x0", first), ("x1", second)]."""
    if isinstance(values, tuple):
        return [(f"x{i}", value) for i, value in enumerate(values)]
    return [("x", values)]


def _random_like(y: Any, rng: np.random.Generator) -> Any:
    """Normal numbers in the shape of an array or of each array of a tuple."""
    if isinstance(y, tuple):
        return tuple(rng.standard_normal(part.shape) for part in y)
    return rng.standard_normal(y.shape)
