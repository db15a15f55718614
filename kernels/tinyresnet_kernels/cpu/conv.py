"""The implicit convolution: forward, gradient of the input, gradient of the weight, without ever writing the columns.

im2col's columns are never made: their numbers are found by address arithmetic (`geometry.py`). Each picture, or a band of its rows if it is
large, is copied once into a zero-bordered scratch that stays in the second-level cache; padding, stride and borders live there. Weights are
packed so that a register tile (`tiles.py`) reads them in one straight line.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, empty_memory, like_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from .compiling import inline, kernel
from .geometry import Geometry, forward_geometry, input_gradient_geometry
from .host import lanes
from .threads import CHUNKS, in_chunks
from .tiles import heights, outer_tile, product_tile

SCRATCH_BYTES = (
    1 << 18
)  # of one bordered band: a quarter of a megabyte stays in the second-level cache of any machine of today
PARTIAL_BYTES = 1 << 25  # of all chunks' own weight gradients together

TALL1, TALL2 = heights(1)[0], heights(2)[0]
product1_tall, product1_8, product1_4, product1_2, product1_1 = (product_tile(rows, 1) for rows in (TALL1, 8, 4, 2, 1))
product2_tall, product2_8, product2_4, product2_2, product2_1 = (product_tile(rows, 2) for rows in (TALL2, 8, 4, 2, 1))
outer1_tall, outer1_8, outer1_4, outer1_2, outer1_1 = (outer_tile(rows, 1) for rows in (TALL1, 8, 4, 2, 1))
outer2_tall, outer2_8, outer2_4, outer2_2, outer2_1 = (outer_tile(rows, 2) for rows in (TALL2, 8, 4, 2, 1))


@inline
def copy_bordered(x, start, H, W, C, top, left, BW, first, last, scratch):
    """Rows first..last-1 of the bordered picture into the scratch: zeros around the picture (H, W, C) that starts at x[start]."""
    o = 0
    for r in range(first, last):
        h = r - top
        if 0 <= h < H:
            scratch[o : o + left * C] = 0
            scratch[o + left * C : o + (left + W) * C] = x[start + h * W * C : start + (h + 1) * W * C]
            scratch[o + (left + W) * C : o + BW * C] = 0
        else:
            scratch[o : o + BW * C] = 0
        o += BW * C


@inline
def sweep1(x, pixels, lo, hi, base, taps, run, w, wi, y, places, yi, valid):
    """Product tiles of one vector of output channels over pixels lo..hi-1, the tallest first."""
    p = lo
    while p + TALL1 <= hi:
        product1_tall(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += TALL1
    while p + 8 <= hi:
        product1_8(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 8
    if p + 4 <= hi:
        product1_4(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 4
    if p + 2 <= hi:
        product1_2(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 2
    if p < hi:
        product1_1(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)


@inline
def sweep2(x, pixels, lo, hi, base, taps, run, w, wi, y, places, yi, valid):
    """The same with two vectors of output channels."""
    p = lo
    while p + TALL2 <= hi:
        product2_tall(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += TALL2
    while p + 8 <= hi:
        product2_8(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 8
    if p + 4 <= hi:
        product2_4(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 4
    if p + 2 <= hi:
        product2_2(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 2
    if p < hi:
        product2_1(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)


@kernel
def product(
    x,
    H,
    W,
    C,
    top,
    left,
    BW,
    step,
    span,
    direct,
    bands,
    band,
    groups,
    CG,
    OG,
    width,
    two,
    w,
    tables,
    starts,
    y,
    picture,
    first,
    last,
):
    """y = x * w over the units first..last-1, a unit being a band of a picture; every walk of the geometry in turn."""
    scratch = np.empty(0 if direct else ((band - 1) * step + span) * BW * C, x.dtype)
    blocks = (OG + width - 1) // width
    for unit in range(first, last):
        n, b = unit // bands, unit % bands
        source, shift = x, n * H * W * C
        if not direct:
            copy_bordered(
                x, n * H * W * C, H, W, C, top, left, BW, b * band * step, ((b + 1) * band - 1) * step + span, scratch
            )
            source, shift = scratch, -b * band * step * BW * C
        for k in range(len(starts)):
            at, count, row, taps_at, taps_count, run, weights = starts[k]
            pixels, places = tables[at : at + count], tables[at + count : at + 2 * count]
            taps = tables[taps_at : taps_at + taps_count]
            lo, hi = min(b * band * row, count), min((b + 1) * band * row, count)
            for g in range(groups):
                for block in range(blocks):
                    wi = weights + (g * blocks + block) * taps_count * run * width
                    yi, valid = n * picture + g * OG + block * width, OG - block * width
                    if two:
                        sweep2(source, pixels, lo, hi, shift + g * CG, taps, run, w, wi, y, places, yi, valid)
                    else:
                        sweep1(source, pixels, lo, hi, shift + g * CG, taps, run, w, wi, y, places, yi, valid)


@inline
def outer_rows1(x, pixels, count, base, run, dy, places, d, dw, wi, row):
    """Outer tiles of one vector of output channels over all numbers of a run, the tallest first."""
    t = 0
    while t + TALL1 <= run:
        outer1_tall(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)
        t += TALL1
    while t + 8 <= run:
        outer1_8(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)
        t += 8
    if t + 4 <= run:
        outer1_4(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)
        t += 4
    if t + 2 <= run:
        outer1_2(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)
        t += 2
    if t < run:
        outer1_1(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)


@inline
def outer_rows2(x, pixels, count, base, run, dy, places, d, dw, wi, row):
    """The same with two vectors of output channels."""
    t = 0
    while t + TALL2 <= run:
        outer2_tall(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)
        t += TALL2
    while t + 8 <= run:
        outer2_8(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)
        t += 8
    if t + 4 <= run:
        outer2_4(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)
        t += 4
    if t + 2 <= run:
        outer2_2(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)
        t += 2
    if t < run:
        outer2_1(x, pixels, count, base + t, dy, places, d, dw, wi + t * row, row)


@kernel
def outer(
    x,
    H,
    W,
    C,
    top,
    left,
    BW,
    step,
    span,
    direct,
    bands,
    band,
    groups,
    CG,
    OG,
    width,
    two,
    dy,
    O,
    pixels,
    places,
    row,
    taps,
    run,
    dw,
    first,
    last,
):
    """dw += the outer products of the units first..last-1, for dw (groups, taps, run, blocks * width), in this order of units."""
    scratch = np.empty(0 if direct else ((band - 1) * step + span) * BW * C, x.dtype)
    blocks = (OG + width - 1) // width
    wide, total = blocks * width, len(pixels)
    tail = OG % width != 0  # then dy's channels are copied beside zeros, so that whole vectors can be read
    padded = np.zeros(band * row * groups * wide if tail else 0, x.dtype)
    padded_places = np.arange(band * row) * (groups * wide)
    for unit in range(first, last):
        n, b = unit // bands, unit % bands
        source, shift = x, n * H * W * C
        if not direct:
            copy_bordered(
                x, n * H * W * C, H, W, C, top, left, BW, b * band * step, ((b + 1) * band - 1) * step + span, scratch
            )
            source, shift = scratch, -b * band * step * BW * C
        lo, hi = min(b * band * row, total), min((b + 1) * band * row, total)
        if tail:
            for p in range(hi - lo):
                for g in range(groups):
                    o = (p * groups + g) * wide
                    i = (n * total + lo + p) * O + g * OG
                    padded[o : o + OG] = dy[i : i + OG]
        upstream, rows, start, per_group = (
            (padded, padded_places, 0, wide) if tail else (dy, places[lo:hi], n * total * O, OG)
        )
        for g in range(groups):
            for k in range(len(taps)):
                for block in range(blocks):
                    wi = (g * len(taps) + k) * run * wide + block * width
                    base, d = shift + g * CG + taps[k], start + g * per_group + block * width
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


class Plan:
    """How one product is shared out: bands of pictures that fit the scratch, and the tables in one array."""

    def __init__(self, geometry: Geometry, H: int, W: int, C: int, N: int, itemsize: int) -> None:
        self.top, self.left = geometry.border
        self.BW = geometry.bordered[1]
        self.step, self.span = geometry.step, geometry.span
        self.direct = geometry.border == (0, 0) and geometry.bordered == (H, W)
        rows = max(-(-len(walk.pixels) // walk.row) for walk in geometry.walks)
        fitting = (SCRATCH_BYTES // (self.BW * C * itemsize) - self.span) // self.step + 1
        wanted = -(-CHUNKS // max(N, 1))  # bands, so that a small batch has work for every thread too
        self.band = max(1, min(rows if self.direct else fitting, -(-rows // wanted)))
        self.bands = -(-rows // self.band)


def block_width(O: int, itemsize: int) -> tuple[int, bool]:
    """Output channels that one tile makes, and whether they are two vectors: an odd number of vectors goes one by one."""
    vectors = -(-O // lanes(itemsize))
    two = vectors % 2 == 0
    return lanes(itemsize) * (1 + two), two


def pack(matrix: Array, order: Array, width: int) -> Array:
    """Rows `order` of a matrix (groups, K, O), as (groups, blocks, rows, width), the last block filled up with zeros; flat."""
    groups, _, O = matrix.shape
    blocks = -(-O // width)
    packed = np.zeros((groups, blocks, len(order), width), matrix.dtype)
    for block in range(blocks):
        part = matrix[:, order, block * width : (block + 1) * width]
        packed[:, block, :, : part.shape[2]] = part
    return packed.reshape(-1)


def run_product(x: Array, geometry: Geometry, matrix: Array, y: Array, groups: int) -> None:
    """y = every walk of the geometry over x, for channels-last x and y and a weight matrix (groups, KH*KW*CG, OG)."""
    (N, C, H, W), O = x.shape, y.shape[1]
    plan = Plan(geometry, H, W, C, N, x.itemsize)
    width, two = block_width(O // groups, x.itemsize)
    tables, weights, starts = [], [], []
    at = weights_at = 0
    for walk in geometry.walks:
        packed = pack(matrix, walk.order, width)
        count = len(walk.pixels)
        starts.append((at, count, walk.row, at + 2 * count, len(walk.taps), walk.run, weights_at))
        tables += [walk.pixels, walk.places, walk.taps]
        weights.append(packed)
        at, weights_at = at + 2 * count + len(walk.taps), weights_at + len(packed)
    packed, table, rows = np.concatenate(weights), np.concatenate(tables), np.array(starts, np.int64)
    flat_x, flat_y = flat(x), flat(y)
    in_chunks(
        lambda first, last: product(
            flat_x, H, W, C, plan.top, plan.left, plan.BW, plan.step, plan.span, plan.direct, plan.bands, plan.band,
            groups, C // groups, O // groups, width, two, packed, table, rows, flat_y, y[0].size, first, last,
        ),
        N * plan.bands,
    )  # fmt: skip


def flat(x: Array) -> Array:
    """The memory of a channels-last array as one row."""
    return x.transpose(0, 2, 3, 1).reshape(-1)


def channels_last(x: Array) -> Array:
    """x (N, C, H, W) in channels-last memory: itself if it is so already."""
    if x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return x
    moved = empty_memory(x.shape, x, channels_last=True)
    moved[...] = x
    return moved


def supported(x: Array, weight: Array, *settings: Any) -> bool:
    """Whether the kernels take these arrays: float32 and float64; complex numbers and empty batches go to the readable form."""
    return x.dtype == weight.dtype and x.dtype in (np.float32, np.float64) and x.size > 0


@replaces("cpu", when=supported)
def correlate(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: y (N, O, OH, OW)."""
    (N, C, H, W), (O, CG, KH, KW) = x.shape, weight.shape
    OH, OW = (output_size(*axis) for axis in zip((H, W), (KH, KW), stride, pad, dilation, strict=True))
    geometry = forward_geometry(H, W, C, O, (KH, KW), stride, pad, dilation, groups)
    matrix = (
        weight.reshape(groups, O // groups, CG, KH, KW)
        .transpose(0, 3, 4, 2, 1)
        .reshape(groups, KH * KW * CG, O // groups)
    )
    y = empty_memory((N, O, OH, OW), x, channels_last=True)
    run_product(channels_last(x), geometry, matrix, y, groups)
    return like_memory(y, x)


@replaces("cpu", when=supported)
def input_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    (_, C, H, W), (O, CG, KH, KW) = x.shape, weight.shape
    geometry = input_gradient_geometry(H, W, C, O, (KH, KW), stride, pad, dilation, groups)
    matrix = (
        weight.reshape(groups, O // groups, CG, KH, KW)
        .transpose(0, 3, 4, 1, 2)
        .reshape(groups, KH * KW * (O // groups), CG)
    )
    dx = empty_memory(x.shape, dy, channels_last=True)
    run_product(channels_last(dy), geometry, matrix, dx, groups)
    return like_memory(dx, x)


@replaces("cpu", when=supported)
def weight_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: dweight (O, C/groups, KH, KW)."""
    (N, C, H, W), (O, CG, KH, KW) = x.shape, weight.shape
    geometry = forward_geometry(H, W, C, O, (KH, KW), stride, pad, dilation, groups)
    walk, plan = geometry.walks[0], Plan(geometry, H, W, C, N, x.itemsize)
    width, two = block_width(O // groups, x.itemsize)
    wide = -(-(O // groups) // width) * width
    size = groups * len(walk.taps) * walk.run * wide
    chunks = max(2, min(CHUNKS, N * plan.bands, PARTIAL_BYTES // (size * x.itemsize)))
    parts = np.zeros(chunks * size, x.dtype)
    flat_x, flat_dy = flat(channels_last(x)), flat(channels_last(dy))
    units = N * plan.bands

    def work(first: int, last: int) -> None:
        for chunk in range(first, last):
            outer(
                flat_x, H, W, C, plan.top, plan.left, plan.BW, plan.step, plan.span, plan.direct, plan.bands, plan.band,
                groups, CG, O // groups, width, two, flat_dy, O, walk.pixels, walk.places, walk.row, walk.taps, walk.run,
                parts[chunk * size : (chunk + 1) * size], chunk * units // chunks, (chunk + 1) * units // chunks,
            )  # fmt: skip

    in_chunks(work, chunks)
    total, piece = np.empty(size, x.dtype), 1 << 14
    in_chunks(lambda first, last: add_up(parts, chunks, piece, total, first, last), -(-size // piece))
    matrix = np.empty((groups, KH * KW * CG, O // groups), x.dtype)
    matrix[:, walk.order] = total.reshape(groups, len(walk.order), wide)[:, :, : O // groups]
    return matrix.reshape(groups, KH, KW, CG, O // groups).transpose(0, 4, 3, 1, 2).reshape(weight.shape)
