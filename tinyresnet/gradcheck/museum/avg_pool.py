"""Wrong backward passes of average pooling, over windows and over the whole picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array, Form, Pair

from ...layers import AvgPool2d, GlobalAvgPool, Layer
from ...layers.pool import AvgPoolCache, avg_pool_backward, global_avg_pool_backward
from .bug import Setting, layer_bug, op_bug
from .parts import keep, overwrite, scatter


def _setting(kernel: int | Pair, shape: tuple[int, ...], **settings: Any) -> Setting:
    return Setting(lambda rng: AvgPool2d(kernel, **settings), shape)


PLAIN = _setting(2, (2, 3, 6, 4))
OVERLAPPING = _setting(3, (2, 3, 7, 6), stride=2, pad=1)
LEFTOVER = _setting(2, (2, 3, 7, 5))
OBLONG = _setting((2, 3), (2, 3, 6, 7), stride=2)
GLOBAL = Setting(lambda rng: GlobalAvgPool(), (3, 2, 4, 5))
SQUARE = Setting(lambda rng: GlobalAvgPool(), (3, 3, 4, 5))


def _columns(dy: Array, cache: AvgPoolCache) -> Array:
    """What each pixel of each window gets, (N, C, KH, KW, OH, OW)."""
    N, C, OH, OW = dy.shape
    KH, KW = cache.kernel
    return np.broadcast_to(dy[:, :, None, None] / (KH * KW), (N, C, KH, KW, OH, OW))


def _counts(dy: Array, cache: AvgPoolCache) -> Array:
    """In how many windows each pixel is, (N, C, H, W)."""
    KH, KW = cache.kernel
    return avg_pool_backward(np.ones_like(dy), cache) * (KH * KW)


@op_bug("avg_pool", PLAIN, "x", sign="mean for sum")
def window_not_divided(dy: Any, cache: AvgPoolCache) -> Any:
    """The gradient is only made larger again, np.repeat along both axes: the division by KH*KW is missing."""
    return 4 * avg_pool_backward(dy, cache)


@op_bug("avg_pool", OVERLAPPING, "x", sign="scale")
def divided_by_the_stride(dy: Any, cache: AvgPoolCache) -> Any:
    """Divided by stride * stride for KH * KW: the two are the same in most networks."""
    return avg_pool_backward(dy, cache) * (9 / 4)


@op_bug("avg_pool", OBLONG, "x", sign="scale")
def divided_by_one_side(dy: Any, cache: AvgPoolCache) -> Any:
    """Divided by the kernel's size where its area belongs: KH, and KW is forgotten."""
    return avg_pool_backward(dy, cache) * cache.kernel[1]


@op_bug("avg_pool", OBLONG, "x", sign="transposed")
def window_on_its_side(dy: Any, cache: AvgPoolCache) -> Any:
    """kernel was unpacked as KW, KH: a window of 2x3 is given back as one of 3x2."""
    return scatter(_columns(dy, cache).swapaxes(2, 3), cache.x.shape, cache.stride, cache.pad)


@op_bug("avg_pool", OVERLAPPING, "x", sign="border")
def padding_not_counted(dy: Any, cache: AvgPoolCache) -> Any:
    """Divided by the number of real pixels in the window, while the forward pass counts the padding too: wrong at the border."""
    (KH, KW), (sh, sw), (ph, pw), (H, W) = cache.kernel, cache.stride, cache.pad, cache.x.shape[2:]
    top, left = np.arange(dy.shape[2]) * sh - ph, np.arange(dy.shape[3]) * sw - pw
    rows = np.minimum(top + KH, H) - np.maximum(top, 0)
    columns = np.minimum(left + KW, W) - np.maximum(left, 0)
    return avg_pool_backward(dy * (KH * KW / np.outer(rows, columns)), cache)


@op_bug("avg_pool", OVERLAPPING, "x", sign="overwritten")
def later_window_overwrites(dy: Any, cache: AvgPoolCache) -> Any:
    """dx[window] = for +=: of the windows that share a pixel the last one wins."""
    return overwrite(_columns(dy, cache), cache.x.shape, cache.stride, cache.pad)


@op_bug("avg_pool", OVERLAPPING, "x", sign="mean for sum")
def averaged_where_windows_overlap(dy: Any, cache: AvgPoolCache) -> Any:
    """Divided by the number of windows that share a pixel, as one does to put a picture together from its patches."""
    return avg_pool_backward(dy, cache) / _counts(dy, cache)


@op_bug("avg_pool", OVERLAPPING, "x", sign="shifted")
def padding_cut_off_on_one_side(dy: Any, cache: AvgPoolCache) -> Any:
    """[:H, :W] of the padded picture for [pad:pad + H, pad:pad + W]: the size is right, the place is not."""
    return scatter(_columns(dy, cache), cache.x.shape, cache.stride, (0, 0))


@op_bug("avg_pool", PLAIN, "x", sign="part")
def first_pixel_of_the_window_alone(dy: Any, cache: AvgPoolCache) -> Any:
    """dx[:, :, ::2, ::2] = dy / 4: the loop over the places within the window is missing."""
    return scatter(_columns(dy, cache)[:, :, :1, :1], cache.x.shape, cache.stride, cache.pad)


@op_bug("avg_pool", LEFTOVER, "x", sign="border")
def leftover_row_gets_a_gradient(dy: Any, cache: AvgPoolCache) -> Any:
    """dx is brought to x's size by repeating its edge: the row and the column that no window has seen get a gradient."""
    (H, W), (OH, OW) = cache.x.shape[2:], dy.shape[2:]
    seen = avg_pool_backward(dy, cache)[:, :, : 2 * OH, : 2 * OW]
    return np.pad(seen, ((0, 0), (0, 0), (0, H - 2 * OH), (0, W - 2 * OW)), mode="edge")


@op_bug("avg_pool", OVERLAPPING, "x", sign="upstream")
def upstream_averaged_over_the_channels(dy: Any, cache: AvgPoolCache) -> Any:
    """The backward pass of a picture with one channel was made to fit by dy.mean(axis=1): all channels get the same."""
    return avg_pool_backward(np.repeat(dy.mean(axis=1, keepdims=True), dy.shape[1], axis=1), cache)


@op_bug("avg_pool", LEFTOVER, "x", sign="other")
def divided_as_whole_numbers(dy: Any, cache: AvgPoolCache) -> Any:
    """dy // (KH * KW): the division of whole numbers rounds every gradient down."""
    return avg_pool_backward(dy // 4 * 4, cache)


@layer_bug("avg_pool", PLAIN, sign="manners")
def backward_upstream_divided_in_place(self: Layer, dy: Any, cache: AvgPoolCache) -> Any:
    """dy /= KH * KW: whoever else gets the same gradient, such as a shortcut, finds it too small."""
    dx = avg_pool_backward(dy, cache)
    dy /= 4
    return dx


@layer_bug("avg_pool", OVERLAPPING, sign="manners")
def forward_output_kept_in_the_layer(self: Any, x: Any, *, train: bool) -> Any:
    """y is written to a buffer of the layer, which is made once: a second forward pass changes the first one's output."""
    y, cache = AvgPool2d.forward(self, x, train=train)
    return keep(self, y), cache


@op_bug("global_avg_pool", GLOBAL, "x", sign="mean for sum")
def picture_not_divided(dy: Any, cache: Form) -> Any:
    """The gradient is spread over the picture, and the division by H*W is missing."""
    H, W = cache.shape[2:]
    return global_avg_pool_backward(dy, cache) * (H * W)


@op_bug("global_avg_pool", GLOBAL, "x", sign="scale")
def divided_as_a_square(dy: Any, cache: Form) -> Any:
    """Divided by H * H: all pictures were squares when it was written."""
    H, W = cache.shape[2:]
    return global_avg_pool_backward(dy, cache) * (W / H)


@op_bug("global_avg_pool", GLOBAL, "x", sign="scale")
def divided_by_the_batch_too(dy: Any, cache: Form) -> Any:
    """Divided by N*H*W, as in batch norm: this mean is each picture's own."""
    return global_avg_pool_backward(dy, cache) / len(dy)


@op_bug("global_avg_pool", GLOBAL, "x", sign="scale")
def divided_by_one_less(dy: Any, cache: Form) -> Any:
    """Divided by H*W - 1, as in the unbiased variance."""
    pixels = cache.shape[2] * cache.shape[3]
    return global_avg_pool_backward(dy, cache) * (pixels / (pixels - 1))


@op_bug("global_avg_pool", GLOBAL, "x", sign="permuted")
def tiled_for_repeated(dy: Any, cache: Form) -> Any:
    """np.tile for np.repeat: the pixels of one channel get the gradients of all channels and pictures in turn."""
    H, W = cache.shape[2:]
    return np.tile(dy.ravel(), H * W).reshape(cache.shape) / (H * W)


@op_bug("global_avg_pool", SQUARE, "x", sign="transposed")
def pictures_and_channels_exchanged(dy: Any, cache: Form) -> Any:
    """dy was squeezed to (N, C) and put back as (C, N): with C = N nobody notices."""
    return global_avg_pool_backward(np.swapaxes(dy, 0, 1), cache)


@op_bug("global_avg_pool", GLOBAL, "x", sign="part")
def first_pixel_alone(dy: Any, cache: Form) -> Any:
    """dx[:, :, 0, 0] = dy / (H*W), for y has one pixel: the others share in the mean as well."""
    dx = np.zeros(cache.shape, dy.dtype)
    dx[:, :, :1, :1] = dy / (cache.shape[2] * cache.shape[3])
    return dx


@op_bug("global_avg_pool", GLOBAL, "x", sign="border")
def border_left_out(dy: Any, cache: Form) -> Any:
    """The picture came padded once, so the outermost pixels are still taken for padding and get nothing."""
    dx = np.zeros(cache.shape, dy.dtype)
    dx[:, :, 1:-1, 1:-1] = dy / (cache.shape[2] * cache.shape[3])
    return dx


@op_bug("global_avg_pool", GLOBAL, "x", sign="other")
def running_mean_taken_apart(dy: Any, cache: Form) -> Any:
    """mean += (pixel - mean) / k, and the k-th pixel gets dy / k: each later step takes a part of that away again."""
    H, W = cache.shape[2:]
    return dy / np.arange(1, H * W + 1).reshape(H, W)


@op_bug("global_avg_pool", GLOBAL, "x", sign="upstream")
def upstream_averaged_over_the_batch(dy: Any, cache: Form) -> Any:
    """The mean is taken over the batch as well: all pictures get the same gradient."""
    return global_avg_pool_backward(np.repeat(dy.mean(axis=0, keepdims=True), len(dy), axis=0), cache)


@layer_bug("global_avg_pool", GLOBAL, sign="stale")
def backward_size_of_the_first_picture(self: Any, dy: Any, cache: Form) -> Any:
    """H*W is found out once and kept in the layer: wrong as soon as pictures of another size come."""
    H, W = cache.shape[2:]
    first = vars(self).setdefault("pixels", H * W)
    return global_avg_pool_backward(dy, cache) * (H * W / first)


@layer_bug("global_avg_pool", GLOBAL, sign="manners")
def backward_gradient_kept_in_the_layer(self: Any, dy: Any, cache: Form) -> Any:
    """dx is written to a buffer of the layer, which is made once: a second backward pass changes the first one's gradient."""
    return keep(self, global_avg_pool_backward(dy, cache))
