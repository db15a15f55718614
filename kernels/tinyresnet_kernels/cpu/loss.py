"""Softmax cross-entropy, a row of logits at a time."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Array
from ..dispatch import replaces
from .compiling import kernel
from .rows import share


@kernel
def shift_rows(logits, shifted, first, last):
    """shifted = logits - their row's largest, for the rows first..last-1. A NaN or an infinity makes NaNs in the whole row."""
    for n in range(first, last):
        largest = logits[n, 0]
        for z in logits[n]:
            largest = z if z > largest else largest
        for k in range(logits.shape[1]):
            shifted[n, k] = logits[n, k] - largest


@kernel
def finish_rows(p, shifted, target, losses, first, last):
    """p, which is exp(shifted), is divided by its row's sum; the loss of the rows first..last-1."""
    for n in range(first, last):
        total, loss = p.dtype.type(0), p.dtype.type(0)
        for e in p[n]:
            total += e
        log_total = math.log(total)
        for k in range(p.shape[1]):
            p[n, k] /= total
            if target[n, k] != 0:  # 0 log 0 is 0 here
                loss -= target[n, k] * (shifted[n, k] - log_total)
        losses[n] = loss


@kernel
def gradient_rows(p, target, factor, dlogits, first, last):
    """dlogits = factor (p - target) for the rows first..last-1, 0 where the target is all 0."""
    for n in range(first, last):
        counts = False
        for wanted in target[n]:
            counts |= wanted != 0
        for k in range(p.shape[1]):
            dlogits[n, k] = factor * (p[n, k] - target[n, k]) if counts else 0


def supported(rows: Array, target: Array, factor: Array | None = None) -> bool:
    """Whether the kernels take these arrays: all float32 or all float64, and not empty."""
    return (
        rows.dtype in (np.float32, np.float64)
        and (target.dtype, target.shape) == (rows.dtype, rows.shape)
        and rows.size > 0
        and (factor is None or factor.dtype == rows.dtype)
    )


@replaces("cpu", when=supported)
def cross_entropy_rows(logits: Array, target: Array) -> tuple[Array, Array]:
    """As the readable form: p (N, K), and the loss of each row (N,)."""
    z, wanted = np.ascontiguousarray(logits), np.ascontiguousarray(target)
    shifted, p, losses = np.empty(z.shape, z.dtype), np.empty(z.shape, z.dtype), np.empty(len(z), z.dtype)

    def work(first: int, last: int) -> None:
        shift_rows(z, shifted, first, last)
        np.exp(shifted[first:last], out=p[first:last])  # NumPy's takes many numbers at a time
        finish_rows(p, shifted, wanted, losses, first, last)

    share(work, len(z), 8 * z.nbytes)
    return p, losses


@replaces("cpu", when=supported)
def cross_entropy_gradient_rows(p: Array, target: Array, factor: Array) -> Array:
    """As the readable form: dlogits (N, K)."""
    q, wanted, number = np.ascontiguousarray(p), np.ascontiguousarray(target), p.dtype.type(factor)
    dlogits = np.empty(q.shape, q.dtype)
    share(lambda first, last: gradient_rows(q, wanted, number, dlogits, first, last), len(q), 3 * q.nbytes)
    return dlogits
