"""A plane as lines of text: a title, the columns' numbers, and the rows; a mark stands before a cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from ...explain import Cell, Explainer
from .planes import MOST, Index, Plane, cell_at, plane_of

POSITIVE, NEGATIVE, QUIET, STRONG, HERE = "cyan", "magenta", "dim", "bold", "reverse"


def pane(
    explainer: Explainer,
    cell: Cell,
    words: Mapping[str, Any],
    marks: Mapping[Index, str],
    columns: int = MOST,
    *,
    ranges: bool = True,
) -> list[Text]:
    """The plane around a cell. Marks by cell: "[" for the cursor, ">" and "*" for what an arithmetic reads."""
    plane = plane_of(explainer.tensors(cell.step)[cell.name], cell.at, columns)
    edge = max(3, len(str(plane.rows[-1])) + 1)
    numbers = " ".join(str(column).rjust(plane.width) for column in plane.columns)
    lines = [
        Text(_title(explainer, cell, plane, words, ranges), style=STRONG),
        Text(" " * (edge + 1) + numbers, style=QUIET),
    ]
    for row, texts in zip(plane.rows, plane.texts, strict=True):
        line, closing = Text(str(row).rjust(edge), style=QUIET), " "
        for column, text in zip(plane.columns, texts, strict=True):
            mark = marks.get(cell_at(cell.at, row, column), "")
            field = f"{mark}{text}".rjust(plane.width + 1)
            line.append(closing if field[0] == " " else field[0]).append(field[1:], style=_style(text, mark))
            closing = "]" if mark == "[" else " "
        lines.append(line.append(closing.strip()))
    return lines


def _style(text: str, mark: str) -> str:
    colour = NEGATIVE if text.startswith("-") else QUIET if text == "0" else POSITIVE
    return f"{colour} {STRONG if mark == '*' else HERE}" if mark else colour


def _title(explainer: Explainer, cell: Cell, plane: Plane, words: Mapping[str, Any], ranges: bool) -> str:
    """ "dx: picture 0 (0 to 1), channel 3 (0 to 15), rows 4-11"; of a weight the first two axes are output and input."""
    shape = explainer.tensors(cell.step)[cell.name].shape
    axes = ("output", "input") if is_parameter(explainer, cell) else ("picture", "channel")
    parts = []
    for name, at, size in zip(axes, cell.at, shape[:-2], strict=False):
        text = words["range"].format(name=words[name], at=at, last=size - 1)
        parts.append(text if size > 1 and ranges else f"{words[name]} {at}")
    for name, part, size in zip(("rows", "columns"), (plane.rows, plane.columns), plane.size, strict=True):
        if len(part) < size and ranges:
            parts.append(words[name].format(first=part[0], last=part[-1]))
    return f"{cell.name}: {', '.join(parts)}" if parts else cell.name


def is_parameter(explainer: Explainer, cell: Cell) -> bool:
    """Whether the tensor is a parameter of the step or its gradient."""
    params = explainer.trace[cell.step].params
    return cell.name in params or cell.name.removeprefix("d") in params
