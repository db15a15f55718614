"""Figures and tables of slides: drawn by code, or taken from the lessons' data files."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from . import places
from .figures import BLUE, GREEN, ORANGE, picture, style
from .sketch import arrow, box, sketch, words


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heading)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>\n"


def spread(pair: tuple[float, float], *, percent: bool = True) -> str:
    """A mean with its standard deviation, where there is one."""
    mean, deviation = (100 * one if percent else one for one in pair)
    digits, unit = (1, " %") if percent else (2, "")
    known = "" if math.isnan(deviation) else f" ± {deviation:.{digits}f}"
    return f"{mean:.{digits}f}{known}{unit}"


def block_way() -> str:
    """Fork and add: forward above, backward below, with the numbers of lesson 06."""
    parts = []
    for top, back in ((55, False), (205, True)):
        up, down, colour = top - 35, top + 35, ORANGE if back else BLUE
        parts += [
            box("fork", (110, top)),
            box("branch 2x", (260, up), width=100),
            box("shortcut", (260, down), width=100),
            box("add", (410, top)),
        ]
        ways = [((30, top), (68, top)), ((152, top - 8), (208, up)), ((152, top + 8), (208, down)), ((312, up), (368, top - 8)),
                ((312, down), (368, top + 8)), ((452, top), (490, top))]  # fmt: skip
        parts += [arrow(*(reversed(way) if back else way), colour=colour) for way in ways]
        said = ("12", "8", "4", "4", "4", "4") if back else ("3", "3", "3", "6", "3", "9")
        at = ((8, top + 5), (168, up + 2), (168, down + 10), (340, up + 2), (340, down + 10), (498, top + 5))
        parts += [words(number, place, colour=colour) for number, place in zip(said, at, strict=True)]
        parts += [words("backward: dx = 8 + 4" if back else "forward: y = 6 + 3", (530, top + 5))]
    alt = (
        "A residual block with x = 3. Forward the fork copies 3 and the add gives 6 + 3 = 9. "
        "Backward the add copies dy = 4, the branch makes 8 of it, and the fork sums: 12."
    )
    return picture(sketch(690, 260, *parts), alt=alt)


def step_size() -> str:
    """The error of a central difference by its step, in two precisions."""
    from matplotlib.figure import Figure

    steps = np.logspace(-12, 0, 97)
    with style():
        figure = Figure(figsize=(7, 3.2), layout="constrained")
        axes = figure.add_subplot(xlabel="step h", ylabel="error of the slope")
        for dtype, colour, label in ((np.float64, BLUE, "float64"), (np.float32, ORANGE, "float32")):
            h: Any = steps.astype(dtype)
            x: Any = dtype(1)
            measured = (np.sin(x + h) - np.sin(x - h)) / (2 * h)
            axes.loglog(
                steps, np.maximum(np.abs(measured.astype(float) - math.cos(1)), 1e-14), color=colour, label=label
            )
        axes.legend()
        return picture(
            figure,
            alt="The error of the slope of sin at 1 by the step: a U in float64 and in float32, each with its own best step.",
        )


def degradation() -> str:
    """Lesson 07's main table, from its data."""
    from .experiments.degradation import summary

    rows = summary(places.data("degradation_cifar")["results"])
    depths = sorted({row["depth"] for row in rows})
    cells = {(row["kind"], row["depth"]): row for row in rows}
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    lines = [
        [kind, *(spread(cells[kind, depth]["train_error"]) if (kind, depth) in cells else "" for depth in depths)]
        for kind in kinds
    ]
    return table(["training error", *(f"{depth} layers" for depth in depths)], lines)


def ablations() -> str:
    """Lesson 08: some rows of its tables, from its data: test errors."""
    from .experiments.ablations import summary

    held = places.data("ablations")["results"]
    groups = ("rate", "schedule", "data")
    rows = {row["name"]: row for group in groups for row in summary(held, group) if row["test_error"] is not None}
    said = {"base": "nothing: rate 0.2, one cycle", "0.006": "rate 0.006", "2": "rate 2", "6": "rate 6",
            "constant": "rate held constant", "1/8": "an eighth of the pictures"}  # fmt: skip
    lines = [(text, spread(rows[name]["test_error"])) for name, text in said.items() if name in rows]
    return table(["changed alone", "test error"], lines)


def pretraining() -> str:
    """Lesson 11: mean IoU by number of scenes, from its data."""
    from .experiments.pretraining import summary

    rows = summary(places.data("pretraining")["results"], "segment")
    starts = [start for start in ("scratch", "pretrained", "longer") if start in rows[0]]
    lines = [
        [f"{row['scenes']} scenes", *(spread(row[start]["score"], percent=False) for start in starts)] for row in rows
    ]
    return table(["mean IoU", *starts], lines)


def three_ways() -> str:
    """The three ways from x to y in batch norm."""
    parts = [
        box("x", (50, 110), width=50),
        box("mean", (200, 50), colour=ORANGE),
        box("variance", (330, 110), width=90, colour=GREEN),
        box("y", (520, 110), width=50),
    ]
    parts += [
        arrow((75, 100), (160, 55), colour=ORANGE),
        arrow((240, 50), (495, 98), colour=ORANGE),
        arrow((75, 112), (285, 112), colour=GREEN),
        arrow((375, 112), (495, 112), colour=GREEN),
    ]
    parts += [
        f'<path d="M55 128 Q 280 220 500 128" fill="none" stroke="{BLUE}" stroke-width="1.6"/>',
        arrow((490, 134), (502, 127), colour=BLUE),
        words("direct", (262, 195), colour=BLUE),
    ]
    return picture(
        sketch(570, 210, *parts),
        alt="From x to y three ways lead: direct, by the mean, and by the variance. Backward, three terms meet at x and sum.",
    )


PARTS: dict[str, Callable[[], str]] = {
    "block": block_way, "three-ways": three_ways, "step-size": step_size, "degradation": degradation, "ablations": ablations,
    "pretraining": pretraining,
}  # fmt: skip
