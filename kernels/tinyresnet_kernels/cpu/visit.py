"""One visit to each unit of a batch: its input is brought into scratch, multiplied there, and its output finished while still in cache.

On the way in (`fill`) nothing is done, or the batch norm and ReLU that come before, or a batch norm's gradient. On the way out nothing, or
the statistics that the batch norm behind needs, or the mask, the sum with the shortcut's gradient, and the two sums that the batch norm
before needs. So a batch norm costs no pass over memory of its own.
"""

from __future__ import annotations

import numpy as np

from .compiling import inline, kernel
from .host import lanes
from .sweeps import outer_rows1, outer_rows2, sweep1, sweep2
from .vector import add, load, multiply_add, store, subtract, where_positive, zero

# on the way in
COPY, NORM_RELU, NORM_ADD_RELU, NORM_GRADIENT = 0, 1, 2, 3
# on the way out
NOTHING, STATISTICS, GRADIENT, GRADIENT_RELU = 0, 1, 2, 3

LANES4, LANES8 = lanes(4), lanes(8)


@inline
def fill_row(way_in, x, i, W, C, a, b, c, other, z, scratch, o):
    """One row (W, C) from x[i] to scratch[o], changed on the way in; `other` and z have x's shape."""
    L = LANES4 if x.itemsize == 4 else LANES8
    if way_in == COPY:
        scratch[o : o + W * C] = x[i : i + W * C]
    elif C % L == 0:
        if way_in == NORM_RELU:
            for p in range(0, W * C, C):
                for k in range(0, C, L):
                    v = multiply_add(load(x, i + p + k), load(a, k), load(b, k))
                    store(scratch, o + p + k, where_positive(v, v))
        elif way_in == NORM_ADD_RELU:
            for p in range(0, W * C, C):
                for k in range(0, C, L):
                    v = add(multiply_add(load(x, i + p + k), load(a, k), load(b, k)), load(other, i + p + k))
                    store(scratch, o + p + k, where_positive(v, v))
        else:
            for p in range(0, W * C, C):
                for k in range(0, C, L):
                    v = multiply_add(load(other, i + p + k), load(b, k), load(c, k))
                    store(scratch, o + p + k, multiply_add(load(x, i + p + k), load(a, k), v))
    else:
        for p in range(0, W * C, C):
            for k in range(C):
                at = i + p + k
                if way_in == NORM_RELU:
                    v = x[at] * a[k] + b[k]
                    scratch[o + p + k] = x.dtype.type(0) if v <= 0 else v
                elif way_in == NORM_ADD_RELU:
                    v = x[at] * a[k] + b[k] + other[at]
                    scratch[o + p + k] = x.dtype.type(0) if v <= 0 else v
                else:
                    scratch[o + p + k] = x[at] * a[k] + (other[at] * b[k] + c[k])
    if way_in != COPY and z.size > 0:
        z[i : i + W * C] = scratch[o : o + W * C]


@inline
def fill(way_in, x, start, H, W, C, top, left, BW, first, last, a, b, c, other, z, scratch, o):
    """Rows first..last-1 of the bordered picture into scratch[o], ...: zeros around the picture (H, W, C) that starts at x[start]."""
    for r in range(first, last):
        h = r - top
        if 0 <= h < H:
            scratch[o : o + left * C] = 0
            fill_row(way_in, x, start + h * W * C, W, C, a, b, c, other, z, scratch, o + left * C)
            scratch[o + (left + W) * C : o + BW * C] = 0
        else:
            scratch[o : o + BW * C] = 0
        o += BW * C


@inline
def statistics(y, start, row, rows, O, out, mean_at, m2_at):
    """Mean and sum of squared distances from it, per channel, of rows * row pixels (O,) from y[start] on; row by row, then together."""
    L = LANES4 if y.itemsize == 4 else LANES8
    count = y.dtype.type(rows * row)
    if O % L == 0:
        for k in range(0, O, L):
            total = zero(y)
            for r in range(rows):
                part = zero(y)
                for p in range(row):
                    part = add(part, load(y, start + (r * row + p) * O + k))
                total = add(total, part)
            store(out, mean_at + k, total)
            for j in range(mean_at + k, mean_at + k + L):
                out[j] = out[j] / count
            mean = load(out, mean_at + k)
            total = zero(y)
            for r in range(rows):
                part = zero(y)
                for p in range(row):
                    d = subtract(load(y, start + (r * row + p) * O + k), mean)
                    part = multiply_add(d, d, part)
                total = add(total, part)
            store(out, m2_at + k, total)
    else:
        for k in range(O):
            total = y.dtype.type(0)
            for p in range(rows * row):
                total += y[start + p * O + k]
            mean = total / count
            total = y.dtype.type(0)
            for p in range(rows * row):
                d = y[start + p * O + k] - mean
                total += d * d
            out[mean_at + k] = mean
            out[m2_at + k] = total


@inline
def finish_gradient(relu, dx, start, row, rows, C, extra, x, scale, shift, mean, z, out, sum_at, dot_at):
    """dx += extra; dx = 0 where the ReLU before was closed; sums of dx and of dx * (x - mean) per channel, row by row, then together.

    The ReLU is seen from its output z, or, where that was never written, from x * scale + shift.
    """
    L = LANES4 if dx.itemsize == 4 else LANES8
    if C % L == 0:
        for k in range(0, C, L):
            total, dot = zero(dx), zero(dx)
            s, t, m = load(scale, k), load(shift, k), load(mean, k)
            for r in range(rows):
                part, part_dot = zero(dx), zero(dx)
                for p in range(row):
                    i = start + (r * row + p) * C + k
                    g = load(dx, i)
                    if extra.size > 0:
                        g = add(g, load(extra, i))
                    v = load(x, i)
                    if relu:
                        g = where_positive(load(z, i) if z.size > 0 else multiply_add(v, s, t), g)
                    store(dx, i, g)
                    part = add(part, g)
                    part_dot = multiply_add(g, subtract(v, m), part_dot)
                total, dot = add(total, part), add(dot, part_dot)
            store(out, sum_at + k, total)
            store(out, dot_at + k, dot)
    else:
        for k in range(C):
            total, dot = dx.dtype.type(0), dx.dtype.type(0)
            for p in range(rows * row):
                i = start + p * C + k
                g = dx[i] + extra[i] if extra.size > 0 else dx[i]
                if relu and (z[i] if z.size > 0 else x[i] * scale[k] + shift[k]) <= 0:
                    g = dx.dtype.type(0)
                dx[i] = g
                total += g
                dot += g * (x[i] - mean[k])
            out[sum_at + k] = total
            out[dot_at + k] = dot


@kernel
def product_visit(
    numbers, table, starts, w, way_in, x, a, b, c, other, z,
    way_out, y, extra, x_before, scale, shift, mean, z_before, out, first, last,
):  # fmt: skip
    """y = (x, changed on the way in) * w, finished on the way out, for the units first..last-1.

    `out` gets per unit the statistics (mean and M2, each per channel) or the gradient's sums. x, y and all that has their shape are flat
    channels-last arrays; what a way in or out does not need is an empty array.
    """
    H, W, C, top, left, BW = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[6]
    step, span, direct, bands, band, group = numbers[7], numbers[8], numbers[9], numbers[10], numbers[11], numbers[12]
    groups, OG, two, picture, N = numbers[13], numbers[14], numbers[15], numbers[16], numbers[17]
    CG, O = C // groups, OG * groups
    L = LANES4 if x.itemsize == 4 else LANES8
    width = 2 * L if two else L
    blocks = (OG + width - 1) // width
    tall = numbers[5] if bands == 1 else (band - 1) * step + span
    scratch = np.empty(0 if direct else group * tall * BW * C, x.dtype)
    for unit in range(first, last):
        n, band_number = unit // bands * group, unit % bands
        pictures = min(group, N - n)
        low = band_number * band * step
        source, shifted = x, n * H * W * C
        if not direct:
            for i in range(pictures):
                fill(
                    way_in, x, (n + i) * H * W * C, H, W, C, top, left, BW,
                    low, low + tall, a, b, c, other, z, scratch, i * tall * BW * C,
                )  # fmt: skip
            source, shifted = scratch, -low * BW * C
        for k in range(len(starts)):
            at, count, row, taps_at, taps_count, run, weights = (
                starts[k, 0], starts[k, 1], starts[k, 2], starts[k, 3], starts[k, 4], starts[k, 5], starts[k, 6]
            )  # fmt: skip
            pixels, places = table[at : at + group * count], table[at + group * count : at + 2 * group * count]
            taps = table[taps_at : taps_at + taps_count]
            lo, hi = min(band_number * band * row, count), min((band_number + 1) * band * row, count)
            if bands == 1:
                lo, hi = 0, pictures * count
            for g in range(groups):
                for block in range(blocks):
                    wi = weights + (g * blocks + block) * taps_count * run * width
                    yi, valid = n * picture + g * OG + block * width, OG - block * width
                    if two:
                        sweep2(source, pixels, lo, hi, shifted + g * CG, taps, run, w, wi, y, places, yi, valid)
                    else:
                        sweep1(source, pixels, lo, hi, shifted + g * CG, taps, run, w, wi, y, places, yi, valid)
        if way_out != NOTHING:
            OH, OW, parities = (
                numbers[18],
                numbers[19],
                numbers[20],
            )  # going back with stride 2, a row of windows makes two of pixels
            top_row, end_row = min(band_number * band * parities, OH), min((band_number + 1) * band * parities, OH)
            begin, rows = n * picture + top_row * OW * O, (end_row - top_row) * pictures
            if way_out == STATISTICS:
                statistics(y, begin, OW, rows, O, out, unit * 2 * O, unit * 2 * O + O)
            else:
                sums, dots = unit * 2 * O, unit * 2 * O + O
                finish_gradient(
                    way_out == GRADIENT_RELU, y, begin, OW, rows, O, extra, x_before, scale, shift, mean, z_before, out, sums, dots
                )  # fmt: skip


@kernel
def outer_visit(numbers, table, starts, way_in, x, a, b, way_in_dy, dy, k0, k1, k2, y, dw, first, last):
    """dw (groups, taps * run, wide) += x times dy, both changed on the way in, for the units first..last-1, in this order."""
    H, W, C, top, left, BW = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[6]
    step, span, direct, bands, band, group = numbers[7], numbers[8], numbers[9], numbers[10], numbers[11], numbers[12]
    groups, OG, two, picture, N = numbers[13], numbers[14], numbers[15], numbers[16], numbers[17]
    CG, O = C // groups, OG * groups
    L = LANES4 if x.itemsize == 4 else LANES8
    width = 2 * L if two else L
    blocks = (OG + width - 1) // width
    wide = blocks * width
    at, count, row, taps_at, taps_count, run = (
        starts[0, 0], starts[0, 1], starts[0, 2], starts[0, 3], starts[0, 4], starts[0, 5]
    )  # fmt: skip
    pixels, places = table[at : at + group * count], table[at + group * count : at + 2 * group * count]
    taps = table[taps_at : taps_at + taps_count]
    tall = numbers[5] if bands == 1 else (band - 1) * step + span
    scratch = np.empty(0 if direct else group * tall * BW * C, x.dtype)
    # dy is read in place, unless it is changed on the way in or its channels do not fill whole vectors: then from a copy, zeros beside
    copied = way_in_dy != COPY or OG % width != 0
    most = group * count if bands == 1 else band * row
    dy_row = groups * wide if OG % width != 0 else O
    dy_scratch = np.zeros(most * dy_row if copied else 0, x.dtype)
    dy_places = np.arange(most) * dy_row
    nothing = dy_scratch[:0]
    for unit in range(first, last):
        n, band_number = unit // bands * group, unit % bands
        pictures = min(group, N - n)
        low = band_number * band * step
        source, shifted = x, n * H * W * C
        if not direct:
            for i in range(pictures):
                fill(
                    way_in, x, (n + i) * H * W * C, H, W, C, top, left, BW,
                    low, low + tall, a, b, a, x, nothing, scratch, i * tall * BW * C,
                )  # fmt: skip
            source, shifted = scratch, -low * BW * C
        lo, hi = min(band_number * band * row, count), min((band_number + 1) * band * row, count)
        if bands == 1:
            lo, hi = 0, pictures * count
        upstream, rows, start, per_group = dy, places[lo:hi], n * picture, OG
        if copied:
            upstream, rows, start = dy_scratch, dy_places[: hi - lo], 0
            if OG % width != 0:
                per_group = wide
                for p in range(hi - lo):
                    for g in range(groups):
                        i = n * picture + (lo + p) * O + g * OG
                        for j in range(OG):
                            value = dy[i + j]
                            if way_in_dy != COPY:
                                value = value * k0[g * OG + j] + (y[i + j] * k1[g * OG + j] + k2[g * OG + j])
                            dy_scratch[p * dy_row + g * wide + j] = value
            else:
                fill_row(way_in_dy, dy, n * picture + lo * O, hi - lo, O, k0, k1, k2, y, nothing, dy_scratch, 0)
        for g in range(groups):
            for k in range(taps_count):
                for block in range(blocks):
                    wi = (g * taps_count + k) * run * wide + block * width
                    base, d = shifted + g * CG + taps[k], start + g * per_group + block * width
                    if two:
                        outer_rows2(source, pixels[lo:hi], hi - lo, base, run, upstream, rows, d, dw, wi, wide)
                    else:
                        outer_rows1(source, pixels[lo:hi], hi - lo, base, run, upstream, rows, d, dw, wi, wide)


@kernel
def add_up(parts, count, size, total, first, last):
    """total[i] = parts[0, i] + parts[1, i] + ... in this order, for the pieces first..last-1 of `size` numbers."""
    for i in range(first * size, min(last * size, len(total))):
        value = parts[i]
        for part in range(1, count):
            value += parts[part * len(total) + i]
        total[i] = value
