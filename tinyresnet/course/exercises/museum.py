"""The bug museum as known mistakes of an exercise's functions: its pieces, called with a student function's own arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ...gradcheck.museum import MUSEUM, Bug
from ...gradcheck.museum.bug import planted
from ...layers import Layer
from .model import Call, Slip
from .words import words

Built = tuple[Layer, Any, Any]


def pieces(
    kind: str, build: Callable[..., Built], give: Callable[[Layer, Any], Any] | None = None
) -> Callable[[], Iterator[Slip]]:
    """The pieces of the museum's layer `kind`. `build(piece, *args)` makes the layer, dy and cache; `give(layer, dx)` the results."""

    def slips() -> Iterator[Slip]:
        for bug in MUSEUM:
            if bug.layer == kind and "backward" in bug.methods:
                yield Slip(bug.name, bug.sign, bug.mistake, _call(bug, build, give))

    return slips


def retold(*known: tuple[str, Call]) -> list[Slip]:
    """Pieces of the museum, written anew for another form of the function: (name in the museum, the function)."""
    bugs = {bug.name: bug for bug in MUSEUM}
    return [Slip(name, bugs[name].sign, bugs[name].mistake, wrong) for name, wrong in known]


def slips(*known: tuple[str, str, Call]) -> Callable[[], Iterable[Slip]]:
    """Mistakes that the museum has not: (name, kind, function); `words.json` has a sentence on each."""
    return lambda: [Slip(name, sign, words()["mistakes"][name], wrong) for name, sign, wrong in known]


def first_given(layer: Layer, dx: Any) -> Any:
    """dx and the gradients of weight and bias."""
    params = layer.params()
    return dx, params["weight"].grad, params["bias"].grad


def _call(bug: Bug, build: Callable[..., Built], give: Callable[[Layer, Any], Any] | None) -> Call:
    def wrong(*args: Any) -> Any:
        layer, dy, cache = build(bug, *args)
        dx = planted(layer, **bug.methods).backward(dy, cache)
        return give(layer, dx) if give else dx

    return wrong


def holding(layer: Layer, **params: Any) -> Layer:
    """The layer with these arrays for parameters, and gradients of zeros."""
    for name, array in params.items():
        layer.params()[name].data = array
        layer.params()[name].grad = np.zeros_like(array)
    return layer


def random(seed: int = 0) -> np.random.Generator:
    """For layers that want an rng and whose numbers are then replaced."""
    return np.random.default_rng(seed)
