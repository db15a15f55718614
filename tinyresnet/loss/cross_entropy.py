"""Softmax cross-entropy, the loss of a classifier."""

from __future__ import annotations

from typing import NamedTuple

from tinyresnet_kernels import Array, accelerated, array_module, same_kind

from ..errors import InputError
from ..layers import checks


class CrossEntropyCache(NamedTuple):
    """`p` (N, K) are the softmax's probabilities, `target` (N, K) the wanted ones, 0 in ignored rows; `counted` rows are not ignored."""

    p: Array
    target: Array
    counted: int


def softmax_cross_entropy_forward(
    logits: Array, labels: Array, *, label_smoothing: float = 0.0, ignore_index: int = -100
) -> tuple[Array, CrossEntropyCache]:
    """loss (a number, shape ()): the mean over the counted rows of -sum over k of target[n,k] log p[n,k], p = softmax(logits (N, K)).

    labels are classes (N,), where `ignore_index` marks rows that do not count, or distributions (N, K) of the logits' dtype. Label
    smoothing s mixes in the uniform one: target = (1 - s) target + s/K (Szegedy et al. 2016, section 7).
    With logits on a GPU, labels on the host serve best: they are looked at there, where nothing has to be waited for.
    Raises InputError on shapes and dtypes that do not fit, on labels outside 0..K-1, and if no row counts (N = 0 or all ignored).
    """
    target, row_counts = target_distribution(logits, labels, label_smoothing, ignore_index)
    counted = int(row_counts.sum())
    if counted == 0:
        raise InputError(
            f"softmax_cross_entropy: no row of logits {logits.shape} counts: at least one label that is not ignored is wanted"
        )
    p, losses = cross_entropy_rows(logits, target)
    return losses.sum() / counted, CrossEntropyCache(p, target, counted)


def softmax_cross_entropy_backward(dloss: Array, cache: CrossEntropyCache) -> Array:
    """dlogits (N, K) = dloss (p - target) / counted, and 0 in ignored rows. (For target rows that sum to 1, as all do.)"""
    p, target, counted = cache
    checks.upstream("softmax_cross_entropy_backward", dloss, (), p, "dloss")
    return cross_entropy_gradient_rows(p, target, dloss / counted)


@accelerated
def cross_entropy_rows(logits: Array, target: Array) -> tuple[Array, Array]:
    """p (N, K), and the loss of each row (N,)."""
    xp = array_module(logits)
    shifted = logits - logits.real.max(axis=1, keepdims=True)  # the largest is 0: exp cannot overflow, p stays the same
    log_p = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))
    return xp.exp(log_p), -xp.where(target == 0, 0, target * log_p).sum(axis=1)  # 0 log 0 is 0 here


@accelerated
def cross_entropy_gradient_rows(p: Array, target: Array, factor: Array) -> Array:
    """dlogits (N, K) = factor (p - target), and 0 in ignored rows."""
    row_counts = (target != 0).any(axis=1, keepdims=True)  # False for an ignored row
    return array_module(p).where(row_counts, p - target, 0) * factor  # type: ignore[no-any-return]


def softmax_cross_entropy(
    logits: Array, labels: Array, *, label_smoothing: float = 0.0, ignore_index: int = -100
) -> tuple[float, Array]:
    """The loss as a float and dlogits (N, K) in one call; see `softmax_cross_entropy_forward`."""
    loss, cache = softmax_cross_entropy_forward(
        logits, labels, label_smoothing=label_smoothing, ignore_index=ignore_index
    )
    return float(loss), softmax_cross_entropy_backward(array_module(logits).ones_like(loss), cache)


def target_distribution(logits: Array, labels: Array, smoothing: float, ignore_index: int) -> tuple[Array, Array]:
    """The wanted distributions (N, K), of the logits' kind, 0 in ignored rows, and which rows count (N,), of the labels' kind.

    Raises InputError.
    """
    xp = array_module(labels)
    op = "softmax_cross_entropy"
    checks.array(op, "logits", logits, "N K")
    if not 0 <= smoothing <= 1:
        raise InputError(f"{op}: label_smoothing is {smoothing}: 0 to 1 is wanted")
    N, K = logits.shape
    dtype = logits.real.dtype
    if not hasattr(labels, "dtype"):
        raise InputError(f"{op}: labels is a {type(labels).__name__}: an array (N,) or (N, K) is wanted")
    if labels.ndim == 2:
        checks.shape(op, "labels", labels, (N, K))
        checks.same_precision(op, "labels", labels, logits)
        if not xp.allclose(labels.sum(axis=1), 1, atol=1e-4) or (labels < 0).any():
            raise InputError(f"{op}: labels (N, K) are not distributions: rows that are >= 0 and sum to 1 are wanted")
        target, row_counts = labels, xp.ones(N, bool)
    else:
        checks.shape(op, "labels", labels, (N,))
        if labels.dtype.kind not in "iu":
            raise InputError(f"{op}: labels have dtype {labels.dtype}: whole numbers are wanted")
        row_counts = labels != ignore_index
        wrong = labels[row_counts & ((labels < 0) | (labels >= K))]
        if wrong.size:
            raise InputError(
                f"{op}: label {int(wrong[0])} does not fit {K} logits: 0 to {K - 1} (or {ignore_index}, ignored) is wanted"
            )
        target = (labels[:, None] == xp.arange(K)).astype(dtype)
    target = (1 - smoothing) * target + smoothing / K
    return same_kind(xp.where(row_counts[:, None], target, 0).astype(dtype), logits), row_counts
