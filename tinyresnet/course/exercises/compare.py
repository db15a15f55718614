"""Is this what was wanted? The first thing about a result that is wrong: its number, kind, shape, dtype, or an element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .model import Function, as_tuple

TOLERANCE = 1e-9  # of the largest number: float64 sums of some hundred terms stay far below, mistakes far above


@dataclass(frozen=True)
class Mismatch:
    """What is wrong: `kind` is results, type, shape, dtype or value; of a value the element, what came and what is right."""

    kind: str
    name: str
    detail: str
    index: tuple[int, ...] = ()
    got: float = 0.0
    wanted: float = 0.0
    share: float = 1.0  # of the elements that are wrong


def compare(
    function: Function, result: Any, expected: tuple[Any, ...], tolerance: float = TOLERANCE
) -> Mismatch | None:
    """The first result that differs from the expected ones, or None."""
    names = function.gives
    found = as_tuple(result, len(names))
    if len(found) != len(names):
        what = f"{len(found)} values come back" if len(found) > 1 else f"one value comes back ({describe(found[0])})"
        return Mismatch("results", function.name, f"{what}; {len(names)} are wanted: {', '.join(names)}")
    for name, got, wanted in zip(names, found, expected, strict=True):
        if (wrong := compare_part(name, got, wanted, tolerance)) is not None:
            return wrong
    return None


def compare_part(name: str, got: Any, wanted: Any, tolerance: float = TOLERANCE) -> Mismatch | None:
    """One result; of a tuple (a cache) the first part that differs."""
    if isinstance(wanted, tuple) and (name in ("cache", "shape") or isinstance(got, tuple)):
        if not isinstance(got, tuple | list) or len(got) != len(wanted):
            return Mismatch("results", name, f"{name} is {describe(got)}; a tuple of {len(wanted)} is wanted")
        parts = (
            compare_part(f"{name}[{i}]", g, w, tolerance) for i, (g, w) in enumerate(zip(got, wanted, strict=True))
        )
        return next((part for part in parts if part is not None), None)
    if got is None or isinstance(got, str | dict | list | tuple):
        return Mismatch("type", name, f"{name} is {describe(got)}; {describe(wanted)} is wanted")
    found, right = np.asarray(got), np.asarray(wanted)
    if found.shape != right.shape:
        return Mismatch("shape", name, f"{name} has shape {found.shape}; {right.shape} is wanted")
    if right.dtype.kind in "fc" and isinstance(wanted, np.ndarray | np.generic) and found.dtype != right.dtype:
        return Mismatch("dtype", name, f"{name} has dtype {found.dtype}; {right.dtype} is wanted, as came in")
    if found.dtype.kind not in "fiub":
        return Mismatch("type", name, f"{name} has dtype {found.dtype}; numbers are wanted")
    return _values(name, found, right, tolerance)


def _values(name: str, found: Any, right: Any, tolerance: float) -> Mismatch | None:
    if not right.size:
        return None
    found, right = found.astype(np.float64), right.astype(np.float64)
    limit = tolerance * float(np.abs(right).max(initial=0)) + tolerance * 1e-3
    wrong = ~(np.abs(found - right) <= limit)
    if not wrong.any():
        return None
    place = tuple(map(int, np.unravel_index(int(wrong.argmax()), wrong.shape)))
    return Mismatch("value", name, "", place, float(found[place]), float(right[place]), float(wrong.mean()))


def describe(value: Any) -> str:
    """A short name for what a value is."""
    if isinstance(value, np.ndarray):
        return f"an array {value.shape}"
    if value is None:
        return "None"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "a number" if isinstance(value, int | float | np.generic) else f"a {type(value).__name__}"
