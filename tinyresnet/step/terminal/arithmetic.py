"""The arithmetic of a cell in words and figures, for the screen, for a pipe and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ...explain import Cell, Explainer, Explanation
from ...loss import LOSSES
from ...trace import Step
from ..words import words
from .figures import bracketed, plain, signed
from .phrases import phrases


class Line(NamedTuple):
    """A term: its share's name, its symbols, the values multiplied, the product, and the sum up to here ("" where nothing is summed)."""

    part: str
    symbols: str
    values: str
    product: str
    total: str


def symbol(cell: Cell) -> str:
    """ "x[0,0,1,2]"; a tensor of one number is "y"."""
    return f"{cell.name}[{','.join(map(str, cell.at))}]" if cell.at else cell.name


def head(explainer: Explainer, cell: Cell, found: Explanation, language: str = "en", digits: int = 6) -> list[str]:
    """Which cell, its value and rule; if it was made elsewhere where; if it came from outside what it is."""
    said = phrases(language)
    write = signed if explainer.tensors(cell.step)[cell.name].dtype.kind == "f" else plain
    first = f"{symbol(cell)} = {write(found.value, digits)}"
    rule = words()[language]["rules"].get(found.rule, found.rule)
    place = explainer.trace[found.cell.step]
    if found.given:
        text = said["outside"][origin(place, found.cell.name)].format(kind=place.kind)
        return [f"{first}  {text}"]
    if found.cell == cell:
        return [f"{first}  {rule}"]
    number, direction = found.cell.step + 1, said[place.direction]
    made = said["made_in"].format(number=number, path=place.path, direction=direction)
    if (found.cell.name, found.cell.at) != (cell.name, cell.at):
        made += said["made_as"].format(symbol=symbol(found.cell))
    return [f"{first}  {made}", rule]


def origin(step: Step, name: str) -> str:
    """What a number is that no arithmetic of the trace made: a key of the words' `outside`."""
    if name in step.params:
        return "parameter"
    if step.kind in LOSSES:
        wanted = dict.fromkeys(("labels", "target", "targets"), "label")
        return (wanted | {"dy": "one"}).get(name, "between")
    if step.kind == "BatchNorm2d" and name in ("mean", "var"):
        return "running"
    if step.kind == "Dropout" and name == "scale":
        return "chance"
    if name in step.made:
        return "own"
    if name in step.given:
        return "upstream" if step.direction == "backward" else "pixel" if step.index == 0 else "between"
    return "cache"


def lines(
    found: Explanation, digits: int = 6, span: slice = slice(None), *, called: Mapping[str, str] = MappingProxyType({})
) -> list[Line]:
    """The terms, a line each. `called`: other names for some shares."""
    summed = len(found.terms) > 1 and found.function != "place of the largest"
    totals = found.partial_sums[span] if summed else [None] * len(found.terms[span])
    return [
        Line(
            called.get(term.part, term.part),
            " × ".join(factor.symbol for factor in term.factors),
            " × ".join((bracketed if i else plain)(factor.value, digits) for i, factor in enumerate(term.factors)),
            signed(term.value, digits),
            "" if total is None else signed(total, digits),
        )
        for term, total in zip(found.terms[span], totals, strict=True)
    ]


def ending(found: Explanation, language: str = "en", digits: int = 6) -> list[str]:
    """What is to be said after the terms: those in the padding, or that there is none; and the function of their sum, if there is one."""
    said = phrases(language)
    text = [said["padding"].format(count=found.padding)] if found.padding else []
    if found.given:
        return []
    if not found.terms and not found.padding:
        return [said["nothing"]]
    total = plain(math.fsum(term.value for term in found.terms if math.isfinite(term.value)), digits)
    joined = {
        "exp": f"exp({total}) =",
        "log": f"log({total}) =",
        "1/": f"1 / {total} =",
        "1/sqrt": f"1 / sqrt({total}) =",
        "sigmoid": f"1 / (1 + exp(-({total}))) =",
        "log sigmoid": f"-log(1 + exp(-({total}))) =",
        "abs": f"|{total}| =",
        "> 0": f"{total} > 0:",
        "place of the largest": "place of the largest, counted from 0:",
    }
    if found.function == "sum":
        return text
    return [*text, f"{joined[found.function]} {plain(found.computed, digits)}"]


def as_dict(found: Explanation) -> dict[str, Any]:
    """As JSON knows it; a number that is not finite is null."""
    return {
        "cell": _cell(found.cell),
        "value": _finite(found.value),
        "rule": found.rule,
        "function": found.function,
        "given": found.given,
        "padding": found.padding,
        "computed": _finite(found.computed),
        "terms": [
            {
                "part": term.part,
                "value": _finite(term.value),
                "factors": [
                    {"symbol": factor.symbol, "value": _finite(factor.value), "cell": _cell(factor.cell)}
                    for factor in term.factors
                ],
            }
            for term in found.terms
        ],
    }


def _cell(cell: Cell | None) -> dict[str, Any] | None:
    return None if cell is None else {"step": cell.step, "name": cell.name, "at": list(cell.at)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
