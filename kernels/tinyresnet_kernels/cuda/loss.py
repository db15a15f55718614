"""Softmax cross-entropy, a warp a row of logits. Kernels: `loss.cu`."""

from __future__ import annotations

from ..arrays import Array, array_module
from ..dispatch import replaces
from .launch import THREADS, empty, flat, kernel, supported
from .norm import WARPS, ints


@replaces("cuda", when=supported)
def cross_entropy_rows(logits: Array, target: Array) -> tuple[Array, Array]:
    """As the readable form: p (N, K), and the loss of each row (N,)."""
    N, K = logits.shape
    p, losses = empty((N, K), logits), empty((N,), logits)
    arguments = (flat(logits), flat(target), p, losses, *ints(N, K))
    kernel("loss", "cross_entropy_rows", logits)((-(-N // WARPS),), (THREADS,), arguments)
    return p, losses


@replaces("cuda", when=supported)
def cross_entropy_gradient_rows(p: Array, target: Array, factor: Array) -> Array:
    """As the readable form: dlogits (N, K). The factor stays where it is: to fetch it would be to wait for it."""
    N, K = p.shape
    dlogits, number = empty((N, K), p), array_module(p).asarray(factor).reshape(1)
    arguments = (flat(p), flat(target), number, dlogits, *ints(N, K))
    kernel("loss", "cross_entropy_gradient_rows", p)((-(-N // WARPS),), (THREADS,), arguments)
    return dlogits
