"""COCO's figures against pycocotools, and what a user gets from them."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from tinyresnet import Array, InputError
from tinyresnet.average_precision import AP_FIGURES, AR_FIGURES, DetectionEvaluation, DetectionMetrics
from tinyresnet.boxes import box_areas

CASES, BLOCKS = 1000, 10


@pytest.fixture(scope="session")
def pycocotools() -> Any:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed")
    from pycocotools import coco, cocoeval

    return coco.COCO, cocoeval.COCOeval


class Picture(NamedTuple):
    boxes: Array
    scores: Array
    labels: Array
    truth_boxes: Array
    truth_labels: Array
    truth_crowd: Array
    truth_areas: Array | None = None


def random_boxes(rng: np.random.Generator, count: int, exact: bool) -> Array:
    """Of all sizes. `exact`: multiples of 8, which give IoUs and areas that are exactly a threshold or a limit, many of them equal."""
    near, size = (
        rng.uniform(0, 40, (count, 2)),
        rng.choice([6, 30, 64, 110], (count, 1)) * rng.uniform(0.7, 1.4, (count, 2)),
    )
    boxes = np.concatenate([near, near + size], axis=1)
    return np.round(boxes / 8) * 8 if exact else boxes


def random_picture(rng: np.random.Generator, K: int, detections: int, exact: bool, own_areas: bool) -> Picture:
    """Most of a few detections are near true objects, some at the very place, and some between two that overlap them equally."""
    G = int(rng.integers(0, 5))
    truth_boxes, truth_labels = random_boxes(rng, G, exact), rng.integers(0, K, G)
    if G and rng.random() < 0.3:
        truth_boxes, truth_labels = truth_boxes[:1].repeat(G, axis=0), truth_labels[:1].repeat(G)
        truth_boxes[:, ::2] += 8 * rng.integers(-1, 2, (G, 1))
    D = int(rng.integers(0, detections))
    boxes, labels = random_boxes(rng, D, exact), rng.integers(0, K, D)
    if G:
        near, which = np.flatnonzero(rng.random(D) < (0.7 if D < 20 else 0.03)), rng.integers(0, G, D)
        moves = rng.normal(0, 4, (D, 4)) * rng.integers(0, 2, (D, 1))
        moved = truth_boxes[which] + (np.round(moves / 8) * 8 if exact else moves)
        boxes[near], labels[near] = moved[near], np.where(rng.random(D) < 0.9, truth_labels[which], labels)[near]
        boxes[:, 2:] = np.maximum(boxes[:, :2], boxes[:, 2:])
    scores = rng.integers(0, 5, D) / 4 if rng.random() < 0.5 else rng.random(D)
    areas = box_areas(truth_boxes) * rng.uniform(0.3, 1, G) if own_areas else None
    dtype = np.float32 if exact else np.float64
    crowd = rng.random(G) < (0.3 if rng.random() < 0.5 else 0)
    return Picture(boxes.astype(dtype), scores, labels, truth_boxes.astype(dtype), truth_labels, crowd, areas)


def random_case(seed: int) -> tuple[int, list[Picture]]:
    """The number of classes and some pictures; now and then many classes, or more than 100 detections of one."""
    rng = np.random.default_rng(seed)
    kind = seed % 100
    K = 12 if kind == 0 else int(rng.choice([1, 1, 1, 2]))
    if kind in (1, 2):
        return 1, [random_picture(rng, 1, 250, kind == 1, False) for _ in range(2)]
    return K, [random_picture(rng, K, 8, seed % 2 == 0, seed % 3 == 0) for _ in range(rng.integers(1, 4))]


def ours(K: int, pictures: list[Picture]) -> DetectionEvaluation:
    metrics = DetectionMetrics([f"class {k}" for k in range(K)])
    for picture in pictures:
        metrics.add(*picture[:-1], truth_areas=picture.truth_areas)
    return metrics.summary()


def theirs(pycocotools: Any, K: int, pictures: list[Picture]) -> Any:
    """A COCOeval that has done its work in silence."""

    def entries(i: int, boxes: Array, labels: Array, **more: Array) -> list[dict[str, Any]]:
        boxes = boxes.astype(np.float64)
        sizes = boxes[:, 2:] - boxes[:, :2]
        rows = zip(
            np.concatenate([boxes[:, :2], sizes], axis=1).tolist(), labels.tolist(), sizes.prod(axis=1), strict=True
        )
        plain = [{"image_id": i, "bbox": box, "category_id": k, "area": area, "iscrowd": 0} for box, k, area in rows]
        return [row | {name: values[n].item() for name, values in more.items()} for n, row in enumerate(plain)]

    truth, found = [], []
    for i, p in enumerate(pictures):
        areas = {} if p.truth_areas is None else {"area": p.truth_areas}
        truth += entries(i, p.truth_boxes, p.truth_labels, iscrowd=p.truth_crowd.astype(int), **areas)
        found += entries(i, p.boxes, p.labels, score=p.scores)
    COCO, COCOeval = pycocotools
    with contextlib.redirect_stdout(io.StringIO()):
        both = []
        for rows in (truth, found):
            coco = COCO()
            coco.dataset = {
                "images": [{"id": i} for i in range(len(pictures))],
                "categories": [{"id": k} for k in range(K)],
                "annotations": [row | {"id": n} for n, row in enumerate(rows, 1)],  # an id of 0 would count as no match
            }
            coco.createIndex()
            both.append(coco)
        judge = COCOeval(*both, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_thousand_random_cases_equal_pycocotools(pycocotools: Any, block: int) -> None:
    for seed in range(block, CASES, BLOCKS):
        K, pictures = random_case(seed)
        got, judge = ours(K, pictures), theirs(pycocotools, K, pictures)
        figures = [getattr(got, name) for name in (*AP_FIGURES, *AR_FIGURES)]
        figures = [-1 if figure is None else figure for figure in figures]
        np.testing.assert_allclose(figures, judge.stats, rtol=0, atol=1e-6, err_msg=f"seed {seed}")
        for name, wanted in (("precision", judge.eval["precision"][..., -1]), ("recall", judge.eval["recall"])):
            found = np.nan_to_num(getattr(got, name), nan=-1)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6, err_msg=f"{name}, seed {seed}")


def test_figures_of_one_class_are_as_if_it_were_alone() -> None:
    K, pictures = random_case(0)
    found = ours(K, pictures)
    for k, row in enumerate(found.per_class):
        alone = DetectionMetrics(["it"])
        for p in pictures:
            d, g = p.labels == k, p.truth_labels == k
            areas = p.truth_areas[g] if p.truth_areas is not None else None
            alone.add(p.boxes[d], p.scores[d], 0 * p.labels[d], p.truth_boxes[g], 0 * p.truth_labels[g], p.truth_crowd[g],
                      truth_areas=areas)  # fmt: skip
        it = alone.summary()
        assert row == replace(it.per_class[0], name=f"class {k}")
        assert (row.ap, row.ap50) == (it.ap, it.ap50)
        assert row.count == sum(((p.truth_labels == k) & ~p.truth_crowd).sum() for p in pictures)


def test_area_limits_follow_the_size_of_the_pictures() -> None:
    K, pictures = random_case(100)
    small = DetectionMetrics(["it"] * K, area_limits=(8.0**2, 24.0**2))
    for p in pictures:
        small.add(p.boxes / 4, p.scores, p.labels, p.truth_boxes / 4, p.truth_labels, p.truth_crowd)
    wanted = ours(K, [p._replace(truth_areas=None) for p in pictures])
    found = small.summary()
    assert found.as_dict().items() >= {name: wanted.as_dict()[name] for name in (*AP_FIGURES, *AR_FIGURES)}.items()
    assert None not in (found.ap_small, found.ap_medium, found.ap_large)


BOX, ONE, ZERO = np.array([[0.0, 0.0, 10.0, 10.0]]), np.ones(1), np.zeros(1, np.int64)
NONE = (BOX[:0], ONE[:0], ZERO[:0])


def test_figures_by_hand() -> None:
    """One object found, a crowd with two detections in it, one object missed, one empty picture with a mistake, which scores lower."""
    metrics = DetectionMetrics(["cat", "dog", "cow"])
    metrics.add(BOX, ONE, ZERO, BOX, ZERO)
    metrics.add(
        np.array([[0.0, 0, 5, 5], [1.0, 1, 6, 9]]), np.array([0.9, 0.8]), 0 * np.arange(2), BOX, ZERO, np.array([True])
    )
    metrics.add(*NONE, BOX, ZERO + 1)
    before = metrics.summary()
    metrics.add(BOX, ONE / 2, ZERO, BOX[:0], ZERO[:0])
    metrics.add(*NONE, BOX[:0], ZERO[:0])
    values = json.loads(json.dumps(metrics.summary().as_dict(), allow_nan=False))
    assert values == {
        **dict.fromkeys(("ap", "ap50", "ap75", "ap_small", "ar_1", "ar_10", "ar_100", "ar_small"), 0.5),
        **dict.fromkeys(("ap_medium", "ap_large", "ar_medium", "ar_large")),
        "pictures": 5,
        "objects": 2,
        "per_class": [
            {"class": "cat", "ap": 1.0, "ap50": 1.0, "recall": 1.0, "count": 1},
            {"class": "dog", "ap": 0.0, "ap50": 0.0, "recall": 0.0, "count": 1},
            {"class": "cow", "ap": None, "ap50": None, "recall": None, "count": 0},
        ],
    }
    assert before.pictures == 3
    assert before.as_dict() == values | {"pictures": 3}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((BOX.tolist(), ONE, ZERO, BOX, ZERO), "boxes is a list"),
        ((BOX, ONE, ZERO, None, ZERO), "truth_boxes is a NoneType"),
        ((BOX, ONE, ZERO, BOX[:, ::-1], ZERO), r"truth_boxes\[0\] is \[10.0, 10.0, 0.0, 0.0\]"),
        ((BOX, np.ones(2), ZERO, BOX, ZERO), r"scores has shape \(2,\)"),
        ((BOX, ONE * np.nan, ZERO, BOX, ZERO), r"scores\[0\] is nan"),
        ((BOX, ONE, ZERO + 2, BOX, ZERO), r" labels\[0\] is 2: a class of 0..1 is wanted"),
        ((BOX, ONE, ZERO, BOX, ZERO - 1), r"truth_labels\[0\] is -1"),
        ((BOX, ONE, ZERO, BOX, ONE), "truth_labels is float64"),
        ((BOX, ONE, ZERO, BOX, ZERO, ZERO), r"truth_crowd is int64 \(1,\): bool \(1,\) is wanted"),
        ((BOX, ONE, ZERO, BOX, ZERO, [True, False]), r"truth_crowd is bool \(2,\)"),
    ],
)
def test_wrong_input_is_refused(values: Any, message: str) -> None:
    metrics = DetectionMetrics(["cat", "dog"])
    with pytest.raises(InputError, match=message):
        metrics.add(*values)
    with pytest.raises(InputError, match="no pictures"):  # what was refused has left nothing behind
        metrics.summary()


def test_wrong_areas_and_classes_are_refused() -> None:
    for areas in (np.ones(2), np.array([np.nan]), np.array([-1.0])):
        with pytest.raises(InputError, match="truth_areas"):
            DetectionMetrics(["cat"]).add(BOX, ONE, ZERO, BOX, ZERO, truth_areas=areas)
    with pytest.raises(InputError, match="no classes"):
        DetectionMetrics([])
    for limits in ((0, 1), (5, 5), (1, np.nan), (1, np.inf)):
        with pytest.raises(InputError, match="area_limits"):
            DetectionMetrics(["cat"], area_limits=limits)
