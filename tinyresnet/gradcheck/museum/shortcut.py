"""Wrong backward passes of the shortcut without parameters: every second pixel, and channels of zeros before and behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Layer, ShortcutA
from ...layers.shortcut import SubsamplePadCache, subsample_pad_backward, subsample_pad_forward
from .bug import Setting, layer_bug, op_bug

PADDED = Setting(lambda rng: ShortcutA(8, stride=2), (2, 3, 7, 6))  # 2 channels of zeros before, 3 behind; 4 x 3 pixels
DOUBLED = Setting(lambda rng: ShortcutA(6, stride=2), (2, 3, 7, 6))
EVEN = Setting(lambda rng: ShortcutA(5, stride=2), (2, 3, 6, 4))
SQUARE = Setting(lambda rng: ShortcutA(5, stride=2), (2, 3, 5, 5))


def _kept(dy: Any, cache: SubsamplePadCache) -> Any:
    """dy of the channels that came of x."""
    return dy[:, cache.front : cache.front + cache.x.shape[1]]


@op_bug("shortcut_a", PADDED, "x", sign="zero")
def no_parameters_no_gradient(dy: Any, cache: SubsamplePadCache) -> Any:
    """A shortcut without parameters was taken for one without a gradient."""
    return np.zeros(cache.x.shape, dy.dtype)


@op_bug("shortcut_a", PADDED, "x", sign="shifted")
def channels_in_front_forgotten(dy: Any, cache: SubsamplePadCache) -> Any:
    """The zero channels were believed to stand all behind: the gradient is read off the first channels."""
    return subsample_pad_backward(dy, cache._replace(front=0))


@op_bug("shortcut_a", PADDED, "x", sign="shifted")
def odd_padding_rounded_up(dy: Any, cache: SubsamplePadCache) -> Any:
    """The forward pass pads (O - C) // 2 channels in front, the backward pass skips (O - C + 1) // 2: the same until O - C is odd."""
    return subsample_pad_backward(dy, cache._replace(front=(cache.y_shape[1] - cache.x.shape[1] + 1) // 2))


@op_bug("shortcut_a", EVEN, "x", sign="shifted")
def pixels_that_were_skipped(dy: Any, cache: SubsamplePadCache) -> Any:
    """The forward pass keeps the even pixels [::2], the backward pass fills the odd ones [1::2]."""
    dx = np.zeros(cache.x.shape, dy.dtype)
    dx[:, :, 1::2, 1::2] = _kept(dy, cache)
    return dx


@op_bug("shortcut_a", PADDED, "x", sign="permuted")
def stride_forgotten(dy: Any, cache: SubsamplePadCache) -> Any:
    """The small picture was pasted into the corner of the large one: the pixels did not come from there."""
    dx = np.zeros(cache.x.shape, dy.dtype)
    dx[:, :, : dy.shape[2], : dy.shape[3]] = _kept(dy, cache)
    return dx


@op_bug("shortcut_a", PADDED, "x", sign="permuted")
def stride_forgotten_in_the_columns(dy: Any, cache: SubsamplePadCache) -> Any:
    """The stride stands in the slice of the rows and is missing in that of the columns."""
    dx = np.zeros(cache.x.shape, dy.dtype)
    dx[:, :, :: cache.stride, : dy.shape[3]] = _kept(dy, cache)
    return dx


@op_bug("shortcut_a", PADDED, "x", sign="extra term")
def skipped_pixels_filled_too(dy: Any, cache: SubsamplePadCache) -> Any:
    """Each gradient was repeated over its window, as if the forward pass had summed the window."""
    dx = _kept(dy, cache).repeat(cache.stride, axis=2).repeat(cache.stride, axis=3)
    return dx[:, :, : cache.x.shape[2], : cache.x.shape[3]]


@op_bug("shortcut_a", PADDED, "x", sign="other")
def spread_as_by_average_pooling(dy: Any, cache: SubsamplePadCache) -> Any:
    """Option D's backward pass, which averages each window first, behind option A's forward pass."""
    return skipped_pixels_filled_too(dy, cache) / cache.stride**2


@op_bug("shortcut_a", PADDED, "x", sign="scale")
def divided_by_the_skipped_pixels(dy: Any, cache: SubsamplePadCache) -> Any:
    """Divided by the window's pixels as in average pooling: one of them was copied, not averaged."""
    return subsample_pad_backward(dy, cache) / cache.stride**2


@op_bug("shortcut_a", PADDED, "x", sign="extra term")
def gradient_of_the_zeros_folded_back(dy: Any, cache: SubsamplePadCache) -> Any:
    """The zero channels' gradient was added to the channels at the edge, as behind a padding that repeats the edge."""
    dx, last = subsample_pad_backward(dy, cache), cache.front + cache.x.shape[1]
    dx[:, 0, :: cache.stride, :: cache.stride] += dy[:, : cache.front].sum(axis=1)
    dx[:, -1, :: cache.stride, :: cache.stride] += dy[:, last:].sum(axis=1)
    return dx


@op_bug("shortcut_a", PADDED, "x", sign="part")
def remainder_left_out(dy: Any, cache: SubsamplePadCache) -> Any:
    """H // stride rows were believed to come out: with an odd height there is one more, and its gradient is lost."""
    rows = dy.copy()
    rows[:, :, cache.x.shape[2] // cache.stride :] = 0
    return subsample_pad_backward(rows, cache)


@op_bug("shortcut_a", PADDED, "x", sign="part")
def last_channel_left_out(dy: Any, cache: SubsamplePadCache) -> Any:
    """The slice ends at front + C - 1, as if its end were counted in."""
    dx = subsample_pad_backward(dy, cache)
    dx[:, -1] = 0
    return dx


@op_bug("shortcut_a", DOUBLED, "x", sign="permuted")
def every_second_channel(dy: Any, cache: SubsamplePadCache) -> Any:
    """The zero channels were believed to stand between the others, where the forward pass puts them around."""
    dx = np.zeros(cache.x.shape, dy.dtype)
    dx[:, :, :: cache.stride, :: cache.stride] = dy[:, :: cache.y_shape[1] // cache.x.shape[1]]
    return dx


@op_bug("shortcut_a", SQUARE, "x", sign="transposed")
def columns_for_rows(dy: Any, cache: SubsamplePadCache) -> Any:
    """The places come of np.meshgrid, which gives columns before rows unless it is told indexing="ij"."""
    dx = np.zeros(cache.x.shape, dy.dtype)
    rows, columns = np.meshgrid(*(np.arange(0, size, cache.stride) for size in cache.x.shape[2:]))
    dx[:, :, rows, columns] = _kept(dy, cache)
    return dx


@op_bug("shortcut_a", PADDED, "x", sign="other")
def collected_in_single_precision(dy: Any, cache: SubsamplePadCache) -> Any:
    """dx was made by np.zeros(shape, np.float32), and a float64 gradient loses half its digits in it."""
    dx = np.zeros(cache.x.shape, np.float32)
    dx[:, :, :: cache.stride, :: cache.stride] = _kept(dy, cache)
    return dx.astype(dy.dtype)


@layer_bug("shortcut_a", PADDED, sign="stale")
def backward_added_into_a_buffer(self: Layer, dy: Any, cache: SubsamplePadCache) -> Any:
    """A buffer of zeros is kept for dx and added into: from the second backward pass on the ones before are in it."""
    dx = vars(self).setdefault("buffer", np.zeros(cache.x.shape, dy.dtype))
    dx[:, :, :: cache.stride, :: cache.stride] += _kept(dy, cache)
    return dx


@layer_bug("shortcut_a", PADDED, sign="manners")
def forward_into_one_buffer(self: ShortcutA, x: Any, *, train: bool) -> Any:
    """The output's array is kept in the layer and used again: a second forward pass changes what the first one gave."""
    y, cache = subsample_pad_forward(x, out_channels=self.out_channels, stride=self.stride)
    buffer = vars(self).setdefault("buffer", np.empty_like(y))
    buffer[...] = y
    return buffer, cache
