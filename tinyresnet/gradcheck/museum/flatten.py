"""Wrong backward passes of flatten: the right numbers in wrong places, most of all."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Form

from ...layers import Flatten
from ...layers.flatten import flatten_backward
from .bug import Setting, layer_bug, op_bug

PLAIN = Setting(lambda rng: Flatten(), (3, 4, 2, 5))
SQUARE = Setting(lambda rng: Flatten(), (3, 2, 4, 4))
AS_MANY_CHANNELS = Setting(lambda rng: Flatten(), (3, 3, 2, 4))


@op_bug("flatten", PLAIN, "x", sign="permuted")
def channels_taken_for_the_last_axis(dy: Any, cache: Form) -> Any:
    """The row was read as H, W, C, the order in which TensorFlow and most picture files keep it."""
    N, C, H, W = cache.shape
    return dy.reshape(N, H, W, C).transpose(0, 3, 1, 2)


@op_bug("flatten", PLAIN, "x", sign="permuted")
def rows_and_columns_in_another_order(dy: Any, cache: Form) -> Any:
    """The sizes were unpacked as N, C, W, H, as OpenCV's width comes before its height."""
    N, C, H, W = cache.shape
    return dy.reshape(N, C, W, H).transpose(0, 1, 3, 2)


@op_bug("flatten", SQUARE, "x", sign="transposed")
def pictures_transposed(dy: Any, cache: Form) -> Any:
    """The last two axes were exchanged, once too often: a square picture's shape does not tell."""
    return flatten_backward(dy, cache).transpose(0, 1, 3, 2)


@op_bug("flatten", AS_MANY_CHANNELS, "x", sign="transposed")
def pictures_and_channels_exchanged(dy: Any, cache: Form) -> Any:
    """Channels come first, before the pictures, as in a column matrix: with as many of both the shape fits."""
    return flatten_backward(dy, cache).transpose(1, 0, 2, 3)


@op_bug("flatten", PLAIN, "x", sign="permuted")
def fortran_order(dy: Any, cache: Form) -> Any:
    """The reshape has order="F", as MATLAB counts: in each picture the channels run fastest and the columns slowest."""
    return dy.reshape(cache.shape, order="F")


@op_bug("flatten", PLAIN, "x", sign="permuted")
def fortran_order_of_one_long_row(dy: Any, cache: Form) -> Any:
    """The whole batch was made one row by rows and cut up by columns, so that pictures and pixels get mixed."""
    return dy.ravel().reshape(cache.shape, order="F")


@op_bug("flatten", PLAIN, "x", sign="permuted")
def pictures_mixed(dy: Any, cache: Form) -> Any:
    """dy was kept as one column a picture, and the matrix not turned before the reshape."""
    return dy.T.reshape(cache.shape)


@op_bug("flatten", PLAIN, "x", sign="permuted")
def channels_shuffled(dy: Any, cache: Form) -> Any:
    """The channels were taken for two groups that stand interleaved."""
    N, C, H, W = cache.shape
    return dy.reshape(N, C // 2, 2, H, W).swapaxes(1, 2).reshape(cache.shape)


@op_bug("flatten", PLAIN, "x", sign="flipped")
def rows_reversed(dy: Any, cache: Form) -> Any:
    """The first row was taken for the lowest, as a plot's origin is."""
    return flatten_backward(dy, cache)[:, :, ::-1]


@op_bug("flatten", PLAIN, "x", sign="flipped")
def pictures_reversed(dy: Any, cache: Form) -> Any:
    """The gradients were collected last picture first, as backward goes, and not turned round again."""
    return flatten_backward(dy, cache)[::-1]


@op_bug("flatten", PLAIN, "x", sign="shifted")
def row_begins_at_a_bias(dy: Any, cache: Form) -> Any:
    """The row's first place was taken for a bias's, so that every number lands one place too early."""
    return flatten_backward(np.roll(dy, -1, axis=1), cache)


@op_bug("flatten", PLAIN, "x", sign="shifted")
def pictures_shifted(dy: Any, cache: Form) -> Any:
    """The pictures were counted from 1: each one gets the gradient of the one before."""
    return np.roll(flatten_backward(dy, cache), 1, axis=0)


@op_bug("flatten", PLAIN, "x", sign="part")
def first_channel_alone(dy: Any, cache: Form) -> Any:
    """The layer was written for grey pictures, and only H*W numbers of each row find their way back."""
    dx = np.zeros(cache.shape, dy.dtype)
    dx[:, 0] = flatten_backward(dy, cache)[:, 0]
    return dx


@op_bug("flatten", PLAIN, "x", sign="part")
def last_picture_left_out(dy: Any, cache: Form) -> Any:
    """A loop over range(N - 1) fills the zeros that dx starts with."""
    dx = np.zeros(cache.shape, dy.dtype)
    dx[:-1] = flatten_backward(dy, cache)[:-1]
    return dx


@op_bug("flatten", PLAIN, "x", sign="part")
def last_number_left_out(dy: Any, cache: Form) -> Any:
    """A slice ends at -1, which leaves out the last one of every row."""
    dx = np.zeros_like(dy)
    dx[:, :-1] = dy[:, :-1]
    return flatten_backward(dx, cache)


@op_bug("flatten", PLAIN, "x", sign="other")
def pooled(dy: Any, cache: Form) -> Any:
    """Backward is that of the global average pooling that once stood here: each channel's numbers are averaged."""
    dx = flatten_backward(dy, cache)
    return np.broadcast_to(dx.mean(axis=(2, 3), keepdims=True), dx.shape)


@op_bug("flatten", PLAIN, "x", sign="scale")
def divided_by_the_length_of_a_row(dy: Any, cache: Form) -> Any:
    """dx was divided by C*H*W, as if forward had averaged."""
    return flatten_backward(dy, cache) / dy.shape[1]


@op_bug("flatten", PLAIN, "x", sign="other")
def left_flat(dy: Any, cache: Form) -> Any:
    """Backward hands dy on as it came: the reshape back was forgotten."""
    return dy.copy()


@layer_bug("flatten", PLAIN, sign="manners")
def backward_one_array_for_all(self: Any, dy: Any, cache: Form) -> Any:
    """dx is an array that the layer keeps, and the next backward changes what the caller holds of the last one."""
    if getattr(self, "dx", dy[:0]).shape != cache.shape:
        self.dx = np.empty(cache.shape, dy.dtype)
    self.dx[...] = flatten_backward(dy, cache)
    return self.dx


@layer_bug("flatten", PLAIN, sign="manners")
def forward_one_row_for_all(self: Any, x: Any, *, train: bool) -> Any:
    """y is written into an array that the layer keeps, and a second forward changes the first one's y."""
    y, cache = Flatten.forward(self, x, train=train)
    if getattr(self, "y", y[:0]).shape != y.shape:
        self.y = np.empty_like(y)
    self.y[...] = y
    return self.y, cache
