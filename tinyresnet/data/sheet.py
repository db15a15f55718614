"""A contact sheet: some pictures of every class of a data set on one page."""

from __future__ import annotations

import os

import numpy as np

from ..files import replacing
from .dataset import Dataset

SEARCHED = 5000  # pictures looked through for examples of each class
GAP = 4  # pixels between pictures


def contact_sheet(data: Dataset, path: str | os.PathLike[str], per_class: int = 8) -> None:
    """Write a PNG with one row a class: its name, then its first `per_class` pictures. Raises InputError."""
    from PIL import Image, ImageDraw, ImageFont

    _, C, H, W = data.x.shape
    y = data.y[np.arange(min(len(data), SEARCHED))]
    zoom = max(1, 64 // max(H, W))
    font = ImageFont.load_default()
    label_width = max(int(font.getlength(name)) for name in data.classes) + 2 * GAP
    high, wide = H * zoom + GAP, W * zoom + GAP
    sheet = Image.new("RGB", (label_width + per_class * wide, len(data.classes) * high), "white")
    pen = ImageDraw.Draw(sheet)
    for label, name in enumerate(data.classes):
        pen.text((GAP, label * high + high // 2), name, fill="black", anchor="lm", font=font)
        places = np.flatnonzero(y == label)[:per_class]
        if places.size:
            row = np.repeat(np.repeat(data.x[places], zoom, axis=2), zoom, axis=3)
            row = np.pad(row, ((0, 0), (0, 0), (0, GAP), (0, GAP)), constant_values=255)
            row = row.transpose(2, 0, 3, 1).reshape(high, -1, C)  # side by side: (high, count * wide, C)
            sheet.paste(Image.fromarray(np.broadcast_to(row, (*row.shape[:2], 3))), (label_width, label * high))
    with replacing(path) as beside:
        sheet.save(beside, format="PNG")
