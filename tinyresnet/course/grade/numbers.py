"""Typed answers: the numbers of rung a (and the bugs found there), and worksheets on paper that were typed into a table."""

from __future__ import annotations

import csv
import io
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .. import cuts, rungs
from ..assistant.predictions import NEAR
from ..exercises.model import Exercise
from .faults import StudentError, plain
from .judge import Student, read_source
from .sandbox import Limits
from .score import Part, Score

MOST_ROWS = 10_000
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?\d+/\d+")


def numbers(
    exercise: Exercise, path: Path, *, student: str = "", trust: bool = False, limits: Limits | None = None
) -> Score:
    """Grade rung a: `answers` in the file against the numbers of the seed that the file was made with; the score notes it."""
    source = read_source(path)
    found = cuts.header(source.decode("utf-8", "replace"))
    if found is None or found[0] != exercise.name:
        raise InputError(f"{path} does not begin as `tinyresnet lesson start` writes it: its seed is not known")
    whole, seed = cuts.solution(exercise.source), found[2]
    right = right_answers(whole, seed)
    with Student(path, trust=trust, limits=limits, source=source) as file:
        try:
            given = file.look_up("answers")
        except StudentError as error:
            given, why = {}, f"`answers` cannot be read: {error}"
        else:
            why = "" if isinstance(given, dict) else "`answers` is no dict"
        parts = tuple(_part(name, one, given.get(name) if not why else None, why) for name, one in right.items())
        return Score(student, f"{exercise.name} (numbers)", parts, tuple(file.tried), f"numbers of seed {seed}")


def nothing(exercise: Exercise, student: str, why: str) -> Score:
    """No points for rung a, for one reason."""
    names = right_answers(cuts.solution(exercise.source), 0)
    return Score(student, f"{exercise.name} (numbers)", tuple(Part(name, 0, 1, "no file", why) for name in names))


def right_answers(whole: cuts.Solution, seed: int) -> dict[str, Any]:
    """By name a number, or for planted bugs (line, kind)."""
    if cuts.planted(whole, seed):
        return dict(rungs.bug_lines(rungs.code(whole, "a", seed), whole, seed))
    return dict(cuts.answers(whole, seed))


def _part(name: str, right: Any, given: Any, why: str) -> Part:
    if why or given is None:
        return Part(name, 0, 1, "unanswered", why or "not answered")
    if isinstance(right, tuple):
        line, kind = given if isinstance(given, tuple | list) and len(given) == 2 else (given, "")
        hits = [line == right[0], kind == right[1]]
        said = "right" if all(hits) else "the line is right, the kind is not" if hits[0] else "another line is wrong"
        return Part(name, 0.5 * sum(hits) if hits[0] else 0, 1, "right" if all(hits) else "wrong", said)
    number = typed(given)
    if number is None:
        return Part(name, 0, 1, "wrong", "this is no number")
    good = abs(number - right) <= NEAR * max(1.0, abs(right))
    return Part(name, float(good), 1, "right" if good else "wrong", "right" if good else f"{number:g} is not right")


def typed(given: Any) -> float | None:
    """A number as people type it: 0.125, 0,125, 1/8, with a true minus sign; None if it is none."""
    if isinstance(given, np.ndarray | np.generic) and given.size == 1:
        given = given.item()
    if isinstance(given, bool):
        return None
    if isinstance(given, str):
        text = "".join(given.split()).replace("−", "-").replace("–", "-").replace(",", ".").lower()
        if len(text) > 40 or not NUMBER.fullmatch(text):
            return None
        try:
            given = float(Fraction(text)) if "/" in text else float(text)
        except ZeroDivisionError:
            return None
    number = float(given) if isinstance(given, int | float) else math.nan
    return number if math.isfinite(number) else None


def worksheets(path: Path, *, count: int, seed: int, own_numbers: bool, language: str = "en") -> list[Score]:
    """Grade a table of typed worksheets: a CSV with a column "name" and the columns 1, 2, ... of the answers; a row a student.

    `own_numbers`: the sheets were written with --roster, so that each name has its own. Raises InputError.
    """
    from ...step.session import hand_session
    from ...step.worksheet.problems import Problem, problems
    from ...step.worksheet.roster import student_seed
    from ...step.worksheet.write import words_of

    words, sheets = words_of(language), dict[int, list[Problem]]()
    scores = []
    for name, answers in _rows(path, count):
        own = student_seed(seed, name) if own_numbers else seed
        if own not in sheets:
            sheets[own] = problems(hand_session(own), count)
        parts = tuple(
            _problem(f"{n}. {words['kinds'][problem.kind.name][0]}", problem, answer, words["wrong"])
            for n, (problem, answer) in enumerate(zip(sheets[own], answers, strict=True), 1)
        )
        scores.append(Score(name, "worksheet", parts))
    return scores


def _problem(title: str, problem: Any, given: str, wrong: dict[str, str]) -> Part:
    if not given.strip():
        return Part(title, 0, 1, "unanswered", "not answered")
    number = typed(given)
    if number is None:
        return Part(title, 0, 1, "wrong", "this is no number")
    low, high = problem.right
    if low - 1e-9 <= number <= high + 1e-9:
        return Part(title, 1, 1, "right", "right")
    room = problem.tolerance + 1e-3
    near = (wrong[name] for name, value in problem.mistakes.items() if abs(value - number) <= room)
    return Part(title, 0, 1, "wrong", next((f"likely: {one}" for one in near), "not right"))


def _rows(path: Path, count: int) -> list[tuple[str, list[str]]]:
    try:
        text = read_source(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: save it as CSV in UTF-8") from error
    first = text.lstrip().partition("\n")[0]
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count)) if any(row)]
    except csv.Error as error:
        raise InputError(f"{path} is no CSV file: {error}") from error
    heading = [cell.strip().casefold() for cell in rows[0]] if rows else []
    wanted = [str(n) for n in range(1, count + 1)]
    if not 2 <= len(rows) <= MOST_ROWS or any(name not in heading for name in ("name", *wanted)):
        raise InputError(
            f"{path}: a heading with the columns name, 1, 2 ... {count} and a row for each student are wanted"
        )
    places = [heading.index(name) for name in wanted]
    name_at = heading.index("name")
    full = [row + [""] * (len(heading) - len(row)) for row in rows[1:]]
    return [(plain(" ".join(row[name_at].split())), [row[i] for i in places]) for row in full]
