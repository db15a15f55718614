"""Evaluation against a count by hand, and the figures drawn from it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tinyresnet import InputError, plots
from tinyresnet.evaluate import Evaluation, evaluate, softmax
from tinyresnet.layers import Layer


class Echo(Layer):
    """Takes logits for pictures."""

    def forward(self, x, *, train):
        assert train is False
        return x, None

    def backward(self, dy, cache):
        raise AssertionError("an evaluation needs no gradients")


def batches(logits, labels, size):
    return (SimpleNamespace(x=logits[i : i + size], labels=labels[i : i + size]) for i in range(0, len(labels), size))


def names(K):
    return tuple(f"class {k}" for k in range(K))


@pytest.mark.parametrize(("K", "N", "size"), [(2, 1, 1), (5, 33, 8), (6, 40, 7), (12, 200, 64)])
def test_evaluation_equals_a_count_by_hand(K, N, size):
    rng = np.random.default_rng(K)
    logits = rng.integers(-2, 3, (N, K)).astype(np.float32)  # whole numbers, so that there are ties
    labels = rng.integers(0, K - 1, N)  # the last class has no pictures
    seen = []
    found = evaluate(
        Echo(), batches(logits, labels, size), names(K), progress=lambda n, **fields: seen.append((n, fields))
    )

    order = [sorted(range(K), key=lambda k, row=row: (-row[k], k)) for row in logits]
    confusion = np.zeros((K, K), int)
    for label, best in zip(labels, order, strict=True):
        confusion[label, best[0]] += 1
    p = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(axis=1, keepdims=True)
    assert found.count == N
    assert found.classes == names(K)
    np.testing.assert_array_equal(found.confusion, confusion)
    assert found.top1 == pytest.approx(np.trace(confusion) / N, abs=1e-15)
    top5 = np.mean([label in best[:5] for label, best in zip(labels, order, strict=True)])
    assert found.top5 == (pytest.approx(top5, abs=1e-15) if K > 5 else None)
    assert found.loss == pytest.approx(-np.log(p[np.arange(N), labels]).mean(), rel=1e-6)
    for k, row in enumerate(found.per_class):
        column = confusion[:, k].sum()
        assert row.count == confusion[k].sum()
        assert row.precision == (confusion[k, k] / column if column else None)
        assert row.recall == (confusion[k, k] / row.count if row.count else None)
    assert sum(n for n, _ in seen) == N
    assert seen[-1][1] == {"loss": pytest.approx(found.loss), "accuracy": pytest.approx(found.top1)}

    whole = evaluate(Echo(), batches(logits, labels, N), names(K))
    np.testing.assert_array_equal(whole.confusion, found.confusion)
    assert whole.loss == pytest.approx(found.loss, rel=1e-6)


def test_most_confused_come_in_order_without_right_ones_and_zeros():
    confusion = np.array([[50, 3, 0], [0, 40, 9], [3, 1, 30]])
    found = Evaluation(("a", "b", "c"), 0.9, None, 0.1, 136, confusion)
    assert found.most_confused() == [("b", "c", 9), ("a", "b", 3), ("c", "a", 3), ("c", "b", 1)]
    assert found.most_confused(1) == [("b", "c", 9)]


def test_as_dict_is_json_with_plain_rounded_numbers():
    found = evaluate(Echo(), batches(np.eye(3, dtype=np.float32)[[0, 0, 1]], np.array([0, 1, 1]), 2), names(3))
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert values["top1"] == 0.666667
    assert values["top5"] is None
    assert values["count"] == 3
    assert values["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert values["per_class"][2] == {"class": "class 2", "precision": None, "recall": None, "count": 0}


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 4), np.float32), [], "no pictures"),
        (np.zeros((2, 3), np.float32), [0, 1], "head has 3 classes, the data 4"),
        (np.zeros((2, 4), np.float32), [0, 4], "label 4"),
        (np.array([[0, np.nan, 0, 0]], np.float32), [0], "not finite"),
        (np.array([[0, 0, 0, np.inf]], np.float32), [0], "not finite"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(logits, labels, message):
    with pytest.raises(InputError, match=message):
        evaluate(Echo(), batches(logits, np.array(labels, np.int64), 2), names(4))


def test_softmax_holds_for_large_logits():
    logits = np.array([[1000, 999, -1000], [0, 0, 0]], np.float32)
    e = np.exp(-1.0)
    np.testing.assert_allclose(softmax(logits), [[1 / (1 + e), e / (1 + e), 0], [1 / 3] * 3], atol=1e-15)
    np.testing.assert_array_equal(logits[0], [1000, 999, -1000])


STEPS = [{"kind": "step", "step": s, "epoch": 0, "loss": 2 / s, "lr": 0.1} for s in range(1, 90)]
EPOCHS = [{"kind": "epoch", "step": 45 * e, "epoch": e, "train_loss": 1.0, "train_top1": 0.5, "val_loss": 1.5, "val_top1": 0.4}
          for e in (1, 2)]  # fmt: skip


def confusion_figure(K):
    found = Evaluation(
        tuple(f"${k}_$ \N{CJK UNIFIED IDEOGRAPH-732B}" for k in range(K)), 0.5, None, 1.0, K, np.eye(K, dtype=int)
    )
    return plots.confusion_matrix(found)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: confusion_figure(2),
        lambda: confusion_figure(plots.NAMED + 1),
        lambda: plots.curves(STEPS + EPOCHS),
        lambda: plots.curves(STEPS[:1]),
        lambda: plots.curves(EPOCHS),
        lambda: plots.curves([{"kind": "step", "step": 1, "loss": float("nan")}, {"kind": "epoch", "step": 1, "val_top1": None}]),
        lambda: plots.predictions(np.zeros((2, 3, 8, 8), np.uint8), ["a$_$", "b"], [[("x$^$", 0.9), ("y", 0.1)]] * 2),
        lambda: plots.predictions(np.zeros((30, 1, 8, 8), np.uint8), ["p"] * 30, [[("x", 1.0)]] * 30),
    ],
)  # fmt: skip
def test_figures_are_drawn_whole(draw, tmp_path):
    pil = pytest.importorskip("PIL.Image")
    figure = draw()
    plots.save_png(figure, tmp_path / "new" / "figure.png")
    with pil.open(tmp_path / "new" / "figure.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) > 200
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["figure.png"]


def test_curves_show_what_the_records_say():
    loss, accuracy = plots.curves(STEPS + EPOCHS).axes
    raw, smooth, validation = loss.lines
    np.testing.assert_allclose(raw.get_ydata(), [2 / s for s in range(1, 90)])
    assert smooth.get_ydata()[0] == pytest.approx((2 + 1) / 2)  # half a window at the ends
    assert smooth.get_ydata()[44] == pytest.approx(np.mean([2 / 44, 2 / 45, 2 / 46]))
    assert list(validation.get_xdata()) == [45, 90]
    assert [list(line.get_ydata()) for line in accuracy.lines] == [[50, 50], [40, 40]]
    assert all(axes.get_ylabel() for axes in (loss, accuracy))
    assert accuracy.get_xlabel() == "step"


def test_curves_of_nothing_are_refused():
    with pytest.raises(InputError, match="no records"):
        plots.curves([{"kind": "end", "step": 3}])
