"""Parts of a sketch for `show`: grids of numbers, boxes, arrows, words. Each is a piece of SVG; `sketch` puts them on one page.

    show(sketch(300, 130, grid(x, (10, 30), title="x", marks={(0, 1): BLUE}), arrow((140, 70), (180, 70))), alt="...")

Places are (across, down) in pixels. What has no colour of its own takes that of the page's text, so it is read on white and on dark.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Place = tuple[float, float]
CELL = 30  # pixels
SIZE = 14  # of words


def sketch(width: float, height: float, *parts: str) -> str:
    """The parts as one <svg>."""
    return f'<svg viewBox="0 0 {width:g} {height:g}">{"".join(parts)}</svg>'


def words(text: str, at: Place, *, colour: str = "currentColor", size: int = SIZE, anchor: str = "start") -> str:
    """Text whose baseline begins at `at`; anchor: start, middle or end."""
    place = f'x="{at[0]:g}" y="{at[1]:g}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} fill="{colour}" style="white-space:pre">{html.escape(text)}</text>'


def grid(
    values: Sequence[Sequence[Any]] | Any,
    at: Place,
    *,
    title: str = "",
    marks: Mapping[tuple[int, int], str] | None = None,
    cell: int = CELL,
    faint: Sequence[tuple[int, int]] | set[tuple[int, int]] = (),
) -> str:
    """Rows of numbers (or words) in cells, the first with its corner `at`; marks: cell -> its colour; faint: cells such as padding."""
    parts = [words(title, (at[0], at[1] - 8))] if title else []
    for r, row in enumerate(values):
        for c, value in enumerate(row):
            left, top = at[0] + c * cell, at[1] + r * cell
            colour = (marks or {}).get((r, c))
            fill = f'fill="{colour}" fill-opacity="0.3"' if colour else 'fill="none"'
            weak = ' opacity="0.45"' if (r, c) in faint else ""
            square = f'<rect x="{left}" y="{top}" width="{cell}" height="{cell}" {fill} stroke="currentColor" stroke-opacity="0.4"/>'
            middle = (left + cell / 2, top + cell / 2 + 5)
            parts.append(
                f"<g{weak}>{square}{words(number(value), middle, anchor='middle', size=min(SIZE, cell // 2))}</g>"
            )
    return "".join(parts)


def outline(at: Place, rows: float, columns: float, colour: str, *, cell: int = CELL) -> str:
    """A thick frame around some cells of a grid: its corner, and how many cells it is high and wide."""
    size = f'width="{columns * cell:g}" height="{rows * cell:g}"'
    return f'<rect x="{at[0]:g}" y="{at[1]:g}" {size} fill="none" stroke="{colour}" stroke-width="3" rx="3"/>'


def box(text: str, middle: Place, *, width: float = 80, height: float = 34, colour: str = "currentColor") -> str:
    """A word in a rounded box."""
    corner = f'x="{middle[0] - width / 2:g}" y="{middle[1] - height / 2:g}" width="{width:g}" height="{height:g}"'
    frame = f'<rect {corner} rx="6" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    return frame + words(text, (middle[0], middle[1] + 5), anchor="middle")


def arrow(start: Place, end: Place, *, colour: str = "currentColor") -> str:
    """A line with a head at its end."""
    (x, y), (X, Y) = start, end
    length = ((X - x) ** 2 + (Y - y) ** 2) ** 0.5
    dx, dy = (X - x) / length * 9, (Y - y) / length * 9  # the head's length, along the line
    head = (
        f"{X:g},{Y:g} {X - dx - dy / 2.2:.1f},{Y - dy + dx / 2.2:.1f} {X - dx + dy / 2.2:.1f},{Y - dy - dx / 2.2:.1f}"
    )
    line = f'<line x1="{x:g}" y1="{y:g}" x2="{X - dx / 2:.1f}" y2="{Y - dy / 2:.1f}" stroke="{colour}" stroke-width="1.6"/>'
    return f'{line}<polygon points="{head}" fill="{colour}"/>'


def number(value: Any) -> str:
    """A number as short as it can be, with a real minus; words as they are."""
    return value if isinstance(value, str) else f"{value:.4g}".replace("-", "−")


def products(pairs: Iterable[tuple[float, float]]) -> str:
    """A sum of products as one writes it: 2·3 − 1·4 + 3·(−2)."""
    written = [f"{number(a)}·{number(b) if b >= 0 else f'({number(b)})'}" for a, b in pairs]
    return " + ".join(written).replace("+ −", "− ") or "0"
