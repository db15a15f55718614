"""How the fourth rung works on a class of outputs: which tile, and what of the patch is staged at once. Read as `struct Plan`.

Everything follows from the sizes alone, never from the card at hand, so that sums are made in the same order everywhere.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from .geometry import Axis, Geometry

SHARED_BYTES = 48 << 10  # of a block: what every card gives without being asked
WIDEST_STRIP = 32  # pixels: a block of 128 is then 4 rows or more, and its patch not much larger than itself
ENOUGH_BLOCKS = 256  # two for each processor of a large card


class Tile(NamedTuple):
    """What a block of 128 threads makes: so many pixels times so many vectors of outputs."""

    pixels: int
    vectors: int

    @property
    def name(self) -> str:
        """As the kernels are called."""
        return f"{self.pixels}x{self.vectors}"


FEW, MANY, SOME, LITTLE = Tile(256, 4), Tile(128, 16), Tile(128, 8), Tile(64, 8)


class Plan(NamedTuple):
    """A class of outputs and how it is worked on, in the order of `struct Plan`."""

    geometry: Geometry
    classes: int  # how many there are
    strip: int  # outputs of a class are cut into strips so many pixels wide
    depth: int  # vectors of channels that are staged at once
    chunks: int  # how often, for all channels
    plane: int  # pixels of a patch, rounded up for the banks
    most: int  # pixels of a patch, at most
    packed: int  # where this class's weights begin
    whole_in: int  # whether all vectors of channels that are read are whole
    whole_out: int  # the same of those that are written


class Work(NamedTuple):
    """One launch: all classes, with the same tile."""

    tile: Tile
    plans: tuple[Plan, ...]
    grid: tuple[int, int, int]
    packed: int  # numbers of all weights, packed
    shared_bytes: int


@functools.lru_cache(maxsize=1024)
def work(classes: tuple[Geometry, ...], groups: int, lanes: int) -> Work | None:
    """The launch for these classes, with vectors of so many lanes; None where nothing fits into shared memory."""
    M = classes[0].M
    vectors = -(-M // lanes)
    tile = min((MANY, SOME, FEW), key=lambda t: -(-vectors // t.vectors) * t.vectors * (1 if t is MANY else 1.1))
    blocks = sum(-(-g.pixels // tile.pixels) for g in classes) * groups * -(-vectors // tile.vectors)
    if blocks < ENOUGH_BLOCKS and vectors > FEW.vectors:
        tile = LITTLE
    for candidate in dict.fromkeys((tile, SOME, LITTLE, FEW)):
        for most_depth in (4, 2, 1):
            made = _work(classes, groups, lanes, candidate, most_depth)
            if made.shared_bytes <= SHARED_BYTES:
                return made
    return None


def _work(classes: tuple[Geometry, ...], groups: int, lanes: int, tile: Tile, most_depth: int) -> Work:
    strips = max(-(-g.across.outputs // WIDEST_STRIP) for g in classes)
    tiles = -(-classes[0].M // (tile.vectors * lanes))
    plans: list[Plan] = []
    packed = blocks = shared = 0
    for g in classes:
        depth = min(
            most_depth, 4 if g.taps == 1 else 2 if g.taps <= 9 else 1
        )  # a step or two a tap are enough to bring the next
        while depth > 1 and depth // 2 * lanes >= g.K:
            depth //= 2
        chunks = -(-g.K // (depth * lanes)) if g.taps else 0
        strip = -(-g.across.outputs // strips)
        widths = {strip, g.across.outputs - strip * ((g.across.outputs - 1) // strip)}
        most = max(patch_size(g, width, tile.pixels) for width in widths) if g.taps else 0
        plane = most + (8 // depth % 8 - most) % 8 if depth > 1 else most
        weights = g.taps * depth * lanes * tile.vectors * lanes
        whole = [int(channels % lanes == 0 and part % lanes == 0) for channels, part in ((g.C, g.K), (g.O, g.M))]
        plans.append(Plan(g, len(classes), strip, depth, chunks, plane, most, packed, *whole))
        packed += groups * tiles * chunks * weights
        blocks = max(blocks, *(-(-g.N * g.down.outputs * width // tile.pixels) for width in widths))
        buffers = 2 if chunks > 1 else 1
        integers = most + tile.pixels + 1 + g.taps * depth
        shared = max(shared, buffers * (plane * depth * 16 + weights * (16 // lanes)) + 4 * integers)
    return Work(tile, tuple(plans), (blocks * len(classes) * tiles, strips, groups), packed, shared)


@functools.lru_cache(maxsize=4096)
def patch_size(g: Geometry, width: int, pixels: int) -> int:
    """Pixels of the largest patch among blocks of so many pixels that follow each other along the rows of a strip."""
    rows = g.N * g.down.outputs
    first = np.arange(0, rows * width, pixels)
    last = np.minimum(first + pixels, rows * width) - 1
    return int((row_of(last // width, g.down) - row_of(first // width, g.down)).max() + span(g.down)) * (
        (width - 1) * g.across.stride + span(g.across)
    )


def span(axis: Axis) -> int:
    """How far a window reaches, in positions of the patch."""
    return axis.reach * (axis.taps - 1) + 1


def row_of(row: np.ndarray[tuple[int], np.dtype[np.int64]], down: Axis) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where the windows of a row of outputs, counted through all pictures, begin among the rows of pictures with their borders."""
    high = (down.outputs - 1) * down.stride + span(down)
    return row // down.outputs * high + row % down.outputs * down.stride
