"""Boxes against loops over single boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinyresnet import Array, InputError
from tinyresnet.boxes import batched_nms, box_areas, clip_boxes, intersections, nms, pairwise_iou


def iou_of_two(a: Array, b: Array) -> Any:
    """In the boxes' precision, in which a threshold of 1/3 is another number."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def greedy(boxes: Array, scores: Array, labels: Array, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(labels[i] != labels[k] or iou_of_two(boxes[k], boxes[i]) <= threshold for k in kept):
            kept.append(i)
    return kept


def random_boxes(rng: np.random.Generator, count: int, whole: bool) -> Array:
    """Some empty, some alike; whole numbers and halves make overlaps of exactly 1/2, 1/3, ..."""
    near, size = rng.uniform(-5, 30, (count, 2)), rng.uniform(0, 16, (count, 2))
    if whole:
        near, size = np.round(near / 4) * 4, np.round(size / 4) * 4
    boxes = np.concatenate([near, near + size], axis=1)
    return boxes[rng.integers(0, count, count)] if count and rng.random() < 0.5 else boxes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_overlaps_equal_those_of_two_boxes_at_a_time(rng: np.random.Generator, dtype: Any) -> None:
    for whole in (True, False):
        a, b = (random_boxes(rng, n, whole).astype(dtype) for n in (23, 17))
        found = pairwise_iou(a, b)
        assert found.dtype == dtype
        np.testing.assert_allclose(
            found, [[iou_of_two(p, q) for q in b] for p in a], rtol=10 * np.finfo(dtype).eps, atol=0
        )
        np.testing.assert_array_equal(np.diag(intersections(a, a)), box_areas(a))
        assert (found == 0).any()
        assert pairwise_iou(a[:0], b).shape == (0, 17)
        assert pairwise_iou(a, b[:0]).shape == (23, 0)


def test_clipping_leaves_the_part_inside(rng: np.random.Generator) -> None:
    boxes = random_boxes(rng, 60, whole=True)
    inside = clip_boxes(boxes, 20, 24)
    np.testing.assert_array_equal(box_areas(inside), intersections(boxes, np.array([[0.0, 0.0, 24.0, 20.0]]))[:, 0])
    assert (inside >= 0).all()
    assert (inside <= [24, 20, 24, 20]).all()
    assert clip_boxes(boxes.astype(np.float32), 20, 24).dtype == np.float32


@pytest.mark.parametrize("labelled", [False, True])
def test_suppression_equals_the_greedy_loop(rng: np.random.Generator, labelled: bool) -> None:
    """250 cases each: ties in score, overlaps of exactly the threshold, boxes alike and empty, none at all."""
    suppressed = 0
    for _ in range(250):
        count, whole = int(rng.integers(0, 40)), bool(rng.random() < 0.5)
        boxes = random_boxes(rng, count, whole).astype(rng.choice(["float32", "float64"]))
        scores = rng.integers(0, 6, count) / 8 if whole else rng.random(count)
        labels = rng.integers(0, 3 if labelled else 1, count)
        threshold = float(rng.choice([0, 0.25, 1 / 3, 0.5, 0.7, 1]))
        kept = batched_nms(boxes, scores, labels, threshold) if labelled else nms(boxes, scores, threshold)
        assert kept.dtype == np.int64
        assert kept.tolist() == greedy(boxes, scores, labels, threshold), (boxes, scores, labels, threshold)
        suppressed += count - len(kept)
    assert suppressed > 500


def test_suppression_follows_a_chain_to_its_end() -> None:
    """Each box overlaps the next one only: every other is kept, and each verdict hangs on all before it."""
    near = 5.0 * np.arange(101)
    boxes = np.stack([near, np.zeros(101), near + 8, np.ones(101)], axis=1)
    order = np.random.default_rng(1).permutation(101)
    scores = np.linspace(1, 0, 101)
    place = np.argsort(order)
    assert nms(boxes[order], scores[order], 0.2).tolist() == place[::2].tolist()
    assert nms(boxes[order], scores[order], 0.5).tolist() == place.tolist()


BOX, SCORE, LABEL = np.array([[0.0, 0.0, 2.0, 2.0]]), np.ones(1), np.zeros(1, np.int64)


@pytest.mark.parametrize(
    ("boxes", "scores", "labels", "threshold", "message"),
    [
        ([[0, 0, 2, 2]], SCORE, LABEL, 0.5, "boxes is a list"),
        (BOX.astype(int), SCORE, LABEL, 0.5, "boxes has dtype int64"),
        (BOX[0], SCORE, LABEL, 0.5, r"boxes has shape \(4,\)"),
        (BOX[:, :3], SCORE, LABEL, 0.5, r"boxes has shape \(1, 3\): \(M, 4\) is wanted"),
        (BOX * np.nan, SCORE, LABEL, 0.5, r"boxes\[0\] is \[nan, nan, nan, nan\]"),
        (BOX[:, ::-1].copy(), SCORE, LABEL, 0.5, r"boxes\[0\] is \[2.0, 2.0, 0.0, 0.0\]: x0 <= x1"),
        (BOX, np.ones(2), LABEL, 0.5, r"scores has shape \(2,\): \(1,\) is wanted"),
        (BOX, SCORE * np.inf, LABEL, 0.5, r"scores\[0\] is inf"),
        (BOX, SCORE, LABEL + 0.5, 0.5, "labels is float64"),
        (BOX, SCORE, np.zeros(2, int), 0.5, r"labels is int64 \(2,\)"),
        (BOX, SCORE, [0], 0.5, "labels is a list"),
        (BOX, SCORE, LABEL, 1.5, "threshold is 1.5"),
        (BOX, SCORE, LABEL, float("nan"), "threshold is nan"),
    ],
)
def test_wrong_input_is_refused(boxes: Any, scores: Any, labels: Any, threshold: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        batched_nms(boxes, scores, labels, threshold)


def test_overlaps_of_two_precisions_are_refused() -> None:
    with pytest.raises(InputError, match="b has dtype float32: float64 is wanted"):
        pairwise_iou(BOX, BOX.astype(np.float32))
