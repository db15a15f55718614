"""What a museum piece is: a real layer with one method made wrong, as somebody once did it, and what is wrong about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...layers import Layer
from ..signs import SIGNS

Rng = np.random.Generator


@dataclass(frozen=True)
class Setting:
    """A right layer in float64, small, and the shape of what it takes; `pair` marks a layer that takes two of it."""

    make: Callable[[Rng], Layer]
    shape: tuple[int, ...]
    pair: bool = False
    train: bool = True
    draw: Callable[[Rng, tuple[int, ...]], Any] = field(default=lambda rng, shape: rng.standard_normal(shape))

    def inputs(self, rng: Rng) -> Any:
        """Numbers for the layer to take: an array or a pair."""
        drawn = [self.draw(rng, self.shape) for _ in range(1 + self.pair)]
        return tuple(drawn) if self.pair else drawn[0]


@dataclass(frozen=True)
class Bug:
    """A piece. `wrong` names the gradients that it makes wrong: "x" (a pair's are "x0" and "x1") and parameters by their path.

    It is empty where the numbers are right and the manners are not.
    """

    name: str
    layer: str
    mistake: str
    wrong: tuple[str, ...]
    sign: str
    setting: Setting
    methods: dict[str, Callable[..., Any]]

    def make(self, rng: Rng) -> Layer:
        """The layer with the mistake in it."""
        return planted(self.setting.make(rng), **self.methods)


MUSEUM: list[Bug] = []


def planted(layer: Layer, **methods: Callable[..., Any]) -> Layer:
    """The layer with these methods in place of its own."""
    kind = type(layer)
    layer.__class__ = type(kind.__name__, (kind,), methods)
    return layer


def op_bug(
    layer: str, setting: Setting, *wrong: str, sign: str, params: tuple[str, ...] = ()
) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """Put a wrong backward(dy, cache) -> dx, or dx and the gradients of `params`, into the museum; its docstring tells the mistake."""

    def add(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def backward(self: Layer, dy: Any, cache: Any) -> Any:
            found = function(dy, cache)
            if not params:
                return found
            dx, *gradients = found
            for name, gradient in zip(params, gradients, strict=True):
                if gradient is not None:
                    self.params()[name].grad += gradient
            return dx

        _add(function, layer, setting, wrong, sign, {"backward": backward})
        return function

    return add


def layer_bug(
    layer: str, setting: Setting, *wrong: str, sign: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a wrong method of the layer into the museum: a function forward_...(self, x, *, train) or backward_...(self, dy, cache)."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        method = function.__name__.split("_")[0]
        _add(function, layer, setting, wrong, sign, {method: function})
        return function

    return add


def _add(
    function: Callable[..., Any],
    layer: str,
    setting: Setting,
    wrong: tuple[str, ...],
    sign: str,
    methods: dict[str, Callable[..., Any]],
) -> None:
    if sign not in SIGNS:
        raise ValueError(f"{function.__name__}: unknown sign {sign!r}: known are {', '.join(SIGNS)}")
    name = f"{layer}: {function.__name__.removeprefix('backward_').removeprefix('forward_').replace('_', ' ')}"
    if any(bug.name == name for bug in MUSEUM):
        raise ValueError(f"there is a bug {name!r} already")
    MUSEUM.append(Bug(name, layer, (function.__doc__ or "").strip(), wrong, sign, setting, methods))
