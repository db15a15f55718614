"""Looking at what flows through a network, without a line in its layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .layers import Layer


@contextlib.contextmanager
def observe(
    model: Layer,
    *,
    forward: Callable[[str, Layer, Any, Any], None] | None = None,
    backward: Callable[[str, Layer, Any, Any], None] | None = None,
) -> Iterator[None]:
    """Within the block, every leaf layer calls forward(path, layer, x, y) and backward(path, layer, dy, dx) when it has run.

    A leaf is a layer without children; calls come in the order of computation. Layers are wrapped per object, so other models of
    the same classes are not touched, and blocks may be nested.
    """
    leaves = [(path, layer) for path, layer in model.named_layers() if not layer.children()]
    before = [(layer, {name: vars(layer).get(name) for name in ("forward", "backward")}) for _, layer in leaves]
    try:
        for path, layer in leaves:
            if forward:
                vars(layer)["forward"] = _forward_then(layer.forward, forward, path, layer)
            if backward:
                vars(layer)["backward"] = _backward_then(layer.backward, backward, path, layer)
        yield
    finally:
        for layer, methods in before:
            for name, method in methods.items():
                vars(layer).pop(name, None)
                if method is not None:
                    vars(layer)[name] = method


def _forward_then(run: Any, tell: Callable[[str, Layer, Any, Any], None], path: str, layer: Layer) -> Any:
    def forward(x: Any, *, train: bool) -> tuple[Any, Any]:
        y, cache = run(x, train=train)
        tell(path, layer, x, y)
        return y, cache

    return forward


def _backward_then(run: Any, tell: Callable[[str, Layer, Any, Any], None], path: str, layer: Layer) -> Any:
    def backward(dy: Any, cache: Any) -> Any:
        dx = run(dy, cache)
        tell(path, layer, dy, dx)
        return dx

    return backward
