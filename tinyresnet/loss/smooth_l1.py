"""Smooth L1, a loss of distances: square near the target, so that it comes to rest; straight far away, so that outliers do not rule."""

from __future__ import annotations

from typing import NamedTuple

from tinyresnet_kernels import Array, array_module, like_memory, same_kind

from ..layers import checks
from .count import positive


class SmoothL1Cache(NamedTuple):
    """`slope`, of x's shape, is each number's own derivative: error / beta, but at most 1 and at least -1."""

    slope: Array
    beta: float
    counted: float


def smooth_l1_forward(x: Array, target: Array, *, beta: float = 1.0, count: float) -> tuple[Array, SmoothL1Cache]:
    """loss (a number, shape ()): the sum over x's numbers of error^2 / (2 beta) if |error| < beta, else |error| - beta/2; over `count`.

    error = x - target, both of any one shape; no numbers at all give 0. `count`, above 0, is the caller's: the objects of the batch, say.
    At |error| = beta both branches have the same value and slope: there is no kink. Complex x is judged by its real part.
    Raises InputError on shapes, dtypes and settings that do not fit. (Girshick 2015, Fast R-CNN, equation 3, where beta = 1.)
    """
    op = "smooth_l1"
    checks.numbers(op, "x", x)
    checks.numbers(op, "target", target)
    checks.shape(op, "target", target, x.shape)
    checks.same_precision(op, "target", target, x)
    beta, count = positive(op, "beta", beta), positive(op, "count", count)
    xp = array_module(x)
    error = like_memory(x - same_kind(target, x), x)
    slope = xp.where(error.real <= -beta, -1, xp.where(error.real >= beta, 1, error / beta))
    losses = slope * (error - beta / 2 * slope)  # both branches in one: slope is error / beta, or the sign
    return losses.sum() / count, SmoothL1Cache(slope, beta, count)


def smooth_l1_backward(dloss: Array, cache: SmoothL1Cache) -> Array:
    """dx = dloss slope / count, of x's shape."""
    checks.upstream("smooth_l1_backward", dloss, (), cache.slope, "dloss")
    return cache.slope * (dloss / cache.counted)
