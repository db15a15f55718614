"""Wrong backward passes of dropout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from ...layers import Dropout
from ...layers.dropout import DropoutCache, dropout_backward
from .bug import Rng, Setting, layer_bug, op_bug

P = 0.3


def _behind_a_relu(rng: Rng, shape: tuple[int, ...]) -> Array:
    return np.maximum(rng.standard_normal(shape), 0)


TRAINING = Setting(lambda rng: Dropout(P, rng=rng), (3, 3, 2, 4))
EVALUATION = replace(TRAINING, train=False)
BEHIND_RELU = replace(TRAINING, draw=_behind_a_relu)


@op_bug("dropout", TRAINING, "x", sign="scale")
def not_scaled(dy: Any, cache: DropoutCache) -> Any:
    """Backward multiplies by the mask alone: forward had also divided by 1 - p."""
    return dropout_backward(dy, cache) * (1 - P)


@op_bug("dropout", TRAINING, "x", sign="scale")
def scaled_twice(dy: Any, cache: DropoutCache) -> Any:
    """The mask in the cache was divided by 1 - p already, and backward divides once more."""
    return dropout_backward(dy, cache) / (1 - P)


@op_bug("dropout", TRAINING, "x", sign="scale")
def divided_by_p(dy: Any, cache: DropoutCache) -> Any:
    """p was taken for the probability to keep in backward: in forward it is the one to drop."""
    return dropout_backward(dy, cache) * (1 - P) / P


@op_bug("dropout", TRAINING, "x", sign="scale")
def scaled_as_at_test_time(dy: Any, cache: DropoutCache) -> Any:
    """dx is multiplied by 1 - p where it should be divided, as dropout was first written for evaluation."""
    return dropout_backward(dy, cache) * (1 - P) ** 2


@op_bug("dropout", TRAINING, "x", sign="scale")
def scaled_by_the_share_that_was_kept(dy: Any, cache: DropoutCache) -> Any:
    """Backward divides by the mask's own mean, forward by its expectation 1 - p."""
    kept = cache.scale != 0
    return dy * kept / np.mean(kept)


@op_bug("dropout", TRAINING, "x", sign="scale")
def scale_in_single_precision(dy: Any, cache: DropoutCache) -> Any:
    """1 / (1 - p) is kept as float32 whatever x is, and in float64 that is off by a few parts in a hundred million."""
    assert cache.scale is not None
    return dropout_backward(dy, cache._replace(scale=cache.scale.astype(np.float32).astype(dy.dtype)))


@op_bug("dropout", TRAINING, "x", sign="mask")
def mask_forgotten(dy: Any, cache: DropoutCache) -> Any:
    """Dropout was taken for noise that the gradient need not know of."""
    return dy.copy()


@op_bug("dropout", TRAINING, "x", sign="mask")
def mask_of_what_was_dropped(dy: Any, cache: DropoutCache) -> Any:
    """rng.random() < p stands in backward, and >= p in forward."""
    return np.where(cache.scale == 0, dy / (1 - P), 0)


@layer_bug("dropout", TRAINING, "x", sign="mask")
def backward_mask_drawn_anew(self: Dropout, dy: Any, cache: DropoutCache) -> Any:
    """Backward draws a mask of its own instead of using forward's."""
    return dy * (self.rng.random(dy.shape) >= self.p) / (1 - self.p)


@op_bug("dropout", TRAINING, "x", sign="mask")
def mask_of_a_fixed_seed(dy: Any, cache: DropoutCache) -> Any:
    """Backward draws the mask again from the seed that the generator once started with: it has moved on since."""
    return dy * (np.random.default_rng(2014).random(dy.shape) >= P) / (1 - P)


@layer_bug("dropout", BEHIND_RELU, "x", sign="mask")
def forward_mask_read_off_the_output(self: Dropout, x: Any, *, train: bool) -> Any:
    """The mask was taken to be y != 0: behind a ReLU many an x is zero and yet was kept."""
    y, cache = Dropout.forward(self, x, train=train)
    return y, cache._replace(scale=(y != 0) / np.asarray(1 - self.p, y.dtype))


@op_bug("dropout", TRAINING, "x", sign="mask")
def mask_of_the_first_picture(dy: Any, cache: DropoutCache) -> Any:
    """The cached mask lost the batch's axis: the first picture's is used for all."""
    assert cache.scale is not None
    return dy * cache.scale[:1]


@op_bug("dropout", TRAINING, "x", sign="mask")
def mask_of_the_whole_channel(dy: Any, cache: DropoutCache) -> Any:
    """Backward is that of spatial dropout: it drops whole channels, by their first pixel."""
    assert cache.scale is not None
    return dy * cache.scale[:, :, :1, :1]


@op_bug("dropout", TRAINING, "x", sign="upstream")
def scale_for_gradient(dy: Any, cache: DropoutCache) -> Any:
    """The derivative was returned, and not its product with dy."""
    assert cache.scale is not None
    return cache.scale.copy()


@op_bug("dropout", EVALUATION, "x", sign="scale")
def scaled_in_evaluation(dy: Any, cache: DropoutCache) -> Any:
    """Evaluation's backward multiplies by 1 - p: dropout that scales up in training leaves it out."""
    return dropout_backward(dy, cache) * (1 - P)


@layer_bug("dropout", EVALUATION, "x", sign="mask")
def backward_dropped_in_evaluation(self: Dropout, dy: Any, cache: DropoutCache) -> Any:
    """Backward does not ask whether forward was in evaluation, and drops all the same."""
    kept = np.random.default_rng(dy.size).random(dy.shape) >= self.p
    return dy * kept / (1 - self.p)


@op_bug("dropout", EVALUATION, "x", sign="zero")
def zero_in_evaluation(dy: Any, cache: DropoutCache) -> Any:
    """No mask in evaluation was read as a mask that lets nothing through."""
    return np.zeros_like(dy)


@layer_bug("dropout", TRAINING, sign="manners")
def backward_upstream_scaled_in_place(self: Dropout, dy: Any, cache: DropoutCache) -> Any:
    """dy *= scale writes into the caller's array."""
    dy *= cache.scale
    return dy


@layer_bug("dropout", TRAINING, sign="manners")
def forward_mask_kept_in_one_buffer(self: Any, x: Any, *, train: bool) -> Any:
    """The mask is kept in the layer, and a second forward writes its own over it."""
    y, cache = Dropout.forward(self, x, train=train)
    if getattr(self, "mask", x[:0]).shape != x.shape:
        self.mask = np.empty_like(x)
    self.mask[...] = 1 if cache.scale is None else cache.scale
    return y, cache._replace(scale=self.mask)
