"""What the rows of `cases.py` do not say of boxes and their losses: known values, boxes without area, large distances, wrong settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases import draw
from tinyresnet import InputError
from tinyresnet.layers.point_boxes import point_boxes_backward, point_boxes_forward
from tinyresnet.loss import giou_loss_backward, giou_loss_forward, smooth_l1_forward

ONE = np.ones(())
SQUARE = [0.0, 0, 2, 2]


def giou(box: list[float], target: list[float], dtype: type = np.float64) -> tuple[float, Any]:
    """The loss of one pair, and its gradient."""
    loss, cache = giou_loss_forward(np.array([box], dtype), np.array([target], dtype), count=1)
    return float(loss), giou_loss_backward(np.ones((), dtype), cache)[0]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (SQUARE, 0),
        ([1, 0, 3, 2], 1 - 2 / 6),
        ([1, 1, 3, 3], 1 - (1 / 7 - 2 / 9)),
        ([0.5, 0.5, 1.5, 1.5], 1 - 1 / 4),
        ([2, 0, 4, 2], 1),
        ([4, 0, 6, 2], 1 + 4 / 12),
        ([3, 3, 4, 4], 1 + (16 - 5) / 16),
        ([1, 0, 1, 2], 1),
        ([9998, 0, 10000, 2], 1 + 19992 / 20000),
    ],
)
def test_known_values(target: list[float], wanted: float) -> None:
    for box, other in ((SQUARE, target), (target, SQUARE)):  # either may be the target
        assert giou(box, other)[0] == pytest.approx(wanted, abs=1e-15)


def test_a_box_at_its_target_rests_and_one_apart_comes_nearer() -> None:
    for dtype in (np.float32, np.float64):
        assert not giou(SQUARE, SQUARE, dtype)[1].any()
        dx0, dy0, dx1, dy1 = giou(SQUARE, [5, 6, 7, 8], dtype)[1]
        assert dx1 < 0 < dx0 - dx1  # downhill is to the right, and
        assert dy1 < 0 < dy0 - dy1  # downwards


def test_boxes_without_area_give_numbers() -> None:
    """A ratio of nothing to nothing counts as 0; pytest makes an error of every warning."""
    for box, target in (([1, 1, 1, 1], [1, 1, 1, 1]), ([0, 1, 2, 1], [0, 1, 2, 1]), ([1, 1, 1, 1], [3, 1, 3, 1])):
        loss, gradient = giou(box, target)
        assert loss == 1
        assert not gradient.any()
    loss, gradient = giou([1, 1, 1, 1], SQUARE)
    assert loss == 1
    assert np.isfinite(gradient).all()


def test_no_boxes_are_no_loss() -> None:
    none = np.zeros((0, 4), np.float32)
    loss, cache = giou_loss_forward(none, none, count=1)
    assert (loss, loss.dtype, giou_loss_backward(ONE.astype(np.float32), cache).shape) == (0, np.float32, (0, 4))


def test_distances_are_bounded() -> None:
    """exp of a head's number cannot overflow, and what is clipped gets no gradient."""
    x = np.full((1, 4, 1, 1), 1e4, np.float32)
    y, cache = point_boxes_forward(x, stride=8)
    np.testing.assert_allclose(y.ravel(), [4 - 512, 4 - 512, 4 + 512, 4 + 512], rtol=1e-6)
    assert not point_boxes_backward(np.ones_like(y), cache).any()


def test_the_boxes_distances_give_the_box_again() -> None:
    """log of a box's distances to a point, in strides, is what a head must say there."""
    H, W, stride = 3, 4, 4
    py, px = (np.mgrid[:H, :W] + 0.5) * stride
    ltrb = np.exp(draw(1, (2, 4, H, W))) * stride
    boxes = np.stack([px, py, px, py]) + np.array([-1, -1, 1, 1])[:, None, None] * ltrb
    np.testing.assert_allclose(point_boxes_forward(np.log(ltrb / stride), stride=stride)[0], boxes, rtol=1e-13)


BOXES, X = np.array([SQUARE, SQUARE]), draw(1, (1, 4, 2, 3))
WRONG: dict[str, tuple[Any, str]] = {
    "target inside out": (
        lambda: giou_loss_forward(BOXES, np.array([SQUARE, [0, 2, 2, 1]]), count=1),
        r"target 1 is the box \(0.0, 2.0, 2.0, 1.0\): x0 <= x1 and y0 <= y1 are wanted",
    ),
    "five corners": (
        lambda: giou_loss_forward(draw(1, (2, 5)), BOXES, count=1),
        r"boxes has shape \(2, 5\): \(2, 4\) is",
    ),
    "more targets": (lambda: giou_loss_forward(BOXES, BOXES[:1], count=1), r"target has shape \(1, 4\): \(2, 4\) is"),
    "single targets": (lambda: giou_loss_forward(BOXES, BOXES.astype(np.float32), count=1), "target has dtype float32"),
    "weight": (lambda: giou_loss_forward(BOXES, BOXES, np.ones(3), count=1), r"weight has shape \(3,\): \(2,\) is"),
    "no count": (lambda: giou_loss_forward(BOXES, BOXES, count=0), "giou_loss: count is 0: a number above 0 is wanted"),
    "count": (lambda: smooth_l1_forward(BOXES, BOXES, count=np.nan), "count is nan: a number above 0"),
    "beta": (lambda: smooth_l1_forward(BOXES, BOXES, beta=0.0, count=1), "smooth_l1: beta is 0.0: a number above 0"),
    "target": (lambda: smooth_l1_forward(BOXES, BOXES[0], count=1), r"target has shape \(4,\): \(2, 4\) is wanted"),
    "three channels": (lambda: point_boxes_forward(X[:, :3], stride=8), r"x has shape \(1, 3, 2, 3\): 4 channels"),
    "stride": (lambda: point_boxes_forward(X, stride=0), "stride is 0: an int of at least 1 is wanted"),
    "most": (lambda: point_boxes_forward(X, stride=8, most=0), "most is 0: a number above 0 is wanted"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_settings_are_refused(name: str) -> None:
    call, says = WRONG[name]
    with pytest.raises(InputError, match=says):
        call()
