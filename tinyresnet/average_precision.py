"""How good a detector is: average precision and recall as COCO's own evaluation computes them for boxes.

Lin et al. 2014 (https://cocodataset.org/#detection-eval). A detection and an object of one class and picture can be matched if their IoU
reaches a threshold, of which there are ten. Detections choose one after the other, the best score first. The curve of precision over
recall is read at 101 recalls; its mean is the average precision (AP) of a class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import Array

from .box_matching import HIT, IGNORED, IOU_THRESHOLDS, MISS, match
from .boxes import box_areas, checked_boxes, checked_labels, checked_scores, intersections
from .errors import InputError
from .evaluate import rounded

RECALLS = np.linspace(0, 1, 101)
MAX_DETECTIONS = (1, 10, 100)  # the best ones of each picture and class that count

# The figures by name: of precision or of recall, which thresholds, which areas (all, small, medium, large), how many detections (a place
# in MAX_DETECTIONS)
EVERY = slice(None)
AP_FIGURES: dict[str, tuple[slice, int]] = {
    "ap": (EVERY, 0),
    "ap50": (slice(0, 1), 0),
    "ap75": (slice(5, 6), 0),
    "ap_small": (EVERY, 1),
    "ap_medium": (EVERY, 2),
    "ap_large": (EVERY, 3),
}
AR_FIGURES: dict[str, tuple[int, int]] = {
    "ar_1": (0, 0),
    "ar_10": (0, 1),
    "ar_100": (0, 2),
    "ar_small": (1, 2),
    "ar_medium": (2, 2),
    "ar_large": (3, 2),
}


@dataclass(frozen=True)
class DetectionRow:
    """One class: AP, AP at IoU 0.50, the part of its objects that are found at IoU 0.50 (None: it has none), how many it has."""

    name: str
    ap: float | None
    ap50: float | None
    recall: float | None
    count: int


@dataclass(frozen=True, eq=False)
class DetectionEvaluation:
    """COCO's twelve figures; None where there is no object to find.

    ap is the mean over thresholds and classes, ap50 and ap75 are for one threshold, ap_small and so on for objects of such an area. ar_1
    is the mean recall with the best 1 detection of each class and picture, ar_10 and ar_100 with more, ar_small and so on with 100.
    `precision` (T, R, K, A) over thresholds, recalls, classes and areas is for 100 detections, `recall` (T, K, A, M) for 1, 10 and 100;
    NaN where there is no object (COCO writes -1). `counts` (K, A) are the objects.
    """

    classes: tuple[str, ...]
    pictures: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar_1: float | None
    ar_10: float | None
    ar_100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def per_class(self) -> list[DetectionRow]:
        """Every class's own figures, for objects of all areas."""
        return [
            DetectionRow(
                name,
                _mean(self.precision[:, :, k, 0]),
                _mean(self.precision[0, :, k, 0]),
                _mean(self.recall[0, k, 0, -1]),
                int(self.counts[k, 0]),
            )
            for k, name in enumerate(self.classes)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, fractions rounded to 6 digits."""
        rows = [
            {
                "class": row.name,
                "ap": rounded(row.ap),
                "ap50": rounded(row.ap50),
                "recall": rounded(row.recall),
                "count": row.count,
            }
            for row in self.per_class
        ]
        figures: dict[str, Any] = {name: rounded(getattr(self, name)) for name in (*AP_FIGURES, *AR_FIGURES)}
        return figures | {"pictures": self.pictures, "objects": int(self.counts[:, 0].sum()), "per_class": rows}


class DetectionMetrics:
    """Collects detections and true objects picture by picture: `add` each one, then ask for the `summary`."""

    def __init__(self, classes: Sequence[str], *, area_limits: tuple[float, float] = (32.0**2, 96.0**2)) -> None:
        """`area_limits`, in square pixels: objects up to the first one are small, from the second one on large."""
        small, large = area_limits
        if not classes:
            raise InputError("DetectionMetrics: there are no classes: at least one is wanted")
        if not 0 < small < large < math.inf:
            raise InputError(f"DetectionMetrics: area_limits are {area_limits}: two rising areas above 0 are wanted")
        self.classes = tuple(classes)
        # Both ends belong to a range, and no area is above 1e10: as in COCO's evaluation
        self._ranges = np.array([(0, 1e10), (0, small), (small, large), (large, 1e10)])
        self._counts = np.zeros((len(classes), len(self._ranges)), np.int64)
        self._seen: list[tuple[Array, Array, Array, Array]] = []

    def add(
        self,
        boxes: Array,
        scores: Array,
        labels: Array,
        truth_boxes: Array,
        truth_labels: Array,
        truth_crowd: Array | None = None,
        *,
        truth_areas: Array | None = None,
    ) -> None:
        """One picture: detections boxes (D, 4), scores (D,), labels (D,), and true objects (G, 4), (G,); both labels are 0..K-1.

        `truth_crowd` (G,) of bool marks regions in which any number of detections count as neither right nor wrong, and which need not be
        found: there the overlap is the part of the detection's area inside. `truth_areas` (G,) sort objects into small, medium and large;
        by default they are the boxes' areas. Raises InputError on what does not fit.
        """
        op = "DetectionMetrics"
        for prefix, some_boxes, some_labels in (("", boxes, labels), ("truth_", truth_boxes, truth_labels)):
            checked_boxes(op, f"{prefix}boxes", some_boxes)
            checked_labels(op, f"{prefix}labels", some_labels, len(some_boxes), len(self.classes))
        checked_scores(op, scores, len(boxes))
        boxes, truth_boxes = boxes.astype(np.float64), truth_boxes.astype(np.float64)
        crowd = np.zeros(len(truth_boxes), bool) if truth_crowd is None else np.asarray(truth_crowd)
        areas = box_areas(truth_boxes) if truth_areas is None else np.asarray(truth_areas)
        if crowd.dtype != bool or crowd.shape != (len(truth_boxes),):
            raise InputError(f"{op}: truth_crowd is {crowd.dtype} {crowd.shape}: bool {(len(truth_boxes),)} is wanted")
        if areas.shape != (len(truth_boxes),) or not (np.isfinite(areas) & (areas >= 0)).all():
            raise InputError(
                f"{op}: truth_areas {areas.shape} are {areas.tolist()}: {(len(truth_boxes),)} numbers of 0 or more are wanted"
            )

        order = np.lexsort((-scores, labels))  # class by class, the best first; of equal scores the first
        ranked = labels[order]
        rank = np.arange(len(order)) - np.searchsorted(ranked, ranked)
        order, rank = order[rank < MAX_DETECTIONS[-1]], rank[rank < MAX_DETECTIONS[-1]]
        boxes, scores, labels = boxes[order], scores[order], labels[order]

        own_areas, shared = box_areas(boxes)[:, None], intersections(boxes, truth_boxes)
        union = np.where(crowd, own_areas, own_areas + box_areas(truth_boxes) - shared)
        iou = np.where(labels[:, None] == truth_labels, shared / np.where(union > 0, union, 1), 0)
        ignored = crowd | self._outside(areas)
        outcome = match(iou, labels, ignored, crowd)
        outcome[(outcome == MISS) & self._outside(own_areas[:, 0])[:, None]] = IGNORED
        np.add.at(self._counts, truth_labels, ~ignored.T)
        self._seen.append((labels, scores.astype(np.float64), rank, outcome))

    def summary(self) -> DetectionEvaluation:
        """The figures of all pictures so far. Raises InputError if there are none."""
        if not self._seen:
            raise InputError("there are no pictures to evaluate on: at least 1 is wanted")
        labels, scores, rank, outcome = (np.concatenate(parts, axis=-1) for parts in zip(*self._seen, strict=True))
        T, R, A, K, M = len(IOU_THRESHOLDS), len(RECALLS), *self._counts.T.shape, len(MAX_DETECTIONS)
        precision, recall = np.full((T, R, K, A), np.nan), np.full((T, K, A, M), np.nan)
        for k in range(K):
            own = np.flatnonzero(labels == k)
            own = own[np.argsort(-scores[own], kind="stable")]
            for a in np.flatnonzero(self._counts[k]):
                became, count = outcome[a][:, own], self._counts[k, a]
                precision[:, :, k, a] = precision_curve(became, count)
                for m, most in enumerate(MAX_DETECTIONS):
                    recall[:, k, a, m] = (became[:, rank[own] < most] == HIT).sum(axis=1) / count
        figures = {name: _mean(precision[t, :, :, a]) for name, (t, a) in AP_FIGURES.items()}
        figures |= {name: _mean(recall[:, :, a, m]) for name, (a, m) in AR_FIGURES.items()}
        return DetectionEvaluation(
            self.classes, len(self._seen), **figures, precision=precision, recall=recall, counts=self._counts.copy()
        )

    def _outside(self, areas: Array) -> Array:
        """Which areas (n,) are outside each range (A, n)."""
        low, high = self._ranges.T[:, :, None]
        outside: Array = (areas < low) | (areas > high)
        return outside


def precision_curve(outcome: Array, count: int) -> NDArray[np.float64]:
    """Precision (T, R) at each of the RECALLS for outcomes (T, D), the best score first, and `count` objects; 0 where it is not reached.

    At each recall it is the largest precision at this or a larger recall, so that the curve falls.
    """
    hits, misses = (outcome == HIT).cumsum(axis=1), (outcome == MISS).cumsum(axis=1)
    precision = hits / np.maximum(hits + misses, 1)
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    falling = np.pad(falling, ((0, 0), (0, 1)))
    return np.stack(
        [row[np.searchsorted(reached, RECALLS)] for row, reached in zip(falling, hits / count, strict=True)]
    )


def _mean(values: Array) -> float | None:
    """The mean of those that are not NaN; None of none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
