"""Figures of a run and of an evaluation. Figures are drawn without pyplot, so nothing is global and no window opens."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinyresnet_kernels import Array

from .errors import InputError
from .evaluate import Evaluation
from .files import write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE = "#0072B2", "#D55E00"  # told apart in every kind of colour blindness (Okabe & Ito 2008)
NAMED = 40  # the most classes whose names fit the axes
COUNTED = 20  # the most classes whose counts fit the cells


def confusion_matrix(evaluation: Evaluation) -> Figure:
    """Pictures of each true class (row) by predicted class (column); the colour is the share of the row."""
    from matplotlib.figure import Figure

    counts, K = evaluation.confusion, len(evaluation.classes)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(4 + 0.45 * K, 14)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if K <= NAMED:
        axes.set_xticks(range(K), evaluation.classes, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
        axes.set_yticks(range(K), evaluation.classes, parse_math=False)
    if K <= COUNTED:
        for (true, said), count in np.ndenumerate(counts):
            ink = "white" if share[true, said] > 0.5 else "black"
            axes.text(said, true, str(count), ha="center", va="center", color=ink, fontsize=8)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"{100 * evaluation.top1:.1f} % of {evaluation.count:,} pictures are right")
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    return figure


def curves(records: Iterable[Mapping[str, Any]]) -> Figure:
    """Loss and accuracy over the steps of a run, from its metric records.

    {"kind": "step", "step", "loss", ...} gives the training loss, {"kind": "epoch", "step", "train_top1", "val_loss", "val_top1", ...}
    the rest; keys that are missing or None are left out. Raises InputError if there is nothing to draw.
    """
    from matplotlib.figure import Figure

    records = list(records)
    steps, epochs = ([record for record in records if record.get("kind") == kind] for kind in ("step", "epoch"))
    if not steps and not epochs:
        raise InputError("there are no records of steps or epochs to draw curves of")
    figure = Figure(figsize=(8, 7), layout="constrained")
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    x, y = _series(steps, "loss")
    loss.plot(x, y, color=BLUE, alpha=0.3, linewidth=0.8)
    loss.plot(x, _smooth(y), color=BLUE, label="training, smoothed")
    loss.plot(*_series(epochs, "val_loss"), color=ORANGE, marker="o", markersize=4, linestyle="--", label="validation")
    top1 = {"train_top1": ("training", BLUE, "s", "-"), "val_top1": ("validation", ORANGE, "o", "--")}
    for key, (label, color, marker, line) in top1.items():
        x, y = _series(epochs, key)
        accuracy.plot(x, 100 * y, color=color, marker=marker, markersize=4, linestyle=line, label=label)
    loss.set(ylabel="cross-entropy loss")
    accuracy.set(xlabel="step", ylabel="top-1 accuracy, %")
    for axes in (loss, accuracy):
        _finish(axes)
    return figure


def predictions(pictures: Array, names: Sequence[str], best: Sequence[Sequence[tuple[str, float]]]) -> Figure:
    """Each of the pictures (N, C, H, W) uint8 beside bars of its best classes, (class, probability); at most the first 20."""
    from matplotlib.figure import Figure

    shown = min(len(pictures), 20)
    figure = Figure(figsize=(7, 1.9 * shown), layout="constrained")
    grid = figure.subplots(shown, 2, squeeze=False, width_ratios=(1, 2))
    for (left, right), picture, name, row in zip(grid, pictures, names, best, strict=False):
        left.imshow(np.broadcast_to(picture.transpose(1, 2, 0), (*picture.shape[1:], 3)))
        left.set_axis_off()
        classes, values = zip(*row, strict=True)
        right.barh(range(len(row)), [100 * value for value in values], color=BLUE)
        right.set_yticks(range(len(row)), classes, parse_math=False)
        right.invert_yaxis()
        right.set_xlim(0, 100)
        right.set_title(name, fontsize=9, parse_math=False)
    grid[-1, 1].set_xlabel("probability, %")
    return figure


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG, 130 dots an inch."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a class name in a script that the font lacks
        figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def save_png(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure to `path`, all or nothing. Raises InputError."""
    data = png_bytes(figure)
    write(path, lambda file: file.write(data), "wb")


def _series(records: Iterable[Mapping[str, Any]], key: str) -> tuple[Array, Array]:
    """Steps and finite values of those records that have the key."""
    points = [(r["step"], r[key]) for r in records if r.get(key) is not None and math.isfinite(r[key])]
    x, y = np.array(points, float).reshape(-1, 2).T
    return x, y


def _smooth(y: Array) -> Array:
    """The mean over a window of about a thirtieth of the run, shorter at both ends."""
    half = len(y) // 60
    total = np.concatenate([[0.0], np.cumsum(y)])
    i = np.arange(len(y))
    low, high = np.maximum(i - half, 0), np.minimum(i + half + 1, len(y))
    return (total[high] - total[low]) / (high - low)  # type: ignore[no-any-return]


def _finish(axes: Axes) -> None:
    """Grid and legend; lines without points get no place in it."""
    for line in list(axes.lines):
        if not len(line.get_xdata()):  # type: ignore[arg-type]
            line.remove()
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
