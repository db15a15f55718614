"""Wrong backward passes of the boxes of points: exp's derivative, the stride, the four sides, and what was clipped."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import PointBoxes
from ...layers.point_boxes import PointBoxesCache, point_boxes_backward, point_boxes_forward
from .bug import Setting, layer_bug, op_bug

STRIDE, SHAPE = 4, (3, 4, 3, 5)
SIDES = np.array([-1, -1, 1, 1]).reshape(4, 1, 1)
PLAIN = Setting(lambda rng: PointBoxes(STRIDE), SHAPE)
CLIPPED = Setting(lambda rng: PointBoxes(STRIDE, most=2.0), SHAPE)  # of normal numbers a quarter


@op_bug("point_boxes", PLAIN, "x", sign="other")
def derivative_of_exp_forgotten(dy: Any, cache: PointBoxesCache) -> Any:
    """The head's numbers were treated as distances in strides, as in a detector without exp."""
    return STRIDE * SIDES * dy


@op_bug("point_boxes", PLAIN, "x", sign="other")
def derivative_of_softplus(dy: Any, cache: PointBoxesCache) -> Any:
    """exp was put in place of a softplus, whose derivative is a sigmoid, and backward was not changed."""
    return STRIDE * SIDES * dy * cache.ltrb / (STRIDE + cache.ltrb)


@op_bug("point_boxes", PLAIN, "x", sign="scale")
def stride_left_out(dy: Any, cache: PointBoxesCache) -> Any:
    """exp(x), and not stride exp(x), was kept for the gradient."""
    return point_boxes_backward(dy, cache._replace(ltrb=cache.ltrb / STRIDE))


@op_bug("point_boxes", PLAIN, "x", sign="scale")
def stride_twice(dy: Any, cache: PointBoxesCache) -> Any:
    """The distances hold the stride already, and it was multiplied in once more."""
    return STRIDE * point_boxes_backward(dy, cache)


@op_bug("point_boxes", PLAIN, "x", sign="permuted")
def left_and_right_exchanged(dy: Any, cache: PointBoxesCache) -> Any:
    """The head gives left, top, right, bottom, and its gradient came back as right, top, left, bottom."""
    return point_boxes_backward(dy, cache)[:, [2, 1, 0, 3]]


@op_bug("point_boxes", PLAIN, "x", sign="permuted")
def rows_before_columns(dy: Any, cache: PointBoxesCache) -> Any:
    """The gradient came back as top, left, bottom, right, the order in which an array is indexed."""
    return point_boxes_backward(dy, cache)[:, [1, 0, 3, 2]]


@op_bug("point_boxes", PLAIN, "x", sign="other")
def distance_of_the_other_side(dy: Any, cache: PointBoxesCache) -> Any:
    """Each side's gradient was multiplied by the distance to the opposite one."""
    return point_boxes_backward(dy, cache._replace(ltrb=cache.ltrb[:, [2, 3, 0, 1]]))


@op_bug("point_boxes", PLAIN, "x", sign="channel scale")
def minus_forgotten_at_the_near_sides(dy: Any, cache: PointBoxesCache) -> Any:
    """x0 = px - l: a longer distance moves the near edges back, and the gradient must turn its sign."""
    return SIDES * point_boxes_backward(dy, cache)


@op_bug("point_boxes", PLAIN, "x", sign="sign")
def sign_of_all_sides_turned(dy: Any, cache: PointBoxesCache) -> Any:
    """The gradient goes from the point to the box, and its sign was taken from the box to the point."""
    return -point_boxes_backward(dy, cache)


@op_bug("point_boxes", PLAIN, "x", sign="other")
def box_for_distance(dy: Any, cache: PointBoxesCache) -> Any:
    """exp's gradient is dy times its output, and the layer's output was taken: the box, not the distance."""
    H, W = SHAPE[2:]
    row, column = (np.mgrid[:H, :W] + 0.5) * STRIDE
    y = np.stack([column, row, column, row]) + SIDES * cache.ltrb
    return SIDES * dy * y


@op_bug("point_boxes", CLIPPED, "x", sign="mask")
def clip_forgotten(dy: Any, cache: PointBoxesCache) -> Any:
    """What was clipped gets a gradient as if it could still move its side."""
    return point_boxes_backward(dy, cache._replace(mask=np.ones_like(cache.mask)))


@op_bug("point_boxes", CLIPPED, "x", sign="mask")
def mask_turned_round(dy: Any, cache: PointBoxesCache) -> Any:
    """The mask of what was clipped stands where that of what was not belongs."""
    return point_boxes_backward(dy, cache._replace(mask=~cache.mask))


@op_bug("point_boxes", PLAIN, "x", sign="mask")
def mask_of_a_relu(dy: Any, cache: PointBoxesCache) -> Any:
    """Some detectors have a ReLU where others have exp: its mask stops all distances of less than a stride."""
    return point_boxes_backward(dy, cache._replace(mask=cache.ltrb > STRIDE))


@op_bug("point_boxes", PLAIN, "x", sign="part")
def last_column_left_out(dy: Any, cache: PointBoxesCache) -> Any:
    """The points were counted up to W - 1, one too few."""
    dx = point_boxes_backward(dy, cache)
    dx[..., -1] = 0
    return dx


@op_bug("point_boxes", PLAIN, "x", sign="other")
def distances_of_the_first_picture(dy: Any, cache: PointBoxesCache) -> Any:
    """The points are the same in every picture, and so the distances were thought to be."""
    return point_boxes_backward(dy, cache._replace(ltrb=np.broadcast_to(cache.ltrb[:1], SHAPE)))


@op_bug("point_boxes", PLAIN, "x", sign="other")
def distances_in_another_memory_order(dy: Any, cache: PointBoxesCache) -> Any:
    """The distances were kept with channels last, four beside each other a point, and read with channels first."""
    return point_boxes_backward(dy, cache._replace(ltrb=cache.ltrb.transpose(0, 2, 3, 1).reshape(SHAPE)))


@op_bug("point_boxes", PLAIN, "x", sign="upstream")
def distance_for_gradient(dy: Any, cache: PointBoxesCache) -> Any:
    """The derivative was returned, and not its product with dy."""
    return point_boxes_backward(np.ones_like(dy), cache)


@op_bug("point_boxes", PLAIN, "x", sign="upstream")
def upstream_clipped(dy: Any, cache: PointBoxesCache) -> Any:
    """Large boxes have large gradients, and a clip of dy to [-1, 1] against them was left in the layer."""
    return point_boxes_backward(np.clip(dy, -1, 1), cache)


@layer_bug("point_boxes", PLAIN, sign="manners")
def backward_written_into_the_upstream(self: PointBoxes, dy: Any, cache: PointBoxesCache) -> Any:
    """dy *= distance spares an array, and the caller's gradient is gone."""
    dy *= np.where(cache.mask, SIDES * cache.ltrb, 0)
    return dy


@layer_bug("point_boxes", PLAIN, sign="stale")
def forward_distances_in_one_buffer(self: Any, x: Any, *, train: bool) -> Any:
    """All distances are written into one array of the layer's, and a second forward changes the first one's cache."""
    y, cache = point_boxes_forward(x, stride=self.stride, most=self.most)
    if getattr(self, "buffer", cache.ltrb[:0]).shape != x.shape:
        self.buffer = np.empty_like(cache.ltrb)
    self.buffer[...] = cache.ltrb
    return y, cache._replace(ltrb=self.buffer)
