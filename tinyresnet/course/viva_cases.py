"""The numbers that a viva asks about: few, whole, and such that known mistakes show on them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from .exercises.model import Case, Function, Rng, Slip, as_tuple

TRIES = 40  # draws, of which the small ones are taken
MANY = 280  # numbers on a sheet
CANDIDATES = 3  # cases to choose from
NEAR = 1e-3  # numbers that differ by less are the same


def alike(gave: Any, right: Any) -> bool:
    """Whether it is an array of real numbers of the right shape."""
    return np.shape(gave) == np.shape(right) and np.asarray(gave).dtype.kind in "biuf"


def small_case(function: Function, rng: Rng) -> Case:
    """Whole numbers, few, and of some such draws one on which many known mistakes show: with a large stride no windows overlap."""
    choices = [function.settings[rng.integers(len(function.settings))] for _ in range(TRIES)]
    draws = [(_whole(function.draw(rng, **settings)), settings) for settings in choices]
    draws.sort(key=lambda drawn: _size(drawn[0]))
    few = [drawn for drawn in draws if _size(drawn[0]) <= MANY] or draws[:1]
    cases = [_case(function, few[i][0], few[i][1], rng) for i in rng.permutation(len(few))[:CANDIDATES]]
    known = list(function.slips())
    return max(
        cases, key=lambda case: sum(bool(shown(slip, function, case, function.expected(case))) for slip in known)
    )


def _case(function: Function, drawn: tuple[Any, ...], settings: Mapping[str, Any], rng: Rng) -> Case:
    if function.forward is None:
        return Case(drawn, settings, None)
    y, cache = function.forward(*drawn)
    dy = np.asarray(rng.integers(1, 5, np.shape(y)) * rng.choice([-1.0, 1.0], np.shape(y)), np.asarray(y).dtype)
    return Case((dy, cache), settings, drawn)


def shown(slip: Slip, function: Function, case: Case, right: tuple[Any, ...]) -> list[tuple[str, Any, Any]]:
    """The results that a mistake makes wrong on these numbers: (name, what it gives, the cells that are wrong)."""
    try:
        with np.errstate(all="ignore"):
            wrong = as_tuple(slip.wrong(*copy.deepcopy(case.args)), len(function.gives))
    except Exception:  # a mistake need not work for every case
        return []
    found = []
    for name, other, value in zip(function.gives, wrong, right, strict=False):
        if name == "cache" or not alike(other, value) or not np.isfinite(other).all():
            continue
        off = np.argwhere(np.abs(np.asarray(other) - value) > NEAR)
        if len(off) and (np.any(other) or slip.sign == "zero"):
            found.append((name, np.asarray(other, float), off))
    return found


def _size(args: tuple[Any, ...]) -> int:
    """How many numbers stand in the arrays."""
    return sum(one.size for one in args if isinstance(one, np.ndarray))


def _whole(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arrays of an argument list as small whole numbers; what is no array of real numbers stays."""
    floats = (isinstance(one, np.ndarray) and one.dtype.kind == "f" for one in args)
    return tuple(np.rint(2 * one) + 0.0 if is_float else one for one, is_float in zip(args, floats, strict=True))
