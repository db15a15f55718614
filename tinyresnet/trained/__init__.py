"""A small detector and a small segmenter that come with the library, trained on `shapes` scenes of 96 x 96 pixels.

How they were trained stands in their headers (`made_by`), how good they are in docs/scenes.md. So that both together are small, a matrix is
kept as whole numbers of 8 bits, times a scale for each output channel: `pack`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np

from tinyresnet_kernels import Array

from ..detect import Detector
from ..errors import InputError, unknown
from ..models import make
from ..resnet import Config
from ..segment import Segmenter
from ..weights import Header, read_arrays

TASKS = ("detect", "segment")
SCALE = ".scale"


def built_in(task: str) -> tuple[Detector | Segmenter, Header]:
    """The network for "detect" or "segment", and its header. Raises InputError on another task, and where the data files are missing."""
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    path = Path(str(resources.files(__package__).joinpath(f"{task}.safetensors")))
    if not path.is_file():
        raise InputError(f"{path} is missing: the library was installed without its weights")
    arrays, header = read_arrays(path)
    if header.config is None or isinstance(header.config, Config):
        raise InputError(f"{path}: the file holds no detector and no segmenter")
    model = make(header.config, np.random.default_rng(0))
    model.load_state_dict(unpack(arrays))
    return model, header


def pack(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Float32 arrays of two axes and more as int8, the largest of each first-axis entry as 127, with their scales (O,) beside them."""
    packed: dict[str, Array] = {}
    for name, array in arrays.items():
        packed[name] = array
        if array.ndim > 1 and array.dtype == np.float32:
            scale = np.abs(array).reshape(len(array), -1).max(axis=1) / 127
            scale = np.maximum(scale, np.finfo(np.float32).tiny)
            packed[name] = np.rint(array / _beside(scale, array)).astype(np.int8)
            packed[name + SCALE] = scale
    return packed


def unpack(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """What `pack` was given, each number to within half a step of its scale."""
    return {
        name: array * _beside(arrays[name + SCALE], array) if name + SCALE in arrays else array
        for name, array in arrays.items()
        if not name.endswith(SCALE)
    }


def _beside(scale: Array, array: Array) -> Array:
    """(O,) as (O, 1, 1, 1)."""
    return scale.reshape(-1, *(1,) * (array.ndim - 1))
