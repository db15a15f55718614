"""Arrays on the way to a GPU and back, in any memory layout: as CuPy's or its stand-in's, with the strides that they had."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet import Array
from tinyresnet_kernels import is_channels_last


def carried(value: Any, xp: Any) -> Any:
    """The value with every NumPy array in it, in (named) tuples too, on the device: same shape, strides and alignment."""
    if isinstance(value, tuple):
        parts = [carried(part, xp) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return _carried(value, xp) if isinstance(value, np.ndarray) else value


def _carried(array: Array, xp: Any) -> Any:
    """All of the memory that the array looks at goes there, then a view of it is made."""
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    if not array.size or not (owner.flags.c_contiguous or owner.flags.f_contiguous) or owner.dtype != array.dtype:
        return xp.asarray(array)
    memory = xp.asarray(owner.ravel("K"))
    first = (array.ctypes.data - owner.ctypes.data) // array.itemsize
    return xp.lib.stride_tricks.as_strided(memory[first:], array.shape, array.strides)


def fetched(value: Any) -> Any:
    """The other way: C-contiguous and channels-last arrays keep their layout, others come as Fortran's."""
    if isinstance(value, tuple):
        return tuple(fetched(part) for part in value)
    if not hasattr(value, "get") or isinstance(value, dict):
        return value
    if is_channels_last(value):
        return value.transpose(0, 2, 3, 1).get().transpose(0, 3, 1, 2)
    return value.get() if value.flags.c_contiguous else np.asfortranarray(value.get())
