"""The few calls in a CIFAR pickle, recognised by their names and arguments: what they would make, made here instead.

A NumPy array comes as a blank of the class `ndarray`, which is then filled from (version, shape, dtype, Fortran order,
bytes); under protocol 5 as `_frombuffer(bytes, dtype, shape, order)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = {  # module and name -> what a call of it means here
    "_codecs encode": "encode",  # how Python 3 writes bytes under protocols 0 to 2
    "__builtin__ bytes": "bytes",
    "builtins bytes": "bytes",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "numpy.core.multiarray _reconstruct": "reconstruct",
    "numpy._core.multiarray _reconstruct": "reconstruct",
    "numpy.core.numeric _frombuffer": "frombuffer",  # NumPy under protocol 5
    "numpy._core.numeric _frombuffer": "frombuffer",
}


class RefusedError(Exception):
    """The program asks for something that no CIFAR file needs."""


@dataclass(frozen=True)
class Name:
    """A name of NAMES, by its meaning."""

    meaning: str


class ByteType:
    """NumPy's dtype of unsigned bytes, the only one accepted."""


@dataclass(eq=False)
class Blank:
    """An array: without contents until they are set."""

    contents: NDArray[np.uint8] | None = None


def call(name: object, arguments: object) -> bytes | ByteType | Blank:
    """What calling `name` with `arguments` would make. Raises RefusedError unless it is one of the known calls."""
    match name, arguments:
        case Name("encode"), (str(text), "latin1" | "latin-1"):
            return text.encode("latin-1")
        case Name("bytes"), ():
            return b""
        case Name("dtype"), ("u1" | "|u1" | b"u1" | b"|u1", *_):
            return ByteType()
        case Name("reconstruct"), (Name("ndarray"), (0,), _):
            return Blank()
        case Name("frombuffer"), (bytes(data) | bytearray(data), ByteType(), tuple(shape), "C"):
            return Blank(_array(data, shape))
    raise RefusedError("the instruction REDUCE calls something that is not allowed")


def fill(target: object, state: object) -> None:
    """Set the state of a blank array or a dtype. Raises RefusedError for any other."""
    match target, state:
        case ByteType(), (_, "|" | b"|", None, None, None, *_):
            pass
        case Blank(), (1, tuple(shape), ByteType(), False, bytes(data)):
            target.contents = _array(data, shape)
        case _:
            raise RefusedError("the instruction BUILD sets something that is not allowed")


def _array(data: bytes | bytearray, shape: tuple[Any, ...]) -> NDArray[np.uint8]:
    if not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 4 or math.prod(shape) != len(data):
        raise RefusedError(f"it has an array whose shape does not fit its {len(data)} bytes")
    return np.frombuffer(data, np.uint8).reshape(shape)
