"""Data sets in COCO's form: pictures, and JSON files with boxes and segmentations (Lin et al. 2014, "Microsoft COCO").

Read are `annotations/instances_train*.json` with the pictures in `train*/`, `images/train*/` or `images/`, and the same
for `test`, `val` or `valid`; `train/_annotations.coco.json` beside the pictures; or one JSON file, with the pictures in
`images/` beside it, or just beside it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..errors import InputError
from .coco_masks import Polygons, Runs, draw_mask, parse_numbers, parse_segmentation
from .folder import TEST_NAMES
from .scene_files import RecordError, SceneFile, Skipped, file_scene_sets
from .scene_set import IGNORED, SceneSet

BORDER = 1.0  # pixels that a box may reach out of its picture: they are cut off
T = TypeVar("T")
LISTS = ("images", "annotations", "categories")


class Part(NamedTuple):
    """The JSON file of a training or a test set, and the folder of its pictures."""

    path: Path
    folder: Path


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


def find_coco(path: Path) -> list[Part]:
    """The training part, and the test part if there is one; none if `path` is no such data set. Raises InputError."""
    if path.is_file():
        images = path.parent / "images"
        return [Part(path, images if images.is_dir() else path.parent)]
    train, *tests = (_find_part(path, name) for name in ("train", *TEST_NAMES))
    return [train, *[test for test in tests if test][:1]] if train else []


def _find_part(root: Path, name: str) -> Part | None:
    beside = root / name / "_annotations.coco.json"
    if beside.is_file():
        return Part(beside, beside.parent)
    found = sorted(root.glob(f"annotations/instances_{name}*.json"))
    if not found:
        return None
    if len(found) > 1:
        raise InputError(f"{root} has {found[0].name} and {found[1].name}: give the path of one of them")
    split = found[0].stem.removeprefix("instances_")
    folders = [root / split, root / "images" / split, root / "images"]
    for folder in folders:
        if folder.is_dir():
            return Part(found[0], folder)
    raise InputError(f"{found[0]} has no folder of pictures: looked for {', '.join(map(str, folders))}")


def load_coco(
    path: Path, parts: list[Part], *, size: int, seed: int, masks: bool, skip_bad: bool = False, progress: bool = False
) -> tuple[SceneSet, SceneSet]:
    """Training and test set of `parts`, on squares of `size` pixels; classes are the categories in order of their ids.

    Boxes are always read, segmentations only for `masks`. Without a test part, a fifth is the test set, drawn by
    `seed`. All that a JSON file can tell is checked here; a damaged picture raises InputError when it is read. With
    `skip_bad` the pictures are read here too, and bad annotations and pictures are left out and counted.
    """
    skipped = [Skipped(skip_bad) for _ in parts]
    classes, train = _read(parts[0], None, masks, skipped[0])
    test = _read(parts[1], classes, masks, skipped[1])[1] if len(parts) > 1 else None
    if not any(len(file.labels) for file in train):
        raise InputError(f"{parts[0].path} has no annotations" + (" that can be used" if skipped[0].counts else ""))
    return file_scene_sets(
        path.resolve().stem,
        train,
        test,
        classes,
        size=size,
        seed=seed,
        skipped=skipped,
        has_boxes=True,
        has_masks=masks,
        progress=progress,
    )


def _read(
    part: Part, known: tuple[str, ...] | None, masks: bool, skipped: Skipped
) -> tuple[tuple[str, ...], list[SceneFile]]:
    """The classes, `known` ones if given, and all pictures of a part."""
    document = _document(part.path)
    classes, labels = _categories(document["categories"], part.path, known, skipped)
    if masks and len(classes) >= IGNORED:
        raise InputError(f"{part.path} has {len(classes)} categories: masks have room for {IGNORED - 1}")
    pictures: dict[int | str, Picture] = {}
    paths = set()
    for place, record in enumerate(document["images"]):
        with skipped.bad_ones():
            name, what = _identified(record, place, "picture", part.path, pictures)
            picture = _picture(record, what, part.folder)
            if picture.path in paths:
                raise RecordError("repeated picture", f"{what} has the file {picture.path}, as another one before it")
            paths.add(picture.path)
            pictures[name] = picture
    objects: dict[int | str, list[Object]] = {name: [] for name in pictures}
    names: set[int | str] = set()
    for place, record in enumerate(document["annotations"]):
        with skipped.bad_ones():
            name, what = _identified(record, place, "annotation", part.path, names)
            names.add(name)
            where = _looked_up(record, "image_id", pictures, "picture", what)
            label = _looked_up(record, "category_id", labels, "category", what)
            objects[record["image_id"]].append(_object(record, what, where, label, masks))
    return classes, [_scene(picture, objects[name], masks) for name, picture in pictures.items()]


def _document(path: Path) -> dict[str, list[Any]]:
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON file or damaged ({error})") from error
    missing = [key for key in LISTS if not (isinstance(document, dict) and isinstance(document.get(key), list))]
    if missing:
        raise InputError(f"{path} has no list {missing[0]!r}: COCO's form has the lists {', '.join(LISTS)}")
    return {key: document[key] for key in LISTS}


def _identified(record: Any, place: int, kind: str, path: Path, known: Container[int | str]) -> tuple[int | str, str]:
    """The id of a record, and what to call it in a sentence."""
    if not isinstance(record, dict) or type(record.get("id")) not in (int, str):
        raise RecordError(
            f"{kind} without an id", f"{kind} number {place} of {path} is no dictionary with an id: {record!r:.60}"
        )
    name = record["id"]
    if name in known:
        raise RecordError(f"repeated {kind} id", f"{kind} {name!r} of {path} is there twice: ids are unique")
    return name, f"{kind} {name!r} of {path}"


def _categories(
    records: list[Any], path: Path, known: tuple[str, ...] | None, skipped: Skipped
) -> tuple[tuple[str, ...], dict[int | str, int]]:
    """The classes, and the label of each category id."""
    names: dict[int | str, str] = {}
    for place, record in enumerate(records):
        with skipped.bad_ones():
            key, what = _identified(record, place, "category", path, names)
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


def _picture(record: dict[str, Any], what: str, folder: Path) -> Picture:
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


def _looked_up(record: dict[str, Any], key: str, known: Mapping[int | str, T], kind: str, what: str) -> T:
    """What the id under `key` stands for."""
    name = record.get(key)
    if not isinstance(name, int | str) or isinstance(name, bool) or name not in known:
        raise RecordError(f"annotation of an unknown {kind}", f"{what} has the {key} {name!r:.60}, which no {kind} has")
    return known[name]


def _object(record: dict[str, Any], what: str, picture: Picture, label: int, masks: bool) -> Object:
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


def _scene(picture: Picture, objects: list[Object], masks: bool) -> SceneFile:
    """Everything of a picture; its mask has the smaller objects over the larger ones."""
    boxes = np.array([thing.box for thing in objects], np.float64).reshape(-1, 4)
    order = np.argsort(-(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), kind="stable")
    drawn = [(objects[i].label, objects[i].shape) for i in order]
    return SceneFile(
        picture.path,
        (picture.width, picture.height),
        boxes,
        np.array([thing.label for thing in objects], np.int64),
        np.array([thing.crowd for thing in objects], bool),
        partial(draw_mask, drawn) if masks else None,
    )
