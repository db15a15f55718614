"""The roofline: what every op reaches, beside what the machine's arithmetic and memory allow (Williams, Waterman & Patterson 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .ceilings import Ceilings
from .measure import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour (told apart in every kind of colour blindness, Okabe & Ito 2008), marker, a shift, so that points stand side by side, and a size.
STYLES = {
    "forward": ("#0072B2", "o", 0.91, 13),
    "input gradient": ("#D55E00", "s", 1.0, 12),
    "weight gradient": ("#009E73", "^", 1.1, 16),
    "elementwise": ("#CC79A7", "D", 1.0, 12),
}


def roofline(rows: Sequence[Row], ceilings: Ceilings, title: str) -> Figure:
    """Log-log: operations a byte across, operations a second up, a numbered point per op; the numbers' names stand beside.

    A byte counts once, however often it is read: what stands far under the slope moves more than it must, or waits for arithmetic.
    Rows of whole networks are left out. Raises InputError if nothing is left to draw.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    points = [row for row in rows if row.kind in STYLES and row.operations_per_second and row.moved]
    if not points:
        raise InputError("there is no op to draw a roofline of")
    names = list(dict.fromkeys(row.name for row in points))
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.add_subplot()
    x = np.array([row.operations / row.moved for row in points])
    y = np.array([row.operations_per_second or 0.0 for row in points]) / 1e9
    ridge = ceilings.arithmetic / ceilings.copy
    left, right = min(x.min() / 1.5, ridge / 4), max(x.max() * 1.5, ridge * 4)
    _roofs(axes, ceilings, left, right)
    for row, px, py in zip(points, x, y, strict=True):
        color, marker, shift, size = STYLES[row.kind]
        axes.plot(px * shift, py, marker, color=color, markersize=size, markeredgecolor="white", zorder=3)
        number = str(names.index(row.name) + 1)
        axes.annotate(number, (px * shift, py), ha="center", va="center", color="white", fontsize=8, zorder=4)
    for kind, (color, marker, *_) in STYLES.items():
        if any(row.kind == kind for row in points):
            axes.plot([], [], marker, color=color, label=kind)
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    axes.set_ylim(min(y.min() / 1.5, ceilings.arithmetic / 1e9 / 10), ceilings.arithmetic / 1e9 * 1.6)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="operations per byte that must move", ylabel="GFLOP/s (a multiply-add is 2)", title=title)
    axes.grid(alpha=0.3, which="both", linewidth=0.5)
    axes.legend(loc="lower right")
    listed = "\n".join(f"{i + 1:>2}  {name}" for i, name in enumerate(names))
    axes.text(1.02, 1.0, listed, transform=axes.transAxes, va="top", fontsize=9, family="monospace", parse_math=False)
    return figure


def _roofs(axes: Axes, ceilings: Ceilings, left: float, right: float) -> None:
    """The ceilings: the slope of memory up to each flat roof of arithmetic."""
    x = np.geomspace(left, right, 200)
    many = "1 thread" if ceilings.threads == 1 else f"{ceilings.threads} threads"
    roofs = {
        f"multiply-adds, {many}": (ceilings.multiply_adds, "-"),
        f"NumPy matrix product, {many}": (ceilings.matrix_product, ":"),
        "multiply-adds, 1 thread": (ceilings.multiply_adds_one_thread if ceilings.threads > 1 else None, "--"),
    }
    for label, (rate, style) in roofs.items():
        if rate:
            axes.plot(x, np.minimum(x * ceilings.copy, rate) / 1e9, style, color="0.35", linewidth=1.2)
            axes.text(
                right / 1.05, rate / 1e9 * 1.03, f"{label}: {rate / 1e9:.0f}", ha="right", fontsize=8, color="0.25"
            )
    at = max(left * 1.1, ceilings.arithmetic / ceilings.copy / 3)
    axes.text(
        at * 1.08, at * ceilings.copy / 1e9, f"copy: {ceilings.copy / 1e9:.1f} GB/s", va="top", fontsize=8, color="0.25"
    )
