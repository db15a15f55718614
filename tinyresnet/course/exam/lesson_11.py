"""Questions on lesson 11: a pyramid's step back, overlap, average precision."""

from __future__ import annotations

import numpy as np

from ...average_precision import DetectionMetrics
from ...boxes import pairwise_iou
from ...layers import Add, Conv2d, Fork, UpsampleNearest
from ...loss import giou_loss_forward
from .question import Ask, Question, Rng, whole

THINGS = 3


def merge(rng: Rng) -> Question:
    """One step of a feature pyramid, backward."""
    c, dp_coarse, dp_fine = whole(rng, (1, 1, 1, 2)), whole(rng, (1, 1, 1, 2)), whole(rng, (1, 1, 2, 4))
    w = float(rng.choice([-3, -2, 2, 3]))
    lateral, fork, up, add = Conv2d(1, 1, 1, rng=rng, dtype=np.float64), Fork(), UpsampleNearest(2), Add()
    lateral.weight.data[:] = w
    y, lateral_cache = lateral.forward(c, train=True)
    (_, copy), _ = fork.forward(y, train=True)
    _, up_cache = up.forward(copy, train=True)
    _, dlarge = add.backward(dp_fine, None)
    dm = fork.backward((dp_coarse, up.backward(dlarge, up_cache)), None)
    dc = lateral.backward(dm, lateral_cache)
    return Question(
        "merge", 11, "A pyramid's step back",
        "m = w · c is the coarse feature (1 × 2), after a convolution of one weight. It goes two ways: p_coarse = m, and p_fine = f + m, "
        "enlarged twice by nearest upsampling (2 × 4). Both levels send a gradient back.",
        {"w": w, "c": c[0, 0], "dp_coarse": dp_coarse[0, 0], "dp_fine": dp_fine[0, 0]},
        (Ask("dc[0, 0]", 2, dc.flat[0]), Ask("dc[0, 1]", 1, dc.flat[1]), Ask("dw", 2, lateral.weight.grad.item()),
         Ask("the gradient of f at [0, 0]", 1, dlarge.flat[0])),
        f"The add copies, upsampling sums each block of 2 × 2, the fork sums: dm = {dm.ravel().tolist()}. dc = w dm, dw = Σ c dm.",
    )  # fmt: skip


def overlap(rng: Rng) -> Question:
    """IoU and GIoU of two boxes that touch, and of two that do not."""
    a = np.array([[0.0, 0, rng.integers(3, 6), rng.integers(3, 6)]])
    near = np.array([[rng.integers(1, 3), rng.integers(1, 3), rng.integers(6, 9), rng.integers(6, 9)]]).astype(float)
    far = near + np.array([6.0, 0, 6, 0])
    giou = [1 - float(giou_loss_forward(a, b, count=1)[0]) for b in (near, far)]
    return Question(
        "overlap", 11, "How much boxes overlap",
        "Boxes are x0 y0 x1 y1, and x1 − x0 is the width.",
        {"A": a, "B": near, "C": far},
        (Ask("IoU of A and B", 1, pairwise_iou(a, near).item()), Ask("GIoU of A and B", 2, giou[0]),
         Ask("IoU of A and C", 1, pairwise_iou(a, far).item()), Ask("GIoU of A and C", 2, giou[1])),
        "IoU = shared / union. GIoU = IoU − (E − union) / E, with E the area of the smallest box around both. A and C share nothing, "
        "so GIoU is below 0: it alone says how far they are apart.",
    )  # fmt: skip


def order(rng: Rng) -> Question:
    """Average precision of five boxes."""
    right = np.array([1, *rng.permutation([1, 1, 0, 0])][:: int(rng.choice([1, -1]))])
    things = np.array([[20.0 * i, 0, 20 * i + 10, 10] for i in range(THINGS)])
    found = iter(things)
    boxes = np.array([next(found) if hit else np.array([100.0, 0, 110, 10]) for hit in right])
    metrics, one = DetectionMetrics(("thing",)), np.zeros(len(right), np.int64)
    metrics.add(boxes, np.linspace(0.9, 0.1, len(right)), one, things, np.zeros(THINGS, np.int64))
    ap50 = metrics.summary().ap50
    assert ap50 is not None
    return Question(
        "order", 11, "Average precision",
        f"A picture has {THINGS} things of one class. Five boxes were found, here in the order of their scores, the best first: "
        "1 is a hit at IoU 0.5, 0 a miss. AP50 is read at the recalls 0, 0.01 ... 1, as COCO does it: "
        "at each the largest precision at this or a larger recall.",
        {"hits": right},
        (Ask("precision after the third box", 1, right[:3].mean()), Ask("recall after the third box", 1, right[:3].sum() / THINGS),
         Ask("AP50", 3, ap50)),
        "34 of the 101 recalls lie from 0 to 1/3, 33 above it up to 2/3, 34 above that up to 1.",
    )  # fmt: skip


DRAWS = (merge, overlap, order)
