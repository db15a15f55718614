"""Wrong backward passes of batch norm in training: the ways through the batch's mean and variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from ...layers import BatchNorm2d
from ...layers.norm import AXES, BatchNormCache, batch_norm_backward, per_channel
from .bug import Rng, Setting, op_bug

PARAMS = ("weight", "bias")


def layer_of_4(rng: Rng) -> BatchNorm2d:
    """Batch norm over 4 channels that has been trained for a while: no weight is 1, half of them are negative."""
    layer = BatchNorm2d(4, dtype=np.float64)
    layer.weight.data[...] = rng.uniform(0.5, 2, 4) * [1, -1, 1, -1]
    layer.bias.data[...] = rng.standard_normal(4)
    layer.running_mean[...] = rng.standard_normal(4)
    layer.running_var[...] = rng.uniform(0.5, 2, 4)
    return layer


def spread(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Numbers of a mean and a deviation of their own in every channel."""
    return rng.standard_normal(shape) * per_channel(rng.uniform(1.5, 3, shape[1])) + per_channel(
        rng.uniform(1, 2, shape[1])
    )


TRAINING = Setting(layer_of_4, (3, 4, 2, 5), draw=spread)
AS_MANY_COLUMNS = Setting(layer_of_4, (3, 4, 2, 4), draw=spread)


def std(cache: BatchNormCache) -> Array:
    """The deviation (C,) that forward divided by."""
    return np.sqrt(cache.var + cache.eps)


def xhat(cache: BatchNormCache) -> Array:
    """The normalised x (N, C, H, W)."""
    return (cache.x - per_channel(cache.mean)) / per_channel(std(cache))


def scaled(cache: BatchNormCache, dx: Array) -> Array:
    """dx times weight / std."""
    return dx * per_channel(cache.weight / std(cache))


def terms(dy: Array, cache: BatchNormCache) -> tuple[Array, Array]:
    """What goes through the mean (C, 1, 1) and through the variance (N, C, H, W), before the factor weight / std."""
    by_variance = xhat(cache) * per_channel((dy * xhat(cache)).mean(axis=AXES))
    return per_channel(dy.mean(axis=AXES)), by_variance


@op_bug("batch_norm", TRAINING, "x", sign="mean path", params=PARAMS)
def mean_taken_for_a_constant(dy: Any, cache: BatchNormCache) -> Any:
    """The batch's mean was taken for a constant: every x moves it, and with it every output of the channel."""
    _, by_variance = terms(dy, cache)
    return scaled(cache, dy - by_variance), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="variance path", params=PARAMS)
def variance_taken_for_a_constant(dy: Any, cache: BatchNormCache) -> Any:
    """The gradient goes through x - mean but not through the division: the deviation was taken for a constant."""
    by_mean, _ = terms(dy, cache)
    return scaled(cache, dy - by_mean), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="missing term", params=PARAMS)
def training_treated_as_evaluation(dy: Any, cache: BatchNormCache) -> Any:
    """The short formula of evaluation was used in training too: both of the batch's statistics pass for constants."""
    return batch_norm_backward(dy, cache._replace(train=False))


@op_bug("batch_norm", TRAINING, "x", sign="mean path", params=PARAMS)
def mean_path_added(dy: Any, cache: BatchNormCache) -> Any:
    """A minus was lost: the derivative of x - mean by the mean is -1."""
    by_mean, by_variance = terms(dy, cache)
    return scaled(cache, dy + by_mean - by_variance), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="variance path", params=PARAMS)
def variance_path_added(dy: Any, cache: BatchNormCache) -> Any:
    """The minus of the power -1/2 was lost: a larger variance makes the outputs smaller, not larger."""
    by_mean, by_variance = terms(dy, cache)
    return scaled(cache, dy - by_mean + by_variance), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="variance path", params=PARAMS)
def half_of_the_square_root_forgotten(dy: Any, cache: BatchNormCache) -> Any:
    """dvar lacks the 1/2 of the square root's derivative, so that the variance counts twice."""
    by_mean, by_variance = terms(dy, cache)
    return scaled(cache, dy - by_mean - 2 * by_variance), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="variance path", params=PARAMS)
def variance_to_the_power_of_a_half(dy: Any, cache: BatchNormCache) -> Any:
    """dvar has (var + eps) ** -0.5 where the derivative's power is -1.5."""
    by_mean, by_variance = terms(dy, cache)
    by_variance = by_variance * per_channel(cache.var + cache.eps)
    return scaled(cache, dy - by_mean - by_variance), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="variance path", params=PARAMS)
def one_less_than_m_in_the_variance_path(dy: Any, cache: BatchNormCache) -> Any:
    """The variance path is divided by M - 1, as the running variance is: forward divides the batch's own by M."""
    M = dy.size // dy.shape[1]
    by_mean, by_variance = terms(dy, cache)
    return scaled(cache, dy - by_mean - by_variance * M / (M - 1)), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", "weight", sign="other", params=PARAMS)
def unbiased_variance_in_backward(dy: Any, cache: BatchNormCache) -> Any:
    """The variance was taken again in backward with ddof=1, PyTorch's and pandas's default: forward's has ddof=0."""
    return batch_norm_backward(dy, cache._replace(var=cache.x.var(axis=AXES, ddof=1)))


@op_bug("batch_norm", TRAINING, "x", "weight", sign="other", params=PARAMS)
def eps_left_out(dy: Any, cache: BatchNormCache) -> Any:
    """Backward divides by sqrt(var) and forward by sqrt(var + eps)."""
    return batch_norm_backward(dy, cache._replace(eps=0.0))


@op_bug("batch_norm", TRAINING, "x", sign="channel scale", params=PARAMS)
def eps_left_out_of_the_outer_factor(dy: Any, cache: BatchNormCache) -> Any:
    """The normalised x came of the cache, with eps in it, but the factor before the brackets was written without."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx * per_channel(std(cache) / np.sqrt(cache.var)), dweight, dbias


@op_bug("batch_norm", TRAINING, "x", "weight", sign="other", params=PARAMS)
def eps_added_outside_the_root(dy: Any, cache: BatchNormCache) -> Any:
    """Backward divides by sqrt(var) + eps, as Adam does: forward has eps under the root."""
    divisor = np.sqrt(cache.var) + cache.eps
    return batch_norm_backward(dy, cache._replace(var=divisor**2, eps=0.0))


@op_bug("batch_norm", TRAINING, "x", sign="channel scale", params=PARAMS)
def gamma_left_out(dy: Any, cache: BatchNormCache) -> Any:
    """The gradient goes through the normalising but not through the weight: unseen as long as every weight is 1."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx / per_channel(cache.weight), dweight, dbias


@op_bug("batch_norm", TRAINING, "x", sign="channel scale", params=PARAMS)
def gamma_twice(dy: Any, cache: BatchNormCache) -> Any:
    """dxhat = dy * weight went into a formula that has the weight in front of its brackets already."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx * per_channel(cache.weight), dweight, dbias


@op_bug("batch_norm", TRAINING, "x", sign="other", params=PARAMS)
def gamma_left_out_of_the_means(dy: Any, cache: BatchNormCache) -> Any:
    """dxhat stands in the direct term alone: the sums of the two others were taken of dy, before the weight."""
    by_mean, by_variance = terms(dy, cache)
    dx = (dy * per_channel(cache.weight) - by_mean - by_variance) / per_channel(std(cache))
    return dx, *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="mean for sum", params=PARAMS)
def short_formula_not_divided(dy: Any, cache: BatchNormCache) -> Any:
    """The short formula M dy - dbias - xhat dweight lost the 1/M in front of it."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx * (dy.size // dy.shape[1]), dweight, dbias


@op_bug("batch_norm", TRAINING, "x", sign="other", params=PARAMS)
def divided_by_the_pictures_alone(dy: Any, cache: BatchNormCache) -> Any:
    """The formula for rows of features was taken as it stood, with N for M: here M is N*H*W."""
    M_over_N = dy.shape[2] * dy.shape[3]
    by_mean, by_variance = terms(dy, cache)
    return scaled(cache, dy - M_over_N * (by_mean + by_variance)), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="other", params=PARAMS)
def divided_by_the_size_of_x(dy: Any, cache: BatchNormCache) -> Any:
    """x.size was taken for M, but it counts all the channels and M the values of one."""
    by_mean, by_variance = terms(dy, cache)
    return scaled(cache, dy - (by_mean + by_variance) / dy.shape[1]), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="other", params=PARAMS)
def statistics_per_picture(dy: Any, cache: BatchNormCache) -> Any:
    """Backward takes its means over axes (2, 3), as instance norm does: forward's run over the pictures too."""
    by_mean = dy.mean(axis=(2, 3), keepdims=True)
    by_variance = xhat(cache) * (dy * xhat(cache)).mean(axis=(2, 3), keepdims=True)
    return scaled(cache, dy - by_mean - by_variance), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="other", params=PARAMS)
def statistics_per_pixel(dy: Any, cache: BatchNormCache) -> Any:
    """Backward takes its means over axis 0 alone, as batch norm of rows does, and every pixel gets its own."""
    by_variance = xhat(cache) * (dy * xhat(cache)).mean(axis=0)
    return scaled(cache, dy - dy.mean(axis=0) - by_variance), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", TRAINING, "x", sign="other", params=PARAMS)
def statistics_over_the_channels(dy: Any, cache: BatchNormCache) -> Any:
    """Backward takes its means over axes (1, 2, 3), as layer norm does."""
    axes = (1, 2, 3)
    by_variance = xhat(cache) * (dy * xhat(cache)).mean(axis=axes, keepdims=True)
    return scaled(cache, dy - dy.mean(axis=axes, keepdims=True) - by_variance), *batch_norm_backward(dy, cache)[1:]


@op_bug("batch_norm", AS_MANY_COLUMNS, "x", sign="other", params=PARAMS)
def gamma_along_the_columns(dy: Any, cache: BatchNormCache) -> Any:
    """weight (C,) was multiplied without [:, None, None]: with as many columns as channels it runs along the columns."""
    dx, dweight, dbias = batch_norm_backward(dy, cache)
    return dx / per_channel(cache.weight) * cache.weight, dweight, dbias
