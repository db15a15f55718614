"""Wrong backward passes of softmax cross-entropy: its formula, its upstream and its state. Those of its labels: `loss_labels.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...loss import CrossEntropyCache, softmax_cross_entropy_backward, softmax_cross_entropy_forward
from ..shipped import CrossEntropy
from .bug import Setting, layer_bug, op_bug

LABELS = np.array([2, 0, 4, 2, 1])  # of 5 rows and 6 classes; one comes twice, some never
SHAPE = (5, 6)


class Tempered(CrossEntropy):
    """Of logits / 4, as in distillation (Hinton et al. 2015)."""

    def forward(self, x: Any, *, train: bool) -> tuple[Any, CrossEntropyCache]:
        """The loss, shape ()."""
        return softmax_cross_entropy_forward(x / 4, self.labels)

    def backward(self, dy: Any, cache: CrossEntropyCache) -> Any:
        """dlogits."""
        return softmax_cross_entropy_backward(dy, cache) / 4


PLAIN = Setting(lambda rng: CrossEntropy(LABELS, 0.0), SHAPE)
SMOOTHED = Setting(lambda rng: CrossEntropy(LABELS, 0.2), SHAPE)
TEMPERED = Setting(lambda rng: Tempered(LABELS, 0.0), SHAPE)
CERTAIN = Setting(lambda rng: CrossEntropy(LABELS, 0.0), SHAPE, draw=lambda rng, shape: 8 * rng.standard_normal(shape))


@op_bug("cross_entropy", PLAIN, "x", sign="mean for sum")
def sum_for_mean(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The loss is the mean over the rows, the gradient that of their sum: N was left out."""
    return dloss * (cache.p - cache.target)


@op_bug("cross_entropy", PLAIN, "x", sign="mean for sum")
def divided_by_the_rows_twice(dloss: Any, cache: CrossEntropyCache) -> Any:
    """Divided by N twice: once in the loss and once more in the training loop's copy of the gradient."""
    return softmax_cross_entropy_backward(dloss, cache) / len(cache.p)


@op_bug("cross_entropy", PLAIN, "x", sign="mean for sum")
def divided_by_the_classes_too(dloss: Any, cache: CrossEntropyCache) -> Any:
    """Divided by the size of p, N times K, as np.mean without an axis does: the classes are summed."""
    return dloss * (cache.p - cache.target) / cache.p.size


@op_bug("cross_entropy", TEMPERED, "x", sign="scale")
def temperature_forgotten(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The logits are divided by the temperature, their gradient is not."""
    return softmax_cross_entropy_backward(dloss, cache)


@op_bug("cross_entropy", PLAIN, "x", sign="sign")
def target_minus_p(dloss: Any, cache: CrossEntropyCache) -> Any:
    """target - p is the step downhill, and the optimiser takes the minus once more."""
    return -softmax_cross_entropy_backward(dloss, cache)


@op_bug("cross_entropy", PLAIN, "x", sign="missing term")
def target_not_subtracted(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The 1 was subtracted at the labels in a copy of p, and p itself was returned."""
    return dloss * cache.p / cache.counted


@op_bug("cross_entropy", PLAIN, "x", sign="missing term")
def target_alone(dloss: Any, cache: CrossEntropyCache) -> Any:
    """Only the label's logit was differentiated: the log of the sum, whose gradient is p, was taken for a constant."""
    return -dloss * cache.target / cache.counted


@op_bug("cross_entropy", PLAIN, "x", sign="upstream")
def upstream_ignored(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The loss is the end of the network, so its upstream was believed to be 1: not with a loss scale or a second loss."""
    return softmax_cross_entropy_backward(np.ones_like(dloss), cache)


@op_bug("cross_entropy", PLAIN, "x", sign="upstream")
def upstream_twice(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The loss scale came in by dloss and was multiplied in once more."""
    return dloss * softmax_cross_entropy_backward(dloss, cache)


@op_bug("cross_entropy", PLAIN, "x", sign="other")
def softmax_gone_through_twice(dloss: Any, cache: CrossEntropyCache) -> Any:
    """p - target is already the logits' gradient, and it went through the softmax's backward pass once more."""
    dp = softmax_cross_entropy_backward(dloss, cache)
    return cache.p * (dp - (dp * cache.p).sum(axis=1, keepdims=True))


@op_bug("cross_entropy", SMOOTHED, "x", sign="other")
def softmax_not_gone_through(dloss: Any, cache: CrossEntropyCache) -> Any:
    """-target / p is the gradient of the probabilities: the way from there to the logits is missing."""
    return -dloss * cache.target / cache.p / cache.counted


@op_bug("cross_entropy", SMOOTHED, "x", sign="missing sum")
def softmax_diagonal_alone(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The softmax's derivative was taken as p (1 - p), like a sigmoid's: each logit moves all the probabilities, and they sum."""
    return -dloss * cache.target * (1 - cache.p) / cache.counted


@op_bug("cross_entropy", PLAIN, "x", sign="other")
def division_binds_to_the_target_alone(dloss: Any, cache: CrossEntropyCache) -> Any:
    """p - target / N without the brackets around p - target."""
    return dloss * (cache.p - cache.target / cache.counted)


@op_bug("cross_entropy", SMOOTHED, "x", sign="part")
def remainder_of_the_rows_left_out(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The gradient is made in chunks of two rows, N // 2 of them: with an odd number of rows the last one gets none."""
    dlogits = softmax_cross_entropy_backward(dloss, cache)
    dlogits[len(dlogits) // 2 * 2 :] = 0
    return dlogits


@op_bug("cross_entropy", CERTAIN, "x", sign="other")
def p_clipped(dloss: Any, cache: CrossEntropyCache) -> Any:
    """p was clipped to 1e-7 and more against log(0), and the gradient is made of the clipped one."""
    return softmax_cross_entropy_backward(dloss, cache._replace(p=np.clip(cache.p, 1e-7, 1 - 1e-7)))


@op_bug("cross_entropy", SMOOTHED, "x", sign="other")
def p_in_half_precision(dloss: Any, cache: CrossEntropyCache) -> Any:
    """p was saved in float16 to spare memory: the gradient has three digits left."""
    return softmax_cross_entropy_backward(dloss, cache._replace(p=cache.p.astype(np.float16).astype(cache.p.dtype)))


@layer_bug("cross_entropy", PLAIN, "x", sign="other")
def forward_softmax_over_the_rows(self: CrossEntropy, x: Any, *, train: bool) -> Any:
    """axis=0 in the softmax that is saved for the gradient: its columns sum to 1, not its rows."""
    loss, cache = softmax_cross_entropy_forward(x, self.labels, label_smoothing=self.label_smoothing)
    powers = np.exp(x - x.max(axis=0))
    return loss, cache._replace(p=powers / powers.sum(axis=0))


@layer_bug("cross_entropy", PLAIN, sign="manners")
def backward_written_into_p(self: CrossEntropy, dloss: Any, cache: CrossEntropyCache) -> Any:
    """dlogits = p; dlogits[np.arange(N), labels] -= 1 without a copy: the cache no longer holds the probabilities."""
    dlogits = cache.p
    dlogits -= cache.target
    return dlogits * (dloss / cache.counted)


@layer_bug("cross_entropy", SMOOTHED, sign="stale")
def forward_p_in_one_buffer(self: CrossEntropy, x: Any, *, train: bool) -> Any:
    """The probabilities are kept in the layer's own array: a second forward pass changes the first one's cache."""
    loss, cache = softmax_cross_entropy_forward(x, self.labels, label_smoothing=self.label_smoothing)
    buffer = vars(self).setdefault("p", np.empty_like(cache.p))
    buffer[...] = cache.p
    return loss, cache._replace(p=buffer)
