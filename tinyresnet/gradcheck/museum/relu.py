"""Wrong backward passes of a ReLU: beside the kink, at the kink, and far from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from ...layers import ReLU
from ...layers.relu import ReluCache, relu_backward
from .bug import Rng, Setting, layer_bug, op_bug


class _Remembered(NamedTuple):
    cache: ReluCache
    x: Array

    @property
    def mask(self) -> Array:
        """True where x passed."""
        return self.cache.mask


class _Remembering(ReLU):
    """A right ReLU that keeps x, as many people's does."""

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Any]:
        y, cache = ReLU.forward(self, x, train=train)
        return y, _Remembered(cache, x)

    def backward(self, dy: Array, cache: Any) -> Array:
        return ReLU.backward(self, dy, cache.cache)


def _with_zeros(rng: Rng, shape: tuple[int, ...]) -> Array:
    x = rng.standard_normal(shape)
    x[..., 1::2, 0] = 0  # a quarter of them or so, as behind another ReLU or beside a padded border
    return x


def _close_to_zero(rng: Rng, shape: tuple[int, ...]) -> Array:
    x = rng.standard_normal(shape)
    x[..., 1::2, :] *= 0.03
    return x


SHAPE = (3, 2, 4, 3)
PLAIN = Setting(lambda rng: _Remembering(), SHAPE)
KINKED = Setting(lambda rng: _Remembering(), SHAPE, draw=_with_zeros)
NEAR = Setting(lambda rng: _Remembering(), SHAPE, draw=_close_to_zero)
LIFTED = Setting(lambda rng: _Remembering(), SHAPE, draw=lambda rng, shape: 1 + rng.standard_normal(shape))
WIDE = Setting(lambda rng: _Remembering(), SHAPE, draw=lambda rng, shape: 6 * rng.standard_normal(shape))


@op_bug("relu", KINKED, "x", sign="mask")
def gradient_2_at_zero(dy: Any, cache: _Remembered) -> Any:
    """A tie of x and 0 was given a gradient of its own, on top of what x >= 0 had let through already."""
    return dy * (cache.x >= 0) + dy * (cache.x == 0)


@op_bug("relu", KINKED, "x", sign="mask")
def gradient_minus_1_at_zero(dy: Any, cache: _Remembered) -> Any:
    """np.heaviside's second argument was set to -1, as if it were an axis: it is the value at x = 0."""
    return dy * np.heaviside(cache.x, -1.0)


@op_bug("relu", KINKED, "x", sign="mask")
def gradient_minus_a_half_at_zero(dy: Any, cache: _Remembered) -> Any:
    """(1 + sign(x)) / 2 - (x == 0): the half at x = 0 was to be taken away, and a whole one was."""
    return dy * ((1 + np.sign(cache.x)) / 2 - (cache.x == 0))


@op_bug("relu", NEAR, "x", sign="mask")
def what_is_barely_negative_passes(dy: Any, cache: _Remembered) -> Any:
    """x >= -0.02 stands where x > 0 belongs: a margin against rounding that was meant to be smaller."""
    return np.where(cache.x >= -0.02, dy, 0)


@op_bug("relu", NEAR, "x", sign="mask")
def what_is_barely_positive_is_stopped(dy: Any, cache: _Remembered) -> Any:
    """A threshold of 0.02, to make the activations sparse, is in backward's mask alone."""
    return np.where(cache.x >= 0.02, dy, 0)


@op_bug("relu", PLAIN, "x", sign="mask")
def mask_of_whole_numbers(dy: Any, cache: _Remembered) -> Any:
    """x was cast to int8 for a mask that takes little memory, and everything below 1 became 0."""
    return np.where(cache.x.astype(np.int8) > 0, dy, 0)


@op_bug("relu", PLAIN, "x", sign="mask")
def mask_of_the_upstream(dy: Any, cache: _Remembered) -> Any:
    """dx = max(dy, 0): the ReLU was applied to dy, as a deconvolution network does to draw pictures."""
    return np.maximum(dy, 0)


@op_bug("relu", PLAIN, "x", sign="mask")
def mask_of_both(dy: Any, cache: _Remembered) -> Any:
    """Guided backpropagation was left switched on: a negative dy does not pass either."""
    return np.where(cache.mask & (dy > 0), dy, 0)


@op_bug("relu", PLAIN, "x", sign="mask")
def mask_of_the_negative(dy: Any, cache: _Remembered) -> Any:
    """dx[mask] = 0, with the mask of what passed: the one of what was stopped belongs there."""
    return np.where(cache.mask, 0, dy)


@op_bug("relu", PLAIN, "x", sign="mask")
def mask_forgotten(dy: Any, cache: _Remembered) -> Any:
    """Backward hands dy on as it came: the layer has no parameters, so nothing seemed to be left to do."""
    return dy.copy()


@op_bug("relu", PLAIN, "x", sign="mask")
def leaky_slope_left_over(dy: Any, cache: _Remembered) -> Any:
    """Forward was changed from leaky ReLU to ReLU, and backward still lets a hundredth through."""
    return np.where(cache.mask, dy, 0.01 * dy)


@op_bug("relu", PLAIN, "x", sign="mask")
def gradient_of_the_absolute_value(dy: Any, cache: _Remembered) -> Any:
    """dx = dy * sign(x): what is negative gets -1 where it should get 0."""
    return dy * np.sign(cache.x)


@op_bug("relu", WIDE, "x", sign="mask")
def bound_of_relu6(dy: Any, cache: _Remembered) -> Any:
    """The mask of ReLU6 was copied: it stops what is larger than 6, which this ReLU lets through."""
    return np.where(cache.mask & (cache.x < 6), dy, 0)


@op_bug("relu", PLAIN, "x", sign="mask")
def mask_of_the_first_picture(dy: Any, cache: _Remembered) -> Any:
    """The mask lacks the batch's axis: it is the first picture's for all of them."""
    return np.where(cache.mask[:1], dy, 0)


@op_bug("relu", LIFTED, "x", sign="mask")
def mask_of_the_mean(dy: Any, cache: _Remembered) -> Any:
    """The mask was taken after x had been centred by its mean."""
    return np.where(cache.x > cache.x.mean(), dy, 0)


@op_bug("relu", PLAIN, "x", sign="mask")
def mask_in_another_memory_order(dy: Any, cache: _Remembered) -> Any:
    """The mask was saved with channels last and read with channels first."""
    return np.where(cache.mask.transpose(0, 2, 3, 1).reshape(dy.shape), dy, 0)


@op_bug("relu", PLAIN, "x", sign="other")
def output_for_mask(dy: Any, cache: _Remembered) -> Any:
    """dx = dy * y: the output was cached and used as if it were the mask."""
    return dy * np.maximum(cache.x, 0)


@op_bug("relu", PLAIN, "x", sign="scale")
def scaled_up_as_dropout(dy: Any, cache: _Remembered) -> Any:
    """dx is divided by the share of what passed, as dropout does to keep the expectation."""
    return relu_backward(dy, cache.cache) / cache.mask.mean()


@op_bug("relu", PLAIN, "x", sign="upstream")
def mask_for_gradient(dy: Any, cache: _Remembered) -> Any:
    """The derivative was returned, and not its product with dy."""
    return cache.mask.astype(dy.dtype)


@op_bug("relu", PLAIN, "x", sign="upstream")
def upstream_clipped(dy: Any, cache: _Remembered) -> Any:
    """A clip of dy to [-1, 1] against exploding gradients was left in the layer."""
    return relu_backward(np.clip(dy, -1, 1), cache.cache)


@layer_bug("relu", PLAIN, sign="manners")
def backward_upstream_masked_in_place(self: ReLU, dy: Any, cache: _Remembered) -> Any:
    """dy[~mask] = 0 writes into the caller's array, which behind an add is the shortcut's gradient too."""
    dy[~cache.mask] = 0
    return dy


@layer_bug("relu", PLAIN, sign="manners")
def forward_mask_kept_in_one_buffer(self: Any, x: Any, *, train: bool) -> Any:
    """All masks are written into one buffer of the layer's, and a second forward changes the first one's cache."""
    y, (cache, _) = _Remembering.forward(self, x, train=train)
    if getattr(self, "buffer", cache.mask[:0]).shape != x.shape:
        self.buffer = np.empty(x.shape, bool)
    self.buffer[...] = cache.mask
    return y, _Remembered(cache._replace(mask=self.buffer), x)
