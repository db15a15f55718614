"""Units on the CPU: a convolution with the batch norm, ReLU and add before it, in one visit to each picture."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..arrays import Array, empty_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from .compiling import kernel
from .conv import backward_ways, forward_ways
from .layout import channels_last, flat
from .passes import WayIn, WayOut, as_it_is, outer, product, run, run_both
from .threads import in_chunks
from .ways import (
    GRADIENT_RELU,
    NORM_ADD_RELU,
    NORM_GRADIENT,
    NORM_RELU,
    NOTHING,
    STATISTICS,
    fill_row,
    finish_gradient,
)


def supported(x: Array, *arguments: Any) -> bool:
    """Whether the kernels take these arrays: float32 and float64, not empty."""
    return x.dtype in (np.float32, np.float64) and x.size > 0


def coming_in(scale: Array | None, shift: Array | None, shortcut: Array | None, z: Array | None, like: Array) -> WayIn:
    """The way in of a pending value; z, if given, is where its ReLU's output is to be written too."""
    plain, _ = as_it_is(like)
    if scale is None or shift is None:
        return plain
    other = flat(shortcut) if shortcut is not None else plain.other
    kind = NORM_ADD_RELU if shortcut is not None else NORM_RELU
    return WayIn(kind, scale, shift, plain.c, other, flat(z) if z is not None else plain.z)


@replaces("cpu", when=supported)
def conv_unit_forward(
    x: Array,
    scale: Array | None,
    shift: Array | None,
    shortcut: Array | None,
    weight: Array,
    stride: Pair,
    pad: Pair,
    keep: bool,
    measure: bool,
) -> tuple[Array, Array | None, tuple[Array, Array] | None]:
    """As the readable form: y, the ReLU's output if `keep`, y's moments if `measure`."""
    x = channels_last(x)
    shortcut = channels_last(shortcut) if shortcut is not None else None
    (N, _, H, W), (O, _, *window) = x.shape, weight.shape
    OH, OW = (output_size(*axis) for axis in zip((H, W), window, stride, pad, (1, 1), strict=True))
    unseen = stride[0] > window[0] or (OH - 1) * stride[0] + window[0] < pad[0] + H
    if keep and unseen:  # rows that no window sees would be missing from z too
        x, scale, shift, shortcut = settle(x, scale, shift, shortcut), None, None, None
    y = empty_memory((N, O, OH, OW), x, channels_last=True)
    z = empty_memory(x.shape, x, channels_last=True) if keep and scale is not None else None
    _, way_out = as_it_is(x)
    way_out = way_out._replace(kind=STATISTICS if measure else NOTHING)
    ways = forward_ways(x, weight, stride, pad, (1, 1), 1)
    way_in = coming_in(scale, shift, shortcut, z, x)
    found, counts = run(partial(product, x, weight, y, 1, way_in, way_out), ways)
    if scale is None and keep:
        z = x
    if not measure:
        return y, z, None
    return y, z, merged_moments(found.astype(np.float64), counts, y.dtype)


def merged_moments(found: Array, counts: Array, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    """Mean and variance of all units, from each one's mean and sum of squares about it (units, 2, O); Chan et al. 1979, in float64."""
    weights = counts[:, None] / counts.sum()
    mean = (found[:, 0] * weights).sum(axis=0)
    apart = found[:, 0] - mean
    var = found[:, 1].sum(axis=0) / counts.sum() + (apart * apart * weights).sum(axis=0)
    return mean.astype(dtype), var.astype(dtype)


@replaces("cpu", when=supported)
def conv_unit_backward(
    g: Array,
    y: Array,
    k: Array,
    x: Array,
    scale: Array | None,
    shift: Array | None,
    mean: Array | None,
    z: Array | None,
    weight: Array,
    extra: Array | None,
    stride: Pair,
    pad: Pair,
    through: bool,
) -> tuple[Array | None, Array, tuple[Array, Array] | None]:
    """As the readable form: the unit before's g, dweight, and the sums that go with g."""
    g, y, x = channels_last(g), channels_last(y), channels_last(x)
    plain, nothing = as_it_is(x)
    k0, k1, k2 = np.ascontiguousarray(k)
    gradient = WayIn(NORM_GRADIENT, k0, k1, k2, flat(y), plain.z)
    came_in, way_in = (x, coming_in(scale, shift, None, None, x)) if z is None else (channels_last(z), plain)
    make_dweight = partial(outer, came_in, g, weight, 1, way_in, gradient)
    forward = forward_ways(x, weight, stride, pad, (1, 1), 1)
    if not through:
        return None, run(make_dweight, forward), None
    dx = empty_memory(x.shape, x, channels_last=True)
    way_out = nothing
    if mean is not None and scale is not None and shift is not None:
        came_by = flat(channels_last(extra)) if extra is not None else nothing.extra
        kept = flat(channels_last(z)) if z is not None else nothing.z
        way_out = WayOut(GRADIENT_RELU, came_by, flat(x), scale, shift, mean, kept)
    make_dx = partial(product, g, weight, dx, 1, gradient, way_out)
    backward = backward_ways(x.shape, g, weight, stride, pad, (1, 1), 1)
    dweight, (found, _) = run_both(make_dweight, forward, make_dx, backward)
    if mean is None:
        return dx if extra is None else dx + extra, dweight, None
    total, dot = found.sum(axis=0, dtype=np.float64).astype(x.dtype)
    return dx, dweight, (total, dot)


@kernel
def settle_visit(x, picture, C, kind, scale, shift, other, z, first, last):
    """z = relu(x * scale + shift [+ other]) of the pictures first..last-1."""
    nothing = z[:0]
    for n in range(first, last):
        fill_row(kind, x, n * picture, picture // C, C, scale, shift, scale, other, nothing, z, n * picture)


@kernel
def close_visit(dz, z, x, picture, C, row, mean, g, found, first, last):
    """g = dz where z > 0, with its sums per picture, of the pictures first..last-1."""
    nothing = g[:0]
    for n in range(first, last):
        start = n * picture
        g[start : start + picture] = dz[start : start + picture]
        finish_gradient(
            True, g, start, row, picture // C // row, C, nothing, x, mean, mean, mean, z, found, n * 2 * C, n * 2 * C + C
        )  # fmt: skip


@replaces("cpu", when=supported)
def settle(x: Array, scale: Array | None, shift: Array | None, shortcut: Array | None) -> Array:
    """As the readable form: relu(x * scale + shift + shortcut)."""
    if scale is None or shift is None:
        return x
    x = channels_last(x)
    N, C, H, W = x.shape
    z = empty_memory(x.shape, x, channels_last=True)
    way = coming_in(scale, shift, channels_last(shortcut) if shortcut is not None else None, None, x)
    flat_x, flat_z = flat(x), flat(z)
    in_chunks(
        lambda first, last: settle_visit(flat_x, C * H * W, C, way.kind, scale, shift, way.other, flat_z, first, last),
        N,
    )
    return z


@replaces("cpu", when=supported)
def close(dz: Array, z: Array, x: Array, mean: Array) -> tuple[Array, tuple[Array, Array]]:
    """As the readable form: g = dz where z > 0, and its sums."""
    N, C, H, W = x.shape
    g, found = empty_memory(x.shape, x, channels_last=True), np.empty((N, 2, C), x.dtype)
    arrays = [flat(channels_last(array)) for array in (dz, z, x)]
    flat_g, flat_found = flat(g), found.reshape(-1)
    in_chunks(lambda first, last: close_visit(*arrays, C * H * W, C, W, mean, flat_g, flat_found, first, last), N)
    total, dot = found.sum(axis=0, dtype=np.float64).astype(x.dtype)
    return g, (total, dot)
