"""Looking at what flows through a network, without a line in its layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from .layers import Layer

Around: TypeAlias = Callable[..., Any]


def leaves(model: Layer) -> list[tuple[str, Layer]]:
    """The layers without children, with their paths; the model itself, as "", if it has none."""
    return [(path, layer) for path, layer in model.named_layers() if not layer.children()] or [("", model)]


@contextlib.contextmanager
def around(model: Layer, *, forward: Around | None = None, backward: Around | None = None) -> Iterator[None]:
    """Within the block, every leaf layer's pass is handed over: forward(path, layer, run, x, train) must return what
    run(x, train=train) gives, a (y, cache); backward(path, layer, run, dy, cache) what run(dy, cache) gives, a dx.

    Calls come in the order of computation. Layers are wrapped per object, so other models of the same classes are not touched, and
    blocks may be nested; when the block is left, nothing stays behind.
    """
    wrapped = leaves(model)
    before = [(layer, {name: vars(layer).get(name) for name in ("forward", "backward")}) for _, layer in wrapped]
    try:
        for path, layer in wrapped:
            if forward:
                vars(layer)["forward"] = _forward(layer.forward, forward, path, layer)
            if backward:
                vars(layer)["backward"] = _backward(layer.backward, backward, path, layer)
        yield
    finally:
        for layer, methods in before:
            for name, method in methods.items():
                vars(layer).pop(name, None)
                if method is not None:
                    vars(layer)[name] = method


def _forward(run: Any, hand_over: Around, path: str, layer: Layer) -> Any:
    def forward(x: Any, *, train: bool) -> Any:
        return hand_over(path, layer, run, x, train)

    return forward


def _backward(run: Any, hand_over: Around, path: str, layer: Layer) -> Any:
    def backward(dy: Any, cache: Any) -> Any:
        return hand_over(path, layer, run, dy, cache)

    return backward


@contextlib.contextmanager
def observe(
    model: Layer,
    *,
    forward: Callable[[str, Layer, Any, Any], None] | None = None,
    backward: Callable[[str, Layer, Any, Any], None] | None = None,
) -> Iterator[None]:
    """Within the block, every leaf layer calls forward(path, layer, x, y) and backward(path, layer, dy, dx) when it has run."""

    def tell_forward(path: str, layer: Layer, run: Any, x: Any, train: bool) -> Any:
        y, cache = run(x, train=train)
        if forward:
            forward(path, layer, x, y)
        return y, cache

    def tell_backward(path: str, layer: Layer, run: Any, dy: Any, cache: Any) -> Any:
        dx = run(dy, cache)
        if backward:
            backward(path, layer, dy, dx)
        return dx

    with around(model, forward=tell_forward if forward else None, backward=tell_backward if backward else None):
        yield
