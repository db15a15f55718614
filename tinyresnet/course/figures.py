"""Figures of lessons: one SVG that reads well on a white page and on a dark one, with a text for those who cannot see it.

No grey has a contrast of 4.5 with white and with a dark page at once. So axes and words take the colour of the text around the figure
(`currentColor`), whatever the theme is, and the data's colours have a contrast of 3 with both.

    with style():
        fig = Figure(figsize=(6, 3), layout="constrained")
        fig.add_subplot().plot(x, y, color=BLUE, label="plain")
    show(fig, alt="Training loss by step: ...")
"""

from __future__ import annotations

import contextlib
import html
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Told apart in every kind of colour blindness (after Okabe & Ito 2008), a little lighter or darker for both pages.
BLUE, ORANGE, GREEN, PURPLE, GREY = COLOURS = ("#1F83C4", "#D55E00", "#008F68", "#B8609A", "#7F8487")
INK = "#7A7A7B"  # in a figure: the colour of axes and words, until `show` makes it the page's own
NARROWEST = 350  # pixels: on a narrower screen a figure scrolls sideways, rather than shrink until no word can be read


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Within the block, figures are drawn in the lessons' style."""
    import matplotlib as mpl
    from cycler import cycler

    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
    settings: Any = dict.fromkeys(inked, INK)  # matplotlib's type for these is a list of all that it knows
    settings |= {"axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none"}
    settings |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    settings |= {
        "font.size": 11,
        "axes.titlesize": "medium",
        "lines.linewidth": 1.8,
        "axes.grid": False,
        "grid.color": INK,
        "grid.alpha": 0.25,
    }
    settings |= {"axes.prop_cycle": cycler(color=COLOURS), "patch.edgecolor": INK, "image.cmap": "cividis"}
    with mpl.rc_context(settings):
        yield


def show(figure: Figure | str, *, alt: str) -> Any:
    """A marimo Html of a matplotlib figure, or of an <svg> as text, that scales with the page. Raises InputError without an alt text."""
    import marimo as mo

    return mo.Html(picture(figure, alt=alt))


def picture(figure: Figure | str, *, alt: str) -> str:
    """The same as HTML. `alt` says what is to be seen, and what follows from it, in a sentence or two."""
    if not alt.strip():
        raise InputError("a figure needs an alt text: what is to be seen on it, in a sentence or two")
    svg = figure if isinstance(figure, str) else _svg(figure, alt)
    width = re.search(r'viewBox="\S+ \S+ (\S+) \S+"', svg)
    if width is None:
        raise InputError("the <svg> needs a viewBox: without it, it cannot scale")
    pixels = float(width[1]) * (1 if isinstance(figure, str) else 4 / 3)  # matplotlib counts points
    size = f"display:block;margin:auto;width:100%;height:auto;max-width:{pixels:.0f}px;min-width:{min(pixels, NARROWEST):.0f}px"
    svg = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    named = f'<svg role="img" aria-label="{html.escape(" ".join(alt.split()))}" style="{size}" fill="currentColor"'
    return f'<div style="overflow-x:auto">{svg.strip().replace("<svg", named, 1)}</div>'


def _svg(figure: Figure, salt: str) -> str:
    """The figure as an <svg> element; text stays text, and nothing in it can touch the page around it."""
    import matplotlib as mpl

    figure.patch.set_visible(False)
    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style\b.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # matplotlib's names are the same in every figure
    svg = svg.replace("xlink:href", "href").replace("<svg", '<svg stroke-linejoin="round"', 1)
    return re.sub(f"{INK}|#000000|(?<=[: ])black", "currentColor", svg, flags=re.IGNORECASE)
