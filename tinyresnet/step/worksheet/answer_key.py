"""The answer key as it is printed: of each problem the answer and its range, the arithmetic, and what usually goes wrong."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from typing import Any

from ...explain import Cell, Explainer, Explanation, Factor
from ...explain.terms import MINUS
from ..session import Session
from ..words import words as page_words
from .by_hand import DECIMALS, exact, fixed, printed, text
from .problem_sheet import heading
from .problems import Problem
from .sheet_tables import axes, counted


def answers(session: Session, asked: list[Problem], words: dict[str, Any]) -> str:
    """The answers of a sheet."""
    explainer = Explainer(session.trace)
    found = "".join(_answer(problem, number, explainer, words) for number, problem in enumerate(asked, 1))
    return f'<div class="keys">{found}</div>'


def _answer(problem: Problem, number: int, explainer: Explainer, words: dict[str, Any]) -> str:
    low, high = problem.right
    whole = low == high
    ends = {"low": text(low) if whole else fixed(low), "high": fixed(high)}
    one = words["exactly" if whole else "right"].format(**ends)
    steps = "".join(_worked(line, problem, explainer, words) for line in problem.working.lines)
    wrong = "".join(
        f"<li><b>{text(value)}</b>{words['colon']}{html.escape(words['wrong'][name])}</li>"
        for name, value in problem.mistakes.items()
    )
    watch = f"<p>{words['mistakes']}{words['colon']}</p><ul>{wrong}</ul>" if wrong else ""
    return f"""<section>
{heading(problem, number, explainer.trace, words)}
<p class="answer">{words["answer"]} <b>{text(problem.value)}</b> ({one})</p>
{steps}{watch}
</section>
"""


def _worked(line: Explanation, problem: Problem, explainer: Explainer, words: dict[str, Any]) -> str:
    """One number on the way: its rule, then symbols, values, products and the result."""
    working = problem.working

    def by_hand(factor: Factor) -> float:
        if factor.cell is None or factor.cell in working.read:
            return printed(factor.value)
        return working.values[explainer.locate(factor.cell)]

    def symbol(factor: Factor) -> str:
        return _symbol(factor.cell, explainer) if factor.cell else factor.symbol

    def value(factor: Factor) -> str:
        if factor.cell is None:
            return f"{factor.value:.5f}" if factor.symbol == "eps" else factor.symbol
        return text(factor.value if factor.cell in working.read else by_hand(factor))

    cell = problem.cell if line is working.asked else line.cell
    ways = [_joined(line, symbol, words), _joined(line, value, words)]
    if (
        line.function == "sum"
        and len(line.terms) > 1
        and any(len(set(term.factors) - {MINUS}) > 1 for term in line.terms)
    ):
        products = [math.prod(by_hand(factor) for factor in term.factors) for term in line.terms]
        ways.append(_signed([text(p) if exact(p) else fixed(p, DECIMALS + 1) for p in products]))
    ways.append(text(working.values[line.cell]))
    rule = page_words()[words["language"]]["rules"].get(line.rule, line.rule)
    outside = f" ({words['padding'].format(count=line.padding)})" if line.padding else ""
    equals = "<br>= ".join(html.escape(way) for way in dict.fromkeys(ways))
    return f'<p class="worked"><i>{html.escape(rule)}{outside}</i><br>{_symbol(cell, explainer)} = {equals}</p>'


def _joined(line: Explanation, write: Callable[[Factor], str], words: dict[str, Any]) -> str:
    """The terms as a sum, a share like 1/8 that all have behind a bracket; inside its function, if there is one."""
    terms = [term.factors for term in line.terms]
    last = {factors[-1] for factors in terms}
    share = last.pop() if len(terms) > 1 and len(last) == 1 else None
    if share and share.cell is None and min(map(len, terms)) > 1:
        joined = f"({_signed([_product(factors[:-1], write) for factors in terms])}) × {share.symbol}"
    elif line.function == "place of the largest":
        joined = ", ".join(_product(factors, write) for factors in terms)
    else:
        joined = _signed([_product(factors, write) for factors in terms])
    return str(words["functions"].get(line.function, "{}").format(joined))


def _product(factors: tuple[Factor, ...], write: Callable[[Factor], str]) -> str:
    """Factors with × between them; a factor −1 as a minus sign; negative numbers behind the first in brackets."""
    minus = factors[0] == MINUS
    written = [write(factor) for factor in factors[minus:]]
    first, *others = [f"({one})" if one.startswith("−") and (i or minus) else one for i, one in enumerate(written)]
    return ("−" if minus else "") + " × ".join([first, *others])


def _signed(terms: list[str]) -> str:
    """a + b − c."""
    first, *others = terms
    return first + "".join(f" − {one[1:]}" if one.startswith("−") else f" + {one}" for one in others)


def _symbol(cell: Cell, explainer: Explainer) -> str:
    """ "dy[A,1,2,3]": counted as on the sheet."""
    kinds = axes(explainer.trace[cell.step], cell.name, len(cell.at))
    places = [counted(kind, i) for kind, i in zip(kinds, cell.at, strict=True)]
    return f"{cell.name}[{','.join(places)}]" if places else cell.name
