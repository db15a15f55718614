"""Boxes: areas, overlaps, clipping and non-maximum suppression, with no loop over boxes; on the host, with NumPy arrays.

A box is x0 y0 x1 y1 in pixels, its far edges exclusive: x1 - x0 is its width.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from .errors import InputError
from .layers import checks


def box_areas(boxes: Array) -> Array:
    """The areas (M,) of boxes (M, 4)."""
    _four("box_areas", "boxes", boxes)
    area: Array = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area


def intersections(a: Array, b: Array) -> Array:
    """The areas (A, B) that each of the boxes a (A, 4) shares with each of b (B, 4). Raises InputError on other shapes and two dtypes."""
    _four("intersections", "a", a)
    _four("intersections", "b", b)
    checks.same_precision("intersections", "b", b, a)
    width = np.minimum(a[:, None, 2], b[:, 2]) - np.maximum(a[:, None, 0], b[:, 0])
    height = np.minimum(a[:, None, 3], b[:, 3]) - np.maximum(a[:, None, 1], b[:, 1])
    shared: Array = np.maximum(width, 0) * np.maximum(height, 0)
    return shared


def pairwise_iou(a: Array, b: Array) -> Array:
    """Intersection over union (A, B) of each of the boxes a (A, 4) with each of b (B, 4); 0 where both are empty."""
    shared = intersections(a, b)
    union = box_areas(a)[:, None] + box_areas(b) - shared
    iou: Array = shared / np.where(union > 0, union, 1)
    return iou


def clip_boxes(boxes: Array, H: int, W: int) -> Array:
    """The parts of the boxes (M, 4) inside a picture of H x W; a box outside becomes an empty one on the edge."""
    _four("clip_boxes", "boxes", boxes)
    return np.clip(boxes, 0, np.array((W, H, W, H), boxes.dtype))


def nms(boxes: Array, scores: Array, threshold: float) -> Array:
    """Greedy non-maximum suppression: the indices (k,) of the boxes (M, 4) to keep, best score first; of equal scores the first is better.

    From the best to the worst, a box is kept unless its IoU with a kept one is above the threshold. Needs memory of M x M numbers: choose
    the best thousand boxes first. Raises InputError on shapes that do not fit, values that are not finite, a threshold outside 0..1.
    """
    return batched_nms(boxes, scores, None, threshold)


def batched_nms(boxes: Array, scores: Array, labels: Array | None, threshold: float) -> Array:
    """`nms` in which only boxes with the same label (M,) suppress each other; the indices (k,) of all labels, best score first.

    In the order of scores, let over[i, j] be: box i stands before j, and overlaps it too much. Greedy suppression is the solution of
        keep[j] = no i has keep[i] and over[i, j].
    As only boxes before j have a say, there is just one: keep[0] is True, and each next verdict follows from those before it. So the
    iteration keep <- right side, begun with all True, has the first n verdicts right after n rounds, whatever the others are; and where
    it stands still, it stands at that one solution. It takes one round more than the longest chain of boxes that decide on each other.
    """
    _nms_input(boxes, scores, labels, threshold)
    order = np.argsort(-scores, kind="stable")
    ranked = boxes[order]
    over = np.triu(pairwise_iou(ranked, ranked) > threshold, 1)
    if labels is not None:
        over &= labels[order][:, None] == labels[order]
    keep, after = np.zeros(len(order), bool), np.ones(len(order), bool)
    while (keep != after).any():
        keep, after = after, np.logical_not(over[after].any(axis=0))
    return order[keep]


def checked_boxes(op: str, name: str, boxes: Any) -> None:
    """Boxes must be (M, 4) of float32 or float64, finite, no far edge before the near one. Raises InputError with the first bad box."""
    _four(op, name, boxes)
    bad = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if bad.any():
        i = int(bad.argmax())
        raise InputError(f"{op}: {name}[{i}] is {boxes[i].tolist()}: x0 <= x1 and y0 <= y1, all finite, are wanted")


def checked_scores(op: str, scores: Any, length: int) -> None:
    """Scores must be (length,) of float32 or float64, and finite. Raises InputError."""
    checks.array(op, "scores", scores, "M")
    checks.shape(op, "scores", scores, (length,))
    bad = ~np.isfinite(scores)
    if bad.any():
        raise InputError(f"{op}: scores[{bad.argmax()}] is {scores[bad][0]}: a finite number is wanted")


def checked_labels(op: str, name: str, labels: Any, length: int, K: int | None = None) -> None:
    """Labels must be (length,) whole numbers and, if K is given, classes 0..K-1. Raises InputError."""
    if not hasattr(labels, "dtype") or labels.shape != (length,) or not np.issubdtype(labels.dtype, np.integer):
        what = f"{labels.dtype} {labels.shape}" if hasattr(labels, "dtype") else f"a {type(labels).__name__}"
        raise InputError(f"{op}: {name} is {what}: whole numbers of shape {(length,)} are wanted")
    if K is not None and (bad := (labels < 0) | (labels >= K)).any():
        raise InputError(f"{op}: {name}[{bad.argmax()}] is {labels[bad][0]}: a class of 0..{K - 1} is wanted")


def _four(op: str, name: str, boxes: Any) -> None:
    checks.array(op, name, boxes, "M 4")
    if boxes.shape[1] != 4:
        raise InputError(f"{op}: {name} has shape {boxes.shape}: (M, 4) is wanted, x0 y0 x1 y1")


def _nms_input(boxes: Array, scores: Array, labels: Array | None, threshold: float) -> None:
    checked_boxes("nms", "boxes", boxes)
    checked_scores("nms", scores, len(boxes))
    if labels is not None:
        checked_labels("nms", "labels", labels, len(boxes))
    if not 0 <= threshold <= 1:
        raise InputError(f"nms: threshold is {threshold!r}: an overlap of 0 to 1 is wanted")
