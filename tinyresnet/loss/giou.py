"""Generalised IoU, the loss of a box: how far it overlaps its target, and how far apart they are where they do not."""

from __future__ import annotations

from typing import NamedTuple

from tinyresnet_kernels import Array, array_module, same_kind

from ..errors import InputError
from ..layers import checks
from .count import positive


class GIoUCache(NamedTuple):
    """What backward needs of M pairs of boxes. Sides (M, 2) are width and height.

    `inside` (M, 4): 1 where an edge of the box lies inside the target's, and is the intersection's; 0 where it lies outside; 1/2 at a tie.
    `meets` (M, 2): 1 where the boxes have more than an edge in common along this axis, 0 where they are apart, 1/2 where they touch.
    """

    inside: Array
    meets: Array
    size: Array  # the box's own sides
    overlap: Array  # the intersection's, 0 where the boxes are apart
    outer: Array  # the enclosing box's
    intersection: Array  # areas (M,), and 1 / area
    union: Array
    inverse_union: Array
    inverse_enclosing: Array
    weight: Array | None
    counted: float


def giou_loss_forward(
    boxes: Array, target: Array, weight: Array | None = None, *, count: float
) -> tuple[Array, GIoUCache]:
    """loss (a number, shape ()): the sum over the pairs of weight (1 - GIoU), over `count` (above 0, the caller's). M = 0 gives 0.

    GIoU = intersection / union - (enclosing - union) / enclosing, areas all; boxes and target are (M, 4), x0 y0 x1 y1. It is 1 if they are
    equal, towards -1 the farther they are apart. What is divided by no area counts as 0. Complex boxes are judged by their real parts.
    A box turned inside out (x1 < x0) has a negative area: predicted ones are not looked at, for a GPU would have to be waited for.
    Raises InputError on shapes, dtypes and a count that do not fit, and on a target inside out. (Rezatofighi et al. 2019, algorithm 2.)
    """
    target, weight, count = _checked(boxes, target, weight, count)
    near, far = _share(boxes[:, :2], target[:, :2]), _share(target[:, 2:], boxes[:, 2:])
    inside = array_module(boxes).concatenate([near, far], axis=1)
    common, outer = _sides(inside * boxes + (1 - inside) * target), _sides((1 - inside) * boxes + inside * target)
    meets = _share(common, 0 * common)
    overlap = meets * common  # of boxes that are apart both sides may be negative: that is no area
    size, intersection, enclosing = _sides(boxes), _area(overlap), _area(outer)
    union = _area(size) + _area(_sides(target)) - intersection
    inverse_union, inverse_enclosing = _inverse(union), _inverse(enclosing)
    losses = 1 - (intersection * inverse_union - (enclosing - union) * inverse_enclosing)
    loss = (losses if weight is None else weight * losses).sum() / count
    areas = intersection, union, inverse_union, inverse_enclosing
    return loss, GIoUCache(inside, meets, size, overlap, outer, *areas, weight, count)


def giou_loss_backward(dloss: Array, cache: GIoUCache) -> Array:
    """dboxes (M, 4): each edge moves three areas, the box's own (and so the union), the intersection's and the enclosing box's.

    At a tie of two edges each has half of the gradient, as in PyTorch's minimum and maximum: so a box that equals its target gets none.
    Where boxes touch it is the same, a tie of their common side and 0.
    """
    inside, meets, size, overlap, outer, intersection, union, inverse_union, inverse_enclosing, weight, counted = cache
    checks.upstream("giou_loss_backward", dloss, (), union, "dloss")
    dgiou = -dloss / counted if weight is None else -dloss / counted * weight
    dunion = dgiou * (inverse_enclosing - intersection * inverse_union * inverse_union)
    dintersection = dgiou * inverse_union - dunion  # union = area + target's area - intersection
    denclosing = -dgiou * union * inverse_enclosing * inverse_enclosing
    # an area grows with one side by the other
    by_size = dunion[:, None] * size[:, ::-1]
    by_overlap = meets * dintersection[:, None] * overlap[:, ::-1]
    by_outer = denclosing[:, None] * outer[:, ::-1]
    near, far = (by_size + share * by_overlap + (1 - share) * by_outer for share in (inside[:, :2], inside[:, 2:]))
    return array_module(union).concatenate([-near, far], axis=1)  # type: ignore[no-any-return]


def _share(a: Array, b: Array) -> Array:
    """1 where a is larger than b, 1/2 where they are equal, 0 elsewhere."""
    larger, equal = a.real > b.real, a.real == b.real
    return larger.astype(a.real.dtype) + equal.astype(a.real.dtype) / 2  # type: ignore[no-any-return]


def _sides(corners: Array) -> Array:
    """Width and height (M, 2) of boxes (M, 4)."""
    return corners[:, 2:] - corners[:, :2]


def _area(sides: Array) -> Array:
    """(M,) of sides (M, 2)."""
    return sides[:, 0] * sides[:, 1]


def _inverse(area: Array) -> Array:
    """1 / area, and 0 where there is none."""
    xp = array_module(area)
    empty = area == 0
    return xp.where(empty, 0, 1 / xp.where(empty, 1, area))  # type: ignore[no-any-return]


def _checked(boxes: Array, target: Array, weight: Array | None, count: float) -> tuple[Array, Array | None, float]:
    """target and weight on the boxes' side, count as a float. Raises InputError."""
    op = "giou_loss"
    checks.array(op, "boxes", boxes, "M 4")
    checks.shape(op, "boxes", boxes, (len(boxes), 4))
    checks.array(op, "target", target, "M 4")
    checks.shape(op, "target", target, boxes.shape)
    checks.same_precision(op, "target", target, boxes)
    inside_out = (target[:, 2:].real < target[:, :2].real).any(axis=1)
    if inside_out.any():
        wrong = int(inside_out.argmax())
        corners = tuple(float(edge) for edge in target[wrong].real)
        raise InputError(f"{op}: target {wrong} is the box {corners}: x0 <= x1 and y0 <= y1 are wanted")
    if weight is not None:
        checks.vector(op, "weight", weight, len(boxes), boxes)
        weight = same_kind(weight, boxes)
    return same_kind(target, boxes), weight, positive(op, "count", count)
