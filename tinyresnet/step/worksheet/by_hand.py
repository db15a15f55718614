"""A cell worked out with a pencil: from numbers as they are printed, step by step, and how far rounding can carry the result."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...explain import FUNCTIONS, Cell, Explainer, Explanation, Factor

DECIMALS = 3
HALF = 0.5 * 10**-DECIMALS  # how far rounding moves a number at most


def exact(value: float) -> bool:
    """Whether a number is printed in full: a multiple of 1/16 is, which is what the hand numbers and their products are."""
    return value * 16 == round(value * 16)


def printed(value: float) -> float:
    """The number as a reader sees it."""
    return value if exact(value) else round(value, DECIMALS)


def rounding(value: float) -> float:
    """How far the printed number may be from the number itself."""
    return 0.0 if exact(value) else HALF


def text(value: float) -> str:
    """The number in print: in full, or rounded."""
    return fixed(value, 4).rstrip("0").rstrip(".") if exact(value) else fixed(value)


def fixed(value: float, decimals: int = DECIMALS) -> str:
    """The number with so many decimals, and a true minus sign."""
    digits = f"{value:.{decimals}f}"
    return digits.replace("-", "−") if float(digits) else digits.lstrip("-")


@dataclass(frozen=True)
class Working:
    """The way from the printed numbers to a cell.

    lines: an explanation of every number on the way, the asked one last. read: the factors that are read off the page, by cell.
    values: what a pencil gets for each number on the way. error: how far rounding can carry the last one.
    """

    lines: tuple[Explanation, ...]
    read: dict[Cell, Factor]
    values: dict[Cell, float]
    error: float

    @property
    def asked(self) -> Explanation:
        """The explanation of the cell that is asked for."""
        return self.lines[-1]

    @property
    def result(self) -> float:
        """What a pencil gets."""
        return self.values[self.asked.cell]


def work_out(explainer: Explainer, cell: Cell, given: tuple[str, ...], first: tuple[str, ...] = ()) -> Working:
    """Work a cell out of the tensors that are `given` by name; numbers of others on the way are worked out before.

    `first` names tensors that have to be known although they are no factors: who won the window of which dy goes to this pixel.
    """
    lines: list[Explanation] = []
    read: dict[Cell, Factor] = {}
    known: dict[Cell, tuple[float, float]] = {}  # value by hand, and its error

    def number(factor: Factor) -> tuple[float, float]:
        if factor.cell is None:
            return factor.value, 0.0
        if factor.cell.name in given:
            read[factor.cell] = factor
            return printed(factor.value), rounding(factor.value)
        return visit(factor.cell)

    def visit(cell: Cell) -> tuple[float, float]:
        line = explainer.explain(cell)
        if line.cell not in known:
            known[line.cell] = combined(line, [[number(factor) for factor in term.factors] for term in line.terms])
            lines.append(line)
        return known[line.cell]

    places = [term.factors[0].cell for term in explainer.explain(cell).terms]
    decisions = [visit(Cell(place.step, name, place.at)) for name in first for place in places if place]
    error = max(error for _, error in [*decisions, visit(cell)])
    return Working(tuple(lines), read, {place: value for place, (value, _) in known.items()}, error)


def combined(line: Explanation, terms: list[list[tuple[float, float]]]) -> tuple[float, float]:
    """(value, error) of an explanation whose factors are known as (value, error); infinite where rounding could change a decision."""
    values = [math.prod(value for value, _ in term) for term in terms]
    errors = [math.prod(abs(v) + e for v, e in term) - math.prod(abs(v) for v, _ in term) for term in terms]
    value, error, total = FUNCTIONS[line.function](values), math.fsum(errors), math.fsum(values)
    if line.function == "> 0":
        return value, 0.0 if abs(total) > error else math.inf
    if line.function == "place of the largest":
        second, largest = sorted(values)[-2:]
        return value, 0.0 if largest - second > 2 * max(errors) else math.inf
    if line.function == "sum":
        return value, error
    moved = [FUNCTIONS[line.function]([total + by]) for by in (-error, error)]
    return value, max(abs(one - value) for one in moved)
