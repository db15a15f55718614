"""The stepper where nobody presses keys: all steps in a table, or one step with the arithmetic of a cell, as text or as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import unknown
from ...explain import Cell, Explainer, Explanation
from ...trace import Step
from ..session import Session
from ..words import sentence, ways
from . import arithmetic
from .nudge import finale
from .panes import is_parameter, pane
from .phrases import phrases
from .places import groups, result_of, start_cell, step_at
from .planes import Index

COLUMNS = ("step", "direction", "layer", "kind", "result", "norm")
WIDEST = 120  # characters of a term in one line


def overview(session: Session) -> list[dict[str, Any]]:
    """Each step in brief: number, direction, path, kind, and its result's name, shape and norm."""
    explainer = Explainer(session.trace)
    return [_brief(step, result_of(explainer, step.index)) for step in session.trace]


def _brief(step: Step, name: str) -> dict[str, Any]:
    array = step.tensors[name].astype(np.float64)
    norm = float(np.linalg.norm(array))
    known = {"number": step.index + 1, "direction": step.direction, "path": step.path, "kind": step.kind}
    return known | {"result": name, "shape": list(array.shape), "norm": norm if math.isfinite(norm) else None}


def overview_rows(session: Session) -> list[tuple[str, ...]]:
    """The same as cells of a table with COLUMNS."""
    return [
        (
            *(str(row[name]) for name in ("number", "direction", "path", "kind")),
            f"{row['result']} {_by(row['shape'])}".rstrip(),
            "nan" if row["norm"] is None else f"{row['norm']:.6g}",
        )
        for row in overview(session)
    ]


def title(session: Session) -> str:
    """What is walked through."""
    told = () if session.labels is None or session.labels.ndim > 1 else session.labels  # those of pixels are too many
    labels = [session.classes[k] if session.classes else str(k) for k in told]
    pictures = f"{len(session.x)} pictures of {_by(session.x.shape[1:])}"
    return f"{session.title}: {pictures}" + (f" ({', '.join(labels)})" if labels else "") + f", loss {session.loss:.6g}"


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def last_word(session: Session, language: str = "en") -> str:
    """The nudge at the end."""
    found = finale(session)
    return found.said(language) if found else str(phrases(language)["no_parameters"])


def cell_of(explainer: Explainer, path: str, direction: str, name: str | None, at: Index | None) -> Cell:
    """The cell asked for; what is left open is the step's result and its cell of the largest magnitude. Raises InputError."""
    index = step_at(explainer.trace, path, direction).index
    name = name or result_of(explainer, index)
    if name not in explainer.tensors(index):
        raise unknown(f"tensor of {path}, {direction},", name, explainer.tensors(index).arrays)
    cell = Cell(index, name, start_cell(explainer, index, name) if at is None else at)
    explainer.explain(cell)  # raises if there is no such cell
    return cell


def one_step(session: Session, explainer: Explainer, cell: Cell, language: str = "en") -> str:
    """A step as text: its sentence, its tensors, the cell's plane in each picture, and the arithmetic."""
    step = session.trace[cell.step]
    said = phrases(language)
    parts = [sentence(session.trace, step, language), f"{step.path}  {step.kind}  {said[step.direction]}", ""]
    for group, names in groups(explainer, cell.step).items():
        shapes = [f"{name} {_by(explainer.tensors(cell.step)[name].shape)}".rstrip() for name in names]
        parts += [f"  {said[group]}: {', '.join(shapes)}"] if shapes else []
    for picture in _pictures(explainer, cell):
        lines = pane(explainer, picture, said, {cell.at: "["})
        parts += ["", *(line.plain.rstrip() for line in lines)]
    found = explainer.explain(cell)
    parts += ["", *arithmetic.head(explainer, cell, found, language)]
    return "\n".join(
        [
            *parts,
            *_terms(found, said["sum"], ways(session.trace, session.trace[found.cell.step])),
            *(f"  {text}" for text in arithmetic.ending(found, language)),
        ]
    )


def _pictures(explainer: Explainer, cell: Cell) -> list[Cell]:
    """The same cell in each picture; of what has no pictures, the cell alone."""
    shape = explainer.tensors(cell.step)[cell.name].shape
    if len(shape) < 3 or is_parameter(explainer, cell):
        return [cell]
    return [cell._replace(at=(n, *cell.at[1:])) for n in range(shape[0])]


def _terms(found: Explanation, summed: str, called: Mapping[str, str]) -> list[str]:
    """The terms, a line each, in columns. `called`: other names for some shares."""
    lines = arithmetic.lines(found, called=called)
    fields = [
        [str(number) for number in range(1, len(lines) + 1)],
        [line.part for line in lines],
        [line.symbols for line in lines],
        [f"= {line.values}" if " × " in line.values else "" for line in lines],
        [f"= {line.product}" for line in lines],
        [f"{summed} {line.total}" if line.total else "" for line in lines],
    ]
    columns = [[text.ljust(max(map(len, column))) for text in column] for column in fields if any(column)]
    rows = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
    if max(map(len, rows), default=0) > WIDEST:
        rows = [
            "  ".join(filter(None, row[:3])) + "\n       " + "  ".join(row[3:]) for row in zip(*fields, strict=True)
        ]
    return [f"  {row}" for row in rows]


def as_dict(session: Session, explainer: Explainer, cell: Cell, language: str = "en") -> dict[str, Any]:
    """A step and the arithmetic of a cell, as JSON knows it."""
    step = session.trace[cell.step]
    tensors = explainer.tensors(cell.step).arrays
    return {
        **_brief(step, result_of(explainer, cell.step)),
        "sentence": sentence(session.trace, step, language),
        "settings": step.settings,
        "tensors": {name: list(array.shape) for name, array in tensors.items()},
        **groups(explainer, cell.step),
        "asked": {"step": cell.step, "name": cell.name, "at": list(cell.at)},
        "explanation": arithmetic.as_dict(explainer.explain(cell)),
    }
