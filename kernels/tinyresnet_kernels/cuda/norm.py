"""Batch norm in passes over channels-last pictures, also fused with ReLU and add, as units want it. Kernels and their layout: `norm.cu`.

Sums are made chunk by chunk and put together in a fixed order by a second, small kernel. Chunks depend on the shape alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, empty_memory, like_memory
from ..dispatch import replaces
from .launch import THREADS, channels_last, empty, flat, kernel, supported
from .versions import chosen

ENOUGH_BLOCKS = 512  # of a pass that sums: four for each of an H100's 132 SMs, as many as there is room for
LEAST_PIXELS = 4  # for a thread of such a pass
WARPS = THREADS // 32


class Grid(NamedTuple):
    """How threads lie over pictures (see `norm.cu`): `width` channels a thread, `lanes` threads a pixel, `groups` of those for all C."""

    P: int
    C: int
    width: int
    lanes: int
    groups: int

    @property
    def step(self) -> int:
        """How many pixels a block works on at once."""
        return THREADS // self.lanes

    @property
    def chunk(self) -> int:
        """How many pixels a block sums up, where chunks are summed."""
        return -(-self.P // max(1, min(ENOUGH_BLOCKS // self.groups, self.P // (self.step * LEAST_PIXELS))))

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.P // self.chunk)


def grid_of(x: Array) -> Grid:
    """For x (N, C, H, W): all channels of a pixel side by side, on up to 32 lanes; of many vectors, with few idle lanes."""
    C = x.shape[1]
    width = width_of(x, C)
    vectors = C // width
    if width == 1 or vectors <= 4:
        lanes = min(32, 1 << (vectors - 1).bit_length())
    else:  # 8 lanes still read 128 bytes in a row
        lanes = min((32, 16, 8), key=lambda lanes: -(-vectors // lanes) * lanes)
    return Grid(x.size // C, C, width, lanes, -(-vectors // lanes))


def width_of(like: Array, C: int) -> int:
    """How many channels a thread takes at once: a vector of 16 bytes where they are whole vectors, else one."""
    per_vector = 16 // like.itemsize
    return per_vector if C % per_vector == 0 else 1


def ints(*numbers: int) -> list[np.int32]:
    """Whole numbers as kernels take them."""
    return [np.int32(number) for number in numbers]


def visit(name: str, x: Array, *arrays: Array) -> None:
    """Run a kernel that computes number by number: its arrays, and then P, C, lanes, width."""
    grid = grid_of(x)
    blocks = max(1, min(-(-grid.P // (grid.step * LEAST_PIXELS)), 4 * ENOUGH_BLOCKS // grid.groups))
    kernel("norm", name, x)((grid.groups, blocks), (THREADS,), (*arrays, *ints(grid.P, grid.C, grid.lanes, grid.width)))


def sum_chunks(name: str, x: Array, *arrays: Array, sums: int = 2) -> Any:
    """Run a kernel that makes `sums` numbers a channel and chunk: its arrays, those (sums, C, chunks), and P, C, lanes, width, chunk."""
    grid = grid_of(x)
    parts = empty((sums, grid.C, grid.chunks), x, np.float64)
    settings = ints(grid.P, grid.C, grid.lanes, grid.width, grid.chunk)
    kernel("norm", name, x)((grid.groups, grid.chunks), (THREADS,), (*arrays, *parts, *settings))
    return parts


def join_chunks(name: str, x: Array, parts: Any, *settings: int) -> tuple[Array, Array]:
    """Run a kernel that makes two vectors (C,) of parts (sums, C, chunks); a warp a channel."""
    _, C, chunks = parts.shape
    first, second = empty((2, C), x)
    arguments = (*parts, first, second, *ints(*settings, C, chunks))
    kernel("norm", name, x)((-(-C // WARPS),), (THREADS,), arguments)
    return first, second


@replaces("cuda", when=supported)
def moments(x: Array) -> tuple[Array, Array]:
    """As the readable form: mean and var (C,), by the chosen rung of the ladder."""
    return MOMENTS[chosen("moments")](x)


def moments_v1(x: Array) -> tuple[Array, Array]:
    """One thread a channel, two passes."""
    N, C, H, W = x.shape
    mean, var = empty((2, C), x)
    kernel("norm", "moments_v1", x)((-(-C // THREADS),), (THREADS,), (channels_last(x), mean, var, *ints(N * H * W, C)))
    return mean, var


def moments_v2(x: Array) -> tuple[Array, Array]:
    """One block a channel, sums by a tree in shared memory."""
    N, C, H, W = x.shape
    mean, var = empty((2, C), x)
    kernel("norm", "moments_v2", x)((C,), (THREADS,), (channels_last(x), mean, var, *ints(N * H * W, C)))
    return mean, var


def moments_v3(x: Array) -> tuple[Array, Array]:
    """One pass: a block a chunk of pixels, coalesced, sums by shuffles; then the chunks are joined."""
    grid = grid_of(x)
    parts = sum_chunks("moments_v3", x, channels_last(x), sums=3)
    return join_chunks("moments_join", x, parts, grid.P, grid.chunk)


MOMENTS = {function.__name__: function for function in (moments_v1, moments_v2, moments_v3)}


@replaces("cuda", when=supported)
def scale_and_shift(x: Array, mean: Array, scale: Array, shift: Array) -> Array:
    """As the readable form: y (N, C, H, W)."""
    y = empty_memory(x.shape, x, channels_last=True)
    visit("scale_and_shift", x, channels_last(x), flat(mean), flat(scale), flat(shift), channels_last(y))
    return like_memory(y, x)


@replaces("cuda", when=supported)
def gradient_sums(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """As the readable form: two sums (C,)."""
    return join_chunks("sums_join", x, sum_chunks("gradient_sums", x, channels_last(dy), channels_last(x), flat(mean)))


@replaces("cuda", when=supported)
def normalized_gradient(dy: Array, x: Array, mean: Array, scale: Array, by_mean: Array, by_variance: Array) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    dx = empty_memory(x.shape, x, channels_last=True)
    vectors = [flat(vector) for vector in (mean, scale, by_mean, by_variance)]
    visit("normalized_gradient", x, channels_last(dy), channels_last(x), *vectors, channels_last(dx))
    return like_memory(dx, x)


@replaces("cuda", when=supported)
def settle(x: Array, scale: Array | None, shift: Array | None, shortcut: Array | None) -> Array:
    """As the readable form: relu(x * scale + shift + shortcut)."""
    if scale is None or shift is None:
        return x
    z = empty_memory(x.shape, x, channels_last=True)
    others = [] if shortcut is None else [channels_last(shortcut)]
    name = "settle" if shortcut is None else "settle_add"
    visit(name, x, channels_last(x), flat(scale), flat(shift), *others, channels_last(z))
    return like_memory(z, x)


@replaces("cuda", when=supported)
def close(dz: Array, z: Array, x: Array, mean: Array) -> tuple[Array, tuple[Array, Array]]:
    """As the readable form: g = dz where z > 0, and its sums."""
    g = empty_memory(x.shape, x, channels_last=True)
    pictures = [channels_last(array) for array in (dz, z, x)]
    sums = join_chunks("sums_join", x, sum_chunks("close_relu", x, *pictures, flat(mean), channels_last(g)))
    return like_memory(g, dz), sums
