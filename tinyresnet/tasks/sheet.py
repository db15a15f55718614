"""Pictures of scenes with what is there and what a network found, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..annotate import side_by_side, with_boxes, with_mask
from ..data.batches import normalize
from ..data.scene_set import SceneSet
from ..detect import Detections, Detector, detections
from ..device import beside
from ..segment import Segmenter
from .segment import masks_of

if TYPE_CHECKING:
    from PIL.Image import Image

GAP = 8  # pixels between rows
SURE = 0.3  # the least score of a box that is drawn


def picture_sheet(
    model: Detector | Segmenter,
    data: SceneSet,
    indices: NDArray[np.int64],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> tuple[Image, str]:
    """A row for each of the scenes `indices`: what is there, and what was found; and the last one in a sentence."""
    scenes, classes = data.read(indices), data.classes
    x = beside(model, normalize(scenes.x, mean, std))
    rows = []
    if isinstance(model, Detector):
        for n, found in enumerate(detections(model.forward(x, train=False)[0], x.shape[2:])):
            boxes, labels = scenes.boxes[n], scenes.labels[n]
            there = Detections(boxes, np.ones(len(boxes), np.float32), labels)
            pair = [
                with_boxes(scenes.x[n], there, classes, scores=False),
                with_boxes(scenes.x[n], found, classes, least=SURE),
            ]
            named = ", ".join(
                f"{classes[k]} {s:.2f}" for s, k in zip(found.scores, found.labels, strict=True) if s >= SURE
            )
            words = f"detector: {len(boxes)} objects are there; found, with scores: {named or 'nothing'}"
            rows.append(side_by_side(pair, ("what is there", "what was found")))
    else:
        for n, mask in enumerate(masks_of(model.forward(x, train=False)[0])):
            pair = [with_mask(scenes.x[n], what, classes) for what in (scenes.masks[n], mask)]
            right = float((mask == scenes.masks[n]).mean())
            words = f"segmenter: {right:.1%} of the pixels have the right class"
            rows.append(side_by_side(pair, ("what is there", "what was found")))
    return stacked(rows), words


def scene_sheet(data: SceneSet, indices: NDArray[np.int64], task: str, columns: int = 4) -> Image:
    """The scenes `indices` with their boxes ("detect") or their masks ("segment"), in rows."""
    scenes, pictures = data.read(indices), []
    for n, picture in enumerate(scenes.x):
        if task == "detect":
            there = Detections(scenes.boxes[n], np.ones(len(scenes.boxes[n]), np.float32), scenes.labels[n])
            pictures.append(with_boxes(picture, there, data.classes, scores=False))
        else:
            pictures.append(with_mask(picture, scenes.masks[n], data.classes))
    titles = [str(index) for index in indices]
    starts = range(0, len(pictures), columns)
    return stacked([side_by_side(pictures[i : i + columns], titles[i : i + columns]) for i in starts])


def stacked(rows: list[Image]) -> Image:
    """Images one below the other."""
    from PIL import Image

    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height + GAP for row in rows) - GAP), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + GAP
    return sheet
