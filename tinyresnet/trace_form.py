"""A trace as JSON and back; the form is versioned and described in docs/stepper.md."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from .errors import InputError
from .trace import Source, Step, Trace

FORMAT, VERSION = "tinyresnet-trace", 1


def as_dict(trace: Trace, pack: Callable[[Array], dict[str, Any]] = lambda array: packed(array)) -> dict[str, Any]:
    """The JSON form: tensors once each, little-endian and base64 (or as `pack` has them); steps that name them by number."""
    tensors: list[Array] = []
    number: dict[int, int] = {}
    steps = []
    for step in trace:
        for array in step.tensors.values():
            if id(array) not in number:
                number[id(array)] = len(tensors)
                tensors.append(array)
        steps.append(
            {
                "index": step.index,
                "path": step.path,
                "kind": step.kind,
                "direction": step.direction,
                "train": step.train,
                "settings": step.settings,
                "tensors": {name: number[id(array)] for name, array in step.tensors.items()},
                "given": list(step.given),
                "made": list(step.made),
                "params": list(step.params),
                "sources": {name: list(source) for name, source in step.sources.items()},
                "forward": step.forward,
            }
        )
    return {"format": FORMAT, "version": VERSION, "steps": steps, "tensors": [pack(array) for array in tensors]}


def from_dict(form: Mapping[str, Any]) -> Trace:
    """The trace of a JSON form. Raises InputError if it is of another format or version."""
    if form.get("format") != FORMAT or form.get("version") != VERSION:
        raise InputError(
            f"this is {form.get('format')!r} version {form.get('version')!r}: {FORMAT} {VERSION} is wanted"
        )
    tensors = [_unpacked(packed) for packed in form["tensors"]]
    return Trace([_step(step, tensors) for step in form["steps"]])


def _step(form: Mapping[str, Any], tensors: list[Array]) -> Step:
    own = {
        "tensors": {name: tensors[number] for name, number in form["tensors"].items()},
        "given": tuple(form["given"]),
        "made": tuple(form["made"]),
        "params": tuple(form["params"]),
        "sources": {name: Source(*source) for name, source in form["sources"].items()},
    }
    return Step(**{**form, **own})


def packed(array: Array) -> dict[str, Any]:
    """One tensor: shape, dtype, and its little-endian bytes in base64."""
    little = array.astype(array.dtype.newbyteorder("<"))
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"shape": list(array.shape), "dtype": array.dtype.name, "data": data}


def _unpacked(packed: Mapping[str, Any]) -> Array:
    dtype = np.dtype(packed["dtype"])
    flat = np.frombuffer(base64.b64decode(packed["data"]), dtype.newbyteorder("<"))
    return flat.reshape(packed["shape"]).astype(dtype)
