"""What an explanation is made of: a cell is a sum of terms, a term a product of factors, and a factor has a cell of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tinyresnet_kernels import Array

from ..trace import Step

Index: TypeAlias = tuple[int, ...]


class Cell(NamedTuple):
    """One number of a trace: x[0, 2, 1, 3] of step 5."""

    step: int
    name: str
    at: Index


class Factor(NamedTuple):
    """A number in a product: its symbol, its value, and the cell that it is read from (None for a constant such as 1/32)."""

    symbol: str
    value: float
    cell: Cell | None


class Term(NamedTuple):
    """A product. `part` names its share where a sum falls into parts: "direct", "mean", "variance"."""

    factors: tuple[Factor, ...]
    part: str = ""

    @property
    def value(self) -> float:
        """The product."""
        return math.prod(factor.value for factor in self.factors)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without an exp that overflows."""
    e = math.exp(-abs(x))
    return (e if x < 0 else 1) / (1 + e)


def log_sigmoid(x: float) -> float:
    """The log of it, also where it is too small for a number."""
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


FUNCTIONS: dict[str, Callable[[list[float]], float]] = {
    "sum": math.fsum,
    "exp": lambda terms: math.exp(math.fsum(terms)),
    "log": lambda terms: math.log(math.fsum(terms)),
    "1/": lambda terms: 1 / math.fsum(terms),
    "1/sqrt": lambda terms: 1 / math.sqrt(math.fsum(terms)),
    "sigmoid": lambda terms: sigmoid(math.fsum(terms)),
    "log sigmoid": lambda terms: log_sigmoid(math.fsum(terms)),
    "abs": lambda terms: abs(math.fsum(terms)),
    "> 0": lambda terms: float(not math.fsum(terms) <= 0),
    "place of the largest": lambda terms: float(terms.index(max(terms))),
}


@dataclass(frozen=True)
class Explanation:
    """How a cell's number came about: mostly a sum of terms; sometimes a function of that sum, or of the list.

    rule: the formula in symbols. given: True for what has no terms: it came from outside (a pixel, a parameter, a label), or a layer
    that is not known here computed it.
    padding: how many further terms are zero because they lie outside the picture.
    """

    cell: Cell
    value: float
    rule: str
    terms: tuple[Term, ...] = ()
    function: str = "sum"  # of FUNCTIONS
    given: bool = False
    padding: int = 0

    @property
    def partial_sums(self) -> list[float]:
        """The sum after each term."""
        sums, total = [], 0.0
        for term in self.terms:
            total += term.value
            sums.append(total)
        return sums

    @property
    def computed(self) -> float:
        """What the terms give; `value` is what the layer gave."""
        if self.given:
            return self.value
        return FUNCTIONS[self.function]([term.value for term in self.terms])

    @property
    def magnitude(self) -> float:
        """The scale on which `computed` and `value` agree: the sum of the terms' magnitudes, or the value if a function made it larger."""
        total = math.fsum(abs(term.value) for term in self.terms if math.isfinite(term.value))
        return total if self.function == "sum" else max(total, abs(self.computed))


class Rule(NamedTuple):
    """What an op's explainer gives for one cell: terms, and how they are joined."""

    text: str
    terms: Iterable[Term]
    function: str = "sum"
    padding: int = 0


class Tensors:
    """A step's arrays as an op's explainer reads them: `t.factor("x", (0, 1, 2, 3))` is a factor that knows its cell."""

    def __init__(self, step: Step, derived: dict[str, Array]) -> None:
        self.step, self.settings = step, step.settings
        self.derived = derived
        self.arrays = {**step.tensors, **derived}

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def factor(self, name: str, index: Index) -> Factor:
        """The number there, and where it is."""
        symbol = f"{name}[{','.join(map(str, index))}]" if index else name
        return Factor(symbol, float(self.arrays[name][index]), Cell(self.step.index, name, index))


def constant(symbol: str, value: float) -> Factor:
    """A factor that no cell holds: -1, 1/32."""
    return Factor(symbol, value, None)


def share(count: int) -> Factor:
    """1/count, as an average needs it."""
    return constant(f"1/{count}", 1 / count)


MINUS = constant("-1", -1.0)
