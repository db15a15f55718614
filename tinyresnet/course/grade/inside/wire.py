"""What goes between the judge and a student's process: frames of plain values and arrays. Both sides use this file.

A frame is the length of a header (4 bytes), the header (JSON), and the bytes of its arrays, one after another. No pickle: whoever
reads a frame runs nothing of what is in it. The judge takes every frame for hostile: sizes are looked at before anything is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

MOST_HEADER = 64 * 1024
MOST_DEPTH = 6
DTYPES = frozenset(("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16"))
Read = Callable[[int], bytes]


class WireError(Exception):
    """What came is no frame; the message says what is wrong with it."""


def pack(header: dict[str, Any], value: object = None) -> bytes:
    """A frame. Raises WireError if its header gets too long."""
    arrays: list[bytes] = []
    text = json.dumps(header | {"value": encode(value, arrays), "nbytes": sum(map(len, arrays))}).encode()
    if len(text) > MOST_HEADER:
        raise WireError("has too many parts")
    return b"".join([len(text).to_bytes(4, "big"), text, *arrays])


def encode(value: object, arrays: list[bytes], depth: int = 0) -> object:
    """A value as JSON; the bytes of its arrays are appended. What is neither plain nor an array is told by its type's name."""
    if depth > MOST_DEPTH:
        return {"other": "something nested too deep"}
    if value is None or type(value) in (bool, float, str):
        return value
    if type(value) is int:
        return value if abs(value) < 2**63 else {"other": "a huge int"}
    if isinstance(value, tuple):
        return {"tuple": [encode(one, arrays, depth + 1) for one in tuple(value)]}
    if type(value) is list:
        return {"list": [encode(one, arrays, depth + 1) for one in value]}
    if type(value) is dict:
        return {"dict": [[str(key), encode(one, arrays, depth + 1)] for key, one in value.items()]}
    if type(value) is np.ndarray or isinstance(value, np.generic):
        array = np.asarray(value)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if array.dtype.str in DTYPES:
            arrays.append(array.tobytes())
            return {"array": array.dtype.str, "shape": list(array.shape)}
        return {"other": f"an array of {array.dtype}"}
    kind = "a subclass of ndarray" if isinstance(value, np.ndarray) else "an object"
    return {"other": f"{kind}, {type(value).__module__}.{type(value).__qualname__}"}


def unpack(read: Read, most_bytes: int) -> tuple[dict[str, Any], Any] | None:
    """The next frame's header and value; None at the end. `read(n)` gives n bytes, fewer only at the end. Raises WireError."""
    start = read(4)
    if not start:
        return None
    length = int.from_bytes(start, "big")
    if len(start) < 4 or not 2 <= length <= MOST_HEADER:
        raise WireError("has a header of an impossible length")
    try:
        header = json.loads(read(length))
    except (ValueError, RecursionError) as error:
        raise WireError("has a header that is no JSON") from error
    nbytes = header.get("nbytes") if isinstance(header, dict) else None
    if type(nbytes) is not int or nbytes < 0:
        raise WireError("does not say its size")
    if nbytes > most_bytes:
        raise WireError(f"is too large: {nbytes:,} bytes, and {most_bytes:,} are allowed")
    data = read(nbytes)
    if len(data) < nbytes:
        raise WireError("ends too early")
    rest = memoryview(data)

    def take(size: int) -> memoryview:
        nonlocal rest
        if size > len(rest):
            raise WireError("has fewer bytes than its arrays need")
        taken, rest = rest[:size], rest[size:]
        return taken

    value = decode(header.get("value"), take)
    if len(rest):
        raise WireError("has more bytes than its arrays need")
    return header, value


class Other(str):
    """The type's name of what was no array and no plain value."""


def decode(node: object, take: Callable[[int], memoryview], depth: int = 0) -> Any:
    """The value of a node; arrays are fresh, contiguous and writable. Raises WireError."""
    if depth > MOST_DEPTH + 1:
        raise WireError("is nested too deep")
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    if isinstance(node, dict) and "array" in node:
        return _array(node.get("array"), node.get("shape"), take)
    if not isinstance(node, dict) or len(node) != 1:
        raise WireError("has a part that is nothing known")
    ((kind, parts),) = node.items()
    if kind == "other" and isinstance(parts, str):
        return Other(parts)
    if kind not in ("tuple", "list", "dict") or not isinstance(parts, list):
        raise WireError("has a part that is nothing known")
    if kind == "dict":
        if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in parts):
            raise WireError("has a part that is nothing known")
        return {key: decode(one, take, depth + 1) for key, one in parts}
    values = [decode(one, take, depth + 1) for one in parts]
    return tuple(values) if kind == "tuple" else values


def _array(dtype: object, shape: object, take: Callable[[int], memoryview]) -> np.ndarray:
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise WireError("has an array of an unknown dtype")
    if not isinstance(shape, list) or len(shape) > 16 or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
        raise WireError("has an array of an impossible shape")
    data = take(math.prod(shape) * np.dtype(dtype).itemsize)
    return np.frombuffer(data, dtype).reshape(shape).copy()
