"""NPZ files with the arrays `x_train`, `y_train`, `x_test`, `y_test`, and optionally `classes`."""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ..errors import InputError
from .dataset import Dataset, measure

MAX_BYTES = 8 << 30  # of all arrays, decompressed, as the file declares them
MAX_CLASSES = 65_536


def load_npz(path: Path) -> tuple[Dataset, Dataset]:
    """Training and test set from `path`.

    x is uint8 in 0..255 or floating-point in [0, 1]: (N, C, H, W), (N, H, W, C) or (N, H, W) for one channel. The axis
    of the channels is the one of size 1 or 3; where both could be, it is the first: NCHW. y holds whole numbers from 0.
    `classes` are names, by default "0", "1", ... Mean and std are measured on the training pictures.
    Raises InputError for anything else, and for arrays of more than 8 GiB in all; no pickle is ever read.
    """
    arrays = _read(path)
    missing = [key for key in ("x_train", "y_train", "x_test", "y_test") if key not in arrays]
    if missing:
        raise InputError(f"{path} has no array {missing[0]!r}; it has {', '.join(arrays) or 'none'}")
    train_x, test_x = (_pictures(arrays[key], f"{key} of {path}") for key in ("x_train", "x_test"))
    if train_x.shape[1:] != test_x.shape[1:]:
        raise InputError(f"{path} has training pictures {train_x.shape[1:]} but test pictures {test_x.shape[1:]}")
    train_y = _labels(arrays["y_train"], len(train_x), f"y_train of {path}")
    test_y = _labels(arrays["y_test"], len(test_x), f"y_test of {path}")
    highest = int(max(train_y.max(), test_y.max()))
    if "classes" in arrays:
        classes = tuple(str(name) for name in arrays["classes"].ravel())
    else:
        classes = tuple(str(label) for label in range(highest + 1))
    if highest >= len(classes):
        raise InputError(f"{path} has the label {highest}, but only {len(classes)} classes")
    mean, std = measure(train_x)
    return (
        Dataset(path.stem, train_x, train_y, classes, mean, std),
        Dataset(path.stem, test_x, test_y, classes, mean, std),
    )


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays we know, after comparing what the file declares with what it may hold."""
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers that Python 2 wrote
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            known = [key for key in ("x_train", "y_train", "x_test", "y_test", "classes") if key in members]
            total = sum(members[key].file_size for key in known)
            if total > MAX_BYTES:
                raise InputError(f"{path} declares {total:,} bytes of arrays, at most {MAX_BYTES:,} are read")
            for key in known:
                _check_header(archive, members[key], f"{key} of {path}")
                with archive.open(members[key]) as file:
                    arrays[key] = np.asarray(npy.read_array(file, allow_pickle=False))
    except InputError:
        raise
    except Exception as error:  # on damaged files zlib and NumPy's header parser raise whatever they trip over
        raise InputError(f"cannot read {path}: it is no NPZ file or damaged ({error})") from error
    return arrays


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, what: str) -> None:
    """Refuse an array whose header wants other memory than the file has bytes for, before that is set aside."""
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read_header(file)
        if dtype.kind not in "iufbU" or dtype.hasobject:
            raise InputError(f"{what} has dtype {dtype}: wanted numbers (or text for classes)")
        if math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
            raise InputError(f"{what} declares the shape {shape}, which does not fit its {member.file_size} bytes")


def _pictures(x: NDArray[Any], what: str) -> NDArray[np.uint8]:
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or x.size == 0:
        raise InputError(f"{what} has shape {x.shape}: wanted (N, C, H, W), (N, H, W, C) or (N, H, W), none of them 0")
    if x.shape[1] not in (1, 3):
        if x.shape[3] not in (1, 3):
            raise InputError(f"{what} has shape {x.shape}: wanted 1 or 3 channels on the second or the last axis")
        x = x.transpose(0, 3, 1, 2)
    if x.dtype.kind == "f":
        if not (x.min() >= 0 and x.max() <= 1):  # so that NaN fails too
            raise InputError(f"{what} has values from {x.min():g} to {x.max():g}: floating-point pixels go from 0 to 1")
        x = np.rint(x * 255).astype(np.uint8)
    if x.dtype != np.uint8:
        raise InputError(f"{what} has dtype {x.dtype}: wanted uint8, or floating-point in [0, 1]")
    return np.ascontiguousarray(x)


def _labels(y: NDArray[Any], count: int, what: str) -> NDArray[np.int64]:
    if y.shape not in ((count,), (count, 1)):
        raise InputError(f"{what} has shape {y.shape}: wanted ({count},), one label a picture")
    if y.dtype.kind not in "iu":
        raise InputError(f"{what} has dtype {y.dtype}: labels are whole numbers")
    if y.min() < 0 or y.max() >= MAX_CLASSES:
        raise InputError(f"{what} has labels from {y.min()} to {y.max()}: wanted 0 to {MAX_CLASSES - 1} at most")
    return y.ravel().astype(np.int64)
