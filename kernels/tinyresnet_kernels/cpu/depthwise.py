"""Depthwise convolutions: as many groups as channels, so every channel meets its own weights alone.

A vector of channels is multiplied by a vector of weights. The tables are those of any convolution (`geometry.py`); a tap's weights lie
side by side for all channels. There is no sum over channels to share loads in, so these run at the speed of the first-level cache.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from .compiling import kernel
from .plan import Plan
from .vector import add, load, load_first, multiply_add, store, store_first, zero
from .ways import COPY, LANES4, LANES8, bring, input_scratch, windows


def packed_taps(weight: Array, plan: Plan) -> Array:
    """The weight (C, 1, KH, KW) as (taps of all walks, C), flat."""
    return np.ascontiguousarray(weight.reshape(len(weight), -1)[:, plan.weights].T).reshape(-1)


def unpacked_taps(parts: Array, plan: Plan, shape: tuple[int, ...]) -> Array:
    """The gradient of the weight of this shape, from several packed ones (parts, taps * C), added up in this order."""
    total = parts.sum(axis=0).reshape(-1, shape[0])
    dweight = np.empty((shape[0], total.shape[0]), parts.dtype)
    dweight[:, plan.weights] = total.T
    return dweight.reshape(shape)


@kernel
def product_visit(sizes, table, starts, w, x, y, first, last):
    """y = x * w, channel by channel, for the units first..last-1; w (taps of all walks, C)."""
    C, group = sizes.C, sizes.group
    L = LANES4 if x.itemsize == 4 else LANES8
    whole = C // L * L
    bordered = input_scratch(sizes, x)
    for unit in range(first, last):
        source, shifted, n, pictures, band_number = bring(sizes, unit, COPY, x, x, x, x, x, bordered[:0], bordered)
        weights = 0
        for k in range(len(starts)):
            at, count, row, taps_at, taps_count = starts[k, 0], starts[k, 1], starts[k, 2], starts[k, 3], starts[k, 4]
            lo, hi = windows(sizes, count, row, pictures, band_number)
            for p in range(lo, hi):
                i, o = shifted + table[at + p], n * sizes.picture + table[at + group * count + p]
                for c in range(0, whole, L):
                    total = zero(x)
                    for t in range(taps_count):
                        value = load(source, i + table[taps_at + t] + c)
                        total = multiply_add(value, load(w, (weights + t) * C + c), total)
                    store(y, o + c, total)
                if whole < C:
                    total = zero(x)
                    for t in range(taps_count):
                        value = load_first(source, i + table[taps_at + t] + whole, C - whole)
                        total = multiply_add(value, load_first(w, (weights + t) * C + whole, C - whole), total)
                    store_first(y, o + whole, total, C - whole)
            weights += taps_count


@kernel
def outer_visit(sizes, table, starts, x, dy, dw, first, last):
    """dw (taps, C) += x times dy, channel by channel, for the units first..last-1, in this order."""
    C, group = sizes.C, sizes.group
    L = LANES4 if x.itemsize == 4 else LANES8
    whole = C // L * L
    bordered = input_scratch(sizes, x)
    at, count, row, taps_at, taps_count = starts[0, 0], starts[0, 1], starts[0, 2], starts[0, 3], starts[0, 4]
    places_at = at + group * count
    for unit in range(first, last):
        source, shifted, n, pictures, band_number = bring(sizes, unit, COPY, x, x, x, x, x, bordered[:0], bordered)
        lo, hi = windows(sizes, count, row, pictures, band_number)
        start = n * sizes.picture
        for t in range(taps_count):
            tap = shifted + table[taps_at + t]
            for c in range(0, whole, L):
                a, b, p = zero(x), zero(x), lo  # two sums: neither waits for the other
                while p + 1 < hi:
                    here, there = load(source, table[at + p] + tap + c), load(source, table[at + p + 1] + tap + c)
                    a = multiply_add(here, load(dy, start + table[places_at + p] + c), a)
                    b = multiply_add(there, load(dy, start + table[places_at + p + 1] + c), b)
                    p += 2
                if p < hi:
                    here = load(source, table[at + p] + tap + c)
                    a = multiply_add(here, load(dy, start + table[places_at + p] + c), a)
                store(dw, t * C + c, add(load(dw, t * C + c), add(a, b)))
            if whole < C:
                total = load_first(dw, t * C + whole, C - whole)
                for p in range(lo, hi):
                    here = load_first(source, table[at + p] + tap + whole, C - whole)
                    upstream = load_first(dy, start + table[places_at + p] + whole, C - whole)
                    total = multiply_add(here, upstream, total)
                store_first(dw, t * C + whole, total, C - whole)
