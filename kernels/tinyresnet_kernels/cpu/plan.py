"""How one pass over a batch is shared out: units of work whose scratch stays in the second-level cache, and the tables they walk by."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from ..arrays import Array
from . import threads
from .geometry import Geometry, Offsets
from .host import lanes
from .threads import CHUNKS

SCRATCH_BYTES = (
    1 << 18
)  # of one unit's bordered input: a quarter of a megabyte stays in the second-level cache of any machine of today
ENOUGH_PIXELS = 512  # in a unit: fewer, and loading weights and leaving short tiles cost too much
EVEN = 8  # the number of units of several pictures is a multiple of this if it can be: then no thread has one more than another
POINTS = 16  # of a 4x4 tile of Winograd's


class Sizes(NamedTuple):
    """All numbers that a kernel needs to know about a pass."""

    H: int  # of the input pictures
    W: int
    C: int
    top: int  # rows above and columns left of the picture in the bordered one
    left: int
    BH: int  # of the bordered picture
    BW: int
    step: int  # bordered rows from one row of windows to the next
    span: int  # bordered rows that a row of windows sees
    direct: bool  # whether the input is read where it is: there is no border
    bands: int  # units per picture, each of so many rows of windows; 1: a unit is a group of pictures
    band: int
    group: int
    groups: int  # of channels
    OG: int  # output channels of a group
    two: bool  # whether a tile has two vectors of output channels
    picture: int  # numbers in an output picture
    N: int
    OH: int
    OW: int
    makes: int  # output rows that a row of windows makes


class Plan(NamedTuple):
    """A unit is a group of small pictures, or a band of rows of a large one. All tables are in one array."""

    units: int
    sizes: Sizes
    table: Offsets
    starts: Offsets  # (walks, 7): where in the table a walk's pixels, places and taps lie, how many; its run and its packed weights
    weights: Offsets  # of all walks: where in the weight the numbers lie that a block of output channels begins with
    column: int  # in the weight, from one output channel to the next
    blocks: int  # of output channels: as many as a tile is wide
    width: int
    packed: int  # numbers in the packed weight
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
    weights = [POINTS * C if geometry.winograd else len(walk.weights) for walk in geometry.walks]
    work = N * O * sum(len(walk.pixels) * count for walk, count in zip(geometry.walks, weights, strict=True))
    # bands, so that a small batch has work for every thread too
    wanted = -(-CHUNKS // max(N, 1)) if work >= threads.WORTH_A_THREAD else 1
    band = max(1, min(rows if direct else fitting, -(-rows // wanted)))
    group = 1
    if band == rows:
        fitting = max(1, SCRATCH_BYTES // (BH * BW * C * itemsize))
        group = max(1, min(fitting, -(-ENOUGH_PIXELS // pixels), N // 4))
        if group > 1:
            units = -(-N // group)
            group = -(-N // (-(-units // EVEN) * EVEN))
    bands = -(-rows // band)
    vectors = -(-(O // groups) // lanes(itemsize))
    two = vectors % 2 == 0
    width = lanes(itemsize) * (1 + two)
    blocks = groups * -(-(O // groups) // width)
    tables, starts, at, packed = [], [], 0, 0
    for walk in geometry.walks:
        each = np.arange(group)[:, None]
        size = H * W * C if direct else BH * BW * C
        count, taps = len(walk.pixels), len(walk.taps)
        tables += [(walk.pixels + each * size).ravel(), (walk.places + each * picture).ravel(), walk.taps]
        starts.append((at, count, walk.row, at + 2 * group * count, taps, walk.run, packed))
        at += 2 * group * count + taps
        packed += blocks * width * (POINTS * C if geometry.winograd else taps * walk.run)
    way = (geometry.step, geometry.span, direct, bands, band, group, groups, O // groups, two)
    edges = np.minimum(np.arange(bands + 1) * band * geometry.makes, OH)
    each_unit = np.minimum(group, N - np.arange(0, N, group))
    return Plan(
        -(-N // group) * bands,
        Sizes(H, W, C, top, left, BH, BW, *way, picture, N, OH, OW, geometry.makes),
        np.concatenate(tables),
        np.array(starts, np.int64),
        np.concatenate([walk.weights for walk in geometry.walks]),
        geometry.column,
        blocks,
        width,
        packed,
        (each_unit[:, None] * np.diff(edges) * OW).ravel().astype(np.float64),
    )
