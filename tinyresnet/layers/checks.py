"""The questions every op asks of what comes in, so that a mistake is named where it is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array, Form

from ..errors import InputError

# complex128 is for derivatives by complex step; see `gradcheck`
DTYPES = tuple(np.dtype(name) for name in ("float32", "float64", "complex128"))


def numbers(op: str, name: str, x: Any) -> None:
    """x must be an array of a supported dtype. Raises InputError."""
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise InputError(f"{op}: {name} is a {type(x).__name__}: an array of float32 or float64 is wanted")
    if x.dtype not in DTYPES:
        raise InputError(f"{op}: {name} has dtype {x.dtype}: float32 or float64 is wanted")


def array(op: str, name: str, x: Any, axes: str) -> None:
    """x must be an array of a supported dtype with as many axes as `axes` names, e.g. "N C H W". Raises InputError."""
    numbers(op, name, x)
    if x.ndim != len(axes.split()):
        raise InputError(f"{op}: {name} has shape {x.shape}: ({axes.replace(' ', ', ')}) is wanted")


def shape(op: str, name: str, x: Array, wanted: tuple[int, ...]) -> None:
    """x must have exactly this shape. Raises InputError."""
    if x.shape != wanted:
        raise InputError(f"{op}: {name} has shape {x.shape}: {wanted} is wanted")


def vector(op: str, name: str, x: Array, length: int, like: Array) -> None:
    """x must be (length,) and of a dtype that goes with `like`'s. Raises InputError."""
    array(op, name, x, "C")
    shape(op, name, x, (length,))
    same_precision(op, name, x, like)


def same_precision(op: str, name: str, x: Array, like: Array | Form) -> None:
    """x and `like` must both be single or both double precision: silent promotion would hide a mistake. Raises InputError."""
    single = np.dtype(np.float32)
    if (x.dtype == single) != (like.dtype == single):
        raise InputError(f"{op}: {name} has dtype {x.dtype}: {like.dtype} is wanted, as of the input")


def upstream(op: str, dy: Any, wanted: tuple[int, ...], like: Array | Form, name: str = "dy") -> None:
    """dy must have the output's shape and precision. Raises InputError."""
    numbers(op, name, dy)
    shape(op, name, dy, wanted)
    same_precision(op, name, dy, like)


def at_least(op: str, name: str, value: Any, least: int) -> None:
    """value, an int or a pair of ints, must be at least `least`. Raises InputError."""
    values = value if isinstance(value, tuple) else (value, value)
    if len(values) != 2 or any(not isinstance(v, int) or v < least for v in values):
        raise InputError(f"{op}: {name} is {value!r}: an int (or a pair of ints) of at least {least} is wanted")
