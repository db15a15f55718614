"""Which detections find which objects, as COCO's evaluation decides it: greedily, for all IoU thresholds and area ranges at once."""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MISS, HIT, IGNORED = range(3)  # what becomes of a detection: wrong, right, or neither


def match(iou: Array, labels: Array, ignored: Array, crowd: Array) -> Array:
    """What becomes of each detection of one picture (A, T, D): iou (D, G), 0 with objects of another class; labels (D,) in rising order.

    A detection may take an object if their IoU reaches the threshold and no detection of its class before it has taken it (a `crowd` (G,)
    can be taken again). Of these it takes the one of largest IoU, of equal ones the last; but one that the area range has `ignored`
    (A, G) only if there is no other. It is then a HIT, or IGNORED as its object is. If there is nothing to take it is a MISS.
    """
    (D, G), A, T = iou.shape, len(ignored), len(IOU_THRESHOLDS)
    outcome = np.full((A, T, D), MISS, np.int8)
    candidates = np.flatnonzero((iou >= IOU_THRESHOLDS[0]).any(axis=1))
    iou, labels = iou[candidates], labels[candidates]
    reached = iou >= IOU_THRESHOLDS[:, None, None]  # (T, D, G)
    # The larger the better: the place in the order of IoU (stable: of equal ones the last is ahead), and G more for one not ignored
    preference = iou.argsort(axis=1, kind="stable").argsort(axis=1) + G * ~ignored[:, None]  # (A, D, G)
    free = np.ones((A, T, G), bool)
    a = np.arange(A)[:, None, None]
    turn = np.arange(len(labels)) - np.searchsorted(labels, labels)
    for now in range(turn.max(initial=-1) + 1):
        d = np.flatnonzero(turn == now)  # one of each class: no two of them want the same object
        wanted = np.where(free[:, :, None] & reached[:, d], preference[:, None, d], -1)  # (A, T, d, G)
        best, found = wanted.argmax(axis=3), wanted.max(axis=3) >= 0
        outcome[:, :, candidates[d]] = np.where(found, np.where(ignored[a, best], IGNORED, HIT), MISS)
        at = np.nonzero(found & ~crowd[best])
        free[*at[:2], best[at]] = False
    return outcome
