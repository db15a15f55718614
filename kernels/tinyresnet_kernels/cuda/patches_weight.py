"""How the fourth rung works on the gradient of the weights: tiles, teams of threads, and chunks of pixels. Read as `struct Plan`.

Everything follows from the sizes alone, never from the card at hand, so that sums are made in the same order everywhere.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from .geometry import Geometry
from .patches import SHARED_BYTES, WIDEST_STRIP, patch_size

COLUMNS = 3  # vectors of columns of a thread, as in the kernel
ENOUGH_BLOCKS = 128  # one for each processor of a large card
MOST_PARTIALS = 0.14  # numbers of all partial sums, as a part of those that are read
MOST_THREADS = {1: 384, 2: 192}  # of a block whose threads sum 1 or 2 vectors of outputs


class Plan(NamedTuple):
    """The sizes of a convolution and how they are worked on, in the order of `struct Plan`."""

    geometry: Geometry
    strip: int  # outputs are cut into strips so many pixels wide
    strips: int
    depth: int  # vectors of channels of a tile, 1 << shift
    shift: int
    side: int  # threads of a team along the outputs
    columns: int  # and along the columns
    side_shift: int  # vectors of outputs of a tile: 1 << side_shift
    pixels: int  # that are staged at once
    stages: int  # how often a block does so
    most: int  # pixels of a patch, at most
    whole_x: int  # whether all vectors of channels of x are whole
    whole_dy: int  # the same of dy


class Work(NamedTuple):
    """One launch."""

    far: int  # vectors of outputs of a thread
    plan: Plan
    grid: tuple[int, int, int]
    threads: int
    chunks: int
    shared_bytes: int

    @property
    def blocks(self) -> int:
        """How many there are."""
        return self.grid[0] * self.grid[1] * self.grid[2]


@functools.lru_cache(maxsize=1024)
def work(g: Geometry, groups: int, lanes: int) -> Work | None:
    """The launch for these sizes, with vectors of so many lanes; None where nothing fits into shared memory."""
    wide = _work(g, groups, lanes, 2) if lanes * 4 < g.M else None
    if wide and wide.blocks >= ENOUGH_BLOCKS:
        return wide
    return _work(g, groups, lanes, 1) or wide


def _work(g: Geometry, groups: int, lanes: int, far: int) -> Work | None:
    """The launch with the largest tiles of which there are enough, else with the smallest."""
    side, found = _power(-(-g.M // (far * lanes)), 4), None
    for most_depth in (16, 8, 4, 2, 1):
        depth = _power(-(-g.K // lanes), min(most_depth, 16 if g.taps == 1 else 4))
        columns = -(-g.taps * depth // COLUMNS)
        if side * columns > MOST_THREADS[far] or (found and (found.plan.depth == depth or depth == 1)):
            continue
        for pixels in (128, 64, 32):
            made = _tile(g, groups, lanes, far, side, depth, columns, pixels)
            if made.shared_bytes <= SHARED_BYTES:
                found = made
                if made.blocks >= ENOUGH_BLOCKS * 3 // 4:
                    return made
                break
    return found


def _tile(g: Geometry, groups: int, lanes: int, far: int, side: int, depth: int, columns: int, pixels: int) -> Work:
    strips = -(-g.across.outputs // WIDEST_STRIP)
    strip = -(-g.across.outputs // strips)
    widths = {strip, g.across.outputs - strip * ((g.across.outputs - 1) // strip)}
    most = max(patch_size(g, width, pixels) for width in widths)
    tiles = -(-g.M // (side * far * lanes)) * -(-g.K // (depth * lanes))
    rows = g.N * g.down.outputs

    read, made = g.pixels * g.O + g.N * g.C * g.down.size * g.across.size, groups * g.M * g.taps * g.K
    chunks = max(1, min(-(-ENOUGH_BLOCKS // (tiles * groups)), int(MOST_PARTIALS * read / made)) // strips)
    stages = -(-rows * strip // (chunks * pixels))
    chunks = -(-rows * strip // (stages * pixels)) * strips

    slices = 1
    while 2 * slices * side * columns <= MOST_THREADS[far]:
        slices *= 2
    sums = side * columns * far * lanes * COLUMNS * 16  # bytes of a team's
    buffers = 2 * (most * depth + pixels * side * far) * 16 + 3 * 4 * (2 + most + 2 * pixels)
    while slices > 2 and slices // 2 * sums > max(buffers, SHARED_BYTES):
        slices //= 2
    whole = [int(channels % lanes == 0 and part % lanes == 0) for channels, part in ((g.C, g.K), (g.O, g.M))]
    shifts = (depth.bit_length() - 1, (side * far).bit_length() - 1)
    plan = Plan(g, strip, strips, depth, shifts[0], side, columns, shifts[1], pixels, stages, most, *whole)
    shared = max(buffers, slices // 2 * sums)
    return Work(far, plan, (tiles, chunks, groups), side * columns * slices, chunks, shared)


def _power(least: int, most: int) -> int:
    """The smallest power of two that is not below `least`; at most `most`."""
    return int(min(1 << (least - 1).bit_length(), most))
