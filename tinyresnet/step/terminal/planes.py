"""The plane of a tensor that is in view: its last two axes, at most 8 x 8 cells of them, around a cell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from .figures import fitted

MOST = 8
Index = tuple[int, ...]


class Plane(NamedTuple):
    """Cells in view: which rows and columns of the plane, their numbers as text, and the plane's whole size."""

    rows: range
    columns: range
    texts: list[list[str]]
    size: tuple[int, int]

    @property
    def width(self) -> int:
        """Characters of the widest cell."""
        return max(len(text) for texts in (*self.texts, [str(self.columns[-1])]) for text in texts)


def size_of(shape: Index) -> tuple[int, int]:
    """Rows and columns of a plane; a tensor of one axis or none has one row."""
    return shape[-2] if len(shape) > 1 else 1, shape[-1] if shape else 1


def place_of(at: Index) -> tuple[int, int]:
    """Row and column of a cell in its plane."""
    return at[-2] if len(at) > 1 else 0, at[-1] if at else 0


def cell_at(at: Index, row: int, column: int) -> Index:
    """The cell in the plane of `at` at this row and column."""
    return (*at[:-2], row, column)[max(0, 2 - len(at)) :] if at else ()


def plane_of(array: Array, at: Index, columns: int = MOST) -> Plane:
    """The part of the plane around the cell, of at most so many columns."""
    size, (row, column) = size_of(array.shape), place_of(at)
    rows, shown = _around(row, size[0], MOST), _around(column, size[1], columns)
    sign = array.dtype.kind == "f"
    texts = [[fitted(float(array[cell_at(at, r, c)]), sign=sign) for c in shown] for r in rows]
    return Plane(rows, shown, texts, size)


def _around(i: int, size: int, most: int) -> range:
    start = min(max(0, i - most // 2), max(0, size - most))
    return range(start, min(size, start + most))


def moved(shape: Index, at: Index, rows: int, columns: int) -> Index:
    """The cell so many rows and columns away; it stops at the border."""
    place = zip(place_of(at), size_of(shape), (rows, columns), strict=True)
    row, column = (min(max(0, i + by), size - 1) for i, size, by in place)
    return cell_at(at, row, column)


def turned(shape: Index, at: Index, *, pictures: int = 0, channels: int = 0) -> Index:
    """The same place in another picture (the first axis) or channel (the axes between), round and round."""
    leading = shape[:-2]
    if not leading:
        return at
    first = (at[0] + pictures) % shape[0]
    between = leading[1:]
    if not between:
        return (first, *at[1:])
    flat = int(np.ravel_multi_index(at[1:-2], between)) + channels
    return (first, *map(int, np.unravel_index(flat % int(np.prod(between)), between)), *at[-2:])


def largest(array: Array) -> Index:
    """The cell of the largest magnitude; one that is no number counts as such."""
    magnitude = np.nan_to_num(np.abs(array.astype(np.float64)), nan=np.inf, posinf=np.inf)
    return tuple(map(int, np.unravel_index(int(magnitude.argmax()), array.shape)))
