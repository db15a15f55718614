"""Wrong backward passes of a sigmoid: derivatives of something else, and of the wrong number."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from ...layers import Sigmoid
from ...layers.sigmoid import SigmoidCache, sigmoid_backward, sigmoid_forward
from .bug import Rng, Setting, layer_bug, op_bug
from .parts import keep


class _Remembered(NamedTuple):
    cache: SigmoidCache
    x: Array

    @property
    def y(self) -> Array:
        """The output."""
        return self.cache.y


class _Remembering(Sigmoid):
    """A right sigmoid that keeps x too, as many people's does."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Any]:
        y, cache = Sigmoid.forward(self, x, train=train)
        return y, _Remembered(cache, x)

    def backward(self, dy: Array, cache: Any) -> Array:
        return Sigmoid.backward(self, dy, cache.cache)


def _with_far_ones(rng: Rng, shape: tuple[int, ...]) -> Array:
    x = rng.standard_normal(shape)
    x[..., 1::2, 0] -= 800  # exp(800) is infinite
    return x


SHAPE = (3, 2, 4, 3)
PLAIN = Setting(lambda rng: _Remembering(), SHAPE)
WIDE = Setting(lambda rng: _Remembering(), SHAPE, draw=lambda rng, shape: 3 * rng.standard_normal(shape))
FAR = Setting(lambda rng: _Remembering(), SHAPE, draw=_with_far_ones)


@op_bug("sigmoid", PLAIN, "x", sign="other")
def second_factor_forgotten(dy: Any, cache: _Remembered) -> Any:
    """dx = dy * y, the first half of y (1 - y): the slope is that of exp, and does not end where y nears 1."""
    return dy * cache.y


@op_bug("sigmoid", PLAIN, "x", sign="other")
def first_factor_forgotten(dy: Any, cache: _Remembered) -> Any:
    """dx = dy * (1 - y): y fell out when the formula was copied, and the slope is that of log(y)."""
    return dy * (1 - cache.y)


@op_bug("sigmoid", PLAIN, "x", sign="other")
def derivative_of_tanh(dy: Any, cache: _Remembered) -> Any:
    """dx = dy * (1 - y^2): forward was changed from tanh to sigmoid, and backward was not."""
    return dy * (1 - cache.y**2)


@op_bug("sigmoid", PLAIN, "x", sign="other")
def derivative_at_the_output(dy: Any, cache: _Remembered) -> Any:
    """Backward takes the sigmoid of what was kept, as if that were x: it is y already."""
    twice, _ = sigmoid_forward(cache.y)
    return dy * twice * (1 - twice)


@op_bug("sigmoid", PLAIN, "x", sign="other")
def input_for_output(dy: Any, cache: _Remembered) -> Any:
    """x (1 - x): the input was kept, and used as if it were the output."""
    return dy * cache.x * (1 - cache.x)


@op_bug("sigmoid", PLAIN, "x", sign="other")
def left_to_the_loss(dy: Any, cache: _Remembered) -> Any:
    """dx = dy: cross-entropy on logits has the sigmoid's slope in its p - t already, but this loss is one on probabilities."""
    return dy.copy()


@op_bug("sigmoid", PLAIN, "x", sign="sign")
def factors_the_wrong_way_round(dy: Any, cache: _Remembered) -> Any:
    """y (y - 1): the derivative of 1 + exp(-x) brings a minus, and that of the fraction another one, which was forgotten."""
    return dy * cache.y * (cache.y - 1)


@op_bug("sigmoid", PLAIN, "x", sign="scale")
def steepest_slope_made_1(dy: Any, cache: _Remembered) -> Any:
    """4 y (1 - y): against vanishing gradients the slope was brought to 1 in the middle."""
    return 4 * sigmoid_backward(dy, cache.cache)


@op_bug("sigmoid", PLAIN, "x", sign="scale")
def averaged_over_the_batch(dy: Any, cache: _Remembered) -> Any:
    """Divided by N here, where the loss has done so already."""
    return sigmoid_backward(dy, cache.cache) / len(dy)


@op_bug("sigmoid", WIDE, "x", sign="mask")
def saturated_ones_stopped(dy: Any, cache: _Remembered) -> Any:
    """What is within a tenth of 0 or 1 counts as decided and gets no gradient: it is small there, but the confident mistakes live on it."""
    return np.where((cache.y > 0.1) & (cache.y < 0.9), sigmoid_backward(dy, cache.cache), 0)


@op_bug("sigmoid", WIDE, "x", sign="other")
def saturated_ones_kept_alive(dy: Any, cache: _Remembered) -> Any:
    """y is clipped to [0.01, 0.99] in backward, so that no gradient vanishes: forward is not clipped, or would be flat there."""
    return sigmoid_backward(dy, SigmoidCache(np.clip(cache.y, 0.01, 0.99)))


@op_bug("sigmoid", WIDE, "x", sign="other")
def derivative_of_the_hard_sigmoid(dy: Any, cache: _Remembered) -> Any:
    """A quarter between -2 and 2 and nothing beyond, as of the straight lines that stand for it in small devices."""
    return np.where(abs(cache.x) < 2, dy / 4, 0)


@op_bug("sigmoid", PLAIN, "x", sign="upstream")
def derivative_for_gradient(dy: Any, cache: _Remembered) -> Any:
    """y (1 - y) was returned, and not its product with dy."""
    return cache.y * (1 - cache.y)


@op_bug("sigmoid", PLAIN, "x", sign="upstream")
def upstream_clipped(dy: Any, cache: _Remembered) -> Any:
    """dy is clipped to [-1, 1], the range that somebody expected of a probability's gradient."""
    return sigmoid_backward(np.clip(dy, -1, 1), cache.cache)


@op_bug("sigmoid", PLAIN, "x", sign="extra term")
def sparsity_added_here(dy: Any, cache: _Remembered) -> Any:
    """A penalty that keeps the mean activation of an autoencoder near 0.05 is added in the layer: it is a loss of its own."""
    return sigmoid_backward(dy, cache.cache) + 0.01 * (cache.y.mean() - 0.05)


@op_bug("sigmoid", PLAIN, "x", sign="part")
def last_picture_left_out(dy: Any, cache: _Remembered) -> Any:
    """Pictures are taken two at a time, and the rest that makes no pair keeps its zeros."""
    dx = sigmoid_backward(dy, cache.cache)
    dx[len(dy) // 2 * 2 :] = 0
    return dx


@op_bug("sigmoid", PLAIN, "x", sign="other")
def output_of_the_first_picture(dy: Any, cache: _Remembered) -> Any:
    """y was kept without the batch's axis, and the first picture's slope serves for all."""
    return dy * cache.y[:1] * (1 - cache.y[:1])


@op_bug("sigmoid", PLAIN, "x", sign="other")
def output_kept_in_a_byte(dy: Any, cache: _Remembered) -> Any:
    """y is kept as one of 256 levels, to save memory: the gradient is right to two figures."""
    return sigmoid_backward(dy, SigmoidCache(np.round(cache.y * 255) / 255))


@op_bug("sigmoid", FAR, "x", sign="other")
def exp_that_overflows(dy: Any, cache: _Remembered) -> Any:
    """exp(-x) / (1 + exp(-x))^2 is infinity over infinity for a very negative x: forward was made stable, and backward was not."""
    with np.errstate(over="ignore", invalid="ignore"):
        e = np.exp(-cache.x)
        return dy * e / (1 + e) ** 2


@layer_bug("sigmoid", PLAIN, sign="manners")
def backward_output_overwritten(self: Any, dy: Any, cache: _Remembered) -> Any:
    """y (1 - y) is computed in y's own memory: the loss and the next layer hold the same array."""
    cache.y[...] *= 1 - cache.y
    return dy * cache.y


@layer_bug("sigmoid", PLAIN, sign="manners")
def backward_upstream_overwritten(self: Any, dy: Any, cache: _Remembered) -> Any:
    """dy *= y * (1 - y) writes into the caller's array, which may be another branch's gradient too."""
    dy *= cache.y * (1 - cache.y)
    return dy


@layer_bug("sigmoid", PLAIN, sign="stale")
def forward_output_kept_in_the_layer(self: Any, x: Any, *, train: bool) -> Any:
    """y is kept in a buffer of the layer, made once: where the head is shared by several levels, the last one's is left."""
    y, (cache, _) = _Remembering.forward(self, x, train=train)
    return y, _Remembered(cache._replace(y=keep(self, y)), x)
