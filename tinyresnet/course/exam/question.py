"""What a question of an exam is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Rng = np.random.Generator
Array = np.ndarray[Any, np.dtype[Any]]


class Ask(NamedTuple):
    """One number that is asked for: its name, points and right value."""

    name: str
    points: int
    value: float


@dataclass(frozen=True)
class Question:
    """A question. `given`: the numbers that stand on the sheet, by name; the answers depend on them alone. `working`: for the key."""

    name: str
    lesson: int
    title: str
    text: str
    given: dict[str, Any]
    asks: tuple[Ask, ...]
    working: str

    @property
    def points(self) -> int:
        """Of all that it asks for."""
        return sum(ask.points for ask in self.asks)


def whole(rng: Rng, shape: tuple[int, ...], low: int = -3, high: int = 4) -> Array:
    """Whole numbers low to high - 1 in float64, none of them 0: each term counts."""
    drawn = rng.integers(low, high - 1, shape)
    return np.asarray(drawn + (drawn >= 0), np.float64)
