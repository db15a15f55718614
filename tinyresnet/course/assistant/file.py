"""A student's file as a whole: which exercise it is, what is found about each of its functions, and how that is told."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..cuts import header
from ..exercises import EXERCISES, find, of_lesson
from ..exercises.model import Exercise
from ..exercises.transfer import answers_folder
from ..grade.judge import Student, StudentError
from . import functions, kernel, predictions
from .finding import Finding

WIDTH = 80


@dataclass(frozen=True)
class Review:
    """What was found, of each function or question; `hint` is the one that was asked for, from 1."""

    path: Path
    exercise: Exercise
    rung: str
    findings: tuple[Finding, ...]
    hint: int = 1

    @property
    def right(self) -> bool:
        """Whether all of it is right."""
        return all(finding.right for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(self._told())

    def as_dict(self) -> dict[str, Any]:
        """For a program; of the hints the one that was asked for."""
        rows = []
        for one in self.findings:
            hint = one.hints[self.hint - 1] if 0 < self.hint <= len(one.hints) else None
            row: dict[str, Any] = {"name": one.name, "state": one.state, "said": one.said, "likely": one.likely or None}
            rows.append(row | {"hint": hint, "hints": len(one.hints), "checked": one.checked or None})
        return {
            "file": str(self.path),
            "exercise": self.exercise.name,
            "rung": self.rung,
            "right": self.right,
            "findings": rows,
        }

    def _told(self) -> Iterator[str]:
        yield f"{self.path.name}: {self.exercise.title} (rung {self.rung})"
        width = max(len(one.name) for one in self.findings)
        for one in self.findings:
            state = {"right": "right", "wrong": "WRONG", "blank": "to do"}[one.state]
            told = f"  {one.name:<{width}}  {state}  "
            yield from (
                textwrap.wrap(told + one.checked, WIDTH, subsequent_indent=" " * len(told))
                if one.checked
                else [told.rstrip()]
            )
        yield ""
        if self.right:
            yield from _wrapped(
                f"Well done: {'all is' if len(self.findings) > 1 else 'it is'} right. {self._next()}", ""
            )
            return
        first = next((one for one in self.findings if one.state == "wrong"), None)
        first = first or next(one for one in self.findings if not one.right)
        yield from self._first(first)

    def _first(self, one: Finding) -> Iterator[str]:
        if one.state == "blank":
            yield from _wrapped(f"{one.name}: {one.said[0] if one.said else 'not written yet'}", "")
        else:
            yield f"{one.name}:"
            for sentence in one.said:
                yield from _wrapped(sentence, "  ")
        if one.likely:
            yield from _wrapped(f"Likely: {one.likely}", "  ")
        count = len(one.hints)
        if count and self.hint <= count:
            yield from _wrapped(f"Hint {self.hint} of {count}: {one.hints[self.hint - 1]}", "  ")
        if self.hint < count:
            yield f"  Next hint: tinyresnet lesson check {self.path.name} --hint {self.hint + 1}"
        elif self.hint > count:
            yield "  There is no hint on this." if not count else f"  That was the last hint, number {count}."

    def _next(self) -> str:
        """What to do after this."""
        after = {"a": "b", "b": "c"}.get(self.rung, "")
        if after and after in self.exercise.rungs and not self.exercise.variant_of:
            elsewhere = " --to blank" if after == "c" else ""
            return f"Next: tinyresnet lesson start {self.exercise.name} --rung {after}{elsewhere}"
        others = [one.name for one in of_lesson(self.exercise.lesson) if one.name != self.exercise.name]
        if others and not self.exercise.variant_of:
            return f"This lesson has another exercise: tinyresnet lesson start {others[0]}"
        later = sorted({one.lesson for one in EXERCISES if one.lesson > self.exercise.lesson})
        return f"Next: tinyresnet lesson start {later[0]:02}" if later else "That was the last exercise."


def review(path: Path, *, name: str | None = None, hint: int = 1) -> Review:
    """Look at a student's file. Raises InputError where it is not there, or is no exercise."""
    if not path.is_file():
        raise InputError(f"{path} is not there: `tinyresnet lesson start 03` writes an exercise")
    text = path.read_text(encoding="utf-8", errors="replace")
    said = header(text)
    name = name or (said[0] if said else _by_name(path))
    if said and name not in {one.name for one in EXERCISES} and answers_folder() is None:
        raise InputError(
            f"{name} is a transfer variant: it is checked where the instructor's answers are; "
            f"`tinyresnet gradcheck {path.name}:FUNCTION` measures its gradients here too"
        )
    exercise = find(name)
    rung, seed = (said[1], said[2]) if said else ("a" if "answers = {" in text else "c", 0)
    return Review(path, exercise, rung, tuple(_findings(exercise, rung, seed, text, path)), hint)


def _findings(exercise: Exercise, rung: str, seed: int, text: str, path: Path) -> list[Finding]:
    if rung == "a":
        judge = predictions.bugs if exercise.name == "bugs" else predictions.numbers
        return judge(exercise, seed, text, path.name)
    if exercise.source.suffix == ".cu":
        return [kernel.look(function, path) for function in exercise.functions]
    with Student(path, trust=True) as student:
        try:
            student.load()
        except StudentError as error:
            return [Finding(one.name, "wrong", [f"the file does not run: {error}"]) for one in exercise.functions]
        return [functions.look(exercise, function, student) for function in exercise.functions]


def _by_name(path: Path) -> str:
    """The exercise by the file's name: ana_conv.py is conv."""
    stem = re.sub(r"_numbers$", "", path.stem)
    known = sorted((one.name for one in EXERCISES), key=len, reverse=True)
    found = next((one for one in known if stem == one or stem.endswith(f"_{one}")), None)
    if found is None:
        raise InputError(
            f"{path.name} does not say which exercise it is: keep its line '# exercise: ...', or give --exercise NAME, "
            f"one of {', '.join(sorted(known))}"
        )
    return found


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
