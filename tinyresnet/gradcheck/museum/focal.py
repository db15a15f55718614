"""Wrong backward passes of the focal loss: its two factors, what each answer counts, and what the sum is divided by."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...loss import FocalCache, sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from ..shipped import FixedLoss
from .bug import Setting, layer_bug, op_bug

SHAPE = (4, 5)
TARGETS = np.array([[0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [1, 0, 0, 0, 1], [0, 0, 1, 0, 0]], float)
PARTIAL = np.where(np.arange(20).reshape(SHAPE) % 6 == 4, -1, TARGETS)  # some answers do not count
ALPHA, GAMMA, COUNT = 0.3, 3.0, 7

PLAIN = Setting(lambda rng: FixedLoss("FocalLoss", TARGETS, alpha=None, gamma=GAMMA, count=COUNT), SHAPE)
WEIGHTED = Setting(lambda rng: FixedLoss("FocalLoss", TARGETS, alpha=ALPHA, gamma=GAMMA, count=COUNT), SHAPE)
UNCOUNTED = Setting(lambda rng: FixedLoss("FocalLoss", PARTIAL, alpha=None, gamma=GAMMA, count=COUNT), SHAPE)
SOFT = Setting(
    lambda rng: FixedLoss("FocalLoss", rng.uniform(0, 1, SHAPE), alpha=None, gamma=GAMMA, count=COUNT), SHAPE
)


def slope(cache: FocalCache) -> Any:
    """How the modulating factor moves with the logit."""
    return cache.gamma * cache.modulating / cache.difference * cache.p * cache.q


def with_slope(dloss: Any, cache: FocalCache, other: Any) -> Any:
    """The gradient with another slope of the modulating factor."""
    return dloss / cache.counted * cache.weights * (other * cache.bce + cache.modulating * cache.difference)


@op_bug("focal", WEIGHTED, "x", sign="missing term")
def modulating_factor_a_constant(dloss: Any, cache: FocalCache) -> Any:
    """The modulating factor was detached, as a weight is: but it moves with the logit, and the paper's gradient has both terms."""
    return with_slope(dloss, cache, 0)


@op_bug("focal", WEIGHTED, "x", sign="missing term")
def cross_entropy_a_constant(dloss: Any, cache: FocalCache) -> Any:
    """Only the modulating factor was differentiated: the product rule's other term is missing."""
    return dloss / cache.counted * cache.weights * slope(cache) * cache.bce


@op_bug("focal", PLAIN, "x", sign="other")
def power_not_lowered(dloss: Any, cache: FocalCache) -> Any:
    """The power's derivative was written gamma (1 - p_t)^gamma: the power was not lowered by one."""
    return with_slope(dloss, cache, slope(cache) * abs(cache.difference))


@op_bug("focal", PLAIN, "x", sign="other")
def gamma_not_brought_down(dloss: Any, cache: FocalCache) -> Any:
    """The power was lowered by one, but gamma itself was not brought down as a factor."""
    return with_slope(dloss, cache, slope(cache) / cache.gamma)


@op_bug("focal", PLAIN, "x", sign="other")
def inner_sign_forgotten(dloss: Any, cache: FocalCache) -> Any:
    """1 - p_t falls as p_t rises: the -1 of the inner derivative was forgotten, for the targets 1."""
    return with_slope(dloss, cache, abs(slope(cache)))


@op_bug("focal", PLAIN, "x", sign="other")
def sigmoid_not_gone_through(dloss: Any, cache: FocalCache) -> Any:
    """The modulating factor was differentiated by p and not by the logit: p (1 - p) is missing."""
    return with_slope(dloss, cache, cache.gamma * cache.modulating / cache.difference)


@op_bug("focal", PLAIN, "x", sign="other")
def sigmoid_gone_through_twice(dloss: Any, cache: FocalCache) -> Any:
    """p - target is already the logit's gradient, and the whole was multiplied by p (1 - p) once more."""
    return sigmoid_focal_loss_backward(dloss, cache) * cache.p * cache.q


@op_bug("focal", PLAIN, "x", sign="other")
def focused_on_the_easy_ones(dloss: Any, cache: FocalCache) -> Any:
    """p_t^gamma where (1 - p_t)^gamma belongs: the easy answers get the gradient, and the hard ones none."""
    easy = (1 - abs(cache.difference)) ** cache.gamma
    return with_slope(dloss, cache._replace(modulating=easy), cache.gamma * easy / cache.difference * cache.p * cache.q)


@op_bug("focal", WEIGHTED, "x", sign="other")
def alpha_swapped(dloss: Any, cache: FocalCache) -> Any:
    """alpha was given to the targets 0 and 1 - alpha to the targets 1."""
    return sigmoid_focal_loss_backward(dloss, cache._replace(weights=1 - cache.weights))


@op_bug("focal", WEIGHTED, "x", sign="scale")
def alpha_on_all(dloss: Any, cache: FocalCache) -> Any:
    """alpha was multiplied in as one number once more, over the weight that each answer has already."""
    return ALPHA * sigmoid_focal_loss_backward(dloss, cache)


@op_bug("focal", WEIGHTED, "x", sign="other")
def alpha_forgotten(dloss: Any, cache: FocalCache) -> Any:
    """The weights are in the loss, and not in its gradient."""
    return sigmoid_focal_loss_backward(dloss, cache._replace(weights=np.ones_like(cache.weights)))


@op_bug("focal", PLAIN, "x", sign="scale")
def count_forgotten(dloss: Any, cache: FocalCache) -> Any:
    """The loss is divided by the number of objects, the gradient is not."""
    return cache.counted * sigmoid_focal_loss_backward(dloss, cache)


@op_bug("focal", PLAIN, "x", sign="scale")
def divided_by_all_answers(dloss: Any, cache: FocalCache) -> Any:
    """The mean over all answers, as of any loss: there are a thousand places for one object, and the gradient all but vanishes."""
    return sigmoid_focal_loss_backward(dloss, cache) * (cache.counted / cache.p.size)


@layer_bug("focal", UNCOUNTED, "x", sign="mask")
def backward_of_what_does_not_count(self: FixedLoss, dloss: Any, cache: FocalCache) -> Any:
    """Answers that are marked -1 were taken for 0 on the way back: "nothing here" is learned where nobody knows."""
    return sigmoid_focal_loss_backward(dloss, cache._replace(weights=np.ones_like(cache.weights)))


@op_bug("focal", PLAIN, "x", sign="sign")
def target_minus_p(dloss: Any, cache: FocalCache) -> Any:
    """target - p is the step downhill, and the optimiser takes the minus once more."""
    return -sigmoid_focal_loss_backward(dloss, cache)


@op_bug("focal", PLAIN, "x", sign="upstream")
def upstream_ignored(dloss: Any, cache: FocalCache) -> Any:
    """A detector adds a loss for the boxes, with a weight: the upstream is not 1."""
    return sigmoid_focal_loss_backward(np.ones_like(dloss), cache)


@layer_bug("focal", SOFT, "x", sign="other")
def forward_targets_made_hard(self: FixedLoss, x: Any, *, train: bool) -> Any:
    """target > 0.5 in what is saved for the gradient: soft targets, such as those around a centre, are rounded."""
    loss, cache = sigmoid_focal_loss_forward(x, *self.others, **self.settings)
    return loss, cache._replace(difference=cache.p - (self.others[0] > 0.5))


@layer_bug("focal", PLAIN, sign="manners")
def backward_written_into_the_difference(self: FixedLoss, dloss: Any, cache: FocalCache) -> Any:
    """difference *= modulating in place spares an array: a second backward pass starts from the product."""
    inner = slope(cache) * cache.bce
    dlogits = cache.difference
    dlogits *= cache.modulating
    return (dlogits + inner) * (dloss / cache.counted)


@layer_bug("focal", PLAIN, sign="stale")
def forward_p_in_one_buffer(self: FixedLoss, x: Any, *, train: bool) -> Any:
    """The probabilities are kept in the layer's own array: a second forward pass changes the first one's cache."""
    loss, cache = sigmoid_focal_loss_forward(x, *self.others, **self.settings)
    buffer = vars(self).setdefault("p", np.empty_like(cache.p))
    buffer[...] = cache.p
    return loss, cache._replace(p=buffer)
