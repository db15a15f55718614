"""How good a segmenter is: pixel accuracy, intersection over union and confusion matrix over batches of label maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import Array

from .errors import InputError
from .evaluate import rounded

IGNORED = 255  # the label of pixels that do not count


@dataclass(frozen=True)
class PixelRow:
    """One class, in pixels: IoU = right / (true or predicted), precision = right / predicted, recall = right / true, how many are true.

    None where there is nothing to divide by.
    """

    name: str
    iou: float | None
    precision: float | None
    recall: float | None
    count: int


@dataclass(frozen=True, eq=False)
class PixelEvaluation:
    """What `PixelMetrics` found. `confusion[true, predicted]` (K, K) counts pixels; `loss` is the mean over them, None if not told.

    `mean_iou` is over the classes that are true or predicted somewhere: one that is only predicted has IoU 0, one that never occurs does
    not count (Everingham et al. 2015, section 4.2).
    """

    classes: tuple[str, ...]
    pixel_accuracy: float
    iou: tuple[float | None, ...]
    mean_iou: float
    loss: float | None
    confusion: NDArray[np.int64]

    @property
    def per_class(self) -> list[PixelRow]:
        """IoU, precision, recall and number of pixels of every class."""
        right, true, predicted = np.diag(self.confusion), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        columns = zip(self.classes, self.iou, right.tolist(), true.tolist(), predicted.tolist(), strict=True)
        return [PixelRow(name, iou, r / p if p else None, r / t if t else None, t) for name, iou, r, t, p in columns]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, fractions rounded to 6 digits."""
        rows = [
            {
                "class": row.name,
                "iou": rounded(row.iou),
                "precision": rounded(row.precision),
                "recall": rounded(row.recall),
                "count": row.count,
            }
            for row in self.per_class
        ]
        return {
            "pixel_accuracy": rounded(self.pixel_accuracy),
            "mean_iou": rounded(self.mean_iou),
            "loss": rounded(self.loss),
            "count": int(self.confusion.sum()),
            "per_class": rows,
            "confusion": self.confusion.tolist(),
        }


class PixelMetrics:
    """Collects label maps batch by batch: `add` each one, then ask for the `summary`."""

    def __init__(self, classes: Sequence[str]) -> None:
        """`classes` are the names of the labels 0, 1, ...: the background too, where label 0 is it."""
        if not 1 <= len(classes) <= IGNORED:
            raise InputError(f"PixelMetrics: there are {len(classes)} classes: 1 to {IGNORED} are wanted")
        self.classes = tuple(classes)
        self._confusion = np.zeros((len(classes),) * 2, np.int64)

    def add(self, predicted: Array, truth: Array) -> None:
        """A batch of label maps (n, H, W); pixels whose truth is 255 do not count.

        Raises InputError on shapes that differ and on labels that are not among the classes.
        """
        for name, labels in (("predicted", predicted), ("truth", truth)):
            if not hasattr(labels, "dtype") or labels.ndim != 3 or not np.issubdtype(labels.dtype, np.integer):
                what = f"{labels.dtype} {labels.shape}" if hasattr(labels, "dtype") else f"a {type(labels).__name__}"
                raise InputError(f"PixelMetrics: {name} is {what}: whole numbers (n, H, W) are wanted")
        if predicted.shape != truth.shape:
            raise InputError(
                f"PixelMetrics: predicted has shape {predicted.shape}: {truth.shape} is wanted, as of truth"
            )
        K, counted = len(self.classes), truth != IGNORED
        for name, labels in (("predicted", predicted), ("truth", truth[counted])):
            if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < K:
                bad = labels.min() if labels.min() < 0 else labels.max()
                raise InputError(f"PixelMetrics: {name} holds label {bad}: 0..{K - 1} are wanted")
        pairs = truth[counted].astype(np.int64) * K + predicted[counted]
        self._confusion += np.bincount(pairs, minlength=K * K).reshape(K, K)

    def summary(self, loss: float | None = None) -> PixelEvaluation:
        """The figures of all batches so far, with the `loss` that came with them. Raises InputError if no pixel counts."""
        count = int(self._confusion.sum())
        if count == 0:
            raise InputError(f"there are no pixels to evaluate on: at least 1 whose label is not {IGNORED} is wanted")
        right = np.diag(self._confusion)
        union = self._confusion.sum(axis=0) + self._confusion.sum(axis=1) - right
        iou = tuple(r / u if u else None for r, u in zip(right.tolist(), union.tolist(), strict=True))
        known = [value for value in iou if value is not None]
        return PixelEvaluation(
            self.classes, right.sum().item() / count, iou, sum(known) / len(known), loss, self._confusion.copy()
        )
