"""3x3 convolutions with 16 products where the definition has 36: Winograd's minimal filtering, F(2x2, 3x3).

Four numbers d of a row and three weights g make two output numbers with four products instead of six:

    y = A' [(G g) * (B' d)]     B' d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)          the tile
                                G g  = (g0, (g0 + g1 + g2)/2, (g0 - g1 + g2)/2, g2)   the filter
                                A' m = (m0 + m1 + m2, m1 - m2 - m3)                   the output

Along both axes a 4x4 tile makes 2x2 outputs with 16 products, at each of 16 *points* a matrix product over the channels. The gradient of
the weight has the same 16 products: dg = G' [(B' d) * (A dy)]. Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2016).

In float32 the sums of a tile's numbers round: the error is a few times that of the direct sum, relative to the largest numbers of the
tile, not of the output's own window. A NaN or infinity spreads over a tile's outputs, so every visit reports whether one came out,
and `conv.py` then takes the direct way, where each output sees its own window alone.
"""

from __future__ import annotations

import numpy as np

from .compiling import inline, kernel
from .host import lanes
from .panels import gram1, gram2, panel1, panel2
from .plan import POINTS
from .vector import add, load, multiply, multiply_add, spread, store, subtract, zero
from .ways import bring, fill, finish, input_scratch, scratch, windows

L = lanes(4)
STRIP = 56  # tiles at a time, whose points stay in cache: a multiple of 14, the rows of a register tile with AVX-512


@inline
def tile_row(d0, d1, d2, d3):
    """B' d."""
    return subtract(d0, d2), add(d1, d2), subtract(d2, d1), subtract(d1, d3)


@inline
def output_row(m0, m1, m2, m3):
    """A' m."""
    return add(add(m0, m1), m2), subtract(subtract(m1, m2), m3)


@inline
def upstream_row(y0, y1):
    """A y."""
    return y0, add(y0, y1), subtract(y0, y1), subtract(subtract(y0, y0), y1)


@inline
def filter_row(g0, g1, g2, half):
    """G g."""
    outer = multiply(add(g0, g2), half)
    return g0, multiply_add(g1, half, outer), subtract(outer, multiply(g1, half)), g2


@inline
def filter_gradient_row(m0, m1, m2, m3, half):
    """G' m."""
    both = multiply(add(m1, m2), half)
    return add(m0, both), multiply(subtract(m1, m2), half), add(both, m3)


@inline
def store4(a, i, step, v):
    """Four vectors to a[i], a[i + step], ..."""
    store(a, i, v[0])
    store(a, i + step, v[1])
    store(a, i + 2 * step, v[2])
    store(a, i + 3 * step, v[3])


@inline
def tile_points(x, i, row, C, points, o, step):
    """One vector of channels of the 4x4 tile at x[i] to its 16 points at points[o], points[o + step] ..."""
    a = tile_row(load(x, i), load(x, i + row), load(x, i + 2 * row), load(x, i + 3 * row))
    i += C
    b = tile_row(load(x, i), load(x, i + row), load(x, i + 2 * row), load(x, i + 3 * row))
    i += C
    c = tile_row(load(x, i), load(x, i + row), load(x, i + 2 * row), load(x, i + 3 * row))
    i += C
    d = tile_row(load(x, i), load(x, i + row), load(x, i + 2 * row), load(x, i + 3 * row))
    store4(points, o, step, tile_row(a[0], b[0], c[0], d[0]))
    store4(points, o + 4 * step, step, tile_row(a[1], b[1], c[1], d[1]))
    store4(points, o + 8 * step, step, tile_row(a[2], b[2], c[2], d[2]))
    store4(points, o + 12 * step, step, tile_row(a[3], b[3], c[3], d[3]))


@inline
def tile_outputs(points, i, step, y, o, row, O, down, right, bad):
    """16 points to the outputs at y[o]: the lower and the right ones if they are there. bad, or NaN where an output is NaN or infinite."""
    a = output_row(load(points, i), load(points, i + 4 * step), load(points, i + 8 * step), load(points, i + 12 * step))
    i += step
    b = output_row(load(points, i), load(points, i + 4 * step), load(points, i + 8 * step), load(points, i + 12 * step))
    i += step
    c = output_row(load(points, i), load(points, i + 4 * step), load(points, i + 8 * step), load(points, i + 12 * step))
    i += step
    d = output_row(load(points, i), load(points, i + 4 * step), load(points, i + 8 * step), load(points, i + 12 * step))
    nothing = zero(y)
    u, v = output_row(a[0], b[0], c[0], d[0])
    bad = multiply_add(u, nothing, multiply_add(v, nothing, bad))
    store(y, o, u)
    if right:
        store(y, o + O, v)
    u, v = output_row(a[1], b[1], c[1], d[1])
    bad = multiply_add(u, nothing, multiply_add(v, nothing, bad))
    if down:
        store(y, o + row, u)
        if right:
            store(y, o + row + O, v)
    return bad


@inline
def upstream_points(y, i, row, O, points, o, step):
    """2x2 numbers of a gradient, from y[i] on, to 16 points."""
    a = upstream_row(load(y, i), load(y, i + row))
    b = upstream_row(load(y, i + O), load(y, i + row + O))
    for k in range(4):
        store4(points, o + 4 * k * step, step, upstream_row(a[k], b[k]))


@kernel
def pack_filter(weight, C, O, column, width, packed, first, last):
    """The points (block, point, C, width) of the weight, for the blocks first..last-1 of output channels.

    `column` is from one output channel to the next. Where that is 9, the weight is that of an input's gradient: turned by half a turn.
    """
    turned = column == 9
    channel = 9 * O if turned else 9
    half, taps, step = np.full(1, 0.5, weight.dtype), scratch(9 * L, weight), C * width
    for block in range(first, last):
        for k in range(C):
            for v in range(0, width, L):
                base = k * channel + (block * width + v) * column
                for q in range(9):
                    at = base + (8 - q if turned else q)
                    for j in range(L):
                        taps[q * L + j] = weight[at + j * column]
                h = spread(half, 0)
                a = filter_row(load(taps, 0), load(taps, 3 * L), load(taps, 6 * L), h)
                b = filter_row(load(taps, L), load(taps, 4 * L), load(taps, 7 * L), h)
                c = filter_row(load(taps, 2 * L), load(taps, 5 * L), load(taps, 8 * L), h)
                o = (block * POINTS * C + k) * width + v
                store4(packed, o, step, filter_row(a[0], b[0], c[0], h))
                store4(packed, o + 4 * step, step, filter_row(a[1], b[1], c[1], h))
                store4(packed, o + 8 * step, step, filter_row(a[2], b[2], c[2], h))
                store4(packed, o + 12 * step, step, filter_row(a[3], b[3], c[3], h))


@inline
def point(parts, count, size, i):
    """The sum of `count` parts' vectors at i."""
    total = load(parts, i)
    for part in range(1, count):
        total = add(total, load(parts, part * size + i))
    return total


@inline
def point_row(parts, count, size, i, step, half):
    """Of four points that are 4 steps apart, the sums of all parts, and G' of these."""
    return filter_gradient_row(
        point(parts, count, size, i), point(parts, count, size, i + 4 * step),
        point(parts, count, size, i + 8 * step), point(parts, count, size, i + 12 * step), half,
    )  # fmt: skip


@kernel
def unpack_filter_gradient(parts, count, C, width, dweight, bad, first, last):
    """dweight (O, C, 3, 3) of the blocks first..last-1, from `count` gradients (blocks, points, C, width), added up in this order.

    bad[block] becomes NaN where one of its numbers is NaN or infinite.
    """
    size, step = len(parts) // count, C * width
    half, lines = np.full(1, 0.5, parts.dtype), scratch(9 * L, parts)
    nothing = zero(parts)
    for block in range(first, last):
        unseen = zero(parts)
        for k in range(C):
            for v in range(0, width, L):
                h, i = spread(half, 0), (block * POINTS * C + k) * width + v
                a, b = point_row(parts, count, size, i, step, h), point_row(parts, count, size, i + step, step, h)
                c = point_row(parts, count, size, i + 2 * step, step, h)
                d = point_row(parts, count, size, i + 3 * step, step, h)
                for q in range(3):
                    line = filter_gradient_row(a[q], b[q], c[q], d[q], h)
                    for r in range(3):
                        store(lines, (3 * q + r) * L, line[r])
                        unseen = multiply_add(line[r], nothing, unseen)
                for j in range(L):
                    o = ((block * width + v + j) * C + k) * 9
                    for q in range(9):
                        dweight[o + q] = lines[q * L + j]
        store(lines, 0, unseen)
        bad[block] = lines[:L].sum()


@kernel
def product_visit(
    sizes, table, starts, w, way_in, x, a, b, c, other, z,
    way_out, y, extra, x_before, scale, shift, mean, z_before, out, bad, first, last,
):  # fmt: skip
    """As `visit.product_visit`. bad[unit] becomes NaN where an output is NaN or infinite: then the outputs are not to be used."""
    C, O, BW, group = sizes.C, sizes.OG, sizes.BW, sizes.group
    width, vectors = 2 * L if sizes.two else L, C // L
    count, row = starts[0, 1], starts[0, 2]
    corners, places = table[: group * count], table[group * count : 2 * group * count]
    bordered = input_scratch(sizes, x)
    strip = min(STRIP, group * count)
    # a line more, so that the points of a tile do not share cache sets
    step_x, step_y = strip * C + L, strip * width + L
    points_x, points_y = scratch(POINTS * step_x, x), scratch(POINTS * step_y, x)
    flags = scratch(L, x)
    for unit in range(first, last):
        source, shifted, n, pictures, band_number = bring(sizes, unit, way_in, x, a, b, c, other, z, bordered)
        start = n * sizes.picture
        lo, hi = windows(sizes, count, row, pictures, band_number)
        unseen = zero(x)
        for first_tile in range(lo, hi, strip):
            tiles = min(strip, hi - first_tile)
            for t in range(tiles):
                i = shifted + corners[first_tile + t]
                for k in range(vectors):
                    tile_points(source, i + k * L, BW * C, C, points_x, (k * strip + t) * L, step_x)
            for block in range(0, O, width):
                for p in range(POINTS):
                    wi = (block * POINTS + p * width) * C
                    if sizes.two:
                        panel2(points_x, p * step_x, tiles, vectors, strip * L, w, wi, points_y, p * step_y)
                    else:
                        panel1(points_x, p * step_x, tiles, vectors, strip * L, w, wi, points_y, p * step_y)
                r, q = first_tile % count // row, first_tile % row
                for t in range(tiles):
                    down, right = 2 * r + 1 < sizes.OH, 2 * q + 1 < sizes.OW
                    q += 1
                    if q == row:
                        r, q = (r + 1) % (count // row), 0
                    o = start + places[first_tile + t] + block
                    for k in range(0, width, L):
                        unseen = tile_outputs(
                            points_y, t * width + k, step_y, y, o + k, sizes.OW * O, O, down, right, unseen
                        )  # fmt: skip
        store(flags, 0, unseen)
        bad[unit] = flags.sum()
        finish(way_out, y, sizes, unit, n, pictures, band_number, extra, x_before, scale, shift, mean, z_before, out)


@kernel
def outer_visit(
    sizes, table, starts, way_in, x, a, b, way_in_dy, dy, k0, k1, k2, y, dw, first_block, last_block, first, last
):  # fmt: skip
    """As `visit.outer_visit`, with dw (blocks, points, C, width): what `unpack_filter_gradient` makes a gradient of."""
    C, O, BW, group = sizes.C, sizes.OG, sizes.BW, sizes.group
    width, vectors = 2 * L if sizes.two else L, C // L
    count, row = starts[0, 1], starts[0, 2]
    corners = table[: group * count]
    rows = sizes.band if sizes.bands > 1 else count // row  # of tiles in a unit's picture
    wide = 2 * row  # pixels of dy in a row, filled up
    bordered = input_scratch(sizes, x)
    upstream = scratch(group * 2 * rows * wide * O, x)
    strip = min(STRIP, group * count)
    step_x, step_y = strip * C + L, strip * width + L
    points_x, points_y = scratch(POINTS * step_x, x), scratch(POINTS * step_y, x)
    nothing = upstream[:0]
    for unit in range(first, last):
        source, shifted, n, pictures, band_number = bring(sizes, unit, way_in, x, a, b, a, x, nothing, bordered)
        low = 2 * rows * band_number
        for i in range(pictures):
            fill(
                way_in_dy, dy, (n + i) * sizes.picture, sizes.OH, sizes.OW, O, 0, 0, wide,
                low, low + 2 * rows, k0, k1, k2, y, nothing, upstream, i * 2 * rows * wide * O,
            )  # fmt: skip
        lo, hi = windows(sizes, count, row, pictures, band_number)
        for first_tile in range(lo, hi, strip):
            tiles = min(strip, hi - first_tile)
            for t in range(tiles):
                i = shifted + corners[first_tile + t]
                for k in range(vectors):
                    tile_points(source, i + k * L, BW * C, C, points_x, (k * strip + t) * L, step_x)
            for block in range(first_block, last_block):
                r, q = (first_tile - lo) // row, first_tile % row
                for t in range(tiles):
                    i = (r * 2 * wide + q * 2) * O + block * width
                    q += 1
                    if q == row:
                        r, q = r + 1, 0
                    for k in range(0, width, L):
                        upstream_points(upstream, i + k, wide * O, O, points_y, t * width + k, step_y)
                for p in range(POINTS):
                    wi = (block * POINTS + p) * C * width
                    if sizes.two:
                        gram2(points_x, p * step_x, tiles, vectors, strip * L, points_y, p * step_y, dw, wi)
                    else:
                        gram1(points_x, p * step_x, tiles, vectors, strip * L, points_y, p * step_y, dw, wi)
