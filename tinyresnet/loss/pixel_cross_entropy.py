"""Cross-entropy at every pixel, the loss of a segmenter: some pixels are ignored, and classes can weigh more than others."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array, Form, array_module, form, like_memory, on_host, same_kind

from ..errors import InputError
from ..layers import checks

OP = "pixel_cross_entropy"


class PixelCrossEntropyCache(NamedTuple):
    """`p` (N, K, H, W) are the softmax's probabilities.

    Of each pixel (N, H, W): `target` is the wanted class, `weights` how much it counts; both are 0 where it does not.
    """

    p: Array
    target: Array
    weights: Array
    weight_sum: Array
    x: Form


def pixel_cross_entropy_forward(
    logits: Array, labels: Array, *, class_weights: Array | None = None, ignore_index: int = 255
) -> tuple[Array, PixelCrossEntropyCache]:
    """loss (a number, shape ()) = sum over the pixels of -w log p[n, label, h, w] / sum of w, p = softmax of logits (N, K, H, W) over K.

    w is class_weights[label], 1 without class_weights (K,), and 0 where the label (N, H, W) is `ignore_index`: a weighted mean, as
    PyTorch's cross_entropy has it. With logits on a GPU, labels and class weights on the host serve best: they are looked at.
    Raises InputError on shapes, dtypes and class weights that do not fit, on labels outside 0..K-1, and if no pixel counts.
    (Long et al. 2015 for the loss per pixel; Eigen & Fergus 2015, section 3.3.3, for class weights.)
    """
    checks.array(OP, "logits", logits, "N K H W")
    xp = array_module(logits)
    table = _checked_weights(class_weights, logits)
    counts = _counted(logits, labels, table, ignore_index)
    target = same_kind(array_module(labels).where(counts, labels, 0), logits)
    if table is None:
        weights = same_kind(counts, logits).astype(logits.real.dtype)
    else:
        weights = xp.where(same_kind(counts, logits), table[target], 0)
    planes = xp.ascontiguousarray(logits)  # a class after the other: sums over the classes then run over whole pictures
    shifted = planes - planes.real.max(axis=1, keepdims=True)  # the largest is 0: exp cannot overflow, p stays the same
    at_target = shifted[_places(target)]
    p = xp.exp(shifted, out=shifted)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    losses = xp.where(weights > 0, weights * (xp.log(total[:, 0]) - at_target), 0)
    weight_sum = weights.sum()
    cache = PixelCrossEntropyCache(p, target, weights, weight_sum, form(logits))
    return losses.sum() / weight_sum, cache


def pixel_cross_entropy_backward(dloss: Array, cache: PixelCrossEntropyCache) -> Array:
    """dlogits (N, K, H, W) = dloss w / (sum of w) (p - 1 at the wanted class, p - 0 at the others), and 0 at pixels that do not count."""
    p, target, weights, weight_sum, x = cache
    checks.upstream(f"{OP}_backward", dloss, (), x, "dloss")
    factor = weights * (dloss / weight_sum)
    dlogits = p * factor[:, None]
    dlogits[_places(target)] -= factor
    array_module(p).copyto(dlogits, 0, where=(weights == 0)[:, None])  # a NaN in p gets through the 0 of its weight
    return like_memory(dlogits, x)


def pixel_cross_entropy(
    logits: Array, labels: Array, *, class_weights: Array | None = None, ignore_index: int = 255
) -> tuple[float, Array]:
    """The loss as a float and dlogits (N, K, H, W) in one call; see `pixel_cross_entropy_forward`."""
    loss, cache = pixel_cross_entropy_forward(logits, labels, class_weights=class_weights, ignore_index=ignore_index)
    return float(loss), pixel_cross_entropy_backward(array_module(logits).ones_like(loss), cache)


def _places(target: Array) -> tuple[Array, ...]:
    """The index of x (N, K, H, W) that gives each pixel's number at its wanted class (N, H, W): no one-hot array is made."""
    xp = array_module(target)
    N, H, W = target.shape
    return xp.arange(N)[:, None, None], target, xp.arange(H)[:, None], xp.arange(W)


def _checked_weights(class_weights: Array | None, logits: Array) -> Array | None:
    """The class weights, of the logits' kind. Raises InputError."""
    if class_weights is None:
        return None
    checks.vector(OP, "class_weights", class_weights, logits.shape[1], logits)
    here = on_host(class_weights)
    for k in np.flatnonzero(~(np.isfinite(here) & (here.real >= 0)))[:1]:
        raise InputError(f"{OP}: class_weights[{k}] is {here[k]}: a finite number of at least 0 is wanted")
    return same_kind(class_weights, logits)


def _counted(logits: Array, labels: Any, table: Array | None, ignore_index: int) -> Array:
    """Which pixels count (N, H, W), of the labels' kind. Raises InputError."""
    N, K, H, W = logits.shape
    if not hasattr(labels, "dtype"):
        raise InputError(f"{OP}: labels is a {type(labels).__name__}: an array (N, H, W) is wanted")
    checks.shape(OP, "labels", labels, (N, H, W))
    if labels.dtype.kind not in "iu":
        raise InputError(f"{OP}: labels have dtype {labels.dtype}: whole numbers are wanted")
    counts: Array = labels != ignore_index
    wrong = counts & ((labels < 0) | (labels >= K))
    if wrong.any():
        n, h, w = (int(i) for i in np.argwhere(on_host(wrong))[0])
        raise InputError(
            f"{OP}: label {int(labels[n, h, w])} of picture {n}, row {h}, column {w} does not fit {K} classes: "
            f"0 to {K - 1} (or {ignore_index}, ignored) is wanted"
        )
    if table is not None:  # a pixel of a class that weighs nothing does not count either
        xp = array_module(labels)
        counts = counts & (same_kind(table, labels).real > 0)[xp.where(counts, labels, 0)]
    if not counts.any():
        raise InputError(f"{OP}: no pixel of logits {logits.shape} counts: at least one that is not ignored is wanted")
    return counts
