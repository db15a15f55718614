"""The focal loss, of detectors that ask at every place: most answers are an easy "nothing here", and must not drown the hard ones."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array, Form, array_module, form, like_memory, on_host, same_kind

from ..errors import InputError
from ..layers import checks
from .count import positive

OP = "sigmoid_focal_loss"


class FocalCache(NamedTuple):
    """Of each logit: its probability `p` and `q` = 1 - p, how much it counts (`weights`, 0 where it does not), and the loss's factors.

    `difference` = p - target, `modulating` = |difference|^gamma, `bce` is the binary cross-entropy.
    """

    p: Array
    q: Array
    difference: Array
    modulating: Array
    bce: Array
    weights: Array
    alpha: float | None
    gamma: float
    counted: float
    x: Form


def sigmoid_focal_loss_forward(
    logits: Array, targets: Array, *, alpha: float | None = 0.25, gamma: float = 2.0, count: float
) -> tuple[Array, FocalCache]:
    """loss (a number, shape ()) = sum of weight |p - target|^gamma BCE(p, target) / count, p = sigmoid(logits), logits of any shape.

    BCE = -target log p - (1 - target) log(1 - p); weight = alpha target + (1 - alpha) (1 - target), 1 without alpha. For targets 1 and 0
    this is alpha_t (1 - p_t)^gamma (-log p_t); between them it follows Li et al. 2020. Where the target is -1, nothing counts. `count`,
    above 0, is the caller's: of the objects in the batch, say. Complex logits are judged by their real part.
    Raises InputError on shapes, dtypes, targets and settings that do not fit. (Lin et al. 2017, equation 5.)
    """
    checks.numbers(OP, "logits", logits)
    alpha, gamma, count = _settings(alpha, gamma, count)
    counts, target = (same_kind(array, logits) for array in _wanted(logits, targets))
    xp = array_module(logits)
    above = xp.maximum(logits, 0)
    up, down = xp.exp(logits - above), xp.exp(-above)  # one of them is 1, the other exp(-|x|): neither overflows
    share = 1 / (up + down)
    p, q = up * share, down * share
    bce = above - target * logits + xp.log1p(up * down)
    difference = (1 - target) * p - target * q  # p - target without its rounding: for target 1 it is -q
    modulating = _magnitude(difference) ** gamma
    weights = counts.astype(logits.real.dtype)
    if alpha is not None:
        weights *= (1 - alpha) + (2 * alpha - 1) * target
    losses = xp.where(weights > 0, weights * modulating * bce, 0)
    cache = FocalCache(p, q, difference, modulating, bce, weights, alpha, gamma, count, form(logits))
    return losses.sum() / count, cache


def sigmoid_focal_loss_backward(dloss: Array, cache: FocalCache) -> Array:
    """dlogits = dloss weight / count (slope BCE + modulating (p - target)): both factors move with the logit, and BCE' = p - target.

    slope, the modulating factor's own, is gamma modulating / (p - target) p (1 - p), and 0 where p hits the target.
    """
    p, q, difference, modulating, bce, weights, _, gamma, counted, x = cache
    checks.upstream(f"{OP}_backward", dloss, (), x, "dloss")
    xp = array_module(p)
    hits = difference == 0
    slope = gamma * modulating * xp.where(hits, 0, p * q / xp.where(hits, 1, difference))
    dlogits = weights * (slope * bce + modulating * difference) * (dloss / counted)
    # a NaN would get through the 0 of its weight
    return like_memory(xp.where(weights > 0, dlogits, 0), x)


def sigmoid_focal_loss(
    logits: Array, targets: Array, *, alpha: float | None = 0.25, gamma: float = 2.0, count: float
) -> tuple[float, Array]:
    """The loss as a float and dlogits in one call; see `sigmoid_focal_loss_forward`."""
    loss, cache = sigmoid_focal_loss_forward(logits, targets, alpha=alpha, gamma=gamma, count=count)
    return float(loss), sigmoid_focal_loss_backward(array_module(logits).ones_like(loss), cache)


def _magnitude(x: Array) -> Array:
    """|x|; of a complex x the sign of the real part turns both parts, as a derivative by complex step needs it."""
    return array_module(x).where(x.real < 0, -x, x) if x.dtype.kind == "c" else abs(x)


def _settings(alpha: float | None, gamma: float, count: float) -> tuple[float | None, float, float]:
    """The three as floats. Raises InputError."""
    if alpha is not None and not (isinstance(alpha, int | float | np.floating) and 0 <= alpha <= 1):
        raise InputError(f"{OP}: alpha is {alpha!r}: 0 to 1, or None, is wanted")
    if not (isinstance(gamma, int | float | np.number) and 0 <= float(gamma) < math.inf):
        raise InputError(f"{OP}: gamma is {gamma!r}: a number of at least 0 is wanted")
    return None if alpha is None else float(alpha), float(gamma), positive(OP, "count", count)


def _wanted(logits: Array, targets: Any) -> tuple[Array, Array]:
    """Which entries count, and the targets with 0 where they do not; of the targets' kind. Raises InputError."""
    dtype = logits.real.dtype
    checks.numbers(OP, "targets", targets)
    checks.shape(OP, "targets", targets, logits.shape)
    if targets.dtype != dtype:
        raise InputError(f"{OP}: targets has dtype {targets.dtype}: {dtype} is wanted, as of the logits")
    counts = targets >= 0
    fits = counts & (targets <= 1) | (targets == -1)
    if not fits.all():
        place = tuple(int(i) for i in np.argwhere(~on_host(fits))[0])
        value = float(targets[place])
        raise InputError(f"{OP}: targets{list(place)} is {value:g}: 0 to 1 (or -1, not counted) is wanted")
    return counts, array_module(targets).maximum(targets, 0)
