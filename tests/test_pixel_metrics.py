"""The figures of a segmentation against sets of pixels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tinyresnet import Array, InputError
from tinyresnet.pixel_metrics import PixelMetrics


def pixels(labels: Array, counted: Array, label: int) -> set[tuple[int, ...]]:
    return set(map(tuple, np.argwhere((labels == label) & counted).tolist()))


@pytest.mark.parametrize(
    ("K", "truth_dtype", "dtype"),
    [(1, "uint8", "uint8"), (2, "uint8", "int64"), (7, "int64", "uint8"), (40, "uint8", "uint8")],
)
def test_figures_equal_those_of_sets_of_pixels(rng: np.random.Generator, K: int, truth_dtype: str, dtype: str) -> None:
    """The last class never occurs (if there are others) and the one before it is never true."""
    names = [f"class {k}" for k in range(K)]
    truth = rng.integers(0, max(K - 2, 1), (6, 9, 5))
    predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, max(K - 1, 1), truth.shape))
    truth[rng.random(truth.shape) < 0.2] = 255
    truth[4] = 255
    truth, predicted = truth.astype(truth_dtype), predicted.astype(dtype)
    counted = truth != 255

    metrics = PixelMetrics(names)
    for part in (slice(0, 0), slice(0, 1), slice(1, 4), slice(4, 5), slice(5, 6)):
        metrics.add(predicted[part], truth[part])
    found = metrics.summary(loss=0.25)

    sets = [[pixels(labels, counted, k) for k in range(K)] for labels in (truth, predicted)]
    iou = [len(t & p) / len(t | p) if t | p else None for t, p in zip(*sets, strict=True)]
    assert found.classes == tuple(names)
    assert list(found.iou) == iou
    assert found.mean_iou == pytest.approx(np.mean([value for value in iou if value is not None]), abs=1e-15)
    assert found.pixel_accuracy == (truth == predicted)[counted].mean()
    np.testing.assert_array_equal(found.confusion, [[len(t & p) for p in sets[1]] for t in sets[0]])
    assert found.loss == 0.25
    for k, row in enumerate(found.per_class):
        t, p = sets[0][k], sets[1][k]
        assert (row.name, row.iou, row.count) == (names[k], iou[k], len(t))
        assert row.precision == (len(t & p) / len(p) if p else None)
        assert row.recall == (len(t & p) / len(t) if t else None)
    if K == 7:
        assert (iou[5], iou[6]) == (0, None)


def test_as_dict_is_json_with_plain_rounded_numbers() -> None:
    metrics = PixelMetrics(["background", "cat", "dog"])
    metrics.add(np.array([[[0, 0, 1]]]), np.array([[[0, 1, 1]]], np.uint8))
    values = json.loads(json.dumps(metrics.summary().as_dict(), allow_nan=False))
    assert values["per_class"][1:] == [
        {"class": "cat", "iou": 0.5, "precision": 1.0, "recall": 0.5, "count": 2},
        {"class": "dog", "iou": None, "precision": None, "recall": None, "count": 0},
    ]
    del values["per_class"]
    assert values == {
        "pixel_accuracy": 0.666667,
        "mean_iou": 0.5,
        "loss": None,
        "count": 3,
        "confusion": [[1, 0, 0], [1, 1, 0], [0, 0, 0]],
    }


def test_a_summary_stays_as_it_was() -> None:
    metrics, map_of = PixelMetrics(["a", "b"]), np.zeros((1, 2, 2), np.uint8)
    metrics.add(map_of, map_of)
    before = metrics.summary()
    metrics.add(map_of, map_of + 1)
    assert before.as_dict()["count"] == 4
    assert metrics.summary().pixel_accuracy == 0.5


MAP = np.zeros((1, 2, 3), np.int64)


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        (MAP.tolist(), MAP, "predicted is a list"),
        (MAP + 0.5, MAP, r"predicted is float64 \(1, 2, 3\): whole numbers"),
        (MAP, MAP[0], r"truth is int64 \(2, 3\)"),
        (MAP, MAP[:, :1], r"predicted has shape \(1, 2, 3\): \(1, 1, 3\) is wanted"),
        (MAP + 2, MAP, r"predicted holds label 2: 0\.\.1"),
        (MAP + 255, MAP + 255, "predicted holds label 255"),
        (MAP, MAP - 1, "truth holds label -1"),
        (MAP.astype(np.uint8), (MAP + 254).astype(np.uint8), "truth holds label 254"),
    ],
)
def test_wrong_input_is_refused(predicted: Any, truth: Any, message: str) -> None:
    metrics = PixelMetrics(["background", "cat"])
    with pytest.raises(InputError, match=message):
        metrics.add(predicted, truth)
    metrics.add(MAP, MAP + 255)
    with pytest.raises(InputError, match="no pixels to evaluate on: at least 1 whose label is not 255 is wanted"):
        metrics.summary()


@pytest.mark.parametrize("K", [0, 256])
def test_wrong_numbers_of_classes_are_refused(K: int) -> None:
    with pytest.raises(InputError, match=f"there are {K} classes: 1 to 255 are wanted"):
        PixelMetrics(["name"] * K)
