"""From one solution with cut marks to the three rungs of an exercise: predict numbers (a), fill gaps (b), write it all (c).

A mark is a comment alone on a line (`//` for `#` in a kernel file):

    #[ b: what belongs here?      cut in rungs b and c, up to its #]; the words stand in the gap
    #]
    #[ c: the same, in one go     cut in rung c alone; encloses the gaps of rung b
    #]
    #~ relu: mask forgotten | dx = dy      a wrong form of the line above, under its name in the bug museum, for "find the bug"
    #! x = rng.integers(-3, 4, (2, 3))     a number drawn for rung a, which shows it
    #? y_01: what is y[0, 1]?  = relu_forward(x)[0][0, 1]      a question of rung a, and the answer
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, unknown
from .places import folder

RUNGS = {"a": "predict numbers", "b": "fill the gaps", "c": "write it all"}
OPEN, CLOSE = re.compile(r"\s*(?:#|//)\[ ([bc]): (.+)"), re.compile(r"\s*(?:#|//)\]")
PLANT = re.compile(r"(\s*)(?:#|//)~ (.+?) \| (.+)")
DRAW, ASK = re.compile(r"(?:#|//)! (\w+) = (.+)"), re.compile(r"(?:#|//)\? (\w+): (.+?)  = (.+)")
HEADER = re.compile(r"(?:#|//) exercise: (\w+), rung ([abc]), seed (\d+)")


@dataclass
class Line:
    """A line of a solution: the gap of each rung that it is cut in, and the wrong forms that may stand in its place."""

    text: str
    gaps: dict[str, Gap]
    plants: list[tuple[str, str]] = field(default_factory=list)  # (name in the museum, the wrong line)


@dataclass(eq=False)
class Gap:
    """What stands between two marks; `words` tell the student what belongs there."""

    rung: str
    words: str


@dataclass
class Solution:
    """A solution's lines, and rung a's numbers and questions."""

    name: str
    suffix: str
    lines: list[Line]
    draws: list[tuple[str, str]]
    questions: list[tuple[str, str, str]]

    def text(self) -> str:
        """The right code, without marks."""
        return "\n".join(line.text for line in self.lines) + "\n"

    def module(self) -> dict[str, Any]:
        """What the code defines. Only a Python solution defines anything."""
        names: dict[str, Any] = {"__name__": self.name}
        if self.suffix == ".py":
            exec(compile(self.text(), f"{self.name}.py", "exec"), names)
        return names

    def cut(self, rung: str) -> list[str]:
        """The lines that a student on this rung does not get; with plants, those are cut anew for each seed (`planted`)."""
        if rung == "a":
            return [line.text for line in self.lines if line.gaps]
        return [line.text for line in self.lines if outermost(line, rung)]


def parse(text: str, name: str, suffix: str = ".py") -> Solution:
    """A solution of its text. Raises InputError on marks that do not pair up."""
    found = Solution(name, suffix, [], [], [])
    stack: list[Gap] = []
    for number, row in enumerate(text.splitlines(), start=1):
        if opening := OPEN.fullmatch(row):
            stack.append(Gap(opening[1], opening[2]))
        elif CLOSE.fullmatch(row):
            if not stack:
                raise InputError(f"{name}{suffix}:{number}: a mark #] without its #[")
            stack.pop()
        elif plant := PLANT.fullmatch(row):
            found.lines[-1].plants.append((plant[2], plant[1] + plant[3]))
        elif draw := DRAW.fullmatch(row):
            found.draws.append((draw[1], draw[2]))
        elif ask := ASK.fullmatch(row):
            found.questions.append((ask[1], ask[2], ask[3]))
        else:
            found.lines.append(Line(row, {gap.rung: gap for gap in stack}))
    if stack:
        raise InputError(f"{name}{suffix}: the mark {stack[-1].words!r} has no end #]")
    return found


def solution(source: Path) -> Solution:
    """The solution in this file."""
    return parse(source.read_text(encoding="utf-8"), source.stem, source.suffix)


def source_of(file: str) -> Path:
    """Where the solution of this name stands: lessons/exercises/FILE."""
    return folder() / "exercises" / file


def generate(source: Path, rung: str, seed: int = 0) -> str:
    """The file that a student gets. Raises InputError on an unknown rung."""
    if rung not in RUNGS:
        raise unknown("rung", rung, RUNGS)
    from .rungs import code, numbers

    whole = solution(source)
    planted = any(line.plants for line in whole.lines)
    return numbers(whole, seed) if rung == "a" and not planted else code(whole, rung, seed)


def answers(whole: Solution, seed: int) -> dict[str, float]:
    """Rung a's right answers."""
    names = whole.module() | drawn(whole, seed)
    return {name: float(eval(expression, names)) for name, _, expression in whole.questions}


def drawn(whole: Solution, seed: int) -> dict[str, Any]:
    """Rung a's numbers."""
    names: dict[str, Any] = {"np": np, "rng": np.random.default_rng(seed)}
    for name, expression in whole.draws:
        names[name] = eval(expression, names)
    return names


def planted(whole: Solution, seed: int) -> dict[int, tuple[str, str]]:
    """For "find the bug": which line (its index) is replaced by which (museum name, wrong line): one in every function."""
    if not any(line.plants for line in whole.lines):
        return {}
    rng = np.random.default_rng(seed)
    by_function: dict[str, list[tuple[int, tuple[str, str]]]] = {}
    for function, index in _functions(whole):
        by_function.setdefault(function, []).extend((index, plant) for plant in whole.lines[index].plants)
    return dict(plants[rng.integers(len(plants))] for plants in by_function.values() if plants)


def header(text: str) -> tuple[str, str, int] | None:
    """(exercise, rung, seed) that a student's file names, if it does."""
    found = HEADER.search(text)
    return (found[1], found[2], int(found[3])) if found else None


def _functions(whole: Solution) -> Iterator[tuple[str, int]]:
    """(name, index of a line) for every line of every function."""
    for node in ast.parse(whole.text()).body:
        if isinstance(node, ast.FunctionDef):
            yield from ((node.name, index) for index in range(node.lineno - 1, node.end_lineno or node.lineno))


def outermost(line: Line, rung: str) -> Gap | None:
    """The outermost gap that the line is cut in on this rung."""
    return line.gaps.get("c") or line.gaps.get("b") if rung == "c" else line.gaps.get("b")
