"""What the kernels of a convolution must know of its sizes: one row of integers a class of outputs, read as `struct Geometry`.

The forward product and the gradient of the input are the same walk: an output pixel sums, over kernel places (*taps*) and channels, numbers
of the picture that is read times weights. Along each axis, with u counting outputs and k taps,

    output   out_first + out_step * u    reads    start + step * (stride * u + reach * k).

Forward, that is oh * S + i * D - P. Backward, pixel h was seen from window oh = (h + P - i * D) / S, where this is whole: with S = 2, even
and odd pixels were seen by other taps each. So pixels fall into S classes an axis, each with the taps that saw it, and no product with a
zero is made. `step` is the common divisor: of a 1x1 kernel of stride 2, only every other pixel is brought into shared memory.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array, array_module
from ..im2col import Pair, output_size


class Axis(NamedTuple):
    """One axis of a class of outputs."""

    size: int  # of the picture that is read
    out_size: int  # of the picture that is written
    outputs: int  # of this class
    out_first: int
    out_step: int
    taps: int
    tap_first: int  # of the kernel's places, the one that tap 0 is
    tap_step: int
    start: int
    step: int
    stride: int
    reach: int


class Geometry(NamedTuple):
    """A class of outputs. K channels of a group are read, M written; weight (m, k, tap) stands at m * weight_m + k * weight_k + tap."""

    N: int
    C: int  # of the picture that is read, all groups
    O: int  # of the picture that is written
    K: int
    M: int
    weight_m: int
    weight_k: int
    weight_group: int  # numbers of a group's weights
    kernel_width: int
    down: Axis
    across: Axis

    @property
    def taps(self) -> int:
        """How many kernel places the outputs of this class see."""
        return self.down.taps * self.across.taps

    @property
    def pixels(self) -> int:
        """The outputs of this class, of one channel."""
        return self.N * self.down.outputs * self.across.outputs


def forward(
    x: tuple[int, ...], weight: tuple[int, ...], stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> tuple[Geometry, ...]:
    """The one class of outputs y (N, O, OH, OW)."""
    (N, C, *sizes), (O, CG, *kernel) = x, weight
    down, across = (_forward_axis(*axis) for axis in zip(sizes, kernel, stride, pad, dilation, strict=True))
    places = kernel[0] * kernel[1]
    return (
        Geometry(N, C, O, CG, O // groups, CG * places, places, O // groups * CG * places, kernel[1], down, across),
    )


def backward(
    x: tuple[int, ...], weight: tuple[int, ...], stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> tuple[Geometry, ...]:
    """The classes of the pixels of dx (N, C, H, W): as many as there are remainders of the strides."""
    (N, C, *sizes), (O, CG, *kernel) = x, weight
    rows, columns = (_backward_axes(*axis) for axis in zip(sizes, kernel, stride, pad, dilation, strict=True))
    places = kernel[0] * kernel[1]
    common = (N, O, C, O // groups, CG, places, CG * places, O // groups * CG * places, kernel[1])
    return tuple(Geometry(*common, down, across) for down in rows for across in columns)


def _forward_axis(size: int, kernel: int, stride: int, pad: int, dilation: int) -> Axis:
    count = output_size(size, kernel, stride, pad, dilation)
    return _axis((size, count, count, 0, 1, kernel, 0, 1), -pad, stride, dilation)


def _backward_axes(size: int, kernel: int, stride: int, pad: int, dilation: int) -> list[Axis]:
    windows = output_size(size, kernel, stride, pad, dilation)
    axes = []
    for first in range(min(stride, size)):
        seen = [i for i in range(kernel) if (first + pad - i * dilation) % stride == 0]
        last = seen[-1] if seen else 0  # the tap that looks furthest back stands first
        step = stride // math.gcd(stride, dilation)
        class_of = (windows, size, -(-(size - first) // stride), first, stride, len(seen), last, -step)
        axes.append(_axis(class_of, (first + pad - last * dilation) // stride, 1, dilation * step // stride))
    return axes


def _axis(class_of: tuple[int, int, int, int, int, int, int, int], start: int, stride: int, reach: int) -> Axis:
    """The axis of a class, given up to its taps, whose neighbouring outputs and taps read `stride` and `reach` apart."""
    many = class_of[5] > 1
    step = math.gcd(stride, reach) if many else stride
    return Axis(*class_of, start, step, stride // step, reach // step if many else 0)


def integers(rows: tuple[tuple[Any, ...], ...], like: Array) -> Array:
    """The rows as one array of int32 where `like` is; carried to a device once for each geometry."""
    return _integers(rows, array_module(like))


@functools.lru_cache(maxsize=1024)
def _integers(rows: tuple[tuple[Any, ...], ...], xp: Any) -> Array:
    return xp.asarray(np.array([_flat(row) for row in rows], np.int32))  # type: ignore[no-any-return]


def _flat(row: tuple[Any, ...]) -> list[int]:
    return [number for part in row for number in (_flat(part) if isinstance(part, tuple) else [part])]
