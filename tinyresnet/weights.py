"""Weight files: safetensors with what `predict` needs to know in the header. No pickle."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tinyresnet_kernels import Array, on_host

from .errors import InputError
from .files import replacing
from .layers import Layer
from .models import AnyConfig, Model, config_from, make
from .resnet import Config, ResNet, build

RUN_FILES = ("best.safetensors", "last.safetensors")  # in a run's folder, the better one first


@dataclass(frozen=True)
class Header:
    """What a weight file says of itself, beside the arrays. An empty one is a file from elsewhere, e.g. from PyTorch."""

    config: AnyConfig | None = None
    classes: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()  # the normalisation (pixel / 255 - mean) / std, per channel
    std: tuple[float, ...] = ()
    picture_size: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)  # JSON values of the writer's own, e.g. a run's settings

    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and std, None if the file says neither. Raises InputError on numbers that no picture can be normalised by."""
        if not self.mean and not self.std:
            return None
        if not all(map(math.isfinite, self.mean + self.std)) or not all(value > 0 for value in self.std):
            raise InputError(f"the header's normalisation is damaged: mean {self.mean}, std {self.std}")
        return self.mean, self.std


def save(path: str | os.PathLike[str], model: Layer, *, header: Header | None = None) -> None:
    """Write the model's parameters and buffers to `path`, all or nothing. Raises InputError if that fails."""
    write_arrays(path, model.state_dict(), header or Header(getattr(model, "config", None)))


def load(path: str | os.PathLike[str], model: Layer) -> Header:
    """Read parameters and buffers from `path` into the model; returns the file's header.

    `linear.*` serves for `fc.*`, and a leading `module.` is dropped. Raises InputError if the file cannot be read or does not fit.
    """
    arrays, header = read_arrays(path)
    try:
        model.load_state_dict(rename(arrays))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return header


def load_model(path: str | os.PathLike[str], name: str | None = None) -> tuple[ResNet, Header]:
    """The classifier that a weight file holds. `name` is needed only for a file from elsewhere: sizes are then read off its arrays."""
    arrays, header = read_arrays(path)
    arrays = rename(arrays)
    config = header.config
    if config is not None and not isinstance(config, Config):
        raise InputError(f"{path}: the file holds {config.name}: a classifier is wanted")
    if config is None and name is None:
        raise InputError(
            f"{path}: the file does not say which model it holds: give its name, e.g. resnet20 (--model resnet20)"
        )
    guess = _guess(name or str(config and config.name), arrays, path)
    if config is None or (name is not None and name != config.name):
        config = guess
    sizes = ("num_classes", "in_channels")
    if any(getattr(config, size) != getattr(guess, size) for size in sizes) or config.width not in (None, guess.width):
        raise InputError(f"{path}: the header says {config}, the arrays' sizes are those of {guess}")
    model = build(**config.as_dict(), rng=np.random.default_rng(0))
    try:
        model.load_state_dict(arrays)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return model, header


def read_network(weights: str | os.PathLike[str], name: str | None = None) -> tuple[ResNet, Header]:
    """The classifier in a weight file, or in the folder of a run, and the file's header; `name` as for `load_model`. Raises InputError."""
    model, header = read_model(weights, name)
    if not isinstance(model, ResNet):
        raise InputError(f"{weights}: the file holds {model.config.name}: a classifier is wanted")
    return model, header


def read_model(weights: str | os.PathLike[str], name: str | None = None) -> tuple[Model, Header]:
    """The network of any task in a weight file, or in the folder of a run, and the file's header. Raises InputError."""
    path = Path(weights)
    if path.is_dir():
        found = [path / file for file in RUN_FILES if (path / file).is_file()]
        if not found:
            raise InputError(f"{weights} is a folder without {' or '.join(RUN_FILES)}")
        path = found[0]
    arrays, header = read_arrays(path)
    checkpoint = {n.removeprefix("model."): array for n, array in arrays.items() if n.startswith("model.")}
    model: Model
    if header.config is not None and (checkpoint or not isinstance(header.config, Config)):
        try:
            model = make(header.config, np.random.default_rng(0))
            model.load_state_dict(checkpoint or arrays)  # a run's last state holds the optimiser's arrays too
        except ValueError as error:  # InputError, and NumPy's on sizes that no array can have
            raise InputError(f"{path}: {error}") from error
    else:
        model, header = load_model(path, name)
    K = model.config.num_classes
    if header.classes and len(header.classes) != K:
        raise InputError(f"{path}: the header names {len(header.classes)} classes, but the head has {K}")
    return model, header


def rename(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays under this library's names: `module.` is what PyTorch's DataParallel adds, `linear` is the CIFAR repositories' `fc`."""
    names = {name: name.removeprefix("module.") for name in arrays}
    return {
        "fc." + n.removeprefix("linear.") if n.startswith("linear.") else n: arrays[old] for old, n in names.items()
    }


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array], header: Header) -> None:
    """Write named arrays and a header as one safetensors file, all or nothing. Raises InputError."""
    from safetensors.numpy import save as to_bytes

    fetched = {name: np.asarray(on_host(array), order="C") for name, array in arrays.items()}
    about = {
        "model": header.config.as_dict() if header.config else None,
        "classes": header.classes,
        "mean": header.mean,
        "std": header.std,
        "picture_size": header.picture_size,
        "extra": dict(header.extra),
    }
    data = to_bytes(fetched, {"tinyresnet": json.dumps(about)})
    with replacing(path) as beside:
        beside.write_bytes(data)


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Array], Header]:
    """All arrays of a safetensors file and its header. Raises InputError if the file is missing, truncated or not of this format."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (not a dict)
            text = (file.metadata() or {}).get("tinyresnet", "{}")
        return arrays, _header(json.loads(text))
    except (
        SafetensorError,
        OSError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise InputError(f"{path}: not a readable safetensors file: {error}") from error


def _header(about: Mapping[str, Any]) -> Header:
    model = about.get("model")
    return Header(
        config_from(model) if model else None,
        tuple(str(name) for name in about.get("classes", ())),
        tuple(float(v) for v in about.get("mean", ())),
        tuple(float(v) for v in about.get("std", ())),
        int(about.get("picture_size", 0)),
        dict(about.get("extra", {})),
    )


def _guess(name: str, arrays: Mapping[str, Array], path: str | os.PathLike[str]) -> Config:
    """The configuration of a file from elsewhere, from the shapes of its first and last layer."""
    first, last = arrays.get("conv1.weight"), arrays.get("fc.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 2 or not last.size:
        raise InputError(
            f"{path}: no conv1.weight (O, C, KH, KW) and fc.weight (K, C) in the file: these are not a ResNet's weights"
        )
    cifar = "layer4.0.conv1.weight" not in arrays
    projected = cifar and any(".downsample." in array for array in arrays)
    return Config(
        name,
        num_classes=last.shape[0],
        in_channels=first.shape[1],
        width=first.shape[0],
        shortcut="B" if projected else None,
    )
