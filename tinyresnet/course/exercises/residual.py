"""Lesson 06: fork, add and a residual block."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Add, Fork
from ...layers.residual import add_backward, fork_backward
from .model import Exercise, Function, Rng
from .museum import pieces, retold, slips
from .words import hints


def draw_pair(rng: Rng) -> tuple[Any, ...]:
    """Two arrays of one shape."""
    shape = tuple(rng.integers(3, 6, 4))
    return rng.standard_normal(shape), rng.standard_normal(shape)


def draw_one(rng: Rng) -> tuple[Any, ...]:
    """dy (N, C, H, W)."""
    return draw_pair(rng)[:1]


def forward(x: Any, w1: Any, w2: Any) -> Any:
    """y, cache = (x, w1, w2, h, z)."""
    h = np.where((x @ w1).real > 0, x @ w1, 0)
    z = h @ w2 + x
    return np.where(z.real > 0, z, 0), (x, w1, w2, h, z)


def backward(dy: Any, cache: Any, *, last: Any = None, first: Any = None, branch: Any = 1, way: Any = None) -> Any:
    """dx, dw1, dw2; for the known mistakes: other masks, a part of the branch, another gradient by the shortcut."""
    x, w1, w2, h, z = cache
    dz = dy * ((z > 0) if last is None else last)
    dh = branch * dz @ w2.T * ((h > 0) if first is None else first)
    return dh @ w1.T + (dz if way is None else way), x.T @ dh, branch * h.T @ dz


def draw_block(rng: Rng, square: bool = False) -> tuple[Any, ...]:
    """x (N, D), w1 (D, E), w2 (E, D); `square`: N = D = E, where transposed ones fit."""
    N, D, E = rng.integers(4, 8, 3) if not square else (5, 5, 5)
    return rng.standard_normal((N, D)), rng.standard_normal((D, E)), rng.standard_normal((E, D))


def _museum_block() -> Any:
    def only_branch(dy: Any, cache: Any) -> Any:
        return backward(dy, cache, way=0)

    def only_shortcut(dy: Any, cache: Any) -> Any:
        return backward(dy, cache, branch=0)

    def overwritten(dy: Any, cache: Any) -> Any:
        return dy * (cache[4] > 0), *backward(dy, cache)[1:]

    def twice(dy: Any, cache: Any) -> Any:
        return backward(dy, cache, way=2 * dy * (cache[4] > 0))

    def pairs(dy: Any, cache: Any) -> Any:
        way = dy * (cache[4] > 0)
        way[len(dy) // 2 * 2 :] = 0
        return backward(dy, cache, way=way)

    return retold(
        ("residual: identity forgotten", only_branch),
        ("residual: branch forgotten", only_shortcut),
        ("residual: shortcut overwrites the branch", overwritten),
        ("residual: last relu forgotten", lambda dy, cache: backward(dy, cache, last=1)),
        ("residual: shortcut past the relu", lambda dy, cache: backward(dy, cache, way=dy)),
        ("residual: mask of the branch alone", lambda dy, cache: backward(dy, cache, last=cache[3] @ cache[2] > 0)),
        ("residual: first relu forgotten", lambda dy, cache: backward(dy, cache, first=1)),
        ("residual: shortcut added twice", twice),
        ("residual: shortcut two pictures at a time", pairs),
    )


def _averaged(dy: Any, cache: Any) -> Any:
    dx, dw1, dw2 = backward(dy, cache)
    return dx / 2, dw1, dw2


def _museum_fork(bug: Any, da: Any, db: Any) -> Any:
    return Fork(), (da, db), None


def _museum_add(bug: Any, dy: Any) -> Any:
    return Add(), dy, None


def block_slips() -> Any:
    """The museum's pieces of a residual block, and one that people believe."""
    return [
        *_museum_block(),
        *slips(
            (
                "residual: averaged at the fork",
                "mean for sum",
                _averaged,
            )
        )(),
    ]


RESIDUAL = Exercise(
    "residual",
    6,
    "Fork, add and a residual block",
    (
        Function(
            "add_backward",
            1,
            draw_one,
            lambda dy: add_backward(dy, None),
            ("da", "db"),
            hints=hints("add_backward"),
            slips=pieces("add", _museum_add),
        ),
        Function(
            "fork_backward",
            2,
            draw_pair,
            lambda da, db: fork_backward((da, db), None),
            ("dx",),
            hints=hints("fork_backward"),
            slips=pieces("fork", _museum_fork),
        ),
        Function(
            "block_forward",
            1,
            draw_block,
            forward,
            ("y", "cache"),
            ({}, {"square": True}),
            hints=hints("block_forward"),
            slips=slips(
                (
                    "block forward: shortcut forgotten",
                    "missing term",
                    lambda x, a, b: (np.maximum(np.maximum(x @ a, 0) @ b, 0), forward(x, a, b)[1]),
                ),
                (
                    "block forward: ReLU before the add",
                    "mask",
                    lambda x, a, b: (np.maximum(np.maximum(x @ a, 0) @ b, 0) + x, forward(x, a, b)[1]),
                ),
            ),
        ),
        Function(
            "block_backward",
            5,
            draw_block,
            backward,
            ("dx", "dw1", "dw2"),
            ({}, {"square": True}),
            forward,
            hints("block_backward"),
            block_slips,
        ),
    ),
)
