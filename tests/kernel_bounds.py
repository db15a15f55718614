"""How far a kernel's result may lie from the exact one: bounds that follow from the number of roundings and the terms' magnitudes.

u is half the machine epsilon, and gamma(n) = n u / (1 - n u) bounds the relative error of n roundings (Higham 2002, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from kernel_calls import Call, arrays_of
from kernel_tiles import EXTRA, TILED, by_tiles, may_be_tiled
from tinyresnet import Array

Function: TypeAlias = Callable[..., Any]
Number: TypeAlias = np.finfo[Any]
Bound: TypeAlias = Callable[[Function, Call, Number], list[Array]]
SMALLEST = 5e-324  # above zero in float64


def gamma(n: Any, number: Number) -> Any:
    """The relative error of n roundings."""
    u = float(number.eps) / 2
    return n * u / (1 - n * u)


def magnitude(a: Array) -> Array:
    """|a|, never quite zero, so that every ReLU is open; of a NaN or infinity almost nothing: what is finite does not depend on it."""
    return np.where(np.isfinite(a), np.abs(a, dtype=np.float64), 0) + SMALLEST


def counted(reference: Function, call: Call, negative: tuple[int, ...] = ()) -> tuple[list[Array], list[Array]]:
    """Of each output the number of terms, and the sum of their magnitudes: the function on ones, and on absolute values.

    The arguments whose places are `negative` are subtracted, or multiply what is, and so have the other sign here. A convolution that may
    be done by tiles (`kernel_tiles.py`) has more terms than the definition.
    """

    def run(reference: Function, change: Callable[[Array], Array]) -> list[Array]:
        changed = call.mapped(change)
        args = tuple(-arg if i in negative else arg for i, arg in enumerate(changed.args))
        return arrays_of(reference(*args, **changed.kwargs))

    terms = run(reference, lambda a: np.ones(a.shape))
    if call.args[0].dtype != np.float32:
        return terms, run(reference, magnitude)
    with by_tiles():
        magnitudes = run(TILED.get(reference.__name__, reference), magnitude)
    return [np.full(n.shape, n.max(initial=0) + EXTRA) if may_be_tiled(call) else n for n in terms], magnitudes


def sum_of_products(*, negative: tuple[int, ...] = (), more: int = 0) -> Bound:
    """A function that is a sum of products, in any order of summation; `more` roundings, if factors are sums themselves.

    A product too small for a normal number adds an error of at most the smallest number.
    """

    def bound(reference: Function, call: Call, number: Number) -> list[Array]:
        terms, magnitudes = counted(reference, call, negative)
        return [
            gamma(n + more, number) * total + n * float(number.smallest_subnormal)
            for n, total in zip(terms, magnitudes, strict=True)
        ]

    return bound


def exact(reference: Function, call: Call, number: Number) -> list[Array]:
    """No rounding at all: the numbers of the result are the inputs'."""
    return [np.zeros(array.shape) for array in arrays_of(reference(*call.args, **call.kwargs))]


def of_moments(x: Array, size: Array, error: Array | float, number: Number) -> list[Array]:
    """Mean and variance of x (N, C, H, W) in float64, whose numbers of magnitude `size` have errors up to `error` already.

    A mean that is off by d makes the variance greater by d^2; an error e of the numbers, by 2 std rms(e) + rms(e)^2 at most. Each
    squared distance has a few roundings more than the sum.
    """
    axes, M = (0, 2, 3), x.size // x.shape[1]
    error = np.broadcast_to(error, x.shape)
    tiny = float(number.smallest_subnormal)
    off = gamma(M + 2, number) * size.mean(axis=axes) + error.mean(axis=axes) + 2 * tiny
    rms, var = np.sqrt((error**2).mean(axis=axes)), x.var(axis=axes)
    spread = 2 * np.sqrt(var) * rms + rms**2 + off**2
    return [off, gamma(M + 8, number) * (var + spread) + spread + 2 * tiny]


def moments(reference: Function, call: Call, number: Number) -> list[Array]:
    """Mean and variance of given numbers."""
    x = call.args[0].astype(np.float64)
    return of_moments(x, np.abs(x), 0.0, number)


def conv_unit_forward(reference: Function, call: Call, number: Number) -> list[Array]:
    """y, the rectified input if it is kept, and y's moments: ReLU makes no error greater."""
    *args, keep, measure = call.args
    bounds = sum_of_products(more=4)(reference, Call((*args, keep, False)), number)
    if measure:
        exact_call = call.mapped(lambda a: a.astype(np.float64))
        y = arrays_of(reference(*exact_call.args))[0]
        size = counted(reference, Call((*args, keep, False)))[1][0]
        bounds += of_moments(y, size, bounds[0], number)
    return bounds


def conv_unit_backward(reference: Function, call: Call, number: Number) -> list[Array]:
    """dx, dweight, and the sums over dx, which have as many terms as pixels more."""
    x, mean = call.args[3], 6
    terms, magnitudes = counted(reference, call, () if call.args[mean] is None else (mean,))
    pixels = x.size // x.shape[1]
    through = call.args[-1]
    counts = [terms[0], terms[1], *(terms[0].max() + pixels for _ in terms[2:])] if through else terms
    return [gamma(n + 8, number) * total for n, total in zip(counts, magnitudes, strict=True)]


def averages(count: Callable[[Call], int]) -> Bound:
    """A sum of at most so many numbers, divided by their number: two roundings more, at the most."""

    def bound(reference: Function, call: Call, number: Number) -> list[Array]:
        (size,) = counted(reference, call)[1]
        return [gamma(count(call) + 2, number) * size + 2 * count(call) * float(number.smallest_subnormal)]

    return bound


def cross_entropy_rows(reference: Function, call: Call, number: Number) -> list[Array]:
    """p = exp(log_p), and the loss: an error of log_p is one of p's as a part of p. exp and log are right to 4 u at least."""
    logits, target = (a.astype(np.float64) for a in call.args)
    K = logits.shape[1]
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    log_p = shifted - log_sum
    error = gamma(K + 12, number) * (1 + np.abs(shifted) + log_sum)
    off = np.expm1(np.minimum(error, 700)) + gamma(8, number)
    tiny = float(number.tiny)  # below which p may be lost
    terms = np.where(target == 0, 0, target * (error + gamma(K + 2, number) * np.abs(log_p)))
    return [np.exp(log_p) * off + tiny, terms.sum(axis=1) + K * float(number.smallest_subnormal)]


def adamw_update(reference: Function, call: Call, number: Number) -> list[Array]:
    """data, m and v: what m lacks of exactness counts by the step's size, and so do a dozen roundings of the step itself."""
    data, grad, m, v = (np.abs(a, dtype=np.float64) for a in call.args[:4])
    lr, _, beta1, beta2, eps, steps = call.args[4:]
    wide = call.mapped(lambda a: a.astype(np.float64))
    _, m_after, v_after = reference(*wide.args)
    tiny = float(number.smallest_subnormal)
    of_m = gamma(4, number) * (m + (1 - beta1) * (grad + m)) + 4 * tiny
    of_v = gamma(4, number) * (v + (1 - beta2) * (grad * grad + v)) + 4 * tiny
    size = lr / (1 - beta1**steps) / (v_after**0.5 / math.sqrt(1 - beta2**steps) + eps)
    step = size * (of_m + gamma(20, number) * np.abs(m_after))
    return [gamma(3, number) * data + step + gamma(3, number) * size * np.abs(m_after) + 4 * tiny, of_m, of_v]
