"""The vector primitives in NumPy: what they mean, and what runs where Numba's compiler is switched off."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import host

Vector: TypeAlias = npt.NDArray[Any]


def load(array: Vector, index: int) -> Vector:
    """The vector that starts at array[index]."""
    return load_first(array, index, host.lanes(array.itemsize))


def store(array: Vector, index: int, value: Vector) -> None:
    """array[index], array[index + 1] ... = value."""
    store_first(array, index, value, len(value))


def load_first(array: Vector, index: int, count: int) -> Vector:
    """The first `count` numbers from array[index] on (at most a whole vector), and zeros behind."""
    count = min(count, host.lanes(array.itemsize))
    assert 0 <= index <= array.size - count, "read outside the array"
    value = np.zeros(host.lanes(array.itemsize), array.dtype)
    value[:count] = array[index : index + count]
    return value


def store_first(array: Vector, index: int, value: Vector, count: int) -> None:
    """Write the first `count` numbers of value, at most all."""
    count = min(count, len(value))
    assert 0 <= index <= array.size - count, "write outside the array"
    array[index : index + count] = value[:count]


def spread(array: Vector, index: int) -> Vector:
    """A vector of array[index] alone."""
    assert 0 <= index < array.size, "read outside the array"
    return np.full(host.lanes(array.itemsize), array[index])


def zero(array: Vector) -> Vector:
    """A vector of zeros."""
    return np.zeros(host.lanes(array.itemsize), array.dtype)


def multiply_add(x: Vector, y: Vector, z: Vector) -> Vector:
    """x * y + z (rounded twice here, once in a register)."""
    return x * y + z


def add(x: Vector, y: Vector) -> Vector:
    """x + y."""
    return x + y


def subtract(x: Vector, y: Vector) -> Vector:
    """x - y."""
    return x - y


def multiply(x: Vector, y: Vector) -> Vector:
    """x * y."""
    return x * y


def where_positive(condition: Vector, value: Vector) -> Vector:
    """Value where condition > 0 or is NaN, else 0."""
    return np.where(~(condition <= 0), value, 0)


def store_positive(mask: Vector, index: int, value: Vector) -> None:
    """mask[index], ... = whether value > 0 or is NaN."""
    store_first(mask, index, ~(value <= 0), len(value))


def where_mask(mask: Vector, index: int, value: Vector) -> Vector:
    """Value where mask[index], ... are true, else 0."""
    assert 0 <= index <= mask.size - len(value), "read outside the array"
    return np.where(mask[index : index + len(value)], value, 0)
