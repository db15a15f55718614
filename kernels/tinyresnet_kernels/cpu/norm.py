"""Batch norm in four passes over memory, for channels-last arrays: each reads its inputs once, and writes its output once.

Sums are made piece by piece and put together in float64 in the order of the pieces: the same bits for any number of threads.
Statistics never come from squares of the numbers themselves: a piece's squares are of distances from its own mean.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array, empty_memory, like_memory
from ..dispatch import replaces
from .compiling import kernel
from .host import lanes
from .layout import flat
from .rows import is_flat, rows_of, share
from .vector import add, load, multiply, multiply_add, spread, store, subtract, zero

LANES4, LANES8 = lanes(4), lanes(8)


@kernel
def piece_moments(x, length, whole, piece, means, offsets, squares, first, last):
    """Mean, and sums of distances and squared distances from it, for every place of a row, over the rows of the pieces first..last-1.

    The distances sum to zero but for rounding in the mean, which they tell.
    """
    L = LANES4 if x.itemsize == 4 else LANES8
    part_of_one = np.empty(1, x.dtype)
    for part in range(first, last):
        start, stop = part * piece * length, min((part + 1) * piece, whole) * length
        part_of_one[0] = 1 / ((stop - start) // length)
        one = spread(part_of_one, 0)
        for c in range(0, length, 2 * L):
            s, t = zero(x), zero(x)
            for i in range(start + c, stop, length):
                s = add(s, load(x, i))
                t = add(t, load(x, i + L))
            mean_s, mean_t = multiply(s, one), multiply(t, one)
            s, t, squares_s, squares_t = zero(x), zero(x), zero(x), zero(x)
            for i in range(start + c, stop, length):
                d = subtract(load(x, i), mean_s)
                e = subtract(load(x, i + L), mean_t)
                s, squares_s = add(s, d), multiply_add(d, d, squares_s)
                t, squares_t = add(t, e), multiply_add(e, e, squares_t)
            o = part * length + c
            store(means, o, mean_s)
            store(means, o + L, mean_t)
            store(offsets, o, s)
            store(offsets, o + L, t)
            store(squares, o, squares_s)
            store(squares, o + L, squares_t)


@kernel
def scale_and_shift_rows(x, mean, scale, shift, length, y, first, last):
    """y = (x - mean) * scale + shift for the rows first..last-1."""
    L = LANES4 if x.itemsize == 4 else LANES8
    for start in range(first * length, last * length, length):
        for c in range(0, length, L):
            centred = subtract(load(x, start + c), load(mean, c))
            store(y, start + c, multiply_add(centred, load(scale, c), load(shift, c)))


@kernel
def piece_sums(dy, x, mean, length, whole, piece, sums, dots, first, last):
    """Sums of dy and of dy * (x - mean), for every place of a row, over the rows of each of the pieces first..last-1."""
    L = LANES4 if x.itemsize == 4 else LANES8
    for part in range(first, last):
        start, stop = part * piece * length, min((part + 1) * piece, whole) * length
        for c in range(0, length, 2 * L):
            m, n = load(mean, c), load(mean, c + L)
            s, t, ss, tt = zero(x), zero(x), zero(x), zero(x)
            for i in range(start + c, stop, length):
                d = load(dy, i)
                s = add(s, d)
                ss = multiply_add(d, subtract(load(x, i), m), ss)
                d = load(dy, i + L)
                t = add(t, d)
                tt = multiply_add(d, subtract(load(x, i + L), n), tt)
            o = part * length + c
            store(sums, o, s)
            store(sums, o + L, t)
            store(dots, o, ss)
            store(dots, o + L, tt)


@kernel
def gradient_rows(dy, x, mean, scale, by_mean, by_variance, length, dx, first, last):
    """dx = scale * (dy - by_mean - (x - mean) * by_variance) for the rows first..last-1."""
    L = LANES4 if x.itemsize == 4 else LANES8
    for start in range(first * length, last * length, length):
        for c in range(0, length, L):
            by = multiply_add(subtract(load(x, start + c), load(mean, c)), load(by_variance, c), load(by_mean, c))
            store(dx, start + c, multiply(subtract(load(dy, start + c), by), load(scale, c)))


def supported(*arrays: Array) -> bool:
    """Whether the kernels take these arrays: all float32 or all float64; pictures of one shape, channels-last, not empty; vectors (C,)."""
    x = arrays[0]
    if x.dtype not in (np.float32, np.float64) or x.size == 0:
        return False
    return all(
        array.dtype == x.dtype
        and (array.shape == x.shape and is_flat(array) if array.ndim == 4 else len(array) == x.shape[1])
        for array in arrays
    )


@replaces("cpu", when=supported)
def moments(x: Array) -> tuple[Array, Array]:
    """As the readable form: mean and var (C,). The pieces' own are put together as by Chan, Golub & LeVeque 1979."""
    rows, numbers = rows_of(x), flat(x)
    means, offsets, squares = (parts := np.zeros((3, rows.pieces + 1, rows.length), x.dtype))
    out = [part.reshape(-1) for part in parts]
    share(
        lambda first, last: piece_moments(numbers, rows.length, rows.whole, rows.piece, *out, first, last),
        rows.pieces,
        rows.nbytes,
    )
    counts = np.zeros(means.shape)
    counts[:-1] = np.minimum(rows.piece, rows.whole - rows.piece * np.arange(rows.pieces))[:, None]
    counts[-1, : rows.rest] = 1  # each number of the rest is a piece of its own
    means[-1] = rows.filled(numbers)
    count, mean, offset, square = (rows.per_channel(part) for part in (counts, means, offsets, squares))
    with np.errstate(all="ignore"):  # an infinity makes a NaN without a word, as in the kernels
        offset = np.where(np.isfinite(offset), offset, 0) / np.maximum(count, 1)  # what the mean is off by
        mean += offset
        M = x.size // rows.channels
        joint = (count * mean).sum(axis=0) / M
        var = (square + count * ((mean - joint) ** 2 - offset**2)).sum(axis=0) / M
        return joint.astype(x.dtype), var.astype(x.dtype)


@replaces("cpu", when=supported)
def scale_and_shift(x: Array, mean: Array, scale: Array, shift: Array) -> Array:
    """As the readable form: y (N, C, H, W)."""
    rows, numbers = rows_of(x), flat(x)
    tables = [rows.table(vector) for vector in (mean, scale, shift)]
    y = empty_memory(x.shape, x, channels_last=True)
    out = flat(y)
    share(
        lambda first, last: scale_and_shift_rows(numbers, *tables, rows.length, out, first, last),
        rows.whole,
        rows.nbytes,
    )
    if rows.rest:
        row = rows.filled(numbers)
        scale_and_shift_rows(row, *tables, rows.length, row, 0, 1)
        out[rows.body :] = row[: rows.rest]
    return like_memory(y, x)


@replaces("cpu", when=supported)
def gradient_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """As the readable form: two sums (C,)."""
    rows, upstream, numbers = rows_of(x), flat(dy), flat(x)
    table = rows.table(mean)
    sums, dots = np.zeros((2, rows.pieces + 1, rows.length), x.dtype)
    share(
        lambda first, last: piece_sums(
            upstream,
            numbers,
            table,
            rows.length,
            rows.whole,
            rows.piece,
            sums.reshape(-1),
            dots.reshape(-1),
            first,
            last,
        ),
        rows.pieces,
        2 * rows.nbytes,
    )
    with np.errstate(all="ignore"):
        sums[-1] = rows.filled(upstream)
        dots[-1, : rows.rest] = upstream[rows.body :] * (numbers[rows.body :] - table[: rows.rest])
        totals = (rows.per_channel(parts).sum(axis=0) for parts in (sums, dots))
        total, dot = (total.astype(x.dtype) for total in totals)
    return total, dot


@replaces("cpu", when=supported)
def normalized_gradient(dy: Array, x: Array, mean: Array, scale: Array, by_mean: Array, by_variance: Array) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    rows, upstream, numbers = rows_of(x), flat(dy), flat(x)
    tables = [rows.table(vector) for vector in (mean, scale, by_mean, by_variance)]
    dx = empty_memory(x.shape, x, channels_last=True)
    out = flat(dx)
    share(
        lambda first, last: gradient_rows(upstream, numbers, *tables, rows.length, out, first, last),
        rows.whole,
        2 * rows.nbytes,
    )
    if rows.rest:
        row = rows.filled(upstream)
        gradient_rows(row, rows.filled(numbers), *tables, rows.length, row, 0, 1)
        out[rows.body :] = row[: rows.rest]
    return like_memory(dx, x)
