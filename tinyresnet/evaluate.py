"""How good a classifier is: accuracy, loss and confusion matrix over a stream of batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import Array, array_module, on_host

from .device import beside
from .errors import InputError
from .layers import Layer
from .loss import softmax_cross_entropy_forward


@dataclass(frozen=True)
class ClassRow:
    """One class: the part of its predictions that are right, the part of its pictures that are found, how many there are."""

    name: str
    precision: float | None  # None: never predicted
    recall: float | None  # None: no pictures
    count: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found. `confusion[true, predicted]` (K, K) counts pictures; `loss` is the mean cross-entropy."""

    classes: tuple[str, ...]
    top1: float
    top5: float | None  # None: five are no choice among fewer than 6 classes
    loss: float
    count: int
    confusion: NDArray[np.int64]

    @property
    def per_class(self) -> list[ClassRow]:
        """Precision, recall and number of pictures of every class."""
        right, true, predicted = np.diag(self.confusion), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return [
            ClassRow(name, r / p if p else None, r / t if t else None, t)
            for name, r, t, p in zip(self.classes, right.tolist(), true.tolist(), predicted.tolist(), strict=True)
        ]

    def most_confused(self, most: int = 5) -> list[tuple[str, str, int]]:
        """The pairs (true class, predicted class, pictures) that are mistaken most often, the worst first."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:most]
        pairs = [(*divmod(int(place), len(self.classes)), int(wrong.flat[place])) for place in order]
        return [(self.classes[true], self.classes[said], n) for true, said, n in pairs if n]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, fractions rounded to 6 digits."""
        rows = [
            {
                "class": row.name,
                "precision": rounded(row.precision),
                "recall": rounded(row.recall),
                "count": row.count,
            }
            for row in self.per_class
        ]
        return {
            "top1": rounded(self.top1),
            "top5": rounded(self.top5),
            "loss": rounded(self.loss),
            "count": self.count,
            "per_class": rows,
            "confusion": self.confusion.tolist(),
        }


def evaluate(
    model: Layer, batches: Iterable[Any], classes: Sequence[str], *, progress: Callable[..., object] | None = None
) -> Evaluation:
    """Run the model in evaluation mode over batches with `x` (n, C, H, W) and `labels` (n,), classes 0..K-1.

    The model may be on a GPU: each batch is copied there, and its logits back. Of equal logits the first counts as the larger one.
    After each batch `progress(n, loss=..., accuracy=...)` is called with the figures so far. Raises InputError if the model's head has
    another number of classes, a label is not among them, no picture comes, or the logits are not finite.
    """
    K = len(classes)
    confusion = np.zeros((K, K), np.int64)
    count = first = among_five = 0
    total_loss = 0.0
    for batch in batches:
        logits, labels = logits_of(model, batch.x), batch.labels
        n = len(labels)
        if n == 0:
            continue
        if logits.shape[1] != K:
            raise InputError(f"the model's head has {logits.shape[1]} classes, the data {K}: they must agree")
        total_loss += float(softmax_cross_entropy_forward(logits, labels)[0]) * n
        rank = _rank(logits, labels)
        count, first, among_five = count + n, first + int((rank == 0).sum()), among_five + int((rank < 5).sum())
        confusion += np.bincount(labels * K + logits.argmax(axis=1), minlength=K * K).reshape(K, K)
        if progress:
            progress(n, loss=total_loss / count, accuracy=first / count)
    if count == 0:
        raise InputError("there are no pictures to evaluate on: at least 1 is wanted")
    top5 = among_five / count if K > 5 else None
    return Evaluation(tuple(classes), first / count, top5, total_loss / count, count, confusion)


def logits_of(model: Layer, x: Array) -> Array:
    """The model's logits (N, K), on the host, for pictures x (N, C, H, W), in evaluation mode. Raises InputError if not all are finite."""
    with np.errstate(all="ignore"):  # what overflows ends as inf or NaN, which is looked for below
        logits: Array = on_host(model.forward(beside(model, x), train=False)[0])
    if not np.isfinite(logits).all():
        raise InputError("the model gives logits that are not finite (NaN or infinite): its weights are damaged")
    return logits


def softmax(logits: Array) -> Array:
    """The probabilities (N, K) that logits (N, K) stand for: exp(logits), each row divided by its sum; in float64."""
    xp = array_module(logits)
    p: Array = xp.exp(logits.astype(xp.float64) - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def _rank(logits: Array, labels: Array) -> Array:
    """How many classes stand before the true one (N,): 0 if the prediction is right."""
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    rank: Array = ((logits > own) | ((logits == own) & before)).sum(axis=1)
    return rank


def rounded(value: float | None) -> float | None:
    """The value to 6 digits; None for what is no finite number, which JSON has no word for."""
    return None if value is None or not math.isfinite(value) else round(value, 6)
