"""Points: one submission's functions on hidden numbers. A function is judged alone, on the right cache: one error costs once.

All calls right: all points. Right numbers with bad manners (changes its arguments, another dtype, another answer the second time): half.
Right in some calls only: half of that share. The judge's numbers come from a seed that is not in the student's file.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinyresnet_kernels import use

from ...errors import InputError
from ..exercises.compare import Mismatch, compare
from ..exercises.model import CASES, Case, Exercise, Function, as_tuple
from .judge import Answer, Student, StudentError, read_source
from .sandbox import Limits

Ask = Callable[..., Answer]
SINGLE = 1e-4  # tolerance for numbers that came back in too small a dtype


@dataclass(frozen=True)
class Part:
    """The points of one function or question, and why. `kind`: right, manners, wrong, or the name of what went wrong."""

    name: str
    points: float
    most: float
    kind: str
    said: str


@dataclass(frozen=True)
class Score:
    """A submission's points. `tried`: what its code reached for and was refused; `note`: what else an instructor should know."""

    student: str
    exercise: str
    parts: tuple[Part, ...]
    tried: tuple[str, ...] = ()
    note: str = ""

    @property
    def points(self) -> float:
        """Of all parts."""
        return round(math.fsum(part.points for part in self.parts), 2)

    @property
    def most(self) -> float:
        """What there was to get."""
        return math.fsum(part.most for part in self.parts)


class Paper:
    """An exercise's hidden questions and what is right: made once for a whole class."""

    def __init__(self, exercise: Exercise, seed: int, calls: int = CASES) -> None:
        self.exercise, self.seed = exercise, seed
        asked = [function for function in exercise.functions if function.judge is None]
        with use("reference"):  # at once, and without a kernel's threads
            self.questions = {f.name: [(case, f.expected(case)) for case in f.cases(seed, calls)] for f in asked}
        for questions in self.questions.values():
            for case, right in questions:
                freeze((case.args, right))  # they are asked again, of the next student

    def grade(self, path: Path, *, student: str = "", trust: bool = False, limits: Limits | None = None) -> Score:
        """Grade a file of functions (rungs b and c). Raises InputError where nothing isolates it and it is not trusted."""
        try:
            source = read_source(path)
        except InputError as error:
            return self.nothing(student, str(error))
        with Student(path, trust=trust, limits=limits, source=source) as answers:
            parts = tuple(self.judged(function, answers.ask) for function in self.exercise.functions)
            return Score(student, self.exercise.name, parts, tuple(answers.tried))

    def nothing(self, student: str, why: str) -> Score:
        """No points, for one reason."""
        parts = tuple(Part(f.name, 0, f.points, "no file", why) for f in self.exercise.functions)
        return Score(student, self.exercise.name, parts)

    def judged(self, function: Function, ask: Ask) -> Part:
        """The points of one function; `ask(name, *args)` calls it."""
        if self.exercise.source.suffix != ".py":
            return Part(function.name, 0, 0, "kernel", "kernels are not graded: `lesson check` runs them")
        try:
            if function.judge is None:
                return _compared(function, ask, self.questions[function.name])
            rng = np.random.default_rng([self.seed, *function.name.encode()])
            wrong = function.judge(lambda args: ask(function.name, *args).value, rng)
            return _part(function, 0.0 if wrong else 1.0, "wrong" if wrong else "right", wrong or "right")
        except StudentError as error:
            return Part(function.name, 0, function.points, type(error).__name__, str(error))
        except (TypeError, ValueError) as error:  # of a judge's own arithmetic, on what is no array
            return Part(
                function.name, 0, function.points, "wrong", f"what comes back cannot be compared: {error}"[:300]
            )


def _compared(function: Function, ask: Ask, asked: list[tuple[Case, tuple[Any, ...]]]) -> Part:
    manners, faults = dict[str, str](), list[tuple[Case, Any, Mismatch]]()
    first: Answer | None = None
    for case, right in asked:
        answer = ask(function.name, *case.args)
        first = first or answer
        if answer.changed:
            manners["changed"] = f"it changes its argument number {answer.changed[0] + 1}: work on a copy"
        fault = compare(function, answer.value, right)
        if fault is not None and fault.kind == "dtype":
            manners["dtype"] = fault.detail
            fault = compare(function, like(answer.value, right), right, SINGLE)
        if fault is not None:
            faults.append((case, answer.value, fault))
    if faults:
        return _part(
            function, (len(asked) - len(faults)) / len(asked) / 2, "wrong", _told(function, len(asked), faults)
        )
    again = ask(function.name, *asked[0][0].args)
    if first is None or not same(again.value, first.value):
        manners["again"] = (
            "it gives another answer when it is asked the same again: it keeps something, or draws by chance"
        )
    if manners:
        return _part(function, 0.5, "manners", "the numbers are right, but " + "; ".join(manners.values()))
    return _part(function, 1.0, "right", "right")


def _part(function: Function, share: float, kind: str, said: str) -> Part:
    return Part(function.name, math.floor(function.points * share * 10 + 1e-9) / 10, function.points, kind, said)


def _told(function: Function, count: int, faults: list[tuple[Case, Any, Mismatch]]) -> str:
    """What is wrong, and the mistake that gives just these numbers, if one is known. The right number is not told."""
    case, _, fault = faults[0]
    settings = ", ".join(f"{name}={value}" for name, value in case.settings.items())
    calls = f"wrong in {len(faults)} of {count} calls" if len(faults) < count else "wrong"
    where = fault.detail or f"{fault.name}{list(fault.index)} is off, as {fault.share:.0%} of {fault.name} is"
    said = f"{calls}: {where}" + (f" (with {settings})" if settings else "")
    return said + _likely(function, faults)


def _likely(function: Function, faults: list[tuple[Case, Any, Mismatch]]) -> str:
    """A known mistake that gives all these answers."""
    for slip in function.slips():
        try:
            with use("reference"), np.errstate(all="ignore"):
                if all(_gives(slip.wrong, function, case, got) for case, got, _ in faults):
                    return f". Likely: {slip.sentence}"
        except Exception:  # a known mistake may fail where the student's function does not
            continue
    return ""


def _gives(wrong: Callable[..., Any], function: Function, case: Case, got: Any) -> bool:
    made = wrong(*copy.deepcopy(case.args))  # some mistakes are to write into an argument
    return compare(function, got, as_tuple(made, len(function.gives))) is None


def freeze(value: Any) -> None:
    """Make all arrays in it read-only."""
    if isinstance(value, tuple):
        for one in value:
            freeze(one)
    elif isinstance(value, np.ndarray):
        value.flags.writeable = False


def like(got: Any, right: Any) -> Any:
    """The arrays of an answer in the dtypes of the right one, where the shapes agree."""
    if isinstance(got, tuple | list) and isinstance(right, tuple) and len(got) == len(right):
        return tuple(like(one, other) for one, other in zip(got, right, strict=True))
    if isinstance(right, tuple) and len(right) == 1:
        return like(got, right[0])
    if isinstance(got, np.ndarray) and isinstance(right, np.ndarray) and "c" not in (got.dtype.kind, right.dtype.kind):
        with np.errstate(all="ignore"):
            return got.astype(right.dtype)
    return got


def same(one: Any, other: Any) -> bool:
    """The same, to the bit."""
    if isinstance(one, tuple | list):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return type(one) is type(other) and (one == other or one != one)
