"""The implicit convolution: forward, gradient of the input, gradient of the weight, without ever writing the columns.

im2col's columns are never made: their numbers are found by address arithmetic (`geometry.py`). Each picture, or a band of its rows if it is
large, is copied once into a zero-bordered scratch that stays in the second-level cache (`plan.py`, `visit.py`); padding, stride and borders
live there. Weights are packed so that a register tile (`tiles.py`) reads them in one straight line. 3x3 convolutions of float32 go by
Winograd's tiles (`winograd.py`), as many groups as channels by vectors of channels (`depthwise.py`).
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..arrays import Array, empty_memory, like_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from ..memory import pool
from . import depthwise, winograd
from .geometry import Geometry, forward_geometry, input_gradient_geometry, winograd_geometry
from .host import lanes
from .plan import Plan, make_plan
from .threads import CHUNKS, in_chunks
from .visit import outer_visit, product_visit
from .ways import COPY, NOTHING
from .weights import pack_weight, unpack_gradient
from .winograd import pack_filter, unpack_filter_gradient

PARTIAL_BYTES = 1 << 21  # of all chunks' own weight gradients together: more do not stay in cache while they grow
SPLITS = 8  # pieces of work for a weight gradient at least: chunks of the pictures, each in parts of its channels
ENOUGH_TILES = 12  # of Winograd's: fewer, and packing the weight costs more than is saved

Ways: TypeAlias = tuple[Geometry, ...]

_direct: contextvars.ContextVar[bool] = contextvars.ContextVar("tinyresnet_direct", default=False)


class WayIn(NamedTuple):
    """What is done to an input (N, C, H, W) while it is brought into scratch; see `visit.py`. All arrays flat, empty where not needed."""

    kind: int
    a: Array
    b: Array
    c: Array
    other: Array
    z: Array


class WayOut(NamedTuple):
    """What is done to an output while it is still in cache; see `visit.py`. All arrays flat, empty where not needed."""

    kind: int
    extra: Array
    x: Array
    scale: Array
    shift: Array
    mean: Array
    z: Array


def as_it_is(like: Array) -> tuple[WayIn, WayOut]:
    """Nothing on the way in, nothing on the way out."""
    none = np.empty(0, like.dtype)
    return WayIn(COPY, none, none, none, none, none), WayOut(NOTHING, none, none, none, none, none, none)


def flat(x: Array) -> Array:
    """The memory of a channels-last array as one row; never marked read-only, for that is another type to Numba, to be compiled again."""
    row = x.transpose(0, 2, 3, 1).reshape(-1)
    if row.flags.writeable:
        return row
    same = {**row.__array_interface__, "data": (row.ctypes.data, False)}
    return np.asarray(SimpleNamespace(__array_interface__=same, keeps=row))


def contiguous(weight: Array) -> Array:
    """A weight's numbers as one row in the order of its shape; never marked read-only."""
    row = np.ascontiguousarray(weight).reshape(-1)
    return row if row.flags.writeable else row.copy()


def channels_last(x: Array) -> Array:
    """x (N, C, H, W) in channels-last memory: itself if it is so already."""
    if x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return x
    moved = empty_memory(x.shape, x, channels_last=True)
    moved[...] = x
    return moved


def forward_ways(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Ways:
    """How y may be made from x, the fastest way first; the last one is always right."""
    (_, C, H, W), (O, _, *kernel) = x.shape, weight.shape
    direct = forward_geometry(H, W, C, O, (kernel[0], kernel[1]), stride, pad, dilation, groups)
    if winograd_pays(x, weight, stride, pad, dilation, groups):
        return winograd_geometry(H, W, C, O, pad, direct.column), direct
    return (direct,)


def backward_ways(
    x: tuple[int, ...], dy: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Ways:
    """How dx, of x's shape, may be made from dy, the fastest way first; the last one is always right."""
    (_, C, H, W), (O, _, *kernel) = x, weight.shape
    direct = input_gradient_geometry(H, W, C, O, (kernel[0], kernel[1]), stride, pad, dilation, groups)
    turned = (2 - pad[0], 2 - pad[1])
    if winograd_pays(dy, weight, stride, turned, dilation, groups):
        return winograd_geometry(*dy.shape[2:], O, C, turned, direct.column), direct
    return (direct,)


@contextlib.contextmanager
def direct() -> Iterator[None]:
    """Within the block, every convolution has the products of the definition: no Winograd."""
    token = _direct.set(True)
    try:
        yield
    finally:
        _direct.reset(token)


def winograd_pays(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> bool:
    """Whether to convolve x by Winograd's tiles: 3x3, whole vectors of channels, float32, and tiles enough that are mostly full.

    In float64, which is for checking, products are those of the definition.
    """
    if _direct.get():
        return False
    if weight.shape[2:] != (3, 3) or (stride, dilation, groups) != ((1, 1), (1, 1), 1) or x.dtype != np.float32:
        return False
    if min(pad) < 0 or weight.shape[0] % lanes(4) or weight.shape[1] % lanes(4):
        return False
    N, _, H, W = x.shape
    OH, OW = H + 2 * pad[0] - 2, W + 2 * pad[1] - 2
    tiles = -(-OH // 2) * -(-OW // 2)
    return N * tiles >= ENOUGH_TILES and 2 * tiles <= OH * OW


def product(
    x: Array, ways: Ways, weight: Array, y: Array, groups: int, way_in: WayIn, way_out: WayOut
) -> tuple[Array, Array]:
    """y from x by the first of the ways that is right for these numbers, for channels-last x and y.

    Returns what the way out found, (units, 2, O), and how many output pixels each unit has.
    """
    flat_x, flat_y, flat_weight = flat(x), flat(y), contiguous(weight)
    if 1 < groups == x.shape[1] == y.shape[1]:
        return depthwise_product(x, ways[-1], weight, y)
    for geometry in ways:
        plan = make_plan(geometry, x.shape, y.shape, groups, x.itemsize, way_in.kind != COPY)
        found = np.empty((plan.units, 2, y.shape[1]) if way_out.kind != NOTHING else (0, 2, 0), x.dtype)
        packed, bad = pool.empty((plan.packed,), x.dtype), np.zeros(plan.units, x.dtype)
        pack(flat_weight, plan, groups, geometry.winograd, packed)
        given = (
            plan.sizes, plan.table, plan.starts, packed, way_in.kind, flat_x, *way_in[1:],
            way_out.kind, flat_y, *way_out[1:], found.reshape(-1),
        )  # fmt: skip
        if geometry.winograd:
            in_chunks(functools.partial(winograd.product_visit, *given, bad), plan.units, operations(x, y, weight))
        else:
            in_chunks(functools.partial(product_visit, *given), plan.units, operations(x, y, weight))
        if np.isfinite(bad).all():
            break
    return found, plan.counts


def depthwise_product(x: Array, geometry: Geometry, weight: Array, y: Array) -> tuple[Array, Array]:
    """The same of as many groups as channels; units know no groups, so nothing is done on the way in or out."""
    plan = make_plan(geometry, x.shape, y.shape, x.shape[1], x.itemsize)
    given = (plan.sizes, plan.table, plan.starts, depthwise.packed_taps(weight, plan), flat(x), flat(y))
    in_chunks(functools.partial(depthwise.product_visit, *given), plan.units, operations(x, y, weight))
    return np.empty((0, 2, 0), x.dtype), plan.counts


def operations(x: Array, y: Array, weight: Array) -> int:
    """The multiply-adds of a convolution between x and y, in either direction."""
    return min(x.size // x.shape[1], y.size // y.shape[1]) * weight.size


def pack(weight: Array, plan: Plan, groups: int, by_points: bool, packed: Array) -> None:
    """The weight as the kernel of this plan reads it; on one thread where it is small."""
    if by_points:
        work = functools.partial(pack_filter, weight, plan.sizes.C, plan.sizes.OG, plan.column, plan.width, packed)
    else:
        given = (weight, plan.starts, plan.weights, plan.column, groups, plan.sizes.OG, plan.width, packed)
        work = functools.partial(pack_weight, *given)
    in_chunks(work, plan.blocks, 16 * plan.packed)


def outer(x: Array, ways: Ways, dy: Array, weight: Array, groups: int, way_in: WayIn, way_in_dy: WayIn) -> Array:
    """dweight (O, C/groups, KH, KW), the sum over pictures of the outer products of x and dy, by the first way that is right."""
    if 1 < groups == x.shape[1] == dy.shape[1]:
        return depthwise_outer(x, ways[-1], dy, weight)
    dweight = np.empty(weight.shape, x.dtype)
    for geometry in ways:
        plan = make_plan(geometry, x.shape, dy.shape, groups, x.itemsize, way_in.kind != COPY)
        chunks = max(1, min(CHUNKS, plan.units, PARTIAL_BYTES // (plan.packed * x.itemsize)))
        parts, bad = pool.empty((chunks * plan.packed,), x.dtype), np.zeros(plan.blocks, x.dtype)
        visit = functools.partial(
            winograd.outer_visit if geometry.winograd else outer_visit,
            plan.sizes, plan.table, plan.starts, way_in.kind, flat(x), way_in.a, way_in.b,
            way_in_dy.kind, flat(dy), way_in_dy.a, way_in_dy.b, way_in_dy.c, way_in_dy.other,
        )  # fmt: skip
        outer_parts(visit, parts, chunks, plan, operations(x, dy, weight))
        flat_dweight = dweight.reshape(-1)
        if geometry.winograd:
            unpack = functools.partial(
                unpack_filter_gradient, parts, chunks, plan.sizes.C, plan.width, flat_dweight, bad
            )
        else:
            unpack = functools.partial(
                unpack_gradient, parts, chunks, plan.weights, plan.column, groups, plan.sizes.OG, plan.width, flat_dweight
            )  # fmt: skip
        in_chunks(unpack, plan.blocks, 16 * parts.size)
        if np.isfinite(bad).all():
            break
    return dweight


def depthwise_outer(x: Array, geometry: Geometry, dy: Array, weight: Array) -> Array:
    """dweight (C, 1, KH, KW) of as many groups as channels."""
    plan = make_plan(geometry, x.shape, dy.shape, x.shape[1], x.itemsize)
    chunks = min(CHUNKS, plan.units)
    parts = np.zeros((chunks, weight.size), x.dtype)
    visit = functools.partial(depthwise.outer_visit, plan.sizes, plan.table, plan.starts, flat(x), flat(dy))

    def work(first: int, last: int) -> None:
        for chunk in range(first, last):
            visit(parts[chunk], chunk * plan.units // chunks, (chunk + 1) * plan.units // chunks)

    in_chunks(work, chunks, operations(x, dy, weight))
    return depthwise.unpacked_taps(parts, plan, weight.shape)


def outer_parts(visit: Callable[..., object], parts: Array, chunks: int, plan: Plan, operations: int) -> None:
    """The packed gradients of `chunks` chunks of the units, each of which is made in a few parts of the output channels."""
    splits = min(plan.blocks, max(1, SPLITS // chunks))
    size = plan.packed // plan.blocks

    def work(first: int, last: int) -> None:
        for number in range(first, last):
            chunk, split = divmod(number, splits)
            part = parts[chunk * plan.packed : (chunk + 1) * plan.packed]
            blocks = split * plan.blocks // splits, (split + 1) * plan.blocks // splits
            part[blocks[0] * size : blocks[1] * size] = 0
            visit(part, *blocks, chunk * plan.units // chunks, (chunk + 1) * plan.units // chunks)

    in_chunks(work, chunks * splits, operations)


def supported(x: Array, weight: Array, *settings: Any) -> bool:
    """Whether the kernels take these arrays: float32 and float64; complex numbers and empty batches go to the readable form."""
    return x.dtype == weight.dtype and x.dtype in (np.float32, np.float64) and x.size > 0


@replaces("cpu", when=supported)
def correlate(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: y (N, O, OH, OW)."""
    (N, _, H, W), (O, _, *kernel) = x.shape, weight.shape
    OH, OW = (output_size(*axis) for axis in zip((H, W), kernel, stride, pad, dilation, strict=True))
    y = empty_memory((N, O, OH, OW), x, channels_last=True)
    ways = forward_ways(x, weight, stride, pad, dilation, groups)
    product(channels_last(x), ways, weight, y, groups, *as_it_is(x))
    return like_memory(y, x)


@replaces("cpu", when=supported)
def input_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    dx = empty_memory(x.shape, dy, channels_last=True)
    ways = backward_ways(x.shape, dy, weight, stride, pad, dilation, groups)
    product(channels_last(dy), ways, weight, dx, groups, *as_it_is(dy))
    return like_memory(dx, x)


@replaces("cpu", when=supported)
def weight_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: dweight (O, C/groups, KH, KW)."""
    copy, _ = as_it_is(x)
    ways = forward_ways(x, weight, stride, pad, dilation, groups)
    return outer(channels_last(x), ways, channels_last(dy), weight, groups, copy, copy)
