"""Problems for a pencil: which cells of a hand-number trace are worth asking for, in the order in which they are taught."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from ...explain import Cell, Explainer
from ..session import Session
from . import usual_mistakes as usual
from .by_hand import DECIMALS, Working, rounding, work_out
from .usual_mistakes import Mistaken, Mistakes

MOST_TERMS = 9
MOST_PROBLEMS = 60
TRIED = 24  # cells of a kind, of which the best are taken


class Kind(NamedTuple):
    """One kind of problem. Its words are in words.json under its name.

    layer, direction: of the steps that it asks about; made: the tensors that it asks for; given: those that are printed;
    first: what has to be known beside the factors.
    """

    name: str
    layer: str
    direction: str
    made: tuple[str, ...]
    given: tuple[str, ...]
    mistakes: Mistaken = usual.none
    first: tuple[str, ...] = ()


F, B = "forward", "backward"
SCALED = ("weight", "inverse_std", "dy", "xhat", "mean_dy", "mean_dy_xhat")
KINDS = (  # in the order of teaching: the residual lesson, what makes numbers and what stops them, batch norm, the end of the network
    Kind("add", "Add", F, ("y",), ("a", "b"), usual.add),
    Kind("add_back", "Add", B, ("da", "db"), ("dy",), usual.add_back),
    Kind("fork_back", "Fork", B, ("dx",), ("da", "db"), usual.fork_back),
    Kind("shortcut", "ShortcutA", F, ("y",), ("x",), usual.shortcut),
    Kind("shortcut_back", "ShortcutA", B, ("dx",), ("dy",), usual.shortcut_back),
    Kind("relu", "ReLU", F, ("y",), ("x",), usual.relu),
    Kind("relu_back", "ReLU", B, ("dx",), ("x", "dy"), usual.relu_back),
    Kind("conv", "Conv2d", F, ("y",), ("x", "weight"), usual.turned),
    Kind("conv_dx", "Conv2d", B, ("dx",), ("dy", "weight"), usual.conv_back),
    Kind("conv_dweight", "Conv2d", B, ("dweight",), ("dy", "x"), usual.over_pictures),
    Kind("winner", "MaxPool2d", F, ("winner",), ("x",), usual.winner),
    Kind("pool_back", "MaxPool2d", B, ("dx",), ("x", "dy"), usual.pool_back, first=("winner",)),
    Kind("mean", "BatchNorm2d", F, ("mean",), ("x",), usual.mean),
    Kind("var", "BatchNorm2d", F, ("var",), ("centred",), usual.var),
    Kind("xhat", "BatchNorm2d", F, ("xhat",), ("x", "mean", "var"), usual.xhat),
    Kind("norm", "BatchNorm2d", F, ("y",), ("xhat", "weight", "bias"), usual.scaled),
    Kind("norm_dx", "BatchNorm2d", B, ("dx",), SCALED, usual.norm_back),
    Kind("norm_dweight", "BatchNorm2d", B, ("dweight",), ("dy", "xhat"), usual.norm_sum),
    Kind("norm_dbias", "BatchNorm2d", B, ("dbias",), ("dy",), usual.norm_sum),
    Kind("average", "GlobalAvgPool", F, ("y",), ("x",), usual.average),
    Kind("average_back", "GlobalAvgPool", B, ("dx",), ("dy",), usual.average_back),
    Kind("linear", "Linear", F, ("y",), ("x", "weight", "bias"), usual.linear),
    Kind("linear_dx", "Linear", B, ("dx",), ("dy", "weight"), usual.linear_back),
    Kind("linear_dweight", "Linear", B, ("dweight",), ("dy", "x"), usual.over_pictures),
    Kind("linear_dbias", "Linear", B, ("dbias",), ("dy",), usual.over_pictures),
    Kind("softmax", "CrossEntropy", F, ("p",), ("x",), usual.softmax),
    Kind("loss_back", "CrossEntropy", B, ("dx",), ("dy", "p", "target"), usual.loss_back),
)


class Problem(NamedTuple):
    """One cell that is asked for, and all that its answer needs. An answer within `tolerance` of `value` is right."""

    kind: Kind
    cell: Cell
    value: float  # what the network has
    working: Working
    tolerance: float
    mistakes: Mistakes  # those that the tolerance tells from the right answer
    printed: frozenset[Cell]  # the numbers that are needed, wherever they stand

    @property
    def right(self) -> tuple[float, float]:
        """The smallest and the largest right answer, rounded outwards to the printed decimals."""
        unit = 10**DECIMALS
        low, high = self.value - self.tolerance, self.value + self.tolerance
        return math.floor(low * unit + 1e-9) / unit, math.ceil(high * unit - 1e-9) / unit


def problems(session: Session, count: int) -> list[Problem]:
    """The first `count` problems of a session: each kind once, then each once more at another cell, and so on.

    Raises InputError if there are no so many.
    """
    if not 1 <= count <= MOST_PROBLEMS:
        raise InputError(f"{count} problems cannot be had: 1 to {MOST_PROBLEMS} are wanted")
    explainer, rng = Explainer(session.trace), np.random.default_rng(session.seed)
    open_ = {kind: worthwhile(kind, explainer, rng) for kind in KINDS}
    found: list[Problem] = []
    while len(found) < count:
        chosen: dict[Kind, Problem] = {}
        while waiting := [kind for kind in KINDS if kind not in chosen and open_[kind]]:
            kind = min(waiting, key=lambda kind: len(open_[kind]))  # the one with the fewest cells to choose from
            waiting.remove(kind)
            ways = ((problem, left_open(problem, open_)) for problem in open_[kind])
            best = next((way for way in ways if all(way[1][other] for other in waiting)), None)
            chosen[kind], open_ = best or (open_[kind][0], left_open(open_[kind][0], open_))
        if not chosen:
            raise InputError(f"seed {session.seed} has {len(found)} problems worth asking, and not {count}")
        found += [chosen[kind] for kind in KINDS if kind in chosen]
    return found[:count]


def left_open(problem: Problem, candidates: dict[Kind, list[Problem]]) -> dict[Kind, list[Problem]]:
    """The candidates that go with a problem."""
    return {kind: [other for other in left if not spoil(problem, other)] for kind, left in candidates.items()}


def spoil(one: Problem, other: Problem) -> bool:
    """Whether two problems are the same, or one prints the other's answer among the numbers that it needs."""
    cells = one.working.asked.cell, other.working.asked.cell
    return cells[0] == cells[1] or cells[0] in other.printed or cells[1] in one.printed


def same_number(explainer: Explainer, cell: Cell) -> set[Cell]:
    """Where this number stands on its way here: where it was computed, and, if a layer only passed it on, where it came from."""
    line = explainer.explain(cell)
    passed_on = len(line.terms) == 1 and len(line.terms[0].factors) == 1 and line.function == "sum"
    source = line.terms[0].factors[0].cell if passed_on else None
    return {line.cell} | (same_number(explainer, source) if source else set())


def worthwhile(kind: Kind, explainer: Explainer, rng: np.random.Generator) -> list[Problem]:
    """Problems of one kind, the best first: usual mistakes show, terms differ, and there are few of them."""
    tried = [problem_at(kind, explainer, cell) for cell in some_cells(kind, explainer, rng)]
    return sorted((problem for problem in tried if problem), key=quality, reverse=True)


def some_cells(kind: Kind, explainer: Explainer, rng: np.random.Generator) -> list[Cell]:
    """TRIED cells of a kind that have few terms, drawn by chance."""
    cells = list(cells_of(kind, explainer))
    order = rng.permutation(len(cells))
    few = (cells[i] for i in order if 1 <= len(explainer.explain(cells[i]).terms) <= MOST_TERMS)
    return [cell for cell, _ in zip(few, range(TRIED), strict=False)]


def cells_of(kind: Kind, explainer: Explainer) -> Iterator[Cell]:
    """All cells of a kind."""
    for step in explainer.trace:
        if (step.kind, step.direction) == (kind.layer, kind.direction):
            for name in kind.made:
                for at in np.ndindex(
                    step.tensors[name].shape if name in step.tensors else explainer.tensors(step.index)[name].shape
                ):
                    yield Cell(step.index, name, at)


def problem_at(kind: Kind, explainer: Explainer, cell: Cell) -> Problem | None:
    """The problem that asks for this cell; None if rounding leaves little of it, or if it is trivially zero."""
    working = work_out(explainer, cell, kind.given, kind.first)
    value = working.asked.value
    tolerance = working.error + rounding(value)
    if value == 0 and kind.name != "relu":  # to stop a number is the ReLU's work
        return None
    if 5 * tolerance > abs(value) > 0 or tolerance == math.inf:
        return None
    wrong = kind.mistakes(working.asked, explainer.tensors(cell.step))
    seen = {name: number for name, number in wrong.items() if abs(number - value) > 2 * tolerance + 1e-9}
    printed = frozenset(place for read in working.read for place in same_number(explainer, read))
    return Problem(kind, cell, value, working, tolerance, seen, printed)


def quality(problem: Problem) -> tuple[int, bool, int, int]:
    """What is better is larger: first that mistakes show, then that rounding leaves enough of the value."""
    precise = abs(problem.value) >= 20 * problem.tolerance
    terms = [term.value for term in problem.working.asked.terms]
    different = len({round(abs(term), DECIMALS) for term in terms} - {0})
    return len(problem.mistakes), precise, min(different, 5), -len(terms)
