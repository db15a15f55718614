"""Wrong backward passes of softmax cross-entropy that get its labels wrong: smoothed ones, ignored rows, distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...loss import CrossEntropyCache, softmax_cross_entropy_backward, softmax_cross_entropy_forward
from ..shipped import CrossEntropy
from .bug import Setting, op_bug

LABELS = np.array([2, 0, 4, 2, 1])  # of 5 rows and 6 classes; one comes twice, some never
MASKED = np.array([2, -100, 4, 2, -100])
SHAPE = (5, 6)
SMOOTHING = 0.2


class OwnIgnoreIndex(CrossEntropy):
    """Ignores the rows that are labelled -1."""

    def forward(self, x: Any, *, train: bool) -> tuple[Any, CrossEntropyCache]:
        """The loss, shape ()."""
        return softmax_cross_entropy_forward(x, self.labels, ignore_index=-1)


class SoftLabels(CrossEntropy):
    """Its labels are distributions (N, K)."""

    def forward(self, x: Any, *, train: bool) -> tuple[Any, CrossEntropyCache]:
        """The loss, shape ()."""
        return softmax_cross_entropy_forward(x, self.labels.astype(x.real.dtype), label_smoothing=self.label_smoothing)


PLAIN = Setting(lambda rng: CrossEntropy(LABELS, 0.0), SHAPE)
SMOOTHED = Setting(lambda rng: CrossEntropy(LABELS, SMOOTHING), SHAPE)
IGNORED = Setting(lambda rng: CrossEntropy(MASKED, 0.0), SHAPE)
IGNORED_SMOOTHED = Setting(lambda rng: CrossEntropy(MASKED, SMOOTHING), SHAPE)
MINUS_ONE = Setting(lambda rng: OwnIgnoreIndex(np.array([2, -1, 4, 2, -1]), 0.0), SHAPE)
SOFT = Setting(lambda rng: SoftLabels(rng.dirichlet(np.ones(6), 5), 0.0), SHAPE)  # type: ignore[arg-type]


@op_bug("cross_entropy", IGNORED, "x", sign="scale")
def ignored_rows_counted(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The loss is divided by the rows that count, the gradient by all of them."""
    return softmax_cross_entropy_backward(dloss, cache._replace(counted=len(cache.p)))


@op_bug("cross_entropy", SMOOTHED, "x", sign="scale")
def one_minus_smoothing_on_all(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The factor 1 - smoothing, which belongs to the label's part of the target, was put on the whole gradient."""
    return (1 - SMOOTHING) * softmax_cross_entropy_backward(dloss, cache)


@op_bug("cross_entropy", SMOOTHED, "x", sign="missing term")
def smoothing_forgotten(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The loss smooths its labels, the gradient subtracts the bare ones."""
    hard = (cache.target == cache.target.max(axis=1, keepdims=True)).astype(cache.p.dtype)
    return softmax_cross_entropy_backward(dloss, cache._replace(target=hard))


@op_bug("cross_entropy", SMOOTHED, "x", sign="extra term")
def smoothing_added_to_the_whole_label(dloss: Any, cache: CrossEntropyCache) -> Any:
    """smoothing / K was added to every class and 1 - smoothing forgotten: the target sums to more than 1."""
    target = np.where(cache.target > SMOOTHING, cache.target + SMOOTHING, cache.target)
    return softmax_cross_entropy_backward(dloss, cache._replace(target=target))


@op_bug("cross_entropy", SMOOTHED, "x", sign="other")
def smoothing_over_the_other_classes(dloss: Any, cache: CrossEntropyCache) -> Any:
    """Going back, smoothing is shared out among the K - 1 wrong classes, where the loss shares it among all K."""
    wrong = SMOOTHING / (cache.p.shape[1] - 1)
    target = np.where(cache.target > SMOOTHING, 1 - SMOOTHING, wrong)
    return softmax_cross_entropy_backward(dloss, cache._replace(target=target))


@op_bug("cross_entropy", IGNORED, "x", sign="mask")
def ignored_rows_let_through(dloss: Any, cache: CrossEntropyCache) -> Any:
    """Ignored rows have no target, so the loss leaves them out by itself: p - 0 does not."""
    return dloss * (cache.p - cache.target) / cache.counted


@op_bug("cross_entropy", IGNORED_SMOOTHED, "x", sign="mask")
def ignored_rows_smoothed(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The ignored rows were left out before the smoothing, which gave them the uniform distribution for a target."""
    ignored = (cache.target == 0).all(axis=1, keepdims=True)
    target = np.where(ignored, 1 / cache.p.shape[1], cache.target)
    return softmax_cross_entropy_backward(dloss, cache._replace(target=target))


@op_bug("cross_entropy", MINUS_ONE, "x", sign="mask")
def ignored_label_used_as_an_index(dloss: Any, cache: CrossEntropyCache) -> Any:
    """p[np.arange(N), labels] -= 1 with the label -1 for ignored rows: in NumPy that is the last class, and no error."""
    labels = np.where(cache.target.any(axis=1), cache.target.argmax(axis=1), -1)
    dlogits = cache.p.copy()
    dlogits[np.arange(len(labels)), labels] -= 1
    return dloss * dlogits / cache.counted


@op_bug("cross_entropy", PLAIN, "x", sign="extra term")
def labels_of_all_rows_in_every_row(dloss: Any, cache: CrossEntropyCache) -> Any:
    """p[:, labels] -= 1 where p[np.arange(N), labels] -= 1 belongs: every row loses 1 at every label of the batch."""
    dlogits = cache.p.copy()
    dlogits[:, cache.target.argmax(axis=1)] -= 1
    return dloss * dlogits / cache.counted


@op_bug("cross_entropy", SOFT, "x", sign="other")
def distributions_made_hard(dloss: Any, cache: CrossEntropyCache) -> Any:
    """labels.argmax(axis=1) before the subtraction: the gradient of mixed pictures' labels is that of the larger part alone."""
    hard = (cache.target == cache.target.max(axis=1, keepdims=True)).astype(cache.p.dtype)
    return softmax_cross_entropy_backward(dloss, cache._replace(target=hard))


@op_bug("cross_entropy", PLAIN, "x", sign="shifted")
def labels_counted_from_one(dloss: Any, cache: CrossEntropyCache) -> Any:
    """The labels were made to start at 1 somewhere on the way: the 1 is subtracted one class too far."""
    return softmax_cross_entropy_backward(dloss, cache._replace(target=np.roll(cache.target, 1, axis=1)))
