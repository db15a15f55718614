"""Units: a convolution with the batch norm, ReLU and add before it, in one visit to memory. What `fuse` builds networks of.

Between two units a value is not written down but *pending*: relu(x * scale + shift + shortcut), where x is the convolution before and
scale and shift are its batch norm. The next unit computes it on its way in. The readable bodies here are compositions of ops; a
backend does the same in one visit per picture.
"""

from __future__ import annotations

from typing import NamedTuple

from tinyresnet_kernels import Array, Pair, accelerated, array_module

from .layers.conv import correlate, input_gradient, weight_gradient
from .layers.norm import moments

AXES = (0, 2, 3)


class Pending(NamedTuple):
    """relu(x * scale + shift + shortcut), per channel of x (N, C, H, W); just x where scale is None."""

    x: Array
    scale: Array | None = None  # (C,)
    shift: Array | None = None  # (C,)
    shortcut: Array | None = None  # (N, C, H, W)


class Moments(NamedTuple):
    """Mean and variance (divided by M = N*H*W) of each channel."""

    mean: Array
    var: Array


class GradientSums(NamedTuple):
    """What batch norm's backward needs of a gradient g at its output and its input x: sum of g, and of g * (x - mean), per channel."""

    total: Array
    dot: Array


@accelerated
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
) -> tuple[Array, Array | None, Moments | None]:
    """y (N, O, OH, OW) = correlate(relu(x * scale + shift + shortcut), weight); the ReLU's output if `keep`; y's moments if `measure`."""
    z = settle(x, scale, shift, shortcut)
    y = correlate(z, weight, stride, pad, (1, 1), 1)
    return y, z if keep else None, Moments(*moments(y)) if measure else None


@accelerated
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
) -> tuple[Array | None, Array, GradientSums | None]:
    """Back through a unit, from g (N, O, OH, OW), the gradient at the output of the batch norm behind its convolution's y.

    dy = k[0] g + k[1] y + k[2] is that batch norm's own backward, k (3, O); dweight as of a convolution; dx plus `extra`, the gradient that
    comes by the shortcut, goes back through the ReLU of relu(x * scale + shift), or z where that was kept, and is then the g of
    the unit before, whose sums come with it (None where the unit's input was no pending value: scale is None). Where nobody wants dx,
    `through` is false: then dweight is all there is.
    """
    dy = g * per_channel(k[0]) + y * per_channel(k[1]) + per_channel(k[2])
    u = settle(x, scale, shift, None) if z is None else z
    dweight = weight_gradient(dy, weight, u, stride, pad, (1, 1), 1)
    if not through:
        return None, dweight, None
    dx = input_gradient(dy, weight, u, stride, pad, (1, 1), 1)
    if extra is not None:
        dx = dx + extra
    g_before, sums = (dx, None) if mean is None else close(dx, u, x, mean)
    return g_before, dweight, sums


@accelerated
def settle(x: Array, scale: Array | None, shift: Array | None, shortcut: Array | None) -> Array:
    """The pending value, written down: relu(x * scale + shift + shortcut) (N, C, H, W), or x itself where scale is None."""
    if scale is None or shift is None:
        return x
    y = x * per_channel(scale) + per_channel(shift)
    if shortcut is not None:
        y += shortcut
    return array_module(x).where(y <= 0, 0, y)  # type: ignore[no-any-return]


@accelerated
def close(dz: Array, z: Array, x: Array, mean: Array) -> tuple[Array, GradientSums]:
    """Back through the ReLU whose output was z: g = dz where z > 0, else 0; and g's sums with x (N, C, H, W), whose mean is given."""
    g = array_module(dz).where(z <= 0, 0, dz)
    return g, GradientSums(g.sum(axis=AXES), (g * (x - per_channel(mean))).sum(axis=AXES))


def per_channel(vector: Array) -> Array:
    """(C,) as (C, 1, 1), to stand beside (N, C, H, W)."""
    return vector[:, None, None]
