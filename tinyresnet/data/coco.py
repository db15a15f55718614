"""Data sets in COCO's form: pictures, and JSON files with boxes and segmentations (Lin et al. 2014, "Microsoft COCO").

Read are `annotations/instances_train*.json` with the pictures in `train*/`, `images/train*/` or `images/`, and the same
for `test`, `val` or `valid`; `train/_annotations.coco.json` beside the pictures; or one JSON file, with the pictures in
`images/` beside it, or just beside it.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from .coco_masks import draw_mask
from .coco_records import Object, Picture, identified, looked_up, parse_categories, parse_object, parse_picture
from .folder import TEST_NAMES
from .scene_files import RecordError, SceneFile, Skipped, file_scene_sets
from .scene_set import IGNORED, SceneSet

LISTS = ("images", "annotations", "categories")


class Part(NamedTuple):
    """The JSON file of a training or a test set, and the folder of its pictures."""

    path: Path
    folder: Path


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
    classes, labels = parse_categories(document["categories"], part.path, known, skipped)
    if masks and len(classes) >= IGNORED:
        raise InputError(f"{part.path} has {len(classes)} categories: masks have room for {IGNORED - 1}")
    pictures: dict[int | str, Picture] = {}
    paths = set()
    for place, record in enumerate(document["images"]):
        with skipped.bad_ones():
            name, what = identified(record, place, "picture", part.path, pictures)
            picture = parse_picture(record, what, part.folder)
            if picture.path in paths:
                raise RecordError("repeated picture", f"{what} has the file {picture.path}, as another one before it")
            paths.add(picture.path)
            pictures[name] = picture
    objects: dict[int | str, list[Object]] = {name: [] for name in pictures}
    names: set[int | str] = set()
    for place, record in enumerate(document["annotations"]):
        with skipped.bad_ones():
            name, what = identified(record, place, "annotation", part.path, names)
            names.add(name)
            where = looked_up(record, "image_id", pictures, "picture", what)
            label = looked_up(record, "category_id", labels, "category", what)
            objects[record["image_id"]].append(parse_object(record, what, where, label, masks))
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
