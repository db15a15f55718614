"""The table that `print(model)` shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from .device import beside
from .layers import Layer
from .observe import observe


def summary(model: Layer, picture: tuple[int, int, int]) -> str:
    """A table of every leaf layer: path, kind, output shape, parameters, multiply-adds, for pictures (C, H, W) = `picture`.

    The shapes come from a forward pass over a batch of no pictures at all, which costs nothing.
    """
    rows: list[tuple[str, ...]] = []
    totals = {"params": 0, "multiply_adds": 0}

    def tell(path: str, layer: Layer, x: Any, y: Any) -> None:
        y = y[0] if isinstance(y, tuple) else y
        one = (1, *y.shape[1:])
        params = sum(param.data.size for param in layer.params().values())
        totals["params"] += params
        totals["multiply_adds"] += layer.multiply_adds(one)
        shape = " x ".join(str(size) for size in y.shape[1:])
        rows.append((path, type(layer).__name__, shape, f"{params:,}", f"{layer.multiply_adds(one):,}"))

    dtype = next(param.data.dtype for _, param in model.named_params())
    with observe(model, forward=tell):
        model.forward(beside(model, np.zeros((0, *picture), dtype)), train=False)
    head = ("path", "layer", "output", "parameters", "multiply-adds")
    foot = ("total", f"{len(rows)} layers", "", f"{totals['params']:,}", f"{totals['multiply_adds']:,}")
    widths = [max(len(row[i]) for row in [head, *rows, foot]) for i in range(len(head))]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([_line(head, widths), rule, *(_line(row, widths) for row in rows), rule, _line(foot, widths)])


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    """One row: words to the left, numbers to the right."""
    cells = [c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
    return "  ".join(cells).rstrip()
