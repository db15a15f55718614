"""Lesson 05: wrong backward passes that a poor check calls right."""

from __future__ import annotations

from typing import Any

import numpy as np

from .model import Exercise, Function, Rng
from .words import hints


def fools(right: Any, draw: Any) -> Any:
    """A judge: right for a dy of ones, wrong for a random one."""

    def judge(call: Any, rng: Rng) -> str | None:
        for _ in range(6):
            x = draw(rng)
            ones, dy = np.ones_like(x), rng.standard_normal(x.shape)
            for given, what in ((ones, "ones"), (dy, "random")):
                found, wanted = np.asarray(call((given, x)), float), right(given, x)
                if found.shape != x.shape:
                    return f"it gives shape {found.shape}; {x.shape} is wanted"
                near = np.allclose(found, wanted, atol=1e-6)
                if what == "ones" and not near:
                    return "an all-ones check would catch it: for a dy of ones it is not right"
                if what == "random" and near:
                    return "for a random dy it is right too: make it wrong"
        return None

    return judge


def relu_right(dy: Any, x: Any) -> Any:
    """dx of y = relu(x)."""
    return dy * (x > 0)


def norm_right(dy: Any, xhat: Any) -> Any:
    """dx of y = (x - mean) / std per column, std 1."""
    return dy - dy.mean(axis=0) - xhat * (dy * xhat).mean(axis=0)


def draw_rows(rng: Rng) -> Any:
    """x (N, D)."""
    return rng.standard_normal(rng.integers(3, 7, 2))


def draw_normal(rng: Rng) -> Any:
    """xhat (N, D) of mean 0 and deviation 1."""
    x = draw_rows(rng)
    return (x - x.mean(axis=0)) / x.std(axis=0)


def drawn_with_ones(draw: Any) -> Any:
    """dy and x, for a first call."""

    def both(rng: Rng) -> tuple[Any, ...]:
        x = draw(rng)
        return np.ones_like(x), x

    return both


FOOL = Exercise(
    "fool",
    5,
    "Fool a check that sums the outputs",
    (
        Function(
            "fooling_backward",
            2,
            drawn_with_ones(draw_rows),
            relu_right,
            ("dx",),
            hints=hints("fooling_backward"),
            judge=fools(relu_right, draw_rows),
        ),
        Function(
            "fooling_norm_backward",
            2,
            drawn_with_ones(draw_normal),
            norm_right,
            ("dx",),
            hints=hints("fooling_norm_backward"),
            judge=fools(norm_right, draw_normal),
        ),
    ),
)
