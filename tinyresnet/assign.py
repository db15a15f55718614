"""What a detector learns from: which place of which level answers for which box, and the loss over all of them.

A box belongs to the level whose stride fits its size, there to the places within 1.5 strides of its centre; where two boxes claim a place,
the smaller one has it (Tian et al. 2019, FCOS, section 3.2; centre sampling as in its revision).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import array_module, fetch, same_kind

from .detect import Outputs
from .loss import giou_loss_backward, giou_loss_forward, sigmoid_focal_loss_backward, sigmoid_focal_loss_forward

RADIUS = 1.5  # strides around a box's centre
FITS = 4.0  # a level answers for boxes of up to twice this many strides
BOX_WEIGHT = 2.0  # of the box loss beside the class loss (Li et al. 2020)
NOTHING, IGNORED = -1, -2  # labels of places with no box, and of those in a crowd, which count as neither


class Places(NamedTuple):
    """The P places of all levels, level after level and row by row: where they are, and what they answer for. All (P,) float32."""

    x: NDArray[np.float32]  # pixels
    y: NDArray[np.float32]
    stride: NDArray[np.float32]
    least: NDArray[np.float32]  # the half sides of a box that fits: least < half side <= most
    most: NDArray[np.float32]


class Targets(NamedTuple):
    """labels (N, P) int64: a class, NOTHING or IGNORED; boxes (N, P, 4) float32, zero where there is none."""

    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]


def places_of(size: tuple[int, int], strides: Sequence[int]) -> Places:
    """The places of levels with these strides on a picture of this size (H, W), padded to a multiple of the last stride."""
    H, W = (length + -length % strides[-1] for length in size)
    parts = []
    for i, stride in enumerate(strides):
        y, x = np.meshgrid(*(np.arange(stride / 2, length, stride) for length in (H, W)), indexing="ij")
        least = FITS * strides[i - 1] if i else 0.0
        most = FITS * stride if i + 1 < len(strides) else np.inf
        parts.append(np.stack([x.ravel(), y.ravel(), *(np.full(x.size, v) for v in (stride, least, most))]))
    return Places(*np.concatenate(parts, axis=1).astype(np.float32))


def assign(
    places: Places,
    boxes: Sequence[NDArray[np.float32]],
    labels: Sequence[NDArray[np.int64]],
    crowd: Sequence[NDArray[np.bool_]],
) -> Targets:
    """The targets of N pictures. Boxes boxes[n] (B_n, 4) have labels[n] (B_n,); crowd[n] (B_n,) marks regions that count as neither.

    All pictures and boxes at once, (N, P, B) with B the most boxes of a picture: no loop over boxes.
    """
    N, B = len(boxes), max([1, *map(len, boxes)])
    box, label, kind = np.zeros((N, B, 4), np.float32), np.zeros((N, B), np.int64), np.zeros((N, B), np.int8)
    for n in range(N):
        count = len(boxes[n])
        box[n, :count], label[n, :count], kind[n, :count] = boxes[n], labels[n], np.where(crowd[n], 2, 1)
    x0, y0, x1, y1 = (box[:, None, :, side] for side in range(4))  # (N, 1, B), against places (P, 1)
    px, py, stride, least, most = (values[:, None] for values in places)
    half_width, half_height = (x1 - x0) / 2, (y1 - y0) / 2
    half = np.maximum(half_width, half_height)
    reach_x, reach_y = (np.maximum(np.minimum(RADIUS * stride, h), stride / 2) for h in (half_width, half_height))
    near = (np.abs(px - (x0 + x1) / 2) <= reach_x) & (np.abs(py - (y0 + y1) / 2) <= reach_y)
    claims = near & (half > least) & (half <= most) & (kind == 1)[:, None]
    area = np.where(claims, half_width * half_height, np.inf)
    winner = area.argmin(axis=2)  # (N, P)
    taken = np.take_along_axis(claims, winner[:, :, None], axis=2)[:, :, 0]
    in_crowd = ((px > x0) & (px < x1) & (py > y0) & (py < y1) & (kind == 2)[:, None]).any(axis=2)
    nothing = np.where(in_crowd, IGNORED, NOTHING)
    rows = np.arange(N)[:, None]
    return Targets(np.where(taken, label[rows, winner], nothing), box[rows, winner] * taken[:, :, None])


class DetectionLoss(NamedTuple):
    """The loss and its two parts, the box loss before its weight; how many places had a box."""

    loss: float
    class_loss: float
    box_loss: float
    positives: int


def detection_loss(y: Outputs, targets: Targets) -> tuple[DetectionLoss, Outputs]:
    """The loss, and its gradients dlogits (N, P, K) and dboxes (N, P, 4): focal loss of classes at all places, GIoU loss of boxes.

    A place's own class has the IoU of its box as target, all others 0 (Li et al. 2020, "quality focal loss"), so that the score tells how
    good the box is, too. The target is a constant to the gradient. Both are sums over the batch, divided by the number of places that
    have a box.
    """
    xp, dtype = array_module(y.logits), y.logits.dtype
    n, p = np.nonzero(targets.labels >= 0)  # on the host, where the targets are
    count = max(1, len(n))
    truth = same_kind(targets.boxes[n, p].astype(dtype), y.boxes)
    ignored = same_kind(targets.labels == IGNORED, y.logits)
    place, label = (same_kind(n, y.logits), same_kind(p, y.logits)), same_kind(targets.labels[n, p], y.logits)
    box_loss, box_cache = giou_loss_forward(y.boxes[place], truth, count=count)
    target = xp.zeros(y.logits.shape, dtype)
    target[(*place, label)] = box_cache.intersection * box_cache.inverse_union  # their IoU
    target = xp.where(ignored[:, :, None], dtype.type(-1), target)
    class_loss, class_cache = sigmoid_focal_loss_forward(y.logits, target, alpha=None, count=count)
    one = xp.ones_like(class_loss)
    dboxes = xp.zeros_like(y.boxes)
    dboxes[place] = giou_loss_backward(one * BOX_WEIGHT, box_cache)
    dlogits = sigmoid_focal_loss_backward(one, class_cache)
    c, b = (float(value) for value in fetch(class_loss, box_loss))
    return DetectionLoss(c + BOX_WEIGHT * b, c, b, len(n)), Outputs(dlogits, dboxes)
