"""What commands print: tables, progress and JSON. Drawn by rich on a terminal, plain lines in a pipe, ASCII throughout."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any

from .meter import Bar, Lines, Meter, Progress

NUMBER = re.compile(r"[-+]?[\d.,]+( ?%)?|-")
INTERVAL = 5.0  # seconds between two lines of progress in a pipe


def is_terminal(stream: IO[str] | None = None) -> bool:
    """Whether `stream` (default: stdout) is shown on a terminal, and not read by a program or kept in a file."""
    return (sys.stdout if stream is None else stream).isatty()


def print_json(values: Mapping[str, Any]) -> None:
    """A JSON object on stdout, one line a key. What is not a finite number must be None already (else ValueError)."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in values.items()]
    print("{\n" + ",\n".join(lines) + "\n}")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; columns of numbers stand to the right."""
    draw = _rich_table if is_terminal() else plain_table
    draw(title, columns, rows)


def plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """The same, also on a terminal without rich."""
    cells, right = _cells(columns, rows)
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in ([list(columns)] if any(columns) else []) + cells
    ]
    print("\n".join([title, *(f"  {line}" for line in lines), ""]))


def _cells(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> tuple[list[list[str]], list[bool]]:
    """The cells as text, and which columns hold numbers only."""
    cells = [[str(cell) for cell in row] for row in rows]
    right = [bool(cells) and all(NUMBER.fullmatch(row[i]) for row in cells) for i in range(len(columns))]
    return cells, right


def _rich_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.box import ASCII2, SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    cells, right = _cells(columns, rows)
    console = Console(markup=False, emoji=False, highlight=False)
    box = SIMPLE_HEAD if console.encoding.startswith("utf") else ASCII2
    shown = Table(box=box, show_header=any(columns))
    for name, is_right in zip(columns, right, strict=True):
        shown.add_column(name, justify="right" if is_right else "left", overflow="fold")
    for row in cells:
        shown.add_row(*row)
    console.print(title, style="bold")  # not the table's own, which would be wrapped to the table's width
    console.print(shown)


@contextlib.contextmanager
def live_table(*columns: str, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """A table on stdout that grows: the function that comes takes the cells of one more row. `quiet` shows nothing."""
    if quiet:
        yield lambda *cells: None
    elif not is_terminal():
        widths = [max(len(columns[0]), 36), *map(len, columns[1:])]

        def print_row(*cells: str) -> None:
            print("  " + "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip(), flush=True)

        print_row(*columns)
        yield print_row
    else:
        from rich.box import ASCII2, SIMPLE_HEAD
        from rich.console import Console
        from rich.live import Live
        from rich.table import Table

        console = Console(markup=False, emoji=False, highlight=False)
        shown = Table(*columns, box=SIMPLE_HEAD if console.encoding.startswith("utf") else ASCII2)
        with Live(shown, console=console, vertical_overflow="visible"):
            yield shown.add_row


@contextlib.contextmanager
def progress(
    total: int, description: str, *, unit: str = "steps", start: int = 0, quiet: bool = False
) -> Iterator[Progress]:
    """Progress on stderr from `start` to `total`, with the rate and the time left: a bar, or in a pipe a line every few seconds.

    What is printed meanwhile goes above the bar. `quiet`, or a job of less than a few seconds in a pipe, shows nothing.
    """
    meter = Meter(total, unit, start)
    if quiet or not is_terminal(sys.stderr):
        yield Lines(meter, description, math.inf if quiet else INTERVAL)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(stderr=True, highlight=False),
        transient=True,
        redirect_stdout=is_terminal(),  # what goes into a pipe must not end up on stderr
    ) as bars:
        yield Bar(meter, description, bars)
