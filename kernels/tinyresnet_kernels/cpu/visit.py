"""One visit to each unit of a batch: its input is brought into scratch, multiplied there, and its output finished while still in cache.

What is done on the way in and on the way out: `ways.py`. Here is what comes between, for any convolution: products by the tables of
`geometry.py`. `winograd.py` has the same two visits for 3x3 windows, with fewer products.
"""

from __future__ import annotations

import numpy as np

from .compiling import kernel
from .sweeps import outer_rows1, outer_rows2, sweep1, sweep2
from .vector import load_first, multiply_add, store
from .ways import COPY, LANES4, LANES8, bring, fill_row, finish, input_scratch, scratch, windows


@kernel
def product_visit(
    sizes, table, starts, w, way_in, x, a, b, c, other, z,
    way_out, y, extra, x_before, scale, shift, mean, z_before, out, first, last,
):  # fmt: skip
    """y = (x, changed on the way in) * w, finished on the way out, for the units first..last-1.

    w is the weight as `pack_weight` packs it. `out` gets per unit the statistics (mean and M2, each per channel) or the gradient's
    sums. x, y and all that has their shape are flat channels-last arrays; what a way in or out does not need is an empty array.
    """
    C, group, groups, OG = sizes.C, sizes.group, sizes.groups, sizes.OG
    L = LANES4 if x.itemsize == 4 else LANES8
    width = 2 * L if sizes.two else L
    blocks = (OG + width - 1) // width
    bordered = input_scratch(sizes, x)
    for unit in range(first, last):
        source, shifted, n, pictures, band_number = bring(sizes, unit, way_in, x, a, b, c, other, z, bordered)
        for k in range(len(starts)):
            at, count, row, taps_at, taps_count, run, weights = (
                starts[k, 0], starts[k, 1], starts[k, 2], starts[k, 3], starts[k, 4], starts[k, 5], starts[k, 6]
            )  # fmt: skip
            pixels, places = table[at : at + group * count], table[at + group * count : at + 2 * group * count]
            taps = table[taps_at : taps_at + taps_count]
            lo, hi = windows(sizes, count, row, pictures, band_number)
            for g in range(groups):
                for block in range(blocks):
                    wi = weights + (g * blocks + block) * taps_count * run * width
                    yi, valid = n * sizes.picture + g * OG + block * width, OG - block * width
                    base = shifted + g * (C // groups)
                    if sizes.two:
                        sweep2(source, pixels, lo, hi, base, taps, run, w, wi, y, places, yi, valid)
                    else:
                        sweep1(source, pixels, lo, hi, base, taps, run, w, wi, y, places, yi, valid)
        finish(way_out, y, sizes, unit, n, pictures, band_number, extra, x_before, scale, shift, mean, z_before, out)


@kernel
def outer_visit(
    sizes, table, starts, way_in, x, a, b, way_in_dy, dy, k0, k1, k2, y, dw, first_block, last_block, first, last
):  # fmt: skip
    """dw (blocks, taps * run, width) += x times dy, both changed on the way in, for the units first..last-1, in this order.

    Of the blocks of output channels (those of the first group, of the second ...) only first_block..last_block-1 are made.
    """
    C, group, groups, OG = sizes.C, sizes.group, sizes.groups, sizes.OG
    picture, O = sizes.picture, OG * groups
    L = LANES4 if x.itemsize == 4 else LANES8
    width = 2 * L if sizes.two else L
    blocks = (OG + width - 1) // width
    wide = blocks * width
    at, count, row, taps_at, taps_count, run = (
        starts[0, 0], starts[0, 1], starts[0, 2], starts[0, 3], starts[0, 4], starts[0, 5]
    )  # fmt: skip
    pixels, places = table[at : at + group * count], table[at + group * count : at + 2 * group * count]
    taps = table[taps_at : taps_at + taps_count]
    bordered = input_scratch(sizes, x)
    # dy is read in place, unless it is changed on the way in or its channels do not fill whole vectors: then from a copy, zeros beside
    copied = way_in_dy != COPY or OG % width != 0
    most = group * count if sizes.bands == 1 else sizes.band * row
    dy_row = groups * wide if OG % width != 0 else O
    dy_scratch = scratch(most * dy_row if copied else 0, x)
    dy_scratch[:] = 0
    dy_places = np.arange(most) * dy_row
    nothing = dy_scratch[:0]
    for unit in range(first, last):
        source, shifted, n, pictures, band_number = bring(sizes, unit, way_in, x, a, b, a, x, nothing, bordered)
        lo, hi = windows(sizes, count, row, pictures, band_number)
        upstream, rows, start, per_group = dy, places[lo:hi], n * picture, OG
        if copied:
            upstream, rows, start = dy_scratch, dy_places[: hi - lo], 0
            if OG % width != 0:
                per_group = wide
                for p in range(hi - lo):
                    for g in range(groups):
                        i = n * picture + (lo + p) * O + g * OG
                        for v in range(0, wide, L):
                            there = OG - v
                            value = load_first(dy, i + v, there)
                            if way_in_dy != COPY:
                                k = g * OG + v
                                more = load_first(k2, k, there)
                                more = multiply_add(load_first(y, i + v, there), load_first(k1, k, there), more)
                                value = multiply_add(value, load_first(k0, k, there), more)
                            store(dy_scratch, p * dy_row + g * wide + v, value)
            else:
                fill_row(way_in_dy, dy, n * picture + lo * O, hi - lo, O, k0, k1, k2, y, nothing, dy_scratch, 0)
        for number in range(first_block, last_block):
            g, block = number // blocks, number % blocks
            for k in range(taps_count):
                wi = (number * taps_count + k) * run * width
                base, d = shifted + g * (C // groups) + taps[k], start + g * per_group + block * width
                if sizes.two:
                    outer_rows2(source, pixels[lo:hi], hi - lo, base, run, upstream, rows, d, dw, wi)
                else:
                    outer_rows1(source, pixels[lo:hi], hi - lo, base, run, upstream, rows, d, dw, wi)
