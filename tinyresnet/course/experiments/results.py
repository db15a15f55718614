"""The file of an experiment's results: what made it, and a row a run. It is written after every run, so what was cut off goes on."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...files import write

Row = dict[str, Any]


class Results:
    """The rows of one experiment, by key: the values of a row's fields `by`.

    The file: {"command", "seed", "made_with", "settings", "results": [row, ...]}.
    """

    def __init__(self, path: Path, *, command: str, seed: int, settings: Mapping[str, Any], by: Sequence[str]) -> None:
        self.path, self.command, self.seed, self.by = path, command, seed, tuple(by)
        self.settings = json.loads(json.dumps(dict(settings)))  # as the file gives it back: tuples are lists
        self.rows: dict[tuple[Any, ...], Row] = {}
        if path.exists():
            self.resume()

    def resume(self) -> None:
        """Take the rows that the file has. Raises InputError if it was made with other settings."""
        held = read(self.path)
        for name, value in self.settings.items():
            was = held["settings"].get(name)
            if was != value:
                raise InputError(
                    f"{self.path} was made with {name} {was}, not {value}: go on as it was, or take another file"
                )
        self.rows = {self.key(row): row for row in held["results"]}

    def key(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """What tells a row from all others."""
        return tuple(row.get(name) for name in self.by)

    def __contains__(self, row: Mapping[str, Any]) -> bool:
        return self.key(row) in self.rows

    def add(self, row: Row) -> None:
        """Keep a row, in memory and in the file."""
        self.rows[self.key(row)] = row
        write(self.path, lambda file: file.write(self.as_text()))

    def where(self, **wanted: Any) -> list[Row]:
        """The rows whose fields have these values."""
        return select(self.rows.values(), **wanted)

    def as_text(self) -> str:
        """The file: a line a row."""
        head = {"command": self.command, "seed": self.seed, "made_with": versions(), "settings": self.settings}
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
        rows = ",\n".join(json.dumps(row, allow_nan=False) for row in self.rows.values())
        return "{" + ",\n".join([*lines, f'"results": [\n{rows}\n]']) + "}\n"


def read(path: Path) -> dict[str, Any]:
    """A file of results. Raises InputError."""
    try:
        held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the results in {path}: {error}") from error
    if not isinstance(held, dict) or not {"command", "seed", "made_with", "settings", "results"} <= set(held):
        raise InputError(f"{path} is no file of results")
    return held


def select(rows: Iterable[Row], **wanted: Any) -> list[Row]:
    """The rows whose fields have these values."""
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def mean_and_spread(values: Iterable[float | None]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over seeds; the spread of one value alone is NaN. A None (not finite) makes both NaN."""
    known = np.array([np.nan if value is None else value for value in values], float)
    return float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def rounded(values: Any, digits: int = 4) -> Any:
    """Numbers to so many significant digits, for the file; None for what is not finite. Takes lists and dicts of them too."""
    if isinstance(values, Mapping):
        return {name: rounded(value, digits) for name, value in values.items()}
    if isinstance(values, list | tuple | np.ndarray):
        return [rounded(value, digits) for value in values]
    return float(f"{values:.{digits}g}") if np.isfinite(values) else None


def versions() -> dict[str, str]:
    """What the figures were made with."""
    from ... import __version__

    return {"tinyresnet": __version__, "numpy": np.__version__, "python": platform.python_version()}
