"""Wrong backward passes of a convolution: the gradient of its input."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from ...layers import Layer
from ...layers.conv import ConvCache, conv2d_backward
from .bug import layer_bug, op_bug
from .conv import DILATED, GROUPED, PARAMS, PLAIN, STRIDED, UNPADDED
from .parts import overwrite, scatter


def _columns(dy: Array, weight: Array) -> Array:
    """The gradient of every window's pixels, (N, C, KH, KW, OH, OW), for one group."""
    return np.einsum("ocij,nohw->ncijhw", weight, dy)  # type: ignore[no-any-return]


def _padded(cols: Array, cache: ConvCache) -> Array:
    """The gradient of the padded picture."""
    (N, C, H, W), (ph, pw) = cache.x.shape, cache.pad
    return scatter(cols, (N, C, H + 2 * ph, W + 2 * pw), cache.stride, (0, 0), cache.dilation)


@op_bug("conv2d", PLAIN, "x", sign="flipped", params=PARAMS)
def input_with_kernel_turned(dy: Any, cache: ConvCache) -> Any:
    """The kernel is turned by half a turn, as the book says, and then once more by the function that convolves."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    dx, _, _ = conv2d_backward(dy, cache._replace(weight=cache.weight[:, :, ::-1, ::-1]))
    return dx, dweight, dbias


@op_bug("conv2d", PLAIN, "x", sign="transposed", params=PARAMS)
def input_with_weight_not_transposed(dy: Any, cache: ConvCache) -> Any:
    """weight (O, C) is used where its transpose (C, O) belongs: with C = O nobody notices."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    dx, _, _ = conv2d_backward(dy, cache._replace(weight=cache.weight.swapaxes(0, 1)))
    return dx, dweight, dbias


@op_bug("conv2d", PLAIN, "x", sign="overwritten", params=PARAMS)
def input_overwritten_where_windows_overlap(dy: Any, cache: ConvCache) -> Any:
    """col2im says = where += belongs: of the windows that share a pixel the last one wins."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    return overwrite(_columns(dy, cache.weight), cache.x.shape, cache.stride, cache.pad), dweight, dbias


@op_bug("conv2d", STRIDED, "x", sign="mean for sum", params=PARAMS)
def input_averaged_where_windows_overlap(dy: Any, cache: ConvCache) -> Any:
    """col2im divides by the number of windows that share a pixel, as one does to put a picture together from its patches."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    counts = _padded(np.ones_like(_columns(dy, cache.weight)), cache)[:, :, 1:-1, 1:-1]
    return dx / counts, dweight, dbias


@op_bug("conv2d", PLAIN, "x", sign="permuted", params=PARAMS)
def input_from_columns_reshaped(dy: Any, cache: ConvCache) -> Any:
    """The columns (N, OH*OW, C*KH*KW) are reshaped to (N, C*KH*KW, OH*OW) where they have to be transposed."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    cols = _columns(dy, cache.weight)
    rows_first = np.moveaxis(cols, (4, 5), (1, 2))
    return scatter(rows_first.reshape(cols.shape), cache.x.shape, cache.stride, cache.pad), dweight, dbias


@op_bug("conv2d", STRIDED, "x", sign="other", params=PARAMS)
def input_without_stride(dy: Any, cache: ConvCache) -> Any:
    """No zeros were put between the pixels of dy: all windows crowd in the upper left corner."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    return scatter(_columns(dy, cache.weight), cache.x.shape, (1, 1), cache.pad), dweight, dbias


@op_bug("conv2d", DILATED, "x", sign="other", params=PARAMS)
def input_without_dilation(dy: Any, cache: ConvCache) -> Any:
    """The window is laid back without its holes: the dilation was added to the forward pass later."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    return scatter(_columns(dy, cache.weight), cache.x.shape, cache.stride, cache.pad), dweight, dbias


@op_bug("conv2d", PLAIN, "x", sign="shifted", params=PARAMS)
def input_with_padding_cut_off_on_one_side(dy: Any, cache: ConvCache) -> Any:
    """[:H, :W] of the padded picture for [pad:pad + H, pad:pad + W]: the size is right, the place is not."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    H, W = cache.x.shape[2:]
    return _padded(_columns(dy, cache.weight), cache)[:, :, :H, :W], dweight, dbias


@op_bug("conv2d", UNPADDED, "x", sign="other", params=PARAMS)
def input_cut_to_nothing(dy: Any, cache: ConvCache) -> Any:
    """The padding is cut off by [pad:-pad], which leaves nothing when pad is 0."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    (ph, pw) = cache.pad
    return dx[:, :, ph:-ph, pw:-pw], dweight, dbias


@op_bug("conv2d", PLAIN, "x", sign="border", params=PARAMS)
def input_with_padding_cut_off_twice(dy: Any, cache: ConvCache) -> Any:
    """col2im has cut off the padding already: the border of the picture is cut off too, and filled up with zeros."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    cut = np.zeros_like(dx)
    cut[:, :, 1:-1, 1:-1] = dx[:, :, 1:-1, 1:-1]
    return cut, dweight, dbias


@op_bug("conv2d", PLAIN, "x", sign="border", params=PARAMS)
def input_with_padding_folded_back(dy: Any, cache: ConvCache) -> Any:
    """The padding's gradient is added to the pixels at the edge, as if they had been repeated: it was padded by zeros."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    dx = _padded(_columns(dy, cache.weight), cache)
    dx[:, :, 1] += dx[:, :, 0]
    dx[:, :, -2] += dx[:, :, -1]
    dx[..., 1] += dx[..., 0]
    dx[..., -2] += dx[..., -1]
    return dx[:, :, 1:-1, 1:-1], dweight, dbias


@op_bug("conv2d", STRIDED, "x", sign="part", params=PARAMS)
def input_without_output_padding(dy: Any, cache: ConvCache) -> Any:
    """A transposed convolution gives back (OW - 1) stride + KW - 2 pad columns: where the stride left a remainder the last is missing."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    OH, OW = dy.shape[2:]
    height, width = ((size - 1) * 2 + 3 - 2 for size in (OH, OW))
    dx[:, :, height:] = 0
    dx[:, :, :, width:] = 0
    return dx, dweight, dbias


@op_bug("conv2d", UNPADDED, "x", sign="part", params=PARAMS)
def input_without_the_last_row_of_windows(dy: Any, cache: ConvCache) -> Any:
    """The loop runs over range(H - KH): a + 1 is missing, and the lowest windows give nothing back."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    cols = _columns(dy, cache.weight)[..., :-1, :]
    return scatter(cols, cache.x.shape, cache.stride, cache.pad), dweight, dbias


@op_bug("conv2d", GROUPED, "x", sign="permuted", params=PARAMS)
def input_with_channels_shuffled(dy: Any, cache: ConvCache) -> Any:
    """The channels go back as c % G, c // G, as a shuffle of the channels wants it: nothing was shuffled."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    N, C, H, W = dx.shape
    grouped = dx.reshape(N, cache.groups, C // cache.groups, H, W)
    return grouped.swapaxes(1, 2).reshape(dx.shape), dweight, dbias


@op_bug("conv2d", GROUPED, "x", sign="part", params=PARAMS)
def input_of_the_last_group(dy: Any, cache: ConvCache) -> Any:
    """dx is filled with zeros anew for each group: the last one's channels alone remain."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    dx[:, : -(dx.shape[1] // cache.groups)] = 0
    return dx, dweight, dbias


@op_bug("conv2d", STRIDED, "x", sign="missing sum", params=PARAMS)
def input_from_the_last_filter(dy: Any, cache: ConvCache) -> Any:
    """A loop over the filters says dx = where it should say dx +=: the last one's share is left."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    cols = _columns(dy[:, -1:], cache.weight[-1:])
    return scatter(cols, cache.x.shape, cache.stride, cache.pad), dweight, dbias


@op_bug("conv2d", STRIDED, "x", sign="scale", params=PARAMS)
def input_divided_by_the_window(dy: Any, cache: ConvCache) -> Any:
    """Divided by KH*KW, as in average pooling, from which the code was copied."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    return dx / 9, dweight, dbias


@op_bug("conv2d", UNPADDED, "x", sign="upstream", params=PARAMS)
def input_from_positive_upstream(dy: Any, cache: ConvCache) -> Any:
    """Only positive gradients are passed on: guided backpropagation was left in after the pretty pictures."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    dx, _, _ = conv2d_backward(np.maximum(dy, 0), cache)
    return dx, dweight, dbias


@op_bug("conv2d", PLAIN, "x", sign="upstream", params=PARAMS)
def input_from_clipped_upstream(dy: Any, cache: ConvCache) -> Any:
    """The upstream is clipped to [-1, 1] against exploding gradients: that is no derivative any more."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    dx, _, _ = conv2d_backward(np.clip(dy, -1, 1), cache)
    return dx, dweight, dbias


@op_bug("conv2d", STRIDED, "x", sign="extra term", params=PARAMS)
def input_with_a_weight_left_nudged(dy: Any, cache: ConvCache) -> Any:
    """A gradient check by hand moved weight[0, 0, 0, 0] by 1e-5 and did not put it back."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    nudged = cache.weight.copy()
    nudged[0, 0, 0, 0] += 1e-5
    dx, _, _ = conv2d_backward(dy, cache._replace(weight=nudged))
    return dx, dweight, dbias


@op_bug("conv2d", UNPADDED, "x", sign="other", params=PARAMS)
def input_after_the_step(dy: Any, cache: ConvCache) -> Any:
    """The layer learns inside backward, before it finds dx: that meets the new weight, not the one that made y."""
    _, dweight, dbias = conv2d_backward(dy, cache)
    dx, _, _ = conv2d_backward(dy, cache._replace(weight=cache.weight - 0.01 * dweight))
    return dx, dweight, dbias


def _add(layer: Layer, dweight: Any, dbias: Any) -> None:
    """What is right about the layers below."""
    layer.params()["weight"].grad += dweight
    layer.params()["bias"].grad += dbias


@layer_bug("conv2d", STRIDED, sign="manners")
def backward_upstream_cleared(self: Layer, dy: Any, cache: ConvCache) -> Any:
    """dy is set to zero after use, to be ready for the next step: the shortcut beside this layer wants it too."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    _add(self, dweight, dbias)
    dy[...] = 0
    return dx


@layer_bug("conv2d", PLAIN, sign="manners")
def backward_input_gradient_in_the_picture(self: Layer, dy: Any, cache: ConvCache) -> Any:
    """dx is written over x, which is not needed any more: whoever else holds the picture finds gradients in it."""
    dx, dweight, dbias = conv2d_backward(dy, cache)
    _add(self, dweight, dbias)
    cache.x[...] = dx
    return cache.x
