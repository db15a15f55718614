"""Wrong backward passes of batch norm: its parameters' gradients, evaluation mode, and what it must leave alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...layers import BatchNorm2d
from ...layers.norm import AXES, BatchNormCache, batch_norm_backward, moments, per_channel
from .bug import layer_bug, op_bug
from .norm import AS_MANY_COLUMNS, PARAMS, TRAINING, std, xhat

EVALUATION = replace(TRAINING, train=False)


@layer_bug("batch_norm", TRAINING, "x", "weight", sign="other")
def backward_running_statistics_in_training(self: BatchNorm2d, dy: Any, cache: BatchNormCache) -> Any:
    """Backward reads self.running_mean and self.running_var: in training forward used the batch's own."""
    return BatchNorm2d.backward(self, dy, cache._replace(mean=self.running_mean, var=self.running_var))


@op_bug("batch_norm", EVALUATION, "x", sign="extra term", params=PARAMS)
def evaluation_treated_as_training(dy: Any, cache: BatchNormCache) -> Any:
    """There is but one backward, that of training: in evaluation no x moves the running statistics."""
    return batch_norm_backward(dy, cache._replace(train=True))


@op_bug("batch_norm", EVALUATION, "x", sign="channel scale", params=PARAMS)
def batch_deviation_in_evaluation(dy: Any, cache: BatchNormCache) -> Any:
    """Backward takes the batch's variance again, in evaluation too, where forward divided by the running one."""
    _, var = moments(cache.x)
    return dy * per_channel(cache.weight / np.sqrt(var + cache.eps)), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", EVALUATION, "weight", sign="other", params=PARAMS)
def batch_statistics_for_gamma_in_evaluation(dy: Any, cache: BatchNormCache) -> Any:
    """dweight normalises x by the batch's own statistics, in evaluation too."""
    mean, var = moments(cache.x)
    dx, _, dbias = batch_norm_backward(dy, cache)
    return dx, (dy * xhat(cache._replace(mean=mean, var=var))).sum(axis=AXES), dbias


@op_bug("batch_norm", EVALUATION, "x", sign="channel scale", params=PARAMS)
def running_variance_taken_for_the_deviation(dy: Any, cache: BatchNormCache) -> Any:
    """Evaluation's backward divides by the running variance where the root of it belongs."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx / per_channel(std(cache)), dweight, dbias


@op_bug("batch_norm", EVALUATION, "weight", "bias", sign="zero", params=PARAMS)
def parameters_frozen_in_evaluation(dy: Any, cache: BatchNormCache) -> Any:
    """Evaluation was taken to freeze weight and bias: only the statistics stand still."""
    dx, _, _ = batch_norm_backward(dy, cache)
    return dx, None, None


@op_bug("batch_norm", TRAINING, "weight", sign="channel scale", params=PARAMS)
def weight_of_centred_x(dy: Any, cache: BatchNormCache) -> Any:
    """dweight multiplies dy by x - mean: the division by the deviation was forgotten."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx, dweight * std(cache), dbias


@op_bug("batch_norm", TRAINING, "weight", sign="extra term", params=PARAMS)
def weight_of_x_not_centred(dy: Any, cache: BatchNormCache) -> Any:
    """dweight multiplies dy by x / std: the mean was not subtracted."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx, dweight + dbias * cache.mean / std(cache), dbias


@layer_bug("batch_norm", TRAINING, "weight", sign="other")
def backward_weight_of_the_output(self: BatchNorm2d, dy: Any, cache: BatchNormCache) -> Any:
    """The cache's out was the layer's output y and not the normalised x that dweight wants."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    self.weight.grad += cache.weight * dweight + self.bias.data * dbias
    self.bias.grad += dbias
    return dx


@op_bug("batch_norm", TRAINING, "weight", sign="channel scale", params=PARAMS)
def weight_from_the_absolute_gamma(dy: Any, cache: BatchNormCache) -> Any:
    """In-place batch norm takes xhat back from y by dividing by |weight|: where the weight is negative the sign turns."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx, dweight * np.sign(cache.weight), dbias


@op_bug("batch_norm", TRAINING, "weight", "bias", sign="channel scale", params=PARAMS)
def parameters_after_gamma(dy: Any, cache: BatchNormCache) -> Any:
    """dy *= weight stands before the sums for weight and bias, which want dy as it came."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx, dweight * cache.weight, dbias * cache.weight


@op_bug("batch_norm", TRAINING, "weight", sign="sign", params=PARAMS)
def weight_of_mean_minus_x(dy: Any, cache: BatchNormCache) -> Any:
    """The difference was written the other way round: mean - x."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx, -dweight, dbias


@op_bug("batch_norm", TRAINING, "weight", "bias", sign="mean for sum", params=PARAMS)
def parameters_averaged_over_the_batch(dy: Any, cache: BatchNormCache) -> Any:
    """weight and bias were divided by N here, and the loss had divided by N already."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx, dweight / len(dy), dbias / len(dy)


@op_bug("batch_norm", TRAINING, "bias", sign="mean for sum", params=PARAMS)
def bias_averaged(dy: Any, cache: BatchNormCache) -> Any:
    """dbias is dy's mean, which dx needs, and not its sum."""
    dx, dweight, _ = batch_norm_backward(dy, cache)
    return dx, dweight, dy.mean(axis=AXES)


@op_bug("batch_norm", AS_MANY_COLUMNS, "bias", sign="other", params=PARAMS)
def bias_summed_up_to_the_last_axis(dy: Any, cache: BatchNormCache) -> Any:
    """dbias sums over axes (0, 1, 2), as where channels come last: with C columns the shape fits by chance."""
    dx, dweight, _ = batch_norm_backward(dy, cache)
    return dx, dweight, dy.sum(axis=(0, 1, 2))


@op_bug("batch_norm", TRAINING, "weight", sign="missing sum", params=PARAMS)
def weight_from_the_first_picture(dy: Any, cache: BatchNormCache) -> Any:
    """A return stands inside the loop over the pictures."""
    dx, _, dbias = batch_norm_backward(dy, cache)
    return dx, (dy * xhat(cache))[0].sum(axis=(1, 2)), dbias


@op_bug("batch_norm", TRAINING, "weight", "bias", sign="other", params=PARAMS)
def weight_and_bias_exchanged(dy: Any, cache: BatchNormCache) -> Any:
    """The gradients come back in another order than the one in which they are unpacked."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx, dbias, dweight


@op_bug("batch_norm", TRAINING, "bias", sign="upstream", params=PARAMS)
def bias_without_the_upstream(dy: Any, cache: BatchNormCache) -> Any:
    """The derivative of y by bias is 1, and M ones were summed: dy was not multiplied in."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx, dweight, np.full_like(dbias, dy.size // dy.shape[1])


@op_bug("batch_norm", TRAINING, "weight", sign="other", params=PARAMS)
def normalised_x_kept_in_single_precision(dy: Any, cache: BatchNormCache) -> Any:
    """To save memory the normalised x was kept as float32 whatever x was."""
    dx, _, dbias = batch_norm_backward(dy, cache)
    return dx, (dy * xhat(cache).astype(np.float32)).sum(axis=AXES), dbias


@layer_bug("batch_norm", TRAINING, sign="manners")
def backward_upstream_multiplied_in_place(self: BatchNorm2d, dy: Any, cache: BatchNormCache) -> Any:
    """dy *= weight / std writes into an array that belongs to whoever called, and may be a shortcut's upstream too."""
    dx = BatchNorm2d.backward(self, dy, cache)
    dy *= per_channel(cache.weight / std(cache))
    return dx


@layer_bug("batch_norm", TRAINING, sign="manners")
def backward_run_forward_again(self: BatchNorm2d, dy: Any, cache: BatchNormCache) -> Any:
    """Backward runs forward again to get its cache back, and the running statistics move twice a step."""
    _, cache = self.forward(cache.x, train=cache.train)
    return BatchNorm2d.backward(self, dy, cache)


@layer_bug("batch_norm", EVALUATION, sign="manners")
def forward_running_statistics_not_copied(self: BatchNorm2d, x: Any, *, train: bool) -> Any:
    """The cache holds the layer's own running statistics, which the next training step changes in place."""
    y, cache = BatchNorm2d.forward(self, x, train=train)
    return y, cache if train else cache._replace(mean=self.running_mean, var=self.running_var)
