"""The implicit convolution: forward, gradient of the input, gradient of the weight, without ever writing the columns.

im2col's columns are never made: their numbers are found by address arithmetic (`geometry.py`). Each picture, or a band of its rows if it is
large, is copied once into a zero-bordered scratch that stays in the second-level cache (`plan.py`, `visit.py`); padding, stride and borders
live there. Weights are packed so that a register tile (`tiles.py`) reads them in one straight line.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, empty_memory, like_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from .geometry import Geometry, forward_geometry, input_gradient_geometry
from .plan import make_plan, pack
from .threads import CHUNKS, in_chunks
from .visit import COPY, NOTHING, add_up, outer_visit, product_visit

PARTIAL_BYTES = 1 << 25  # of all chunks' own weight gradients together


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


def channels_last(x: Array) -> Array:
    """x (N, C, H, W) in channels-last memory: itself if it is so already."""
    if x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return x
    moved = empty_memory(x.shape, x, channels_last=True)
    moved[...] = x
    return moved


def forward_matrix(weight: Array, groups: int) -> Array:
    """weight (O, C/groups, KH, KW) as (groups, KH*KW*C/groups, O/groups)."""
    O, CG, KH, KW = weight.shape
    return (
        weight.reshape(groups, O // groups, CG, KH, KW)
        .transpose(0, 3, 4, 2, 1)
        .reshape(groups, KH * KW * CG, O // groups)
    )


def backward_matrix(weight: Array, groups: int) -> Array:
    """weight (O, C/groups, KH, KW) as (groups, KH*KW*O/groups, C/groups)."""
    O, CG, KH, KW = weight.shape
    return (
        weight.reshape(groups, O // groups, CG, KH, KW)
        .transpose(0, 3, 4, 1, 2)
        .reshape(groups, KH * KW * (O // groups), CG)
    )


def product(
    x: Array, geometry: Geometry, matrix: Array, y: Array, groups: int, way_in: WayIn, way_out: WayOut
) -> Array:
    """y = every walk of the geometry over x, for channels-last x and y; returns what the way out found, (units, 2, O)."""
    plan = make_plan(geometry, x.shape, y.shape, groups, x.itemsize, way_in.kind != COPY)
    packed, flat_x, flat_y = pack(matrix, plan), flat(x), flat(y)
    found = np.empty((plan.units, 2, y.shape[1]) if way_out.kind != NOTHING else (0, 2, 0), x.dtype)
    flat_found = found.reshape(-1)
    in_chunks(
        lambda first, last: product_visit(
            plan.numbers, plan.table, plan.starts, packed, way_in.kind, flat_x, *way_in[1:],
            way_out.kind, flat_y, *way_out[1:], flat_found, first, last,
        ),
        plan.units,
    )  # fmt: skip
    return found


def outer(
    x: Array, geometry: Geometry, dy: Array, weight: Array, groups: int, way_in: WayIn, way_in_dy: WayIn
) -> Array:
    """dweight (O, C/groups, KH, KW): the sum over pictures of the outer products of x and dy, both channels-last."""
    O, CG, KH, KW = weight.shape
    plan = make_plan(geometry, x.shape, dy.shape, groups, x.itemsize, way_in.kind != COPY)
    (order,), wide = plan.orders, -(-(O // groups) // plan.width) * plan.width
    size = groups * len(order) * wide
    chunks = max(2, min(CHUNKS, plan.units, PARTIAL_BYTES // (size * x.itemsize)))
    parts, flat_x, flat_dy = np.zeros(chunks * size, x.dtype), flat(x), flat(dy)

    def work(first: int, last: int) -> None:
        for chunk in range(first, last):
            part = parts[chunk * size : (chunk + 1) * size]
            units = chunk * plan.units // chunks, (chunk + 1) * plan.units // chunks
            outer_visit(
                plan.numbers, plan.table, plan.starts, way_in.kind, flat_x, way_in.a, way_in.b,
                way_in_dy.kind, flat_dy, way_in_dy.a, way_in_dy.b, way_in_dy.c, way_in_dy.other, part, *units,
            )  # fmt: skip

    in_chunks(work, chunks)
    total, piece = np.empty(size, x.dtype), 1 << 14
    in_chunks(lambda first, last: add_up(parts, chunks, piece, total, first, last), -(-size // piece))
    matrix = np.empty((groups, KH * KW * CG, O // groups), x.dtype)
    matrix[:, order] = total.reshape(groups, len(order), wide)[:, :, : O // groups]
    dweight = matrix.reshape(groups, KH, KW, CG, O // groups).transpose(0, 4, 3, 1, 2).reshape(weight.shape)
    return np.ascontiguousarray(dweight)


def supported(x: Array, weight: Array, *settings: Any) -> bool:
    """Whether the kernels take these arrays: float32 and float64; complex numbers and empty batches go to the readable form."""
    return x.dtype == weight.dtype and x.dtype in (np.float32, np.float64) and x.size > 0


@replaces("cpu", when=supported)
def correlate(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: y (N, O, OH, OW)."""
    (N, C, H, W), (O, _, *kernel) = x.shape, weight.shape
    OH, OW = (output_size(*axis) for axis in zip((H, W), kernel, stride, pad, dilation, strict=True))
    geometry = forward_geometry(H, W, C, O, tuple(kernel), stride, pad, dilation, groups)
    y = empty_memory((N, O, OH, OW), x, channels_last=True)
    product(channels_last(x), geometry, forward_matrix(weight, groups), y, groups, *as_it_is(x))
    return like_memory(y, x)


@replaces("cpu", when=supported)
def input_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    (_, C, H, W), (O, _, *kernel) = x.shape, weight.shape
    geometry = input_gradient_geometry(H, W, C, O, tuple(kernel), stride, pad, dilation, groups)
    dx = empty_memory(x.shape, dy, channels_last=True)
    product(channels_last(dy), geometry, backward_matrix(weight, groups), dx, groups, *as_it_is(dy))
    return like_memory(dx, x)


@replaces("cpu", when=supported)
def weight_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: dweight (O, C/groups, KH, KW)."""
    (_, C, H, W), (O, _, *kernel) = x.shape, weight.shape
    geometry = forward_geometry(H, W, C, O, tuple(kernel), stride, pad, dilation, groups)
    copy, _ = as_it_is(x)
    return outer(channels_last(x), geometry, channels_last(dy), weight, groups, copy, copy)
