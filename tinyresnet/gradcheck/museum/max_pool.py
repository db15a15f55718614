"""Wrong backward passes of max pooling."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array, Pair
from tinyresnet_kernels.im2col import windows

from ...layers import Layer, MaxPool2d
from ...layers.pool import MaxPoolCache, max_pool_backward
from .bug import Rng, Setting, layer_bug, op_bug
from .parts import keep, overwrite, scatter


class Remembered(NamedTuple):
    """What a textbook's max pooling keeps: the picture and its maxima, beside what ours does."""

    x: Array
    y: Array
    right: MaxPoolCache


class Remembering(MaxPool2d):
    """A right max pooling that keeps its picture, as many do: only then can backward look for the winners again."""

    def forward(self, x: Array, *, train: bool) -> Any:
        """y, and the picture with it in the cache."""
        y, cache = super().forward(x, train=train)
        return y, Remembered(x, y, cache)

    def backward(self, dy: Array, cache: Any) -> Array:
        """dx, as ever."""
        return super().backward(dy, cache.right)


def _setting(
    kernel: int | Pair, shape: tuple[int, ...], *, kind: type[MaxPool2d] = MaxPool2d, draw: Any = None, **settings: Any
) -> Setting:
    drawn = {"draw": draw} if draw else {}
    return Setting(lambda rng: kind(kernel, **settings), shape, **drawn)


def _levels(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Few whole numbers, so that most windows have several maxima."""
    return rng.integers(0, 3, shape).astype(np.float64)


def _almost_levels(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Whole numbers with a little noise: near ties that are none."""
    return rng.integers(1, 3, shape) + 1e-6 * rng.standard_normal(shape)


PLAIN = _setting(2, (2, 3, 6, 4))
OVERLAPPING = _setting(3, (2, 3, 7, 6), stride=2, pad=1)
LEFTOVER = _setting(2, (2, 3, 7, 5))
OBLONG = _setting((2, 3), (2, 3, 6, 9))
GAPS = _setting(2, (2, 3, 8, 7), stride=3)
LOW = _setting(3, (2, 3, 7, 6), stride=2, pad=1, draw=lambda rng, shape: rng.standard_normal(shape) - 1)
KEEPING = _setting(2, (2, 3, 6, 4), kind=Remembering, draw=lambda rng, shape: rng.standard_normal(shape) - 1)
TIED = _setting(2, (2, 3, 6, 4), kind=Remembering, draw=_levels)
ALMOST_TIED = _setting(2, (2, 3, 6, 4), kind=Remembering, draw=_almost_levels)


def _columns(dy: Array, winner: Array, kernel: Pair) -> Array:
    """dy where it won and zero elsewhere, (N, C, KH, KW, OH, OW)."""
    place = np.arange(kernel[0] * kernel[1]).reshape(*kernel, 1, 1)
    return np.where(winner[:, :, None, None] == place, dy[:, :, None, None], 0)


def _laid_back(dy: Array, winner: Array, cache: MaxPoolCache, *, stride: Pair | None = None) -> Array:
    """dx with other winners, or another stride, than the forward pass had."""
    return scatter(_columns(dy, winner, cache.kernel), cache.x.shape, stride or cache.stride, cache.pad)


def _masked(dy: Array, mask: Array, cache: MaxPoolCache) -> Array:
    """dx with dy in every place of each window where the mask (N, C, KH, KW, OH, OW) says so."""
    return scatter(mask * dy[:, :, None, None], cache.x.shape, cache.stride, cache.pad)


def _window_places(x: Array, cache: MaxPoolCache, fill: float) -> Array:
    """The windows' pixels (N, C, KH*KW, OH, OW) of the picture padded with `fill`."""
    (ph, pw), (KH, KW) = cache.pad, cache.kernel
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    view = windows(padded, cache.kernel, cache.stride, (1, 1))
    return view.reshape(*view.shape[:2], KH * KW, *view.shape[4:])


@op_bug("max_pool", TIED, "x", sign="winners")
def everyone_who_ties_wins(dy: Any, cache: Remembered) -> Any:
    """The mask x == y gives the whole gradient to every maximum of a window: to each zero that a ReLU has left there."""
    view = windows(cache.x, cache.right.kernel, cache.right.stride, (1, 1))
    return _masked(dy, view == cache.y[:, :, None, None], cache.right)


@op_bug("max_pool", ALMOST_TIED, "x", sign="winners")
def everyone_who_nearly_ties_wins(dy: Any, cache: Remembered) -> Any:
    """np.isclose(x, y) for x == y, for one does not compare floating-point numbers: who is near the maximum wins as well."""
    view = windows(cache.x, cache.right.kernel, cache.right.stride, (1, 1))
    return _masked(dy, np.isclose(view, cache.y[:, :, None, None]), cache.right)


@op_bug("max_pool", KEEPING, "x", sign="mask")
def only_positive_maxima_win(dy: Any, cache: Remembered) -> Any:
    """The search for the winner starts with best = 0: in a window of negative numbers nobody is found."""
    return max_pool_backward(dy * (cache.y > 0), cache.right)


@op_bug("max_pool", PLAIN, "x", sign="winners")
def everyone_in_the_window_wins(dy: Any, cache: MaxPoolCache) -> Any:
    """The gradient is only made larger again, np.repeat along both axes: all pixels of a window get it."""
    return _masked(dy, np.ones((1, 1, *cache.kernel, 1, 1)), cache)


@op_bug("max_pool", PLAIN, "x", sign="winners")
def first_pixel_wins(dy: Any, cache: MaxPoolCache) -> Any:
    """dx[:, :, ::2, ::2] = dy: the places of the winners were never kept."""
    return _laid_back(dy, np.zeros_like(cache.winner), cache)


@op_bug("max_pool", OBLONG, "x", sign="winners")
def winner_counted_down_the_columns(dy: Any, cache: MaxPoolCache) -> Any:
    """The winner's number is taken apart by divmod(winner, KH) for divmod(winner, KW): as if it ran down the columns."""
    (KH, KW), winner = cache.kernel, cache.winner
    return _laid_back(dy, winner % KH * KW + winner // KH, cache)


@op_bug("max_pool", PLAIN, "x", sign="winners")
def winner_counted_from_one(dy: Any, cache: MaxPoolCache) -> Any:
    """Ported from a language that counts from 1: the pixel after the winner gets the gradient, after the last the first."""
    return _laid_back(dy, (cache.winner + 1) % 4, cache)


@op_bug("max_pool", OVERLAPPING, "x", sign="winners")
def winners_of_one_channel_for_all(dy: Any, cache: MaxPoolCache) -> Any:
    """argmax was taken of the first channel alone, and its winners used for all of them."""
    return _laid_back(dy, np.broadcast_to(cache.winner[:, :1], dy.shape), cache)


@op_bug("max_pool", OVERLAPPING, "x", sign="overwritten")
def winner_in_two_windows_counted_once(dy: Any, cache: MaxPoolCache) -> Any:
    """dx[n, c, h, w] += dy with arrays of indices adds once where an index comes twice: np.add.at is needed."""
    (ph, pw), KW = cache.pad, cache.kernel[1]
    n, c, oh, ow = np.indices(dy.shape)
    h = oh * cache.stride[0] + cache.winner // KW - ph
    w = ow * cache.stride[1] + cache.winner % KW - pw
    dx = np.zeros(cache.x.shape, dy.dtype)
    dx[n, c, h, w] += dy
    return dx


@op_bug("max_pool", OVERLAPPING, "x", sign="overwritten")
def later_window_overwrites(dy: Any, cache: MaxPoolCache) -> Any:
    """dx[window] = dy * mask for +=: a window writes its zeros over what an earlier one gave to the pixels they share."""
    return overwrite(_columns(dy, cache.winner, cache.kernel), cache.x.shape, cache.stride, cache.pad)


@op_bug("max_pool", GAPS, "x", sign="winners")
def windows_without_gaps(dy: Any, cache: MaxPoolCache) -> Any:
    """A window's corner is oh * KH for oh * stride: the two are the same in most networks."""
    return _laid_back(dy, cache.winner, cache, stride=cache.kernel)


@op_bug("max_pool", OVERLAPPING, "x", sign="shifted")
def padding_cut_off_on_one_side(dy: Any, cache: MaxPoolCache) -> Any:
    """[:H, :W] of the padded picture for [pad:pad + H, pad:pad + W]: the winners' places are those in the padded picture."""
    return _laid_back(dy, cache.winner, cache._replace(pad=(0, 0)))


@op_bug("max_pool", LEFTOVER, "x", sign="border")
def leftover_row_gets_a_gradient(dy: Any, cache: MaxPoolCache) -> Any:
    """dx is brought to x's size by repeating its edge: the row and the column that no window has seen get a gradient."""
    (H, W), (OH, OW) = cache.x.shape[2:], cache.winner.shape[2:]
    seen = max_pool_backward(dy, cache)[:, :, : 2 * OH, : 2 * OW]
    return np.pad(seen, ((0, 0), (0, 0), (0, H - 2 * OH), (0, W - 2 * OW)), mode="edge")


@op_bug("max_pool", PLAIN, "x", sign="upstream")
def mask_without_upstream(dy: Any, cache: MaxPoolCache) -> Any:
    """backward returns the mask of the winners: the multiplication by dy is missing."""
    return max_pool_backward(np.ones_like(dy), cache)


@op_bug("max_pool", OVERLAPPING, "x", sign="scale")
def divided_by_the_window(dy: Any, cache: MaxPoolCache) -> Any:
    """Divided by KH*KW, as in average pooling, from which the code was copied: the winner passes on the whole gradient."""
    return max_pool_backward(dy, cache) / 9


@op_bug("max_pool", OVERLAPPING, "x", sign="part")
def last_row_of_windows_left_out(dy: Any, cache: MaxPoolCache) -> Any:
    """The loop over the windows runs to OH - 1, for the last one would have reached beyond a picture without padding."""
    kept = np.where(np.arange(dy.shape[2])[:, None] < dy.shape[2] - 1, dy, 0)
    return max_pool_backward(kept, cache)


@layer_bug("max_pool", PLAIN, "x", sign="winners")
def forward_winner_by_its_size(self: Layer, x: Any, *, train: bool) -> Any:
    """The winner is the argmax of |x|, left over from a version for spectra, while y is the maximum of x."""
    y, cache = MaxPool2d.forward(self, x, train=train)  # type: ignore[arg-type]
    return y, cache._replace(winner=_window_places(np.abs(x), cache, 0).argmax(axis=2))


@layer_bug("max_pool", LOW, "x", sign="border")
def forward_padding_wins(self: Layer, x: Any, *, train: bool) -> Any:
    """The winner is looked for in a picture padded with zeros, y in one padded with -inf: among negative numbers the padding wins."""
    y, cache = MaxPool2d.forward(self, x, train=train)  # type: ignore[arg-type]
    return y, cache._replace(winner=_window_places(x, cache, 0).argmax(axis=2))


@layer_bug("max_pool", PLAIN, sign="stale")
def forward_winners_kept_in_the_layer(self: Any, x: Any, *, train: bool) -> Any:
    """The winners are kept in a buffer of the layer, which is made once: a second forward pass overwrites the first one's."""
    y, cache = MaxPool2d.forward(self, x, train=train)
    return y, cache._replace(winner=keep(self, cache.winner))


@layer_bug("max_pool", KEEPING, sign="manners")
def backward_in_the_memory_of_the_picture(self: Layer, dy: Any, cache: Remembered) -> Any:
    """x is set to zero and filled with dx, which saves an array: whoever else holds the picture finds gradients in it."""
    cache.x[...] = max_pool_backward(dy, cache.right)
    return cache.x
