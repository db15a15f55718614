"""Data sets: `load(spec)` and `load_scenes(spec)` give a training and a test set; one file a source, and batches."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from ..errors import InputError, unknown
from .augment import Augment
from .batches import Batch, eval_batches, normalize, prefetch, steps_per_epoch, train_batches
from .cifar import STATISTICS, cifar_folder, download_cifar, read_cifar
from .dataset import Dataset, Pictures
from .digits import load_digits
from .folder import load_folder
from .npz import load_npz
from .picture import read_picture
from .resize import resize
from .scene_augment import SceneAugment
from .scene_batches import SceneTargets, scene_batches, scene_eval_batches
from .scenes import IGNORED, SCENE_SOURCES, TASKS, SceneBatch, SceneSet, load_scenes
from .shapes import load_shapes
from .sheet import contact_sheet

__all__ = [
    "IGNORED",
    "NORMALIZE",
    "SCENE_SOURCES",
    "SOURCES",
    "TASKS",
    "Augment",
    "Batch",
    "Dataset",
    "Pictures",
    "SceneAugment",
    "SceneBatch",
    "SceneSet",
    "SceneTargets",
    "contact_sheet",
    "eval_batches",
    "load",
    "load_scenes",
    "normalize",
    "prefetch",
    "read_picture",
    "scene_batches",
    "scene_eval_batches",
    "steps_per_epoch",
    "train_batches",
]

SOURCES = {
    "shapes": "10 classes of drawn objects in colour, built in, endless and seeded (10,000 + 2,000 by default)",
    "digits": "10 handwritten digits, 8 x 8 grey, 1,437 + 360 pictures (needs scikit-learn)",
    "cifar10": "10 classes of photographs, 32 x 32 colour, 50,000 + 10,000 (downloads 162 MB once)",
    "cifar100": "100 classes of photographs, 32 x 32 colour, 50,000 + 10,000 (downloads 161 MB once)",
    "PATH": "an NPZ file, a folder of pictures, or CIFAR's archive or folder (binary or python)",
}
NORMALIZE: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {  # mean and std; a single one serves all channels
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    **STATISTICS,
    "half": ((0.5,), (0.5,)),
    "none": ((0.0,), (1.0,)),
}


def load(
    spec: str,
    *,
    train_size: int | None = None,
    test_size: int | None = None,
    picture_size: int | None = None,
    seed: int = 0,
    endless: bool = False,
    cache: Path | None = None,
    progress: bool = False,
) -> tuple[Dataset, Dataset]:
    """The training and the test set of `spec`: a name of SOURCES, or the path of an NPZ file, a folder or an archive.

    The first `train_size` and `test_size` pictures are taken (default: all; shapes has any number), resized to
    `picture_size` (default: as they are; shapes and folders 32). `seed` draws shapes and splits folders; `endless`
    makes new shapes for ever; `cache` is where downloads are kept. Raises InputError.
    """
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    if picture_size is not None and not 1 <= picture_size <= 4096:
        raise InputError(f"picture size must be 1 to 4096, got {picture_size}")
    if spec == "shapes":
        sizes = (10_000 if train_size is None else train_size, 2_000 if test_size is None else test_size)
        return load_shapes(*sizes, size=picture_size or 32, seed=seed, endless=endless)
    if endless:
        raise InputError(f"{spec} has an end: only shapes can be endless")
    if spec == "digits":
        pair = load_digits()
    elif spec in STATISTICS:
        pair = download_cifar(spec, cache=cache, progress=progress)
    else:
        pair = _load_path(spec, picture_size=picture_size, seed=seed, progress=progress)
    train, test = (
        data if count is None else data.head(count) for data, count in zip(pair, (train_size, test_size), strict=True)
    )
    return _resized(train, picture_size), _resized(test, picture_size)


def _load_path(spec: str, *, picture_size: int | None, seed: int, progress: bool) -> tuple[Dataset, Dataset]:
    path = Path(spec)
    if path.is_dir():
        if cifar_folder(path):
            return read_cifar(path)
        return load_folder(path, size=picture_size or 32, seed=seed, progress=progress)
    if not path.exists():
        if len(path.parts) == 1 and not path.suffix:
            raise unknown("data set (or path)", spec, SOURCES)
        raise InputError(f"there is no file or folder {spec}")
    if path.suffix == ".npz":
        return load_npz(path)
    if path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return read_cifar(path)
    raise InputError(f"cannot tell what {spec} holds: wanted .npz, .tar.gz, .tgz, .tar or a folder")


def _resized(data: Dataset, size: int | None) -> Dataset:
    if size is None or data.x.shape[2:] == (size, size):
        return data
    return dataclasses.replace(data, x=resize(data.x[np.arange(len(data))], size))
