"""What an array is here: NumPy's or CuPy's, chosen by its type, in one of two memory layouts."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from . import memory

Array: TypeAlias = npt.NDArray[Any]


class Form(NamedTuple):
    """What an array is like, apart from its values: all that a backward pass must know of an x that it does not keep."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    channels_last: bool


def array_module(x: Array) -> Any:
    """NumPy or CuPy, whichever made `x`. CuPy is only looked up, never imported: an array of its type proves it is there."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and isinstance(x, cupy.ndarray) else np


def on_host(x: Array) -> Array:
    """x as a NumPy array: x itself, or a copy fetched from the device."""
    return x if array_module(x) is np else x.get()  # type: ignore[attr-defined]


def same_kind(x: Array, like: Array) -> Array:
    """x as an array of `like`'s kind: x itself if it is one, else a copy, carried from the host to the device or back."""
    xp = array_module(like)
    return on_host(x) if xp is np else xp.asarray(x)


def fetch(*arrays: Array) -> list[npt.NDArray[np.float64]]:
    """The numbers of all arrays on the host, in float64. From a device they come in one copy: each copy waits for all work before it."""
    xp = array_module(arrays[0])
    if xp is np:
        return [np.asarray(array, np.float64) for array in arrays]
    joined = xp.concatenate([array.astype(np.float64).ravel() for array in arrays]).get()
    ends = np.cumsum([array.size for array in arrays])
    return [part.reshape(a.shape) for part, a in zip(np.split(joined, ends[:-1]), arrays, strict=True)]


def is_channels_last(x: Array) -> bool:
    """Whether the memory of x (N, C, H, W) runs N, H, W, C and not also N, C, H, W (as it does where C or H*W is 1)."""
    return x.ndim == 4 and not x.flags.c_contiguous and bool(x.transpose(0, 2, 3, 1).flags.c_contiguous)


def form(x: Array) -> Form:
    """The form of x."""
    return Form(x.shape, x.dtype, is_channels_last(x))


def empty_memory(
    shape: tuple[int, ...], like: Array, *, channels_last: bool, dtype: npt.DTypeLike | None = None
) -> Array:
    """An array of this shape (N, C, H, W) and of `like`'s kind and dtype (if no other is given), not filled, in the layout asked for."""
    empty = memory.pool.empty if array_module(like) is np else array_module(like).empty
    dtype = like.dtype if dtype is None else dtype
    if not channels_last:
        return empty(shape, dtype)
    N, C, H, W = shape
    return empty((N, H, W, C), dtype).transpose(0, 3, 1, 2)


def empty_like(x: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """An array like x in shape, kind, memory layout (channels-last or C-contiguous) and dtype (if no other is given), not filled."""
    return empty_memory(x.shape, x, channels_last=is_channels_last(x), dtype=dtype)


def like_memory(y: Array, x: Array | Form) -> Array:
    """y with the same values, in x's memory layout: channels-last if x (N, C, H, W) is, else C-contiguous."""
    channels_last = x.channels_last if isinstance(x, Form) else is_channels_last(x)
    if y.ndim != 4 or not channels_last:
        return array_module(y).asarray(y, order="C")  # type: ignore[no-any-return]
    if is_channels_last(y):
        return y
    moved = empty_memory(y.shape, y, channels_last=True)
    moved[...] = y
    return moved
