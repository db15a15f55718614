"""How one pass over a batch is shared out: units of work whose scratch stays in the second-level cache, and the tables they walk by."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from .geometry import Geometry, Offsets
from .host import lanes
from .threads import CHUNKS

SCRATCH_BYTES = (
    1 << 18
)  # of one unit's bordered input: a quarter of a megabyte stays in the second-level cache of any machine of today
ENOUGH_PIXELS = 512  # in a unit: fewer, and loading weights and leaving short tiles cost too much


class Plan(NamedTuple):
    """A unit is a group of small pictures, or a band of rows of a large one. All numbers for the kernels, and all tables in one array."""

    units: int
    numbers: Array  # (21,) int64: see `visit.product_visit`
    table: Offsets
    starts: Offsets  # (walks, 7): where in the table a walk's pixels, places and taps lie, how many; its run and its packed weights
    orders: tuple[Offsets, ...]  # per walk: the rows of the weight matrix as the kernel meets them
    width: int  # output channels of one tile
    counts: Array  # (units,) float64: output pixels of each unit


@functools.lru_cache(256)
def make_plan(
    geometry: Geometry,
    shape: tuple[int, ...],
    out: tuple[int, ...],
    groups: int,
    itemsize: int,
    in_scratch: bool = False,
) -> Plan:
    """The plan of a product from pictures of shape (N, C, H, W) to `out` (N, O, OH, OW); `in_scratch` if they change on the way in."""
    (N, C, H, W), (_, O, OH, OW) = shape, out
    picture = O * OH * OW
    (top, left), (BH, BW) = geometry.border, geometry.bordered
    direct = not in_scratch and (top, left) == (0, 0) and (BH, BW) == (H, W)
    rows = max(-(-len(walk.pixels) // walk.row) for walk in geometry.walks)
    pixels = sum(len(walk.pixels) for walk in geometry.walks)
    fitting = (SCRATCH_BYTES // (BW * C * itemsize) - geometry.span) // geometry.step + 1
    wanted = -(-CHUNKS // max(N, 1))  # bands, so that a small batch has work for every thread too
    band = max(1, min(rows if direct else fitting, -(-rows // wanted)))
    group = 1
    if band == rows:
        fitting = max(1, SCRATCH_BYTES // (BH * BW * C * itemsize))
        group = max(1, min(fitting, -(-ENOUGH_PIXELS // pixels), N // 4))
    bands = -(-rows // band)
    vectors = -(-(O // groups) // lanes(itemsize))
    two = vectors % 2 == 0
    width = lanes(itemsize) * (1 + two)
    tables, starts, at, weights = [], [], 0, 0
    for walk in geometry.walks:
        each = np.arange(group)[:, None]
        size = H * W * C if direct else BH * BW * C
        count, taps = len(walk.pixels), len(walk.taps)
        tables += [(walk.pixels + each * size).ravel(), (walk.places + each * picture).ravel(), walk.taps]
        starts.append((at, count, walk.row, at + 2 * group * count, taps, walk.run, weights))
        at += 2 * group * count + taps
        weights += groups * -(-(O // groups) // width) * width * taps * walk.run
    parities = len({int(walk.places[0]) // (OW * O) for walk in geometry.walks})  # rows a row of windows makes
    way = (geometry.step, geometry.span, direct, bands, band, group, groups, O // groups, two)
    numbers = (H, W, C, top, left, BH, BW, *way, picture, N, OH, OW, parities)
    edges = np.minimum(np.arange(bands + 1) * band * parities, OH)
    sizes = np.minimum(group, N - np.arange(0, N, group))
    counts = (sizes[:, None] * np.diff(edges) * OW).ravel().astype(np.float64)
    return Plan(
        -(-N // group) * bands,
        np.array(numbers, np.int64),
        np.concatenate(tables),
        np.array(starts, np.int64),
        tuple(walk.order for walk in geometry.walks),
        width,
        counts,
    )


def pack(matrix: Array, plan: Plan) -> Array:
    """A weight matrix (groups, K, O) as the kernel reads it: per walk and group, blocks of `width` channels, filled up with zeros."""
    groups, _, O = matrix.shape
    blocks = -(-O // plan.width)
    sizes = [groups * blocks * len(order) * plan.width for order in plan.orders]
    packed = np.zeros(sum(sizes), matrix.dtype)
    start = 0
    for order, size in zip(plan.orders, sizes, strict=True):
        part = packed[start : start + size].reshape(groups, blocks, len(order), plan.width)
        for block in range(blocks):
            columns = matrix[:, order, block * plan.width : (block + 1) * plan.width]
            part[:, block, :, : columns.shape[2]] = columns
        start += size
    return packed
