"""What a diagnosis is, and the words that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from .evidence import Evidence


@dataclass(frozen=True)
class Diagnosis:
    """A kind of mistake that explains all of a wrong gradient's error. `sign`: a key of SIGNS."""

    sign: str
    sentence: str


Hypothesis: TypeAlias = Callable[[Evidence], Iterator[Diagnosis]]

PICTURE = ("pictures", "channels", "rows", "columns")
WEIGHT = ("output channels", "input channels", "kernel rows", "kernel columns")
ROWS = ("rows of the batch", "features")


def axis_words(e: Evidence, *, output: bool = False) -> tuple[str, ...]:
    """What the axes of the input (or output) most likely are, one word each."""
    shape = e.out_shape if output else e.shape
    passed = list(e.subject.inputs)[: e.subject.passed or None]
    if output and len(e.shapes) > 1 and len(shape) == 5:
        return ("outputs", *PICTURE)
    if len(shape) == 4:
        return PICTURE if output or e.name in passed else WEIGHT
    if len(shape) == 2:
        return ROWS if output or e.name in passed else ("output features", "input features")
    return tuple(f"axis {axis}" for axis in range(len(shape)))


def listed(words: list[str] | tuple[str, ...]) -> str:
    """A and B; A, B and C."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
