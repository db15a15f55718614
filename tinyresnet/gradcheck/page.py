"""Reports as one self-contained page: what was found, and every wrong gradient drawn as claimed, as measured, and their difference."""

from __future__ import annotations

import base64
import html
import io
import os
import string
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from tinyresnet_kernels import Array

from ..files import write
from .check import Report
from .diagnose.evidence import gather
from .probe import flat
from .report import as_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NUMBERS = 1500  # in a gradient that is measured number by number
MOST_OUTPUTS = 20_000
MAPS = 24  # slices that are drawn of a gradient of many axes


def write_page(path: str | os.PathLike[str], reports: list[Report]) -> None:
    """Write the page, all or nothing. Raises InputError if that fails."""
    template = resources.files("tinyresnet.gradcheck").joinpath("page.html").read_text(encoding="utf-8")
    counts = {
        verdict: sum(report.verdict == verdict for report in reports)
        for verdict in ("wrong", "inconclusive", "correct")
    }
    finding = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    ordered = sorted(reports, key=lambda report: ("wrong", "inconclusive", "correct").index(report.verdict))
    sections = "".join(_section(report) for report in ordered)
    write(path, lambda file: file.write(string.Template(template).substitute(finding=finding, sections=sections)))


def _section(report: Report) -> str:
    title, *lines = as_text(report).splitlines()
    name = html.escape(title.rpartition(":")[0])
    figures = "".join(
        _drawn(report, tensor.name)
        for tensor in report.tensors
        if tensor.verdict == "wrong" and tensor.point == "as given"
    )
    told = html.escape("\n".join(line.removeprefix("  ") for line in lines))
    return f'<section><h2>{name} <span class="{report.verdict}">{report.verdict}</span></h2><pre>{told}</pre>{figures}</section>'


def _drawn(report: Report, name: str) -> str:
    """A figure of one gradient, for a random upstream; or why there is none."""
    point = report.subject.inputs[name]
    outputs = len(flat(report.subject.forward(report.subject.inputs).outputs))
    if point.size > MOST_NUMBERS or outputs > MOST_OUTPUTS:
        return f"<p>The gradient of {html.escape(name)} has {point.size} numbers: too many to measure each.</p>"
    rng = np.random.default_rng(0)
    evidence = gather(report.subject, name, rng)
    r = rng.standard_normal(outputs)
    claimed, measured = ((matrix @ r).reshape(point.shape) for matrix in (evidence.claimed, evidence.true))
    figure = draw(claimed, measured, f"gradient of {name} {point.shape}")
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110)
    source = base64.b64encode(out.getvalue()).decode("ascii")
    alt = f"gradient of {name}: claimed, measured, difference"
    return f'<figure><img src="data:image/png;base64,{source}" alt="{html.escape(alt)}"></figure>'


def draw(claimed: Array, measured: Array, title: str) -> Figure:
    """The gradient as claimed, as measured, and the difference; slices along the last two axes side by side."""
    from matplotlib.figure import Figure

    maps = [mosaic(array) for array in (claimed, measured, claimed - measured)]
    height = float(np.clip(9 / 3 * maps[0].shape[0] / maps[0].shape[1], 1.2, 5)) + 0.8
    figure = Figure(figsize=(9.5, height), layout="constrained")
    figure.suptitle(title, fontsize=10)
    shared = float(np.nanmax(np.abs(maps[:2]), initial=0)) or 1.0
    for axes, values, name in zip(figure.subplots(1, 3), maps, ("claimed", "measured", "difference"), strict=True):
        limit = shared if name != "difference" else float(np.nanmax(np.abs(values), initial=0)) or 1.0
        image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", aspect="auto")
        axes.set_title(name, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def mosaic(array: Array) -> Array:
    """An array of any number of axes as one picture: (rows, columns), slices apart by a line of NaN."""
    if array.ndim < 2:
        return array.reshape(1, -1)
    maps = array.reshape(-1, *array.shape[-2:])[:MAPS]
    across = min(len(maps), array.shape[-3] if array.ndim > 2 else 1, 8)
    down = -(-len(maps) // across)
    H, W = maps.shape[1:]
    picture = np.full((down * (H + 1) - 1, across * (W + 1) - 1), np.nan)
    for i, one in enumerate(maps):
        top, left = i // across * (H + 1), i % across * (W + 1)
        picture[top : top + H, left : left + W] = one
    return picture
