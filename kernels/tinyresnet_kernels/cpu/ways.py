"""What is done to a unit's input on its way into scratch, and to its output while it is still in cache.

On the way in (`fill`) nothing is done, or the batch norm and ReLU that come before, or a batch norm's gradient. On the way out (`finish`)
nothing, or the statistics that the batch norm behind needs, or the mask, the sum with the shortcut's gradient, and the two sums that the
batch norm before needs. So a batch norm costs no pass over memory of its own.
"""

from __future__ import annotations

import numpy as np

from .compiling import inline
from .host import lanes
from .vector import add, load, multiply_add, store, subtract, where_positive, zero

# on the way in
COPY, NORM_RELU, NORM_ADD_RELU, NORM_GRADIENT = 0, 1, 2, 3
# on the way out
NOTHING, STATISTICS, GRADIENT, GRADIENT_RELU = 0, 1, 2, 3

LANES4, LANES8 = lanes(4), lanes(8)


@inline
def scratch(count, like):
    """Memory for `count` numbers of an array's dtype, that starts on a boundary of registers: no load there crosses two cache lines."""
    L = LANES4 if like.itemsize == 4 else LANES8
    memory = np.empty(count + L, like.dtype)
    start = (L - np.int64(memory.ctypes.data) // like.itemsize % L) % L
    return memory[start : start + count]


@inline
def fill_row(way_in, x, i, W, C, a, b, c, other, z, scratch, o):
    """One row (W, C) from x[i] to scratch[o], changed on the way in; `other` and z have x's shape."""
    L = LANES4 if x.itemsize == 4 else LANES8
    if way_in == COPY:
        whole = W * C // L * L
        for p in range(0, whole, L):
            store(scratch, o + p, load(x, i + p))
        for p in range(whole, W * C):
            scratch[o + p] = x[i + p]
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
def input_scratch(sizes, x):
    """Memory for a unit's bordered input; none where the input is read where it is."""
    return scratch(0 if sizes.direct else sizes.group * tall(sizes) * sizes.BW * sizes.C, x)


@inline
def tall(sizes):
    """Rows of a unit's bordered picture."""
    return sizes.BH if sizes.bands == 1 else (sizes.band - 1) * sizes.step + sizes.span


@inline
def bring(sizes, unit, way_in, x, a, b, c, other, z, bordered):
    """The way in of a unit: its input into scratch, if it is not read where it is.

    Returns where to read, how far the tables' offsets are off there, the unit's first picture, how many there are, and its band.
    """
    H, W, C, BW, rows = sizes.H, sizes.W, sizes.C, sizes.BW, tall(sizes)
    n, band_number = unit // sizes.bands * sizes.group, unit % sizes.bands
    pictures, low = min(sizes.group, sizes.N - n), band_number * sizes.band * sizes.step
    source, shifted = bordered, -low * BW * C
    if sizes.direct:
        source, shifted = x, n * H * W * C
    else:
        for i in range(pictures):
            fill(
                way_in, x, (n + i) * H * W * C, H, W, C, sizes.top, sizes.left, BW,
                low, low + rows, a, b, c, other, z, bordered, i * rows * BW * C,
            )  # fmt: skip
    return source, shifted, n, pictures, band_number


@inline
def windows(sizes, count, row, pictures, band_number):
    """The first window of a unit and the one behind its last, of `count` in a picture, `row` in a row."""
    if sizes.bands == 1:
        return 0, pictures * count
    return min(band_number * sizes.band * row, count), min((band_number + 1) * sizes.band * row, count)


@inline
def row_sum(y, i, row, O):
    """The sum of a row's vectors y[i], y[i + O] ...: in four sums, none of which waits for another."""
    a, b, c, d = zero(y), zero(y), zero(y), zero(y)
    whole = row // 4 * 4
    for p in range(i, i + whole * O, 4 * O):
        a, b = add(a, load(y, p)), add(b, load(y, p + O))
        c, d = add(c, load(y, p + 2 * O)), add(d, load(y, p + 3 * O))
    for p in range(i + whole * O, i + row * O, O):
        a = add(a, load(y, p))
    return add(add(a, b), add(c, d))


@inline
def row_squares(y, i, row, O, mean):
    """The same of the squared distances from the mean."""
    a, b, c, d = zero(y), zero(y), zero(y), zero(y)
    whole = row // 4 * 4
    for p in range(i, i + whole * O, 4 * O):
        e, f = subtract(load(y, p), mean), subtract(load(y, p + O), mean)
        g, h = subtract(load(y, p + 2 * O), mean), subtract(load(y, p + 3 * O), mean)
        a, b, c, d = multiply_add(e, e, a), multiply_add(f, f, b), multiply_add(g, g, c), multiply_add(h, h, d)
    for p in range(i + whole * O, i + row * O, O):
        e = subtract(load(y, p), mean)
        a = multiply_add(e, e, a)
    return add(add(a, b), add(c, d))


@inline
def statistics(y, start, row, rows, O, out, mean_at, m2_at):
    """Mean and sum of squared distances from it, per channel, of rows * row pixels (O,) from y[start] on; row by row, then together."""
    L = LANES4 if y.itemsize == 4 else LANES8
    count = y.dtype.type(rows * row)
    if O % L == 0:
        for k in range(0, O, L):
            total = zero(y)
            for r in range(rows):
                i = start + r * row * O + k
                total = add(total, row_sum(y, i, row, O))
            store(out, mean_at + k, total)
            for j in range(mean_at + k, mean_at + k + L):
                out[j] = out[j] / count
            mean = load(out, mean_at + k)
            total = zero(y)
            for r in range(rows):
                i = start + r * row * O + k
                total = add(total, row_squares(y, i, row, O, mean))
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


@inline
def finish(way_out, y, sizes, unit, n, pictures, band_number, extra, x_before, scale, shift, mean, z_before, out):
    """The way out of a unit's output, which lies in y: rows of band `band_number` of `pictures` pictures from the n-th on."""
    band, O, OH, OW = sizes.band, sizes.OG * sizes.groups, sizes.OH, sizes.OW
    top_row, end_row = min(band_number * band * sizes.makes, OH), min((band_number + 1) * band * sizes.makes, OH)
    begin, rows, sums = n * sizes.picture + top_row * OW * O, (end_row - top_row) * pictures, unit * 2 * O
    if way_out == STATISTICS:
        statistics(y, begin, OW, rows, O, out, sums, sums + O)
    elif way_out != NOTHING:
        relu = way_out == GRADIENT_RELU
        finish_gradient(relu, y, begin, OW, rows, O, extra, x_before, scale, shift, mean, z_before, out, sums, sums + O)
