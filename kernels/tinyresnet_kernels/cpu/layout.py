"""Arrays as kernels take them: channels-last, as one row of numbers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from ..arrays import Array, empty_memory


def flat(x: Array) -> Array:
    """The memory of a channels-last array as one row; never marked read-only, for that is another type to Numba, to be compiled again."""
    row = x.transpose(0, 2, 3, 1).reshape(-1)
    if row.flags.writeable:
        return row
    same = {**row.__array_interface__, "data": (row.ctypes.data, False)}
    return np.asarray(SimpleNamespace(__array_interface__=same, keeps=row))


def contiguous(array: Array) -> Array:
    """An array's numbers as one row in the order of its shape; never marked read-only."""
    row = np.ascontiguousarray(array).reshape(-1)
    return row if row.flags.writeable else row.copy()


def channels_last(x: Array) -> Array:
    """x (N, C, H, W) in channels-last memory: itself if it is so already."""
    if x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return x
    moved = empty_memory(x.shape, x, channels_last=True)
    moved[...] = x
    return moved
