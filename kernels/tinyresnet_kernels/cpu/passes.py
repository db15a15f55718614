"""Passes: a kernel, the tables and packed weights it is given, and the ranges it is called for. Each of a convolution's products is one.

Two passes that read the same arrays can be made together, piece by piece, so that the second finds them in cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..arrays import Array
from ..memory import pool
from . import depthwise, winograd
from .geometry import Geometry
from .host import lanes
from .layout import contiguous, flat
from .plan import Plan, make_plan
from .threads import CHUNKS, in_chunks
from .visit import outer_visit, product_visit
from .ways import COPY, NOTHING
from .weights import pack_weight, unpack_gradient
from .winograd import pack_filter, unpack_filter_gradient

ALONE = 8  # a multiply-add of a depthwise convolution takes as long as so many of another: each loads its own numbers
PARTIAL_BYTES = 1 << 21  # of all chunks' own weight gradients together: more do not stay in cache while they grow
SPLITS = 8  # pieces of work for a weight gradient at least: chunks of the pictures, each in parts of its channels


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


class Pass(NamedTuple):
    """Work to be done for all pieces 0..pieces-1, in any order, on any thread; then `result` gives what came of it."""

    work: Callable[[int, int], object]
    pieces: int
    operations: int
    result: Callable[[], tuple[Any, bool]]  # and whether it is right: if not, the next way is to be tried


MakePass: TypeAlias = Callable[[Geometry], Pass]
Ways: TypeAlias = tuple[Geometry, ...]  # to make the same numbers, the fastest first; the last one is always right


def run(make: MakePass, ways: Ways) -> Any:
    """What comes of a pass made in the first of the ways that is right for these numbers."""
    first = make(ways[0])
    in_chunks(first.work, first.pieces, first.operations)
    return _result(first, make, ways[1:])


def run_both(make: MakePass, ways: Ways, make_other: MakePass, other_ways: Ways) -> tuple[Any, Any]:
    """What comes of two passes over the same pictures: after each piece of the first, as large a share of the second."""
    first, second = make(ways[0]), make_other(other_ways[0])

    def work(start: int, end: int) -> None:
        for piece in range(start, end):
            first.work(piece, piece + 1)
            second.work(*(edge * second.pieces // first.pieces for edge in (piece, piece + 1)))

    in_chunks(work, first.pieces, first.operations + second.operations)
    return _result(first, make, ways[1:]), _result(second, make_other, other_ways[1:])


def _result(done: Pass, make: MakePass, ways: Ways) -> Any:
    found, right = done.result()
    return found if right or not ways else run(make, ways)


def product(x: Array, weight: Array, y: Array, groups: int, way_in: WayIn, way_out: WayOut, geometry: Geometry) -> Pass:
    """y from x, both channels-last.

    The result: what the way out found, (units, 2, O), and how many output pixels each unit has.
    """
    if 1 < groups == x.shape[1] == y.shape[1]:
        return depthwise_product(x, weight, y, geometry)
    plan = make_plan(geometry, x.shape, y.shape, groups, x.itemsize, way_in.kind != COPY)
    found = np.empty((plan.units, 2, y.shape[1]) if way_out.kind != NOTHING else (0, 2, 0), x.dtype)
    packed, bad = pool.empty((plan.packed,), x.dtype), np.zeros(plan.units, x.dtype)
    pack(contiguous(weight), plan, groups, geometry.winograd, packed)
    given: tuple[Any, ...] = (
        plan.sizes, plan.table, plan.starts, packed, way_in.kind, flat(x), *way_in[1:],
        way_out.kind, flat(y), *way_out[1:], found.reshape(-1),
    )  # fmt: skip
    visit = functools.partial(winograd.product_visit if geometry.winograd else product_visit, *given)
    if geometry.winograd:
        visit = functools.partial(visit, bad)
    return Pass(
        visit, plan.units, operations(x, y, weight), lambda: ((found, plan.counts), bool(np.isfinite(bad).all()))
    )


def depthwise_product(x: Array, weight: Array, y: Array, geometry: Geometry) -> Pass:
    """The same of as many groups as channels; units know no groups, so nothing is done on the way in or out."""
    plan = make_plan(geometry, x.shape, y.shape, x.shape[1], x.itemsize)
    given = (plan.sizes, plan.table, plan.starts, depthwise.packed_taps(weight, plan), flat(x), flat(y))
    visit = functools.partial(depthwise.product_visit, *given)
    return Pass(
        visit, plan.units, ALONE * operations(x, y, weight), lambda: ((np.empty((0, 2, 0), x.dtype), plan.counts), True)
    )


def operations(x: Array, y: Array, weight: Array) -> int:
    """The multiply-adds of a convolution between x and y, in either direction; those of a vector that is not full count as full."""
    O = weight.shape[0]
    L = lanes(x.itemsize)
    return min(x.size // x.shape[1], y.size // y.shape[1]) * weight.size // O * (-(-O // L) * L)


def pack(weight: Array, plan: Plan, groups: int, by_points: bool, packed: Array) -> None:
    """The weight as the kernel of this plan reads it; on one thread where it is small."""
    if by_points:
        work = functools.partial(pack_filter, weight, plan.sizes.C, plan.sizes.OG, plan.column, plan.width, packed)
    else:
        given = (weight, plan.starts, plan.weights, plan.column, groups, plan.sizes.OG, plan.width, packed)
        work = functools.partial(pack_weight, *given)
    in_chunks(work, plan.blocks, 16 * plan.packed)


def outer(x: Array, dy: Array, weight: Array, groups: int, way_in: WayIn, way_in_dy: WayIn, geometry: Geometry) -> Pass:
    """dweight (O, C/groups, KH, KW), the sum over pictures of the outer products of x and dy, both channels-last.

    A piece is a chunk of the units, or where there are few of them, a part of the output channels of one.
    """
    if 1 < groups == x.shape[1] == dy.shape[1]:
        return depthwise_outer(x, dy, weight, geometry)
    plan = make_plan(geometry, x.shape, dy.shape, groups, x.itemsize, way_in.kind != COPY)
    chunks = max(1, min(CHUNKS, plan.units, PARTIAL_BYTES // (plan.packed * x.itemsize)))
    splits = min(plan.blocks, max(1, SPLITS // chunks))
    parts, bad = pool.empty((chunks * plan.packed,), x.dtype), np.zeros(plan.blocks, x.dtype)
    visit = functools.partial(
        winograd.outer_visit if geometry.winograd else outer_visit,
        plan.sizes, plan.table, plan.starts, way_in.kind, flat(x), way_in.a, way_in.b,
        way_in_dy.kind, flat(dy), way_in_dy.a, way_in_dy.b, way_in_dy.c, way_in_dy.other,
    )  # fmt: skip
    size = plan.packed // plan.blocks

    def work(first: int, last: int) -> None:
        for piece in range(first, last):
            chunk, split = divmod(piece, splits)
            part = parts[chunk * plan.packed : (chunk + 1) * plan.packed]
            blocks = split * plan.blocks // splits, (split + 1) * plan.blocks // splits
            part[blocks[0] * size : blocks[1] * size] = 0
            visit(part, *blocks, chunk * plan.units // chunks, (chunk + 1) * plan.units // chunks)

    def result() -> tuple[Array, bool]:
        dweight = np.empty(weight.shape, x.dtype)
        given: tuple[Any, ...] = parts, chunks, plan.weights, plan.column, groups, plan.sizes.OG, plan.width
        unpack = functools.partial(unpack_gradient, *given, dweight.reshape(-1))
        if geometry.winograd:
            given = parts, chunks, plan.sizes.C, plan.width
            unpack = functools.partial(unpack_filter_gradient, *given, dweight.reshape(-1), bad)
        in_chunks(unpack, plan.blocks, 16 * parts.size)
        return dweight, bool(np.isfinite(bad).all())

    return Pass(work, chunks * splits, operations(x, dy, weight), result)


def depthwise_outer(x: Array, dy: Array, weight: Array, geometry: Geometry) -> Pass:
    """The same of as many groups as channels: dweight (C, 1, KH, KW)."""
    plan = make_plan(geometry, x.shape, dy.shape, x.shape[1], x.itemsize)
    chunks = min(CHUNKS, plan.units)
    parts = np.zeros((chunks, weight.size), x.dtype)
    visit = functools.partial(depthwise.outer_visit, plan.sizes, plan.table, plan.starts, flat(x), flat(dy))

    def work(first: int, last: int) -> None:
        for chunk in range(first, last):
            visit(parts[chunk], chunk * plan.units // chunks, (chunk + 1) * plan.units // chunks)

    return Pass(
        work,
        chunks,
        ALONE * operations(x, dy, weight),
        lambda: (depthwise.unpacked_taps(parts, plan, weight.shape), True),
    )
