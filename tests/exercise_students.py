"""Students for tests: one whose functions run in this process, with the interface of the judge's `Student`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyresnet.course.exercises import EXERCISES, Exercise, Function, Slip
from tinyresnet.course.grade.judge import Answer, Crashed, Missing


class Here:
    """Functions of this process, called as the judge calls a student's: on copies, and what they change is noted."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.functions = functions

    def ask(self, name: str, *args: Any) -> Answer:
        if name not in self.functions:
            raise Missing(f"there is no {name}")
        given = copy.deepcopy(args)
        try:
            with np.errstate(all="ignore"):
                value = self.functions[name](*given)
        except Exception as error:
            raise Crashed(f"{type(error).__name__}: {error}") from error
        changed = tuple(i for i, (a, b) in enumerate(zip(given, args, strict=True)) if not equal(a, b))
        return Answer(copy.deepcopy(value), changed, (), 0.0)

    def call(self, name: str, *args: Any) -> Any:
        return self.ask(name, *args).value


def equal(a: Any, b: Any) -> bool:
    """To the bit."""
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return (
        np.array_equal(a, b, equal_nan=True)
        if isinstance(a, np.ndarray) and a.dtype.kind == "f"
        else bool(np.all(a == b))
    )


def wrong_ones() -> list[tuple[Exercise, Function, Slip]]:
    """Every known mistake of every function: the museum's pieces, and those of the forward passes."""
    return [(e, f, slip) for e in EXERCISES for f in e.functions for slip in f.slips()]
