"""Wrong backward passes of smooth L1: its two branches, where they meet, and what the sum is divided by."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from ...loss import SmoothL1Cache, smooth_l1_backward
from ..shipped import FixedLoss
from .bug import Setting, layer_bug, op_bug

SHAPE, BETA, COUNT = (7, 4), 0.5, 3.0


class Remembered(NamedTuple):
    """What a textbook's smooth L1 keeps: the error, beside what ours does."""

    error: Array
    right: SmoothL1Cache

    def through(self, dloss: Any, slope: Any) -> Any:
        """dx of these slopes."""
        return smooth_l1_backward(dloss, self.right._replace(slope=slope))


class Remembering(FixedLoss):
    """A right smooth L1 that keeps the error."""

    def forward(self, x: Any, *, train: bool) -> Any:
        """The loss, and the error in the cache."""
        loss, cache = super().forward(x, train=train)
        return loss, Remembered(x - self.others[0], cache)

    def backward(self, dy: Any, cache: Any) -> Any:
        """dx, as ever."""
        return super().backward(dy, cache.right)


PLAIN = Setting(lambda rng: Remembering("SmoothL1", rng.standard_normal(SHAPE), beta=BETA, count=COUNT), SHAPE)


@op_bug("smooth_l1", PLAIN, "x", sign="other")
def beta_forgotten_in_the_square(dloss: Any, cache: Remembered) -> Any:
    """error where error / beta belongs, as in the paper, whose beta is 1."""
    return cache.through(dloss, np.where(abs(cache.error) < BETA, cache.error, np.sign(cache.error)))


@op_bug("smooth_l1", PLAIN, "x", sign="scale")
def gradient_of_the_huber_loss(dloss: Any, cache: Remembered) -> Any:
    """The error clipped to beta: Huber's loss is beta times smooth L1, and libraries have both under names that are easily confused."""
    return cache.through(dloss, np.clip(cache.error, -BETA, BETA))


@op_bug("smooth_l1", PLAIN, "x", sign="other")
def half_forgotten_in_the_square(dloss: Any, cache: Remembered) -> Any:
    """2 error / beta: the derivative of a square, and its factor of one half was overlooked."""
    return cache.through(dloss, np.where(abs(cache.error) < BETA, 2 * cache.error / BETA, np.sign(cache.error)))


@op_bug("smooth_l1", PLAIN, "x", sign="other")
def sign_lost_far_from_the_target(dloss: Any, cache: Remembered) -> Any:
    """The derivative of |error| was taken for 1: what is far below its target is pushed further down."""
    return cache.through(dloss, np.where(abs(cache.error) < BETA, cache.error / BETA, 1))


@op_bug("smooth_l1", PLAIN, "x", sign="other")
def sign_lost_near_the_target(dloss: Any, cache: Remembered) -> Any:
    """|error| was taken once for both branches, and the square's derivative was made of it."""
    return cache.through(dloss, np.where(abs(cache.error) < BETA, abs(cache.error) / BETA, np.sign(cache.error)))


@op_bug("smooth_l1", PLAIN, "x", sign="sign")
def target_minus_x(dloss: Any, cache: Remembered) -> Any:
    """The error was taken the other way round: the loss does not mind, its gradient does."""
    return cache.through(dloss, np.clip(-cache.error / BETA, -1, 1))


@op_bug("smooth_l1", PLAIN, "x", sign="other")
def square_everywhere(dloss: Any, cache: Remembered) -> Any:
    """error / beta without a bound: the loss was changed from L2 to smooth L1, and its gradient was not."""
    return cache.through(dloss, cache.error / BETA)


@op_bug("smooth_l1", PLAIN, "x", sign="other")
def straight_everywhere(dloss: Any, cache: Remembered) -> Any:
    """sign(error), the gradient of plain L1: near the target it never comes to rest."""
    return cache.through(dloss, np.sign(cache.error))


@op_bug("smooth_l1", PLAIN, "x", sign="mask")
def nothing_comes_from_afar(dloss: Any, cache: Remembered) -> Any:
    """error / beta was clipped with a clip that lets no gradient through beyond its bounds: there the slope is 1, and not 0."""
    return cache.through(dloss, np.where(abs(cache.error) < BETA, cache.error / BETA, 0))


@op_bug("smooth_l1", PLAIN, "x", sign="other")
def branches_meet_at_1(dloss: Any, cache: Remembered) -> Any:
    """|error| < 1 chooses the branch, as in the paper: with a smaller beta the slopes jump there."""
    return cache.through(dloss, np.where(abs(cache.error) < 1, cache.error / BETA, np.sign(cache.error)))


@op_bug("smooth_l1", PLAIN, "x", sign="other")
def branch_chosen_without_the_absolute_value(dloss: Any, cache: Remembered) -> Any:
    """error < beta chooses the square for everything that is below its target, however far."""
    return cache.through(dloss, np.where(cache.error < BETA, cache.error / BETA, 1))


@op_bug("smooth_l1", PLAIN, "x", sign="scale")
def divided_by_the_count_twice(dloss: Any, cache: Remembered) -> Any:
    """Once in the loss and once more where several losses are added up."""
    return smooth_l1_backward(dloss, cache.right) / COUNT


@op_bug("smooth_l1", PLAIN, "x", sign="scale")
def mean_over_all_numbers(dloss: Any, cache: Remembered) -> Any:
    """The loss is divided by the count of objects, the gradient by that of all numbers, four an object and others' too."""
    return cache.through(dloss, cache.right.slope) * COUNT / cache.error.size


@op_bug("smooth_l1", PLAIN, "x", sign="upstream")
def upstream_ignored(dloss: Any, cache: Remembered) -> Any:
    """A loss was believed to be the end of the network: this one is one of several, with a weight that comes in by dloss."""
    return smooth_l1_backward(np.ones_like(dloss), cache.right)


@op_bug("smooth_l1", PLAIN, "x", sign="part")
def first_objects_alone(dloss: Any, cache: Remembered) -> Any:
    """`count` was taken for the number of rows that count: the others get nothing."""
    dx = smooth_l1_backward(dloss, cache.right)
    dx[int(COUNT) :] = 0
    return dx


@layer_bug("smooth_l1", PLAIN, sign="manners")
def backward_written_into_the_slope(self: Any, dloss: Any, cache: Remembered) -> Any:
    """slope *= dloss / count spares an array, and the next backward pass finds the product in the cache."""
    slope = cache.right.slope
    slope *= dloss / COUNT
    return slope


@layer_bug("smooth_l1", PLAIN, sign="stale")
def forward_slope_in_one_buffer(self: Any, x: Any, *, train: bool) -> Any:
    """The slopes are kept in the layer's own array: a second forward pass changes the first one's cache."""
    loss, (error, right) = Remembering.forward(self, x, train=train)
    buffer = vars(self).setdefault("slope", np.empty_like(right.slope))
    buffer[...] = right.slope
    return loss, Remembered(error, right._replace(slope=buffer))
