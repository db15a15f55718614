"""Where a network runs: on the host with NumPy, or on an NVIDIA GPU with CuPy. Its arrays say where; nothing else is switched."""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

import numpy as np

from tinyresnet_kernels import Array, on_host, same_kind

from .errors import InputError, unknown
from .layers import Layer

DEVICES = ("cpu", "cuda")
Model = TypeVar("Model", bound=Layer)


def array_library(device: str) -> Any:
    """The module whose arrays live on "cpu" (NumPy) or "cuda" (CuPy). Raises InputError where it, or a GPU, is missing."""
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    if device == "cpu":
        return np
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        how = "pip install 'tinyresnet[cuda12]' (or cuda13, by the driver)"
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            raise InputError(f"device cuda needs the package cupy, which is not installed: {how}") from error
        raise InputError(
            f"device cuda needs the package cupy, which does not import ({_first_line(error)}): {how}"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy's own kinds, for no driver, one that is too old, and no GPU
        raise InputError(
            f"device cuda: there is no usable NVIDIA GPU and driver here ({_first_line(error)}): see `tinyresnet doctor`"
        ) from error
    if count < 1:
        raise InputError("device cuda: there is a driver, but no GPU here: see `tinyresnet doctor`")
    return cupy


def move(model: Model, device: str) -> Model:
    """The same model, its parameters, gradients and buffers now on "cpu" or "cuda". Make the optimiser after it: its state stays where
    the parameters were. Raises InputError where there is no such device.
    """
    xp = array_library(device)
    layers: list[Layer] = [model, *(layer for _, layer in model.named_layers())]
    for layer in layers:
        for param in layer.params().values():
            param.data, param.grad = _moved(param.data, xp), _moved(param.grad, xp)
        for name in layer.buffers:
            setattr(layer, name, _moved(getattr(layer, name), xp))
    return model


def beside(model: Layer, x: Array) -> Array:
    """x, copied to where the model's parameters are if it is not there already."""
    param = next((param for _, param in model.named_params()), None)
    return x if param is None else same_kind(x, param.data)


def _moved(x: Array, xp: Any) -> Array:
    return on_host(x) if xp is np else xp.asarray(x)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
