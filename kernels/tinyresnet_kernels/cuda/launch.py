"""How a launcher gets its kernels: CuPy's RawModule for CuPy's arrays, the host runtime's for NumPy's. By array type, as everywhere."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Array, array_module, empty_memory
from . import source

THREADS = 256  # of a block, where nothing else is said
MOST_NUMBERS = (1 << 31) - (1 << 22)  # of an array: an index of 32 bits may go one stride of a grid past the end


def kernel(file: str, name: str, like: Array, *, dtype: npt.DTypeLike | None = None) -> Callable[..., None]:
    """The kernel `name` of `file`.cu for `like`'s dtype (or the one given), where `like` is.

    Called as CuPy's: (grid, block, arguments, shared_mem=0).
    """
    on_host = array_module(like) is np
    return _module(file, np.dtype(like.dtype if dtype is None else dtype), on_host).get_function(name)  # type: ignore[no-any-return]


@functools.cache
def _module(file: str, dtype: np.dtype[Any], on_host: bool) -> Any:
    """The compiled file, once in a process; both kinds keep what they compiled on disk."""
    text, options = source.text(file), source.options(dtype)
    if on_host:
        from ..host import RawModule

        return RawModule(code=text, options=options)
    import cupy

    return cupy.RawModule(code=text, options=options)


def empty(shape: tuple[int, ...], like: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """A C-contiguous array of `like`'s kind and dtype (or the one given), not filled: for results and workspaces."""
    return empty_memory(shape, like, channels_last=False, dtype=dtype)


def blocks(items: int, each: int = THREADS, most: int = 4096) -> tuple[int]:
    """A grid for this many items, one a thread; kernels go on in strides of the grid where there are more than `most` blocks."""
    return (max(1, min(-(-items // each), most)),)


def supported(*arrays: object) -> bool:
    """Whether the kernels take these arguments' arrays: all float32 or all float64, not empty, and offsets fit into 32 bits."""
    found = [a for a in arrays if hasattr(a, "dtype") and hasattr(a, "strides")]
    first: Any = found[0]
    return first.dtype in (np.float32, np.float64) and all(
        a.dtype == first.dtype and 0 < a.size <= MOST_NUMBERS  # type: ignore[attr-defined]
        for a in found
    )


def flat(x: Array) -> Array:
    """The numbers of x in the order of its memory, C-contiguous or channels-last, as one array (a view); else of a copy in C order.

    It starts at a multiple of 16 bytes, so that kernels may load vectors: what does not is copied.
    """
    xp: Any = array_module(x)
    if x.ndim == 4 and not x.flags.c_contiguous:
        x = x.transpose(0, 2, 3, 1) if x.transpose(0, 2, 3, 1).flags.c_contiguous else x
    x = xp.ascontiguousarray(x).reshape(-1)
    memory: Any = x.data
    address = x.ctypes.data if xp is np else memory.ptr
    return x.copy() if address % 16 else x


def channels_last(x: Array) -> Array:
    """The numbers of x (N, C, H, W) in the order N, H, W, C, as one array: a view where its memory runs so."""
    return flat(array_module(x).ascontiguousarray(x.transpose(0, 2, 3, 1)))
