"""The records of a COCO file, one by one: what they say, or a sentence on what is wrong with them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..errors import InputError
from .coco_masks import Polygons, Runs, parse_numbers, parse_segmentation
from .scene_files import RecordError, Skipped

BORDER = 1.0  # pixels that a box may reach out of its picture: they are cut off
T = TypeVar("T")


class Picture(NamedTuple):
    """A picture that a JSON file lists."""

    path: Path
    width: int
    height: int


class Object(NamedTuple):
    """One annotation."""

    box: tuple[float, float, float, float]  # x0 y0 x1 y1
    label: int
    crowd: bool
    shape: Polygons | Runs


def identified(record: Any, place: int, kind: str, path: Path, known: Container[int | str]) -> tuple[int | str, str]:
    """The id of a record, and what to call it in a sentence."""
    if not isinstance(record, dict) or type(record.get("id")) not in (int, str):
        raise RecordError(
            f"{kind} without an id", f"{kind} number {place} of {path} is no dictionary with an id: {record!r:.60}"
        )
    name = record["id"]
    if name in known:
        raise RecordError(f"repeated {kind} id", f"{kind} {name!r} of {path} is there twice: ids are unique")
    return name, f"{kind} {name!r} of {path}"


def parse_categories(
    records: list[Any], path: Path, known: tuple[str, ...] | None, skipped: Skipped
) -> tuple[tuple[str, ...], dict[int | str, int]]:
    """The classes, and the label of each category id."""
    names: dict[int | str, str] = {}
    for place, record in enumerate(records):
        with skipped.bad_ones():
            key, what = identified(record, place, "category", path, names)
            name = record.get("name")
            if not isinstance(name, str) or not name or name in names.values():
                raise RecordError(
                    "category without a name of its own", f"{what} has the name {name!r:.60}: wanted one of its own"
                )
            if known is not None and name not in known:
                raise RecordError("unknown class", f"{what} is {name!r}, which is no class of the training set")
            names[key] = name
    if not names:
        raise InputError(f"{path} has no categories")
    ordered = sorted(names, key=lambda key: (isinstance(key, str), key))
    classes = known or tuple(names[key] for key in ordered)
    return classes, {key: classes.index(name) for key, name in names.items()}


def parse_picture(record: dict[str, Any], what: str, folder: Path) -> Picture:
    """The picture of a record; `what` is what to call it in a sentence. Raises RecordError."""
    name, width, height = (record.get(key) for key in ("file_name", "width", "height"))
    if not isinstance(name, str) or not name:
        raise RecordError("picture without a file", f"{what} has the file_name {name!r:.60}: wanted a name")
    if type(width) is not int or type(height) is not int or min(width, height) < 1:
        raise RecordError(
            "empty picture", f"{what} is {width!r:.40} x {height!r:.40} pixels: wanted whole numbers from 1"
        )
    path = folder / name
    if not path.is_file():
        raise RecordError("missing picture", f"{what}: there is no file {path}")
    return Picture(path, width, height)


def looked_up(record: dict[str, Any], key: str, known: Mapping[int | str, T], kind: str, what: str) -> T:
    """What the id under `key` stands for."""
    name = record.get(key)
    if not isinstance(name, int | str) or isinstance(name, bool) or name not in known:
        raise RecordError(f"annotation of an unknown {kind}", f"{what} has the {key} {name!r:.60}, which no {kind} has")
    return known[name]


def parse_object(record: dict[str, Any], what: str, picture: Picture, label: int, masks: bool) -> Object:
    """What an annotation says of its picture, the segmentation only for `masks`. Raises RecordError."""
    numbers = parse_numbers(record.get("bbox"))
    if numbers is None or len(numbers) != 4:
        raise RecordError(
            "damaged box", f"{what} has the box {record.get('bbox')!r:.80}: wanted four finite numbers, x y w h"
        )
    x, y, w, h = box = numbers.tolist()
    if min(w, h) <= 0:
        raise RecordError("box of zero area", f"{what} has a box of zero area: x y w h = {box}")
    width, height = picture.width, picture.height
    over = max(-x, -y, x + w - width, y + h - height) > BORDER
    if over or x >= width or y >= height or min(x + w, y + h) <= 0:
        where = f"outside its picture of {width} x {height}"
        raise RecordError("box outside its picture", f"{what} has a box {where}: x y w h = {box}")
    crowd = record.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise RecordError("damaged iscrowd", f"{what} has iscrowd {crowd!r:.40}: wanted 0 or 1")
    shape = parse_segmentation(record.get("segmentation"), picture.width, picture.height) if masks else []
    if isinstance(shape, str):
        raise RecordError("damaged segmentation", f"{what} has a segmentation that cannot be used: {shape}")
    return Object((max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)), label, bool(crowd), shape)
