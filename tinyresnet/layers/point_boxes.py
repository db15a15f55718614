"""Boxes of a picture's points: a detector's head says how far a box reaches from each point, and this layer where it lies."""

from __future__ import annotations

import math
from typing import NamedTuple

from tinyresnet_kernels import Array, array_module, like_memory

from ..errors import InputError
from . import checks
from .base import Layer


class PointBoxesCache(NamedTuple):
    """`ltrb` (N, 4, H, W): the distances in pixels to the left, top, right and bottom side; `mask` is False where they were clipped."""

    ltrb: Array
    mask: Array
    stride: int
    limit: float


def point_boxes_forward(x: Array, *, stride: int, most: float = 64.0) -> tuple[Array, PointBoxesCache]:
    """y (N, 4, H, W), boxes x0 y0 x1 y1 in pixels, of a head's raw numbers x (N, 4, H, W) at points `stride` pixels apart.

        l, t, r, b = stride exp(x),   px = (column + 1/2) stride,   py = (row + 1/2) stride
        y = px - l, py - t, px + r, py + b

    x is clipped from above at log(most): no box reaches further than `most` strides from its point, and exp cannot overflow. Every box has
    x0 < x1 and y0 < y1, up to rounding. Complex x is judged by its real part. Raises InputError on what does not fit.
    (Tian et al. 2019, FCOS, section 3.1: equation 1 turned round.)
    """
    op = "point_boxes"
    checks.array(op, "x", x, "N C H W")
    H, W = x.shape[2:]
    if x.shape[1] != 4:
        raise InputError(f"{op}: x has shape {x.shape}: 4 channels, for left, top, right and bottom, are wanted")
    if not isinstance(stride, int) or stride < 1:
        raise InputError(f"{op}: stride is {stride!r}: an int of at least 1 is wanted")
    if not isinstance(most, int | float) or not 0 < most < math.inf:
        raise InputError(f"{op}: most is {most!r}: a number above 0 is wanted")
    xp, limit = array_module(x), math.log(most)
    mask = ~(x.real >= limit)  # a NaN passes, so that it is seen
    ltrb = like_memory(stride * xp.exp(xp.where(mask, x, limit)), x)
    px = (xp.arange(W, dtype=x.real.dtype) + 0.5) * stride
    py = ((xp.arange(H, dtype=x.real.dtype) + 0.5) * stride)[:, None]
    y = xp.stack([px - ltrb[:, 0], py - ltrb[:, 1], px + ltrb[:, 2], py + ltrb[:, 3]], axis=1)
    return like_memory(y, x), PointBoxesCache(ltrb, mask, stride, limit)


def point_boxes_backward(dy: Array, cache: PointBoxesCache) -> Array:
    """dx (N, 4, H, W): dy times the distance, for exp is its own derivative; negative at the near sides, 0 where x was clipped."""
    ltrb, mask = cache.ltrb, cache.mask
    checks.upstream("point_boxes_backward", dy, ltrb.shape, ltrb)
    xp = array_module(dy)
    moved = xp.where(mask, dy * ltrb, 0)
    return like_memory(xp.concatenate([-moved[:, :2], moved[:, 2:]], axis=1), ltrb)


class PointBoxes(Layer):
    """Boxes (N, 4, H, W) from the four distances that a head gives at each point. No parameters."""

    def __init__(self, stride: int, *, most: float = 64.0) -> None:
        self.stride, self.most = stride, most

    def forward(self, x: Array, *, train: bool) -> tuple[Array, PointBoxesCache]:
        return point_boxes_forward(x, stride=self.stride, most=self.most)

    def backward(self, dy: Array, cache: PointBoxesCache) -> Array:
        return point_boxes_backward(dy, cache)
