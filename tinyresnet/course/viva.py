"""Questions of a viva about a student's own file: it runs behind the grader's wall on small whole numbers, and is asked about what it gave.

A backward pass is linear in dy. So each number that it gives is a sum of terms, one for each number of dy; its factor is what the right
function gives for a dy of 1 there and 0 elsewhere. The second question shows what a known mistake gives on the same numbers.
"""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import use

from ..errors import InputError
from . import cuts
from .exercises.model import Case, Exercise, Function, Rng, as_tuple
from .grade.judge import Student, StudentError
from .paper import number
from .viva_cases import NEAR, alike, shown, small_case

LINEAR = {  # functions that are no backward pass of a forward one: in which of their arguments they are linear
    "add_backward": (0,), "fork_backward": (0, 1), "col2im": (0,), "im2col": (0,), "conv2d_forward": (0,), "conv2d_from_columns": (0,),
    "projection_forward": (0,), "sgd_step": (0, 1, 2), "upsample_nearest_forward": (0,), "merge_backward": (0, 1),
}  # fmt: skip
MOST_SHOWN = 9  # terms


class VivaQuestion(NamedTuple):
    """One question. `given`: the numbers it is about; `answer` and `note` are for the examiner."""

    function: str
    given: dict[str, Any]
    text: str
    answer: str
    note: str = ""


class Run(NamedTuple):
    """A student's function on one case: what it was given, the names of its arguments; what it gave and what is right, by name."""

    function: Function
    case: Case
    given: dict[str, Any]
    names: tuple[str, ...]
    gave: dict[str, Any]
    right: dict[str, Any]


def viva(exercise: Exercise, path: Path, *, seed: int, student: str, trust: bool = False) -> list[VivaQuestion]:
    """Two questions on the file, of this seed and for this student. Raises InputError where none of its functions gives an answer."""
    if exercise.source.suffix != ".py" or all(function.judge for function in exercise.functions):
        raise InputError(f"there are no viva questions on the exercise {exercise.name}")
    rng = np.random.default_rng([seed, *student.encode()])
    with use("reference"):
        runs, failed = _runs(exercise, path, rng, trust)
        if not runs:
            raise InputError(f"{path.name}: no function gives an answer to ask about; {failed[0]}")
        order = sorted(
            (runs[i] for i in rng.permutation(len(runs))), key=lambda run: not wrong_cells(run)
        )  # a wrong one first
        first = next((one for least in (2, 1) for run in order if (one := terms(run, rng, least))), None)
        others = sorted(order, key=lambda run: first is not None and run.function.name == first.function)
        second = next((one for run in others if (one := mistake(run, rng) or nudge(run, rng))), None)
    return [one for one in (first, second) if one]


def _runs(exercise: Exercise, path: Path, rng: Rng, trust: bool) -> tuple[list[Run], list[str]]:
    """What each function of the file gives, and why others give nothing."""
    solution = cuts.solution(exercise.source).module()
    runs, failed = list[Run](), list[str]()
    with Student(path, trust=trust) as answers:
        for function in exercise.functions:
            case = small_case(function, rng)
            right = function.expected(case)
            names = tuple(inspect.signature(solution[function.name]).parameters)
            try:
                gave = as_tuple(answers.call(function.name, *case.args), len(function.gives))
            except StudentError as error:
                failed.append(f"{function.name}: {error}")
                continue
            shown, wanted = (
                {n: v for n, v in zip(function.gives, of, strict=False) if n != "cache"} for of in (gave, right)
            )
            if len(gave) != len(right) or not all(alike(shown[n], wanted[n]) for n in wanted):
                failed.append(f"{function.name}: what comes back is no array of real numbers of the right shape")
                continue
            runs.append(Run(function, case, _given(function, case, names), names, shown, wanted))
    return runs, failed


def _given(function: Function, case: Case, names: tuple[str, ...]) -> dict[str, Any]:
    """The numbers of a case by name: of a backward pass, the forward's inputs and dy."""
    if function.forward is None or case.inputs is None:
        return dict(zip(names, case.args, strict=True))
    return dict(zip(inspect.signature(function.forward).parameters, case.inputs, strict=True)) | {
        names[0]: case.args[0]
    }


def wrong_cells(run: Run) -> set[tuple[str, tuple[int, ...]]]:
    """(result, cell) of the numbers that are wrong."""
    pairs = ((name, np.asarray(run.gave[name]), np.asarray(right)) for name, right in run.right.items())
    return {
        (name, cell)
        for name, gave, right in pairs
        for cell in np.ndindex(right.shape)
        if not np.isclose(gave[cell], right[cell], atol=NEAR)
    }


def terms(run: Run, rng: Rng, least: int = 1) -> VivaQuestion | None:
    """Which terms is this number the sum of? None where no number is a sum of so many: the function is not linear, or copies."""
    places = (0,) if run.function.forward else LINEAR.get(run.function.name, ())
    factors = _factors(run, places)
    cells = [(name, cell) for name, value in run.right.items() for cell in np.ndindex(np.shape(value))]
    counts = [sum(bool(rows[name][cell]) and value != 0 for _, value, rows in factors) for name, cell in cells]
    best = [i for i, n in enumerate(counts) if least <= n <= 6] or [i for i, n in enumerate(counts) if n >= least]
    if not best:
        return None
    best = [i for i in best if cells[i] in wrong_cells(run)] or best
    name, cell = cells[best[rng.integers(len(best))]]
    found = [(label, value, float(rows[name][cell])) for label, value, rows in factors if rows[name][cell] and value]
    value, right = float(np.asarray(run.gave[name])[cell]), float(np.asarray(run.right[name])[cell])
    rest = right - sum(v * factor for _, v, factor in found)
    written = [f"{label} · {number(factor)} = {number(v)} · {_brackets(factor)}" for label, v, factor in found]
    written += [f"{number(rest)}, which does not depend on it"] if abs(rest) > 1e-9 else []
    more = f"; and {len(written) - MOST_SHOWN} more" if len(written) > MOST_SHOWN else ""
    answer = f"{number(right)} is the sum of: {'; '.join(written[:MOST_SHOWN])}{more} (terms that are 0 left out)."
    return VivaQuestion(
        run.function.name,
        run.given,
        f"Your {run.function.name} gives {name}{_at(cell)} = {number(value)} for these numbers. Of which terms is it the sum? "
        f"Name the numbers of {' and '.join(run.names[i] for i in places)} that take part, and the factor of each.",
        answer,
        _warning(value, right),
    )


def _factors(run: Run, places: tuple[int, ...]) -> list[tuple[str, float, dict[str, Any]]]:
    """For each number of the arguments at these places: its label, its value, and what 1 in its place alone adds to every result."""
    args = list(copy.deepcopy(run.case.args))
    for place in places:
        args[place] = np.zeros_like(np.asarray(args[place]))
    none = run.function.expected(Case(tuple(args), {}, None))
    factors = []
    for place in places:
        for cell in np.ndindex(np.shape(args[place])):
            one = np.zeros_like(args[place])
            one[cell] = 1
            changed = (*args[:place], one, *args[place + 1 :])
            gives = run.function.expected(Case(changed, {}, None))
            rows = {
                n: np.asarray(a) - np.asarray(b)
                for n, a, b in zip(run.function.gives, gives, none, strict=True)
                if n in run.right
            }
            factors.append((f"{run.names[place]}{_at(cell)}", float(np.asarray(run.case.args[place])[cell]), rows))
    return factors


def mistake(run: Run, rng: Rng) -> VivaQuestion | None:
    """What did somebody do whose function gives another number here? None where no known mistake shows on these numbers."""
    known = list(run.function.slips())
    for i in rng.permutation(len(known)):
        slip = known[i]
        for name, other, off in shown(slip, run.function, run.case, run.function.expected(run.case)):
            gave = np.asarray(run.gave[name], float)
            if np.allclose(other, gave):
                continue
            cell = tuple(int(k) for k in off[rng.integers(len(off))])
            text = (
                f"Somebody else's {run.function.name} gives {name}{_at(cell)} = {number(other[cell])} for these numbers, "
                f"and yours {number(gave[cell])}. In all, {len(off)} of {gave.size} numbers of {name} differ from the right ones. "
                "What may that person have done? Which line of yours makes the difference?"
            )
            return VivaQuestion(
                run.function.name,
                run.given,
                text,
                slip.sentence,
                _warning(gave[cell], float(np.asarray(run.right[name])[cell])),
            )
    return None


def nudge(run: Run, rng: Rng) -> VivaQuestion | None:
    """By how much does the loss change? Of a backward pass, where no mistake is known."""
    if run.function.forward is None or not run.case.inputs:
        return None
    name = run.function.gives[0]
    gave, right = np.asarray(run.gave[name], float), np.asarray(run.right[name], float)
    cell = tuple(int(rng.integers(size)) for size in gave.shape)
    text = (
        f"Your {run.function.name} gives {name}{_at(cell)} = {number(gave[cell])} for these numbers. "
        "The number of which this is the gradient rises by 0.01. "
        "By how much does the loss change, if you are right? Which numbers of the output move?"
    )
    answer = f"By about {number(0.01 * right[cell])}: 0.01 times the gradient, in proportion. "
    answer += "Those outputs move that were computed from it."
    return VivaQuestion(run.function.name, run.given, text, answer, _warning(gave[cell], right[cell]))


def _warning(value: float, right: float) -> str:
    return "" if np.isclose(value, right, atol=NEAR) else f"The file's number is wrong: {number(right)} is right."


def _at(cell: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, cell))}]" if cell else ""


def _brackets(value: float) -> str:
    return number(value) if value >= 0 else f"({number(value)})"
