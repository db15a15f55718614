"""Scenes for detection and segmentation: `load_scenes(spec)` gives a training and a test set; one file a source."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, unknown
from .coco import find_coco, load_coco
from .mask_folder import find_mask_folders, load_mask_folder
from .scene_set import IGNORED, SceneBatch, SceneSet
from .scene_shapes import load_shape_scenes

__all__ = ["IGNORED", "SCENE_SOURCES", "TASKS", "SceneBatch", "SceneSet", "load_scenes"]

TASKS = {"detect": "a box around every object", "segment": "a class for every pixel"}
SCENE_SOURCES = {
    "shapes": "up to 6 drawn objects of 10 classes, built in, endless and seeded (10,000 + 1,000 by default)",
    "PATH": "a folder in COCO's form or one of its JSON files, or (segment) folders of images and masks",
}
WANTED = "wanted annotations/instances_train*.json (COCO), train/_annotations.coco.json, train/masks or masks"


def load_scenes(
    spec: str,
    *,
    task: str = "detect",
    train_size: int | None = None,
    test_size: int | None = None,
    picture_size: int | None = None,
    seed: int = 0,
    endless: bool = False,
    skip_bad: bool = False,
    progress: bool = False,
) -> tuple[SceneSet, SceneSet]:
    """The training and the test set of `spec`: `shapes`, or the path of a folder or a JSON file, for a task of TASKS.

    The first `train_size` and `test_size` pictures are taken (default: all; of shapes 10,000 and 1,000), on squares of
    `picture_size` (default: shapes 96, files 128); pictures of files are scaled to fit, at the top left. `seed` draws
    shapes, and shuffles and splits files; `endless` makes new shapes for ever. Bad records raise InputError; with
    `skip_bad` they are left out and counted in the sets' `skipped`. Raises InputError.
    """
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    if picture_size is not None and not 16 <= picture_size <= 2048:
        raise InputError(f"scenes are 16 to 2048 pixels wide, got {picture_size}")
    if spec == "shapes":
        sizes = (10_000 if train_size is None else train_size, 1_000 if test_size is None else test_size)
        return load_shape_scenes(*sizes, size=picture_size or 96, seed=seed, endless=endless)
    if endless:
        raise InputError(f"{spec} has an end: only shapes can be endless")
    pair = _load_path(spec, task=task, size=picture_size or 128, seed=seed, skip_bad=skip_bad, progress=progress)
    train, test = (
        data if count is None else data.head(count) for data, count in zip(pair, (train_size, test_size), strict=True)
    )
    return train, test


def _load_path(
    spec: str, *, task: str, size: int, seed: int, skip_bad: bool, progress: bool
) -> tuple[SceneSet, SceneSet]:
    path = Path(spec)
    if not path.exists():
        if len(path.parts) == 1 and not path.suffix:
            raise unknown("set of scenes (or path)", spec, SCENE_SOURCES)
        raise InputError(f"there is no file or folder {spec}")
    if path.is_dir() or path.suffix == ".json":
        if parts := find_coco(path):
            return load_coco(
                path, parts, size=size, seed=seed, masks=task == "segment", skip_bad=skip_bad, progress=progress
            )
        if folders := find_mask_folders(path):
            if task == "detect":
                raise InputError(f"{spec} has masks and no boxes: it is for the task segment")
            return load_mask_folder(path, folders, size=size, seed=seed, skip_bad=skip_bad, progress=progress)
    raise InputError(f"cannot tell what {spec} holds: {WANTED}")
