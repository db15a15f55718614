"""What a network found, drawn on the picture: boxes with names and scores, or a colour for every pixel's class. Pillow draws."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .detect import Detections

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 480  # small pictures are enlarged by a whole factor to at least about this, so that names can be read
TINT = 0.55  # how much of a pixel's colour its class makes


def colour_of(label: int, count: int) -> tuple[int, int, int]:
    """A colour for class `label` of `count`: hues around the circle, neighbours also unlike in brightness."""
    value = (1.0, 0.75)[label % 2]
    red, green, blue = colorsys.hsv_to_rgb(label / max(1, count), 0.85, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def with_boxes(
    picture: NDArray[np.uint8], found: Detections, classes: Sequence[str], *, least: float = 0.3, scores: bool = True
) -> Image:
    """The picture (3, H, W) with every box of a score of at least `least`, its class beside it, and its score if asked for."""
    from PIL import ImageDraw, ImageFont

    image, factor = _enlarged(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=13)
    for box, score, label in reversed(list(zip(*found, strict=True))):  # the best is drawn last, on top
        if score < least:
            continue
        colour = colour_of(int(label), len(classes))
        x0, y0, x1, y1 = (float(side) * factor for side in box)
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=2)
        words = f"{classes[int(label)]} {score:.2f}" if scores else classes[int(label)]
        left, top, right, bottom = draw.textbbox((0, 0), words, font=font)
        width, height = right - left + 6, bottom - top + 6
        x = min(max(0.0, x0), max(0.0, image.width - width))
        y = y0 - height if y0 >= height else min(y1, image.height - height)
        draw.rectangle((x, y, x + width, y + height), fill=colour)
        ink = "black" if 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2] > 128 else "white"
        draw.text((x + 3 - left, y + 3 - top), words, fill=ink, font=font)
    return image


def with_mask(picture: NDArray[np.uint8], mask: NDArray[np.uint8], classes: Sequence[str]) -> Image:
    """The picture (3, H, W) tinted by mask (H, W): 0 background and 255 as they are, 1 + class in its colour; a legend below."""
    from PIL import Image, ImageDraw, ImageFont

    tinted = picture.astype(np.float32)
    present = [int(value) for value in np.unique(mask) if 0 < value <= len(classes)]
    for value in present:
        colour = np.array(colour_of(value - 1, len(classes)), np.float32)[:, None]
        tinted[:, mask == value] = (1 - TINT) * tinted[:, mask == value] + TINT * colour
    image, _ = _enlarged(tinted.round().astype(np.uint8))
    font = ImageFont.load_default(size=13)
    columns = max(1, image.width // 110)
    rows = math.ceil(len(present) / columns)
    sheet = Image.new("RGB", (image.width, image.height + 22 * rows), "white")
    sheet.paste(image)
    draw = ImageDraw.Draw(sheet)
    for i, value in enumerate(present):
        x, y = 110 * (i % columns) + 6, image.height + 22 * (i // columns) + 4
        draw.rectangle((x, y, x + 14, y + 14), fill=colour_of(value - 1, len(classes)))
        draw.text((x + 20, y), classes[value - 1], fill="black", font=font)
    return sheet


def side_by_side(images: Sequence[Image], titles: Sequence[str], gap: int = 8) -> Image:
    """Images in a row, each with a title above."""
    from PIL import Image, ImageDraw, ImageFont

    font, top = ImageFont.load_default(size=15), 24
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    sheet = Image.new("RGB", (width, top + max(image.height for image in images)), "white")
    draw, x = ImageDraw.Draw(sheet), 0
    for image, title in zip(images, titles, strict=True):
        draw.text((x + 2, 3), title, fill="black", font=font)
        sheet.paste(image, (x, top))
        x += image.width + gap
    return sheet


def _enlarged(picture: NDArray[np.uint8]) -> tuple[Image, int]:
    """The picture (3, H, W) as an image, enlarged by a whole factor, and the factor."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    factor = max(1, SIDE // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST), factor
