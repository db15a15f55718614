"""The numbers that a problem needs, as tables on paper."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from tinyresnet_kernels import Array

from ...explain import Cell, Explainer
from ...trace import Step
from .by_hand import exact, text
from .problems import Problem, same_number

BLANK = 16  # cells of a table that is drawn for the answer's place, at most


class Tables(NamedTuple):
    """Draws tables of one trace. hidden: the cells that the sheet asks for; elsewhere a dot stands in their place."""

    explainer: Explainer
    hidden: Collection[Cell]
    words: dict[str, Any]

    def of(self, problem: Problem) -> str:
        """What is read off the page, the cells that are needed lit; and an empty table that shows where the answer belongs."""
        lit: dict[tuple[int, str], set[tuple[int, ...]]] = {}
        for cell in sorted(problem.working.read, key=lambda cell: problem.kind.given.index(cell.name)):
            lit.setdefault((cell.step, cell.name), set()).add(cell.at)
        drawn, numbers = [], []
        for (step, name), places in lit.items():
            ndim = self.explainer.tensors(step)[name].ndim
            if ndim < 2:
                numbers += [self.number(Cell(step, name, at)) for at in sorted(places)]
                continue
            for first in sorted({at[: ndim - 2] for at in places}):
                inner = {at[ndim - 2 :] for at in places if at[: ndim - 2] == first}
                drawn.append(self.table(step, name, first, inner))
        drawn.append(self.blank(problem.cell))
        beside = f'<p class="numbers">{"".join(numbers)}</p>' if numbers else ""
        return f'<div class="tables">{"".join(drawn)}</div>{beside}'

    def table(self, step: int, name: str, first: tuple[int, ...], lit: Collection[tuple[int, ...]]) -> str:
        """The last two axes of a tensor, at `first` of the others."""
        array = self.explainer.tensors(step)[name][first]
        rows = [
            [self.printed(Cell(step, name, (*first, h, w))) for w in range(array.shape[1])] for h in range(len(array))
        ]
        kinds = axes(self.explainer.trace[step], name, array.ndim + len(first))
        heads = [counted(kinds[-2], h) for h in range(len(array))]
        return grid(self.caption(Cell(step, name, (*first, 0, 0)), _mark(array)), rows, heads, lit)

    def printed(self, cell: Cell) -> str:
        """The number; a dot in place of one that another problem asks for."""
        if not same_number(self.explainer, cell).isdisjoint(self.hidden):
            return "•"
        return text(float(self.explainer.tensors(cell.step)[cell.name][cell.at]))

    def blank(self, cell: Cell) -> str:
        """An empty slice of the tensor that is asked for, unless it is large."""
        array = self.explainer.tensors(cell.step)[cell.name]
        if array.ndim != 4 or array[0, 0].size > BLANK:
            return ""
        H, W = array.shape[2:]
        rows = [["?" if (h, w) == cell.at[2:] else "" for w in range(W)] for h in range(H)]
        return grid(self.caption(cell), rows, [str(h + 1) for h in range(H)])

    def caption(self, cell: Cell, mark: str = "") -> str:
        """The name of a table, and which slice it is or what its axes are."""
        kinds = axes(self.explainer.trace[cell.step], cell.name, len(cell.at))
        if len(kinds) == 4:
            places = named(kinds[:2], cell.at[:2], self.explainer.tensors(cell.step)[cell.name].shape[:2], self.words)
        else:
            places = [self.words["rows"][kinds[0]], self.words["columns"][kinds[1]]]
        return f"<b>{cell.name}</b>{mark} {self.words['place_join'].join(places)}"

    def number(self, cell: Cell) -> str:
        """A number that stands in no table."""
        array = self.explainer.tensors(cell.step)[cell.name]
        value = float(array[cell.at])
        places = named(axes(self.explainer.trace[cell.step], cell.name, array.ndim), cell.at, array.shape, self.words)
        where = f" ({places[0]})" if places else ""
        return f"<span><b>{cell.name}</b>{where} {'=' if exact(value) else '≈'} {text(value)}</span>"


def grid(caption: str, rows: list[list[str]], heads: list[str], lit: Collection[tuple[int, ...]] = ()) -> str:
    """A table with row and column numbers."""
    top = "".join(f'<th scope="col">{w + 1}</th>' for w in range(len(rows[0])))
    body = "".join(
        f'<tr><th scope="row">{head}</th>'
        + "".join(f"<td{' class=lit' if (h, w) in lit else ''}>{value}</td>" for w, value in enumerate(row))
        + "</tr>"
        for h, (head, row) in enumerate(zip(heads, rows, strict=True))
    )
    wide = ' class="wide"' if len(rows[0]) > 4 else ""
    return f"<figure{wide}><figcaption>{caption}</figcaption><table><tr><td></td>{top}</tr>{body}</table></figure>"


def _mark(array: Array) -> str:
    """ " ≈" if any number is not printed in full."""
    return "" if all(exact(float(value)) for value in array.flat) else " ≈"


def named(kinds: tuple[str, ...], at: tuple[int, ...], shape: tuple[int, ...], words: dict[str, Any]) -> list[str]:
    """A place in words, "picture A", "row 2"; without axes that have no choice."""
    parts = zip(kinds, at, shape, strict=True)
    return [words["axes"][kind].format(counted(kind, i)) for kind, i, size in parts if size > 1]


def counted(kind: str, i: int) -> str:
    """Pictures are A and B; all else is counted from 1."""
    return chr(ord("A") + i) if kind == "picture" else str(i + 1)


def axes(step: Step, name: str, ndim: int) -> tuple[str, ...]:
    """What a tensor's axes are."""
    if ndim == 4:
        return (
            ("output", "input", "row", "column")
            if name in ("weight", "dweight")
            else ("picture", "channel", "row", "column")
        )
    if ndim == 2:
        rows = "class" if name in ("weight", "dweight") else "picture"
        return rows, "feature" if rows == "class" or (step.kind, name) in (
            ("Linear", "x"),
            ("Linear", "dx"),
        ) else "class"
    return {"BatchNorm2d": ("channel",), "Linear": ("class",), "CrossEntropy": ("picture",)}[step.kind][:ndim]
