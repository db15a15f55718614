"""Segmentations of COCO: polygons, and runs of pixels, as lists or packed into text."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scene_files import Fit

Polygons = list[NDArray[np.float64]]  # each (V, 2): x and y of its corners
Runs = NDArray[
    np.int64
]  # lengths of runs of pixels outside and inside, in turn, down the columns; the first is outside

FINE = 5  # masks are drawn this much larger: Pillow's polygons take in every pixel that their edges touch


def parse_segmentation(value: Any, width: int, height: int) -> Polygons | Runs | str:
    """Polygons or runs of an annotation of a `width` x `height` picture, or what is wrong with them."""
    if isinstance(value, list):
        polygons = [parse_numbers(polygon) for polygon in value]
        if not polygons or any(polygon is None or len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
            return "wanted polygons of 3 corners or more, x y x y ..., finite numbers"
        return [polygon.reshape(-1, 2) for polygon in polygons if polygon is not None]
    if not isinstance(value, dict) or not {"size", "counts"} <= value.keys():
        return "wanted a list of polygons, or a dictionary with size and counts"
    if value["size"] != [height, width]:
        return f"its size is {value['size']!r:.40}, but the picture's [{height}, {width}]"
    counts = value["counts"]
    runs = unpack(counts) if isinstance(counts, str) else counts if isinstance(counts, list) else None
    if runs is None or any(type(run) is not int or run < 0 for run in runs) or sum(runs) != width * height:
        return f"its runs are damaged: wanted whole numbers that sum to {width} x {height}"
    return np.array(runs, np.int64)


def parse_numbers(value: Any) -> NDArray[np.float64] | None:
    """A JSON list of finite numbers as an array; None for anything else."""
    if not isinstance(value, list) or any(type(number) not in (int, float) for number in value):
        return None
    try:
        numbers = np.array(value, np.float64)
    except OverflowError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def unpack(text: str) -> list[int] | None:
    """The runs in the text that pycocotools writes; None if it is damaged.

    Each character has 6 bits, from '0' on: 5 of a number, the lowest first, and one that says that more follow. The
    fifth bit of a number's last character is its sign. From the fourth on, a number is the difference to the run two
    before it. (The format is described in COCO's maskApi.c.)
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - ord("0")
        if not 0 <= bits < 64 or shift > 60:
            return None
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                number -= 1 << shift
            runs.append(number + runs[-2] if len(runs) > 2 else number)
            number = shift = 0
    return runs if shift == 0 else None


def draw_mask(objects: list[tuple[int, Polygons | Runs]], place: Fit) -> NDArray[np.uint8]:
    """The mask (high, wide) of objects (label, segmentation), each drawn over those before it."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (FINE * place.wide, FINE * place.high))
    pen = ImageDraw.Draw(image)
    for label, shape in objects:
        if isinstance(shape, list):
            for polygon in shape:
                inside = np.clip(polygon, 0, (place.width, place.height)) / (place.width, place.height)
                corners = np.floor(inside * image.size).astype(int)
                pen.polygon([(x, y) for x, y in corners.tolist()], fill=1 + label)
        else:
            pixels = np.repeat(np.arange(len(shape)) % 2, shape).reshape(place.width, place.height).T
            stencil = Image.fromarray((255 * pixels).astype(np.uint8)).resize(image.size, Image.Resampling.NEAREST)
            image.paste(1 + label, mask=stencil)
    return np.asarray(image)[FINE // 2 :: FINE, FINE // 2 :: FINE]
