"""Folders of pictures: `train/CLASS/*.jpg` and `test/CLASS/*.jpg` (or `val`, `valid`), or `CLASS/*.jpg` alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dataset import Dataset, Pictures, Remembered, measure
from .picture import SUFFIXES, read_picture
from .progress import progress_bar

KEPT_BYTES = 1 << 30  # pictures are kept in memory if all of them together need less
MEASURED = 2000  # pictures that mean and std are measured on
TEST_NAMES = ("test", "val", "valid")
WANTED = "wanted train/CLASS/*.jpg and test/CLASS/*.jpg (or val, valid), or CLASS/*.jpg (or png, bmp, gif, webp)"


class PictureFiles:
    """Pictures decoded on access, RGB, resized to `size`."""

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        self.paths = paths
        self.shape = (len(paths), 3, size, size)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        size = self.shape[2]
        pictures = [read_picture(self.paths[i], size) for i in indices]
        return np.stack(pictures) if pictures else np.empty((0, *self.shape[1:]), np.uint8)


def load_folder(path: Path, *, size: int, seed: int, progress: bool = False) -> tuple[Dataset, Dataset]:
    """Training and test set of the pictures under `path`, resized to `size`; classes are sorted by name.

    Without a test folder, a fifth of each class, drawn by `seed`, is the test set. Both sets are shuffled by `seed`, so
    that their first pictures are a fair sample; mean and std are those of the first 2,000 training pictures.
    Raises InputError for a folder in another layout; a damaged picture raises it when it is read.
    """
    rng = np.random.default_rng(seed)
    try:
        root = path / "train" if (path / "train").is_dir() else path
        files = _by_class(root)
        tests = [path / name for name in TEST_NAMES if root != path and (path / name).is_dir()]
        test_files = _by_class(tests[0]) if tests else None
    except OSError as error:
        raise InputError(f"cannot read the folder {path}: {error.strerror or error}") from error
    if not files or test_files == {}:
        raise InputError(f"{tests[0] if files else path} holds no folders with pictures: {WANTED}")
    classes = tuple(files)
    if test_files is None:
        files, test_files = _split(files, rng)
    elif strangers := sorted(test_files.keys() - files.keys()):
        raise InputError(f"{tests[0]} has the class {strangers[0]!r}, which is not in {root}")

    (train_paths, train_y), (test_paths, test_y) = (_shuffled(part, classes, rng) for part in (files, test_files))
    keep = (len(train_paths) + len(test_paths)) * 3 * size * size < KEPT_BYTES
    train_x: Pictures = PictureFiles(train_paths, size)
    test_x: Pictures = PictureFiles(test_paths, size)
    if keep:
        train_x, test_x = Remembered(train_x), Remembered(test_x)
    with progress_bar("reading pictures", min(MEASURED, len(train_x)), show=progress) as bar:
        mean, std = measure(train_x, MEASURED, bar.update)
    name = path.resolve().name
    return Dataset(name, train_x, train_y, classes, mean, std), Dataset(name, test_x, test_y, classes, mean, std)


def _by_class(root: Path) -> dict[str, list[Path]]:
    """The picture files in each folder of `root`, sorted; folders without any are left out."""
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    found = {folder.name: sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES) for folder in folders}
    return {name: files for name, files in found.items() if files}


def _split(
    files: dict[str, list[Path]], rng: np.random.Generator
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Four fifths and one fifth of each class."""
    train, test = {}, {}
    for name, paths in files.items():
        if len(paths) < 2:
            raise InputError(f"the class {name!r} has 1 picture: too few to split into training and test")
        order = rng.permutation(len(paths))
        count = max(1, round(0.2 * len(paths)))
        test[name], train[name] = ([paths[i] for i in part] for part in (order[:count], order[count:]))
    return train, test


def _shuffled(
    files: dict[str, list[Path]], classes: tuple[str, ...], rng: np.random.Generator
) -> tuple[list[Path], NDArray[np.int64]]:
    """All paths in random order, and their labels."""
    paths = [path for name in classes for path in files.get(name, ())]
    y = np.repeat(np.arange(len(classes)), [len(files.get(name, ())) for name in classes])
    order = rng.permutation(len(paths))
    return [paths[i] for i in order], y[order]
