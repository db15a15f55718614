"""Wrong backward passes of a convolution: the gradient of its bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers.conv import ConvCache, conv2d_backward
from .bug import op_bug
from .conv import GROUPED, PARAMS, PLAIN, STRIDED, UNPADDED


@op_bug("conv2d", STRIDED, "bias", sign="mean for sum", params=PARAMS)
def bias_averaged_over_pixels(dy: Any, cache: ConvCache) -> Any:
    """The bias's gradient was averaged over the pixels: every pixel adds the bias, so their gradients sum."""
    dx, dweight, _ = conv2d_backward(dy, cache)
    return dx, dweight, dy.mean(axis=(2, 3)).sum(axis=0)


@op_bug("conv2d", UNPADDED, "bias", sign="missing sum", params=PARAMS)
def bias_summed_over_the_batch_alone(dy: Any, cache: ConvCache) -> Any:
    """dy.sum(axis=0)[:, 0, 0], copied from a dense layer: the gradients of all pixels but the first are left out."""
    dx, dweight, _ = conv2d_backward(dy, cache)
    return dx, dweight, dy.sum(axis=0)[:, 0, 0]


@op_bug("conv2d", PLAIN, "bias", sign="other", params=PARAMS)
def bias_summed_over_the_channels(dy: Any, cache: ConvCache) -> Any:
    """Summed over axes (1, 2, 3) for (0, 2, 3): one number for each picture, and with N = O the shape is right."""
    dx, dweight, _ = conv2d_backward(dy, cache)
    return dx, dweight, dy.sum(axis=(1, 2, 3))


@op_bug("conv2d", GROUPED, "bias", sign="zero", params=PARAMS)
def bias_forgotten(dy: Any, cache: ConvCache) -> Any:
    """The bias was added to the forward pass later, and nobody thought of its gradient."""
    dx, dweight, _ = conv2d_backward(dy, cache)
    return dx, dweight, None


@op_bug("conv2d", STRIDED, "bias", sign="scale", params=PARAMS)
def bias_counted_twice(dy: Any, cache: ConvCache) -> Any:
    """The bias is a row of ones in the columns' matrix, and has a line of its own as well: both add its gradient."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    return dx, dweight, 2 * np.asarray(dbias)
