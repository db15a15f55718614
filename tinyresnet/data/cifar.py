"""CIFAR-10 and CIFAR-100 (fine labels): the official binary or python files, from an archive or a folder.

Binary records: the label, one byte (CIFAR-100: the coarse label, then the fine one), then 3072 bytes of pixels, red,
green and blue planes of 32 rows of 32. Python files: pickled dictionaries with the rows of 3072 bytes under `data`.
Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .archive import MAX_BYTES, read_archive
from .cifar_pickle import read_pickle
from .dataset import Dataset
from .progress import progress_bar

SITE = "https://www.cs.toronto.edu/~kriz/"
PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Layout:
    """The files of one official archive: their names, the most pictures in one, and where the labels are."""

    name: str
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    most: int
    labels: str | None = None  # the key of the labels in a pickle; None for binary files
    class_names: str = ""  # the key of their names
    label_bytes: int = 1  # of a binary record; the last one counts

    @property
    def files(self) -> tuple[str, ...]:
        """All files that must be there."""
        return (*self.train, self.test, self.meta)


BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
LAYOUTS = (
    Layout("cifar10", "cifar-10-batches-bin", tuple(f"{b}.bin" for b in BATCHES), "test_batch.bin",
           "batches.meta.txt", 10_000),
    Layout("cifar100", "cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt", 50_000, label_bytes=2),
    Layout("cifar10", "cifar-10-batches-py", BATCHES, "test_batch", "batches.meta", 10_000, "labels", "label_names"),
    Layout("cifar100", "cifar-100-python", ("train",), "test", "meta", 50_000, "fine_labels", "fine_label_names"),
)  # fmt: skip
ARCHIVES = {  # name -> archive, its MD5 as the site gives it
    "cifar10": ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
    "cifar100": ("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
}
CLASS_COUNT = {"cifar10": 10, "cifar100": 100}
STATISTICS = {  # mean and std per channel of the training pictures in [0, 1]
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def download_cifar(name: str, *, cache: Path | None = None, progress: bool = False) -> tuple[Dataset, Dataset]:
    """Training and test set of "cifar10" or "cifar100", downloaded once into `cache` (default: the user's) and checked.

    Raises InputError if there is no connection or the archive is not the official one.
    """
    import pooch

    archive, md5 = ARCHIVES[name]
    folder = Path(pooch.os_cache("tinyresnet")) if cache is None else cache
    pooch.get_logger().setLevel("WARNING")
    show = progress and not (folder / archive).exists()
    with progress_bar(f"downloading {archive}", 0, show=show, in_bytes=True) as bar:
        downloader = pooch.HTTPDownloader(progressbar=bar)
        try:
            path = Path(pooch.retrieve(SITE + archive, f"md5:{md5}", archive, folder, downloader=downloader))
        except (OSError, ValueError) as error:  # no connection or no room; a wrong checksum
            reason = str(error).split(" (Caused by")[0]
            hint = f"download it by hand and give its path in place of {name!r}"
            raise InputError(f"cannot download {SITE}{archive}: {reason}; {hint}") from error
    return read_cifar(path)


def cifar_folder(path: Path) -> Path | None:
    """`path` or its subfolder with an official name, if it holds CIFAR files; None otherwise."""
    for folder in (path, *(path / layout.folder for layout in LAYOUTS)):
        if any((folder / layout.train[0]).is_file() for layout in LAYOUTS):
            return folder
    return None


def read_cifar(path: Path) -> tuple[Dataset, Dataset]:
    """Training and test set from an archive (.tar, .tar.gz) or a folder in one of the official layouts.

    Files may hold fewer pictures than the official ones, but no incomplete ones. Raises InputError.
    """
    if path.is_dir():
        folder = cifar_folder(path) or path
        names = {file.name for file in folder.iterdir() if file.is_file()}
        layout = _layout(names, path)
        files: Mapping[str, bytes] = {name: _read_file(folder / name) for name in layout.files}
    else:
        files = read_archive(path, {name for layout in LAYOUTS for name in layout.files})
        layout = _layout(set(files), path)
    classes = _class_names(layout, files[layout.meta])
    parts = [_read_part(layout, name, files[name]) for name in layout.train]
    train_x, train_y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    mean, std = STATISTICS[layout.name]
    train = Dataset(layout.name, train_x, train_y, classes, mean, std)
    return train, Dataset(layout.name, *_read_part(layout, layout.test, files[layout.test]), classes, mean, std)


def _layout(names: set[str], path: Path) -> Layout:
    """The layout that the files fit best. Raises InputError if some of its files are missing."""
    layout = min(LAYOUTS, key=lambda layout: len(set(layout.files) - names) / len(layout.files))
    missing = [name for name in layout.files if name not in names]
    if missing:
        raise InputError(f"{path} is no complete CIFAR: of the files of {layout.folder}, missing: {', '.join(missing)}")
    return layout


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES} bytes: it is no CIFAR file")
    return data


def _class_names(layout: Layout, data: bytes) -> tuple[str, ...]:
    count = CLASS_COUNT[layout.name]
    try:
        if layout.labels is None:
            names = [line.strip() for line in data.decode("utf-8").splitlines() if line.strip()]
        else:
            listed = read_pickle(data, layout.meta).get(layout.class_names)
            names = [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in listed or ()]
    except (UnicodeDecodeError, TypeError) as error:
        raise InputError(f"{layout.meta} is damaged: class names must be text") from error
    if len(names) != count:
        raise InputError(f"{layout.meta} has {len(names)} class names, wanted {count}")
    return tuple(names)


def _read_part(layout: Layout, name: str, data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The pictures (n, 3, 32, 32) and labels (n,) of one file."""
    read = _binary if layout.labels is None else _pickled
    x, y = read(layout, name, data)
    if not 1 <= len(x) <= layout.most:
        raise InputError(f"{name} has {len(x)} pictures, wanted 1 to {layout.most}")
    classes = CLASS_COUNT[layout.name]
    if y.min() < 0 or y.max() >= classes:
        raise InputError(f"{name} has labels from {y.min()} to {y.max()}, wanted 0 to {classes - 1}")
    return x.reshape(-1, 3, 32, 32), y


def _binary(layout: Layout, name: str, data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    record = layout.label_bytes + PIXELS
    if len(data) % record:
        raise InputError(f"{name} has {len(data)} bytes, which is no whole number of records of {record}: cut short?")
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    return records[:, layout.label_bytes :], records[:, layout.label_bytes - 1].astype(np.int64)


def _pickled(layout: Layout, name: str, data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    assert layout.labels is not None
    values = read_pickle(data, name)
    x, y = values.get("data"), values.get(layout.labels)
    if not isinstance(x, np.ndarray) or x.shape[1:] != (PIXELS,):
        raise InputError(f"{name} has no array of rows of {PIXELS} bytes under 'data'")
    if not isinstance(y, list) or len(y) != len(x) or not all(type(label) is int for label in y):
        raise InputError(f"{name} has no list of {len(x)} whole numbers under {layout.labels!r}")
    try:
        return x, np.array(y, np.int64)
    except OverflowError as error:
        raise InputError(f"{name} has labels that are too large") from error
