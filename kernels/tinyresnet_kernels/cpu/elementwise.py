"""What is done number by number, in one pass over memory each: ReLU both ways, the sum of two arrays, and a change of memory layout."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, empty_like, is_channels_last
from ..dispatch import replaces
from .compiling import kernel
from .host import lanes
from .layout import channels_last
from .rows import share_numbers
from .vector import load, store, store_positive, where_mask, where_positive

LANES4, LANES8 = lanes(4), lanes(8)


@kernel
def rectify_numbers(x, y, mask, first, last):
    """mask = not x <= 0, y = x where it is so and else 0, for the numbers first..last-1. A NaN is not <= 0, and passes."""
    L = LANES4 if x.itemsize == 4 else LANES8
    whole = last - (last - first) % L
    for i in range(first, whole, L):
        v = load(x, i)
        store_positive(mask, i, v)
        store(y, i, where_positive(v, v))
    nothing = x.dtype.type(0)
    for i in range(whole, last):
        passes = not x[i] <= 0
        mask[i] = passes
        y[i] = x[i] if passes else nothing


@kernel
def gate_numbers(dy, mask, dx, first, last):
    """dx = dy where the mask is true, else 0, for the numbers first..last-1."""
    L = LANES4 if dy.itemsize == 4 else LANES8
    whole = last - (last - first) % L
    for i in range(first, whole, L):
        store(dx, i, where_mask(mask, i, load(dy, i)))
    nothing = dy.dtype.type(0)
    for i in range(whole, last):
        dx[i] = dy[i] if mask[i] else nothing


def in_a_row(x: Array) -> Array:
    """The memory of a C-contiguous or channels-last array as one row."""
    return x.transpose(0, 2, 3, 1).reshape(-1) if is_channels_last(x) else x.reshape(-1)


def supported(x: Array, mask: Array | None = None) -> bool:
    """Whether the kernels take these arrays: float32 or float64, of one shape, not empty, without gaps and in the same order."""
    if x.dtype not in (np.float32, np.float64) or x.size == 0 or not (is_channels_last(x) or x.flags.c_contiguous):
        return False
    return mask is None or (
        mask.dtype == np.bool_
        and mask.shape == x.shape
        and is_channels_last(mask) == is_channels_last(x)
        and (is_channels_last(x) or mask.flags.c_contiguous)
    )


@replaces("cpu", when=supported)
def rectify(x: Array) -> tuple[Array, Array]:
    """As the readable form: y and the mask, of any shape."""
    y, mask = empty_like(x), empty_like(x, np.bool_)
    numbers, out, passed = in_a_row(x), in_a_row(y), in_a_row(mask)
    share_numbers(lambda first, last: rectify_numbers(numbers, out, passed, first, last), x.size, 2 * x.nbytes)
    return y, mask


@replaces("cpu", when=supported)
def gate(dy: Array, mask: Array) -> Array:
    """As the readable form: dx of any shape."""
    dx = empty_like(dy)
    numbers, passed, out = in_a_row(dy), in_a_row(mask), in_a_row(dx)
    share_numbers(lambda first, last: gate_numbers(numbers, passed, out, first, last), dy.size, 2 * dy.nbytes)
    return dx


@replaces("cpu", when=lambda a, b: a.shape == b.shape and a.dtype == b.dtype)
def total(a: Array, b: Array) -> Array:
    """As the readable form: a + b of any shape. NumPy's loop is as fast as memory; what it lacked is memory that was used before."""
    return np.add(a, b, out=empty_like(a))


@replaces("cpu", when=lambda x: x.dtype in (np.float32, np.float64) and x.ndim == 4 and x.size > 0)
def preferred_memory(x: Array) -> Array:
    """x (N, C, H, W) in channels-last memory."""
    return channels_last(x)
