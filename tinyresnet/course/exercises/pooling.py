"""Lesson 03: max pooling."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import form

from ...gradcheck.museum.max_pool import Remembered, Remembering
from ...layers import MaxPool2d
from ...layers.pool import MaxPoolCache, avg_pool_forward, max_pool_backward, max_pool_forward
from .model import Exercise, Function, Rng
from .museum import pieces, random, slips
from .words import hints

SETTINGS = (
    {"kernel": 2, "stride": 2},
    {"kernel": 3, "stride": 2},
    {"kernel": 2, "stride": 1},
    {"kernel": 2, "stride": 3},
    {"kernel": 2, "stride": 2, "ties": True},
    {"kernel": 3, "stride": 1, "ties": True},
    {"kernel": 3, "stride": 2, "negative": True},
    {"kernel": 2, "stride": 2, "nearly": True},
)


def forward(x: Any, kernel: int, stride: int) -> Any:
    """y, cache = (x, winner, kernel, stride)."""
    y, cache = max_pool_forward(x, kernel=kernel, stride=stride)
    return y, (x, cache.winner, kernel, stride)


def backward(dy: Any, cache: Any) -> Any:
    """dx."""
    return max_pool_backward(dy, _cache(cache))


def draw(
    rng: Rng, kernel: int, stride: int, ties: bool = False, negative: bool = False, nearly: bool = False
) -> tuple[Any, ...]:
    """x, kernel, stride: with few levels (ties), all below zero, or with near ties."""
    shape = (*rng.integers(2, 4, 2), *rng.integers(6, 9, 2))
    x = rng.standard_normal(shape)
    x = rng.integers(0, 3, shape).astype(float) if ties else -np.abs(x) - 0.1 if negative else x
    return (rng.integers(1, 3, shape) + 1e-6 * x if nearly else x), kernel, stride


def _cache(cache: Any) -> MaxPoolCache:
    x, winner, kernel, stride = cache
    return MaxPoolCache(winner, form(x), (kernel, kernel), (stride, stride), (0, 0))


def _mean(x: Any, kernel: int, stride: int) -> Any:
    return avg_pool_forward(x, kernel=kernel, stride=stride)[0], forward(x, kernel, stride)[1]


def _museum(bug: Any, dy: Any, cache: Any) -> Any:
    x, _, kernel, stride = cache
    right = _cache(cache)
    keeps = isinstance(bug.setting.make(random()), Remembering)
    return MaxPool2d(kernel, stride=stride), dy, Remembered(x, forward(x, kernel, stride)[0], right) if keeps else right


def _last_wins(x: Any, kernel: int, stride: int) -> Any:
    y, (_, winner, _, _) = forward(x[:, :, ::-1, ::-1], kernel, stride)
    return y[:, :, ::-1, ::-1], (x, kernel * kernel - 1 - winner[:, :, ::-1, ::-1], kernel, stride)


def _turned(x: Any, kernel: int, stride: int) -> Any:
    y, (_, winner, _, _) = forward(x, kernel, stride)
    return y, (x, winner % kernel * kernel + winner // kernel, kernel, stride)


POOL = Exercise(
    "pool",
    3,
    "Max pooling, both ways",
    (
        Function(
            "max_pool_forward",
            2,
            draw,
            forward,
            ("y", "cache"),
            SETTINGS,
            hints=hints("max_pool_forward"),
            slips=slips(
                ("max pool forward: last of equal ones", "winners", _last_wins),
                ("max pool forward: winner down the columns", "winners", _turned),
                ("max pool forward: windows without gaps", "winners", lambda x, k, s: forward(x, k, k)),
                ("max pool forward: mean", "other", _mean),
            ),
        ),
        Function(
            "max_pool_backward",
            4,
            draw,
            backward,
            ("dx",),
            SETTINGS,
            forward,
            hints("max_pool_backward"),
            pieces("max_pool", _museum),
        ),
    ),
)
