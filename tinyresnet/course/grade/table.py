"""Points as a table for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...files import write
from .score import Score


def write_csv(path: Path, scores: Sequence[Score]) -> None:
    """A row a student: all points, and those of each exercise and function."""
    columns = list(dict.fromkeys(f"{score.exercise}: {part.name}" for score in scores for part in score.parts))
    rows: dict[str, dict[str, float]] = {}
    for score in scores:
        rows.setdefault(score.student, {}).update(
            {f"{score.exercise}: {part.name}": part.points for part in score.parts}
        )
    most = sum({f"{s.exercise}: {p.name}": p.most for s in scores for p in s.parts}.values())

    def fill(file: Any) -> None:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["student", "points", "of", *columns])
        for student, points in rows.items():
            total = round(sum(points.values()), 2)
            out.writerow([_harmless(student), total, most, *(points.get(column, "") for column in columns)])

    write(path, fill)


def _harmless(text: str) -> str:
    """No formula: a spreadsheet would run a name that begins with = or @."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
