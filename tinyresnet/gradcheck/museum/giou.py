"""Wrong backward passes of the GIoU loss: the areas that an edge moves, which edge belongs to which, and boxes that are apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from ...loss import GIoUCache, giou_loss_backward
from ..shipped import FixedLoss
from .bug import Rng, Setting, layer_bug, op_bug

COUNT = 3.0
TARGET = np.array(  # of 8 boxes about (0, 0, 5, 5): two across them, three apart in x, in y, in both, one around, two inside
    [[1, 2, 8, 9], [-3, -2, 3, 4], [9, 1, 12, 3], [0, 9, 4, 12], [9, 9, 11, 12], [-4, -4, 9, 9], [2, 1.5, 3, 3], [2, 2, 3, 3.5]]
)  # fmt: skip


def _boxes(rng: Rng, shape: tuple[int, ...]) -> Array:
    return np.array([0, 0, 5, 5]) + rng.uniform(-1, 1, shape)


class Remembered(NamedTuple):
    """What ours keeps, and the sides of the intersection as they were before those below 0 were taken away."""

    common: Array
    right: GIoUCache


class Remembering(FixedLoss):
    """A right GIoU loss that keeps the common sides."""

    def forward(self, x: Any, *, train: bool) -> Any:
        """The loss, and the common sides in the cache."""
        loss, cache = super().forward(x, train=train)
        target = self.others[0]
        return loss, Remembered(np.minimum(x, target)[:, 2:] - np.maximum(x, target)[:, :2], cache)

    def backward(self, dy: Any, cache: Any) -> Any:
        """dboxes, as ever."""
        return super().backward(dy, cache.right)


PLAIN = Setting(lambda rng: Remembering("GIoU", TARGET, count=COUNT), TARGET.shape, draw=_boxes)
WEIGHTED = Setting(
    lambda rng: Remembering("GIoU", TARGET, np.linspace(0.2, 2.3, 8), count=COUNT), TARGET.shape, draw=_boxes
)


def _areas(dloss: Any, cache: GIoUCache) -> tuple[Array, Array, Array]:
    """dunion, dintersection and denclosing, right."""
    dgiou = -dloss / cache.counted * (1 if cache.weight is None else cache.weight)
    dunion = dgiou * (cache.inverse_enclosing - cache.intersection * cache.inverse_union**2)
    return dunion, dgiou * cache.inverse_union - dunion, -dgiou * cache.union * cache.inverse_enclosing**2


def _edges(cache: GIoUCache, dunion: Array, dintersection: Array, denclosing: Array) -> Array:
    """dboxes for these gradients of the areas, right."""
    crossed = (dunion, cache.size), (dintersection, cache.overlap), (denclosing, cache.outer)
    own, inner, outer = (darea[:, None] * sides[:, ::-1] for darea, sides in crossed)
    shares = cache.inside[:, :2], cache.inside[:, 2:]
    near, far = (own + share * cache.meets * inner + (1 - share) * outer for share in shares)
    return np.concatenate([-near, far], axis=1)


@op_bug("giou", PLAIN, "x", sign="other")
def enclosing_box_taken_for_a_constant(dloss: Any, cache: Remembered) -> Any:
    """The enclosing box was computed without a gradient: boxes that are apart then grow, and do not come nearer."""
    dunion, dintersection, denclosing = _areas(dloss, cache.right)
    return _edges(cache.right, dunion, dintersection, 0 * denclosing)


@op_bug("giou", PLAIN, "x", sign="other")
def gradient_of_plain_iou(dloss: Any, cache: Remembered) -> Any:
    """The loss was changed from IoU to GIoU, and its gradient was not: boxes that are apart get none."""
    right = cache.right._replace(inverse_enclosing=np.zeros_like(cache.right.union))
    return _edges(right, *_areas(dloss, right))


@op_bug("giou", PLAIN, "x", sign="other")
def union_taken_for_a_constant(dloss: Any, cache: Remembered) -> Any:
    """Only the intersection and the enclosing box were differentiated: the union moves with the box too."""
    dunion, dintersection, denclosing = _areas(dloss, cache.right)
    return _edges(cache.right, 0 * dunion, dintersection + dunion, denclosing)


@op_bug("giou", PLAIN, "x", sign="other")
def intersection_not_subtracted_from_the_union(dloss: Any, cache: Remembered) -> Any:
    """union = area + target's area - intersection: the last of the three was left out on the way back."""
    dunion, dintersection, denclosing = _areas(dloss, cache.right)
    return _edges(cache.right, dunion, dintersection + dunion, denclosing)


@op_bug("giou", PLAIN, "x", sign="other")
def union_forgotten_in_the_penalty(dloss: Any, cache: Remembered) -> Any:
    """(enclosing - union) / enclosing was differentiated by the enclosing area alone."""
    right = cache.right
    _, _, denclosing = _areas(dloss, right)
    dunion = dloss / COUNT * right.intersection * right.inverse_union**2
    return _edges(right, dunion, -dloss / COUNT * right.inverse_union - dunion, denclosing)


@op_bug("giou", PLAIN, "x", sign="other")
def quotient_not_squared(dloss: Any, cache: Remembered) -> Any:
    """-intersection / union stands where the quotient rule has -intersection / union^2."""
    right = cache.right
    _, _, denclosing = _areas(dloss, right)
    dunion = -dloss / COUNT * (right.inverse_enclosing - right.intersection * right.inverse_union)
    return _edges(right, dunion, -dloss / COUNT * right.inverse_union - dunion, denclosing)


@op_bug("giou", PLAIN, "x", sign="other")
def max_and_min_exchanged(dloss: Any, cache: Remembered) -> Any:
    """The intersection's near edge is the larger one, the enclosing box's the smaller: backward has them the other way round."""
    return giou_loss_backward(dloss, cache.right._replace(inside=1 - cache.right.inside))


@op_bug("giou", PLAIN, "x", sign="other")
def every_edge_counted_as_the_box(dloss: Any, cache: Remembered) -> Any:
    """The gradient went through the max and the min to the box, whoever had won."""
    return giou_loss_backward(dloss, cache.right._replace(inside=np.ones_like(cache.right.inside)))


@op_bug("giou", PLAIN, "x", sign="other")
def two_negative_sides_make_an_area(dloss: Any, cache: Remembered) -> Any:
    """The clamp at 0 is missing in backward: boxes that are apart both ways get an intersection from minus times minus."""
    right = cache.right._replace(overlap=cache.common, meets=np.ones_like(cache.common))
    return giou_loss_backward(dloss, right._replace(intersection=cache.common[:, 0] * cache.common[:, 1]))


@op_bug("giou", PLAIN, "x", sign="other")
def gradient_passes_the_clamp(dloss: Any, cache: Remembered) -> Any:
    """The overlap is clamped at 0 and its gradient is not: boxes side by side get one from an intersection that is not there."""
    return giou_loss_backward(dloss, cache.right._replace(meets=np.ones_like(cache.common)))


@op_bug("giou", PLAIN, "x", sign="other")
def sides_not_crossed(dloss: Any, cache: Remembered) -> Any:
    """The gradient of width times height by the width was taken for the width."""
    right = cache.right
    flipped = {name: getattr(right, name)[:, ::-1] for name in ("size", "overlap", "outer")}
    return giou_loss_backward(dloss, right._replace(**flipped))


@op_bug("giou", PLAIN, "x", sign="channel scale")
def near_edges_without_their_minus(dloss: Any, cache: Remembered) -> Any:
    """A side is x1 - x0, and its gradient came to both edges with the same sign."""
    return giou_loss_backward(dloss, cache.right) * [-1, -1, 1, 1]


@op_bug("giou", PLAIN, "x", sign="part")
def far_edges_alone(dloss: Any, cache: Remembered) -> Any:
    """Width and height were differentiated, and handed to x1 and y1: x0 and y0 move them as well."""
    dboxes = giou_loss_backward(dloss, cache.right)
    dboxes[:, :2] = 0
    return dboxes


@op_bug("giou", PLAIN, "x", sign="permuted")
def rows_before_columns(dloss: Any, cache: Remembered) -> Any:
    """The gradient came back as y0 x0 y1 x1, the order in which an array is indexed."""
    return giou_loss_backward(dloss, cache.right)[:, [1, 0, 3, 2]]


@op_bug("giou", PLAIN, "x", sign="sign")
def gradient_of_giou_itself(dloss: Any, cache: Remembered) -> Any:
    """GIoU grows where the loss, 1 - GIoU, shrinks."""
    return -giou_loss_backward(dloss, cache.right)


@op_bug("giou", PLAIN, "x", sign="scale")
def count_left_out(dloss: Any, cache: Remembered) -> Any:
    """The loss is divided by the count of objects, the gradient is that of the sum."""
    return giou_loss_backward(dloss, cache.right._replace(counted=1.0))


@op_bug("giou", WEIGHTED, "x", sign="channel scale")
def weights_left_out(dloss: Any, cache: Remembered) -> Any:
    """The boxes are weighed in the loss alone."""
    return giou_loss_backward(dloss, cache.right._replace(weight=None))


@op_bug("giou", WEIGHTED, "x", sign="scale")
def divided_by_the_weights_too(dloss: Any, cache: Remembered) -> Any:
    """The gradient is divided by the sum of the weights, as a weighted mean's is; this loss is divided by a count of its own."""
    return giou_loss_backward(dloss, cache.right) / np.linspace(0.2, 2.3, 8).sum()


@op_bug("giou", PLAIN, "x", sign="upstream")
def upstream_ignored(dloss: Any, cache: Remembered) -> Any:
    """The box loss is one of several: its weight comes in by dloss, and was left there."""
    return giou_loss_backward(np.ones_like(dloss), cache.right)


@layer_bug("giou", PLAIN, sign="manners")
def backward_written_into_the_sides(self: Any, dloss: Any, cache: Remembered) -> Any:
    """The box's sides are multiplied in place, and the cache no longer holds them."""
    dboxes = giou_loss_backward(dloss, cache.right)
    size = cache.right.size
    size *= dloss
    return dboxes


@layer_bug("giou", PLAIN, sign="stale")
def forward_union_in_one_buffer(self: Any, x: Any, *, train: bool) -> Any:
    """The unions are kept in the layer's own array: a second forward pass changes the first one's cache."""
    loss, cache = Remembering.forward(self, x, train=train)
    buffer = vars(self).setdefault("union", np.empty_like(cache.right.union))
    buffer[...] = cache.right.union
    return loss, Remembered(cache.common, cache.right._replace(union=buffer))
