"""Wrong backward passes of upsampling: nearest, whose blocks must be summed, and bilinear, whose matrices must be transposed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array, Pair

from ...layers import Layer, UpsampleBilinear, UpsampleNearest
from ...layers.upsample import (
    UpsampleBilinearCache,
    UpsampleNearestCache,
    upsample_bilinear_backward,
    upsample_nearest_backward,
)
from .bug import Setting, layer_bug, op_bug
from .parts import keep


def _nearest(scale: int | Pair, shape: tuple[int, ...]) -> Setting:
    return Setting(lambda rng: UpsampleNearest(scale), shape)


def _bilinear(scale: int | Pair, shape: tuple[int, ...]) -> Setting:
    return Setting(lambda rng: UpsampleBilinear(scale), shape)


NEAREST, NEAREST_OBLONG, NEAREST_SQUARE = (
    _nearest(2, (2, 3, 4, 3)), _nearest((2, 3), (2, 3, 3, 2)), _nearest(2, (2, 3, 4, 4)),
)  # fmt: skip
BILINEAR, BILINEAR_OBLONG, BILINEAR_SQUARE = (
    _bilinear(2, (2, 3, 4, 3)), _bilinear((2, 3), (2, 3, 4, 3)), _bilinear(2, (2, 3, 4, 4)),
)  # fmt: skip


def _blocks(dy: Array, cache: UpsampleNearestCache) -> Array:
    """dy as (N, C, H, SH, W, SW)."""
    (N, C, H, W), (SH, SW) = cache.x.shape, cache.scale
    return dy.reshape(N, C, H, SH, W, SW)


@op_bug("upsample_nearest", NEAREST, "x", sign="mean for sum")
def block_averaged(dy: Any, cache: UpsampleNearestCache) -> Any:
    """Down again by average pooling: that undoes the forward pass, but every copy carries its gradient whole."""
    return _blocks(dy, cache).mean(axis=(3, 5))


@op_bug("upsample_nearest", NEAREST, "x", sign="missing sum")
def first_of_the_block_alone(dy: Any, cache: UpsampleNearestCache) -> Any:
    """dy[:, :, ::2, ::2], for this is where the pixels came from: their copies' gradients are lost."""
    return _blocks(dy, cache)[:, :, :, 0, :, 0].copy()


@op_bug("upsample_nearest", NEAREST, "x", sign="missing sum")
def block_summed_along_one_axis(dy: Any, cache: UpsampleNearestCache) -> Any:
    """sum(axis=3) is there, sum(axis=5) is not: of each row of the block the first number is taken."""
    return _blocks(dy, cache)[..., 0].sum(axis=3)


@op_bug("upsample_nearest", NEAREST, "x", sign="overwritten")
def repeated_indices_written_once(dy: Any, cache: UpsampleNearestCache) -> Any:
    """dx[:, :, i // 2, j // 2] += dy with arrays i and j: NumPy adds once where an index repeats, the last one wins (np.add.at sums)."""
    return _blocks(dy, cache)[:, :, :, -1, :, -1].copy()


@op_bug("upsample_nearest", NEAREST, "x", sign="scale")
def divided_by_the_scale(dy: Any, cache: UpsampleNearestCache) -> Any:
    """Divided by the scale so that the gradient keeps its size: the forward pass divides by nothing."""
    return upsample_nearest_backward(dy, cache) / cache.scale[0]


@op_bug("upsample_nearest", NEAREST, "x", sign="permuted")
def tiled_for_repeated(dy: Any, cache: UpsampleNearestCache) -> Any:
    """reshape(N, C, SH, H, SW, W): so np.tile puts copies, whole pictures beside each other; np.repeat puts them pixel by pixel."""
    (N, C, H, W), (SH, SW) = cache.x.shape, cache.scale
    return dy.reshape(N, C, SH, H, SW, W).sum(axis=(2, 4))


@op_bug("upsample_nearest", NEAREST_OBLONG, "x", sign="permuted")
def block_on_its_side(dy: Any, cache: UpsampleNearestCache) -> Any:
    """The scale was unpacked as SW, SH: blocks of 3x2 are summed, and reshape brings the sums into x's shape."""
    (N, C, H, W), (SH, SW) = cache.x.shape, cache.scale
    return dy.reshape(N, C, W, SW, H, SH).sum(axis=(3, 5)).reshape(N, C, H, W)


@op_bug("upsample_nearest", NEAREST, "x", sign="shifted")
def block_around_the_pixel(dy: Any, cache: UpsampleNearestCache) -> Any:
    """The block was centred: it begins half a block before the pixel's place, and takes a row and a column of the neighbours."""
    return upsample_nearest_backward(np.roll(dy, (1, 1), axis=(2, 3)), cache)


@op_bug("upsample_nearest", NEAREST, "x", sign="part")
def last_row_left_out(dy: Any, cache: UpsampleNearestCache) -> Any:
    """for h in range(H - 1): the last row of pixels gets nothing."""
    dx = upsample_nearest_backward(dy, cache)
    dx[:, :, -1] = 0
    return dx


@op_bug("upsample_nearest", NEAREST, "x", sign="other")
def largest_of_the_block(dy: Any, cache: UpsampleNearestCache) -> Any:
    """Down again by max pooling, whose pair of layers one knows: the largest gradient of the block is no sum of it."""
    return _blocks(dy, cache).max(axis=(3, 5))


@op_bug("upsample_nearest", NEAREST_SQUARE, "x", sign="transposed")
def columns_for_rows(dy: Any, cache: UpsampleNearestCache) -> Any:
    """The places come of np.meshgrid, which gives columns before rows unless it is told indexing="ij"."""
    return upsample_nearest_backward(dy, cache).swapaxes(2, 3)


@op_bug("upsample_nearest", NEAREST, "x", sign="upstream")
def upstream_averaged_over_the_channels(dy: Any, cache: UpsampleNearestCache) -> Any:
    """The backward pass of a picture with one channel was made to fit by dy.mean(axis=1): all channels get the same."""
    return upsample_nearest_backward(np.repeat(dy.mean(axis=1, keepdims=True), dy.shape[1], axis=1), cache)


@layer_bug("upsample_nearest", NEAREST, sign="manners")
def backward_block_summed_in_its_first(self: Layer, dy: Any, cache: UpsampleNearestCache) -> Any:
    """dy[:, :, ::2, ::2] += the others: the sum is right, and whoever else reads this gradient finds it changed."""
    blocks = _blocks(dy, cache)
    blocks[:, :, :, 0, :, 0] = blocks.sum(axis=(3, 5))
    return blocks[:, :, :, 0, :, 0].copy()


@layer_bug("upsample_nearest", NEAREST, sign="manners")
def forward_into_one_buffer(self: Any, x: Any, *, train: bool) -> Any:
    """The large output is kept in the layer and used again: a second forward pass changes what the first one gave."""
    y, cache = UpsampleNearest.forward(self, x, train=train)
    return keep(self, y), cache


@op_bug("upsample_bilinear", BILINEAR, "x", sign="scale")
def shares_normalised(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """The transposed matrices were divided by their row sums, so that dx is a weighted mean of dy: it is a weighted sum."""
    _, rows, columns = cache
    return (rows / rows.sum(axis=0)).T @ dy @ (columns / columns.sum(axis=0))


@op_bug("upsample_bilinear", BILINEAR, "x", sign="missing term")
def second_neighbour_forgotten(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """dx[floor] += (1 - t) dy is there, dx[floor + 1] += t dy is not."""
    return _first(cache.rows).T @ dy @ _first(cache.columns)


@op_bug("upsample_bilinear", BILINEAR, "x", sign="missing term")
def diagonal_neighbour_forgotten(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """Of the four pixels that a dy was drawn from, three get their share: above left, above right, below left."""
    _, rows, columns = cache
    lower, right = rows - _first(rows), columns - _first(columns)
    return upsample_bilinear_backward(dy, cache) - lower.T @ dy @ right


@op_bug("upsample_bilinear", BILINEAR, "x", sign="other")
def shares_exchanged(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """The nearer pixel gets t, the farther one 1 - t."""
    return _exchanged(cache.rows).T @ dy @ _exchanged(cache.columns)


@op_bug("upsample_bilinear", BILINEAR, "x", sign="other")
def corners_aligned(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """i (H - 1) / (OH - 1), as align_corners=True has it, behind a forward pass that aligns the pictures' corners."""
    return _drawn(cache, lambda i, large, small: i * (small - 1) / (large - 1), dy)


@op_bug("upsample_bilinear", BILINEAR, "x", sign="other")
def half_a_pixel_forgotten(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """i / scale for (i + 1/2) / scale - 1/2: pixels were taken for points, not for squares with their centre half a pixel on."""
    return _drawn(cache, lambda i, large, small: i * small / large, dy)


@op_bug("upsample_bilinear", BILINEAR, "x", sign="border")
def edge_faded_out(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """Beyond the outermost centres the share falls off, for the place was not clipped: the forward pass repeats the edge there."""
    matrices = []
    for matrix in (cache.rows, cache.columns):
        large, small = matrix.shape
        place = (np.arange(large) + 0.5) * small / large - 0.5
        matrices.append(np.maximum(0, 1 - abs(place[:, None] - np.arange(small))))
    return matrices[0].T @ dy @ matrices[1]


@op_bug("upsample_bilinear", BILINEAR, "x", sign="other")
def nearest_behind_bilinear(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """The sum over the block, from nearest upsampling: the share that the neighbours' blocks have in this pixel is left out."""
    scale = len(cache.rows) // cache.x.shape[2], len(cache.columns) // cache.x.shape[3]
    return upsample_nearest_backward(dy, UpsampleNearestCache(cache.x, scale))


@op_bug("upsample_bilinear", BILINEAR, "x", sign="other")
def drawn_down_again(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """dy was resized to x's size by bilinear interpolation: the inverse was meant, and the transposed matrix was wanted."""
    scale = len(cache.rows) // cache.x.shape[2], len(cache.columns) // cache.x.shape[3]
    return upsample_nearest_backward(dy, UpsampleNearestCache(cache.x, scale)) / (scale[0] * scale[1])


@op_bug("upsample_bilinear", BILINEAR_OBLONG, "x", sign="other")
def rows_alone(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """Bilinear along the rows, nearest along the columns: the second product was copied from the other kind."""
    nearest = np.repeat(np.eye(cache.x.shape[3]), len(cache.columns) // cache.x.shape[3], axis=0)
    return cache.rows.T @ dy @ nearest


@op_bug("upsample_bilinear", BILINEAR, "x", sign="overwritten")
def shared_indices_written_once(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """dx[floor] += (1 - t) dy with an array floor: where an index repeats NumPy adds once, and the last row of y wins."""
    _, rows, columns = cache
    return _last(rows).T @ dy @ _last(columns)


@op_bug("upsample_bilinear", BILINEAR_SQUARE, "x", sign="transposed")
def picture_turned_over(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """(rows^T dy columns)^T: the transposition of the matrices was carried to the whole product."""
    return upsample_bilinear_backward(dy, cache).swapaxes(2, 3)


@op_bug("upsample_bilinear", BILINEAR, "x", sign="other")
def shares_in_single_precision(dy: Any, cache: UpsampleBilinearCache) -> Any:
    """The product runs in float32, in which the matrices were once made, and a float64 gradient loses half its digits."""
    return (cache.rows.T.astype(np.float32) @ dy.astype(np.float32) @ cache.columns.astype(np.float32)).astype(dy.dtype)


@layer_bug("upsample_bilinear", BILINEAR, sign="stale")
def backward_matrices_of_the_first_picture(self: Any, dy: Any, cache: UpsampleBilinearCache) -> Any:
    """The matrices are made once and kept in the layer: wrong as soon as pictures of another size come."""
    kept = vars(self).setdefault("matrices", cache[1:])
    fitting = [np.resize(one, now.shape) for one, now in zip(kept, cache[1:], strict=True)]
    return upsample_bilinear_backward(dy, UpsampleBilinearCache(cache.x, *fitting))


@layer_bug("upsample_bilinear", BILINEAR, sign="manners")
def backward_gradient_kept_in_the_layer(self: Any, dy: Any, cache: UpsampleBilinearCache) -> Any:
    """dx is written to a buffer of the layer, which is made once: a second backward pass changes the first one's gradient."""
    return keep(self, upsample_bilinear_backward(dy, cache))


def _first(matrix: Array) -> Array:
    """Of the one or two shares in each row the first."""
    only = np.zeros_like(matrix)
    at = np.arange(len(matrix)), (matrix > 0).argmax(axis=1)
    only[at] = matrix[at]
    return only


def _last(matrix: Array) -> Array:
    """Of the shares in each column that are first in their row the last; and likewise of those that are second."""
    found = np.zeros_like(matrix)
    for part in (_first(matrix), matrix - _first(matrix)):
        at = len(part) - 1 - (part[::-1] > 0).argmax(axis=0), np.arange(part.shape[1])
        found[at] += part[at]
    return found


def _exchanged(matrix: Array) -> Array:
    """The two shares in each row exchanged."""
    return np.where((matrix > 0) & (matrix < 1), 1 - matrix, matrix)


def _drawn(cache: UpsampleBilinearCache, place: Any, dy: Array) -> Array:
    """dx by matrices whose row i is at place(i, large, small) in x."""
    matrices = []
    for large, small in (cache.rows.shape, cache.columns.shape):
        at = np.clip(place(np.arange(large), large, small), 0, small - 1)
        matrices.append(np.maximum(0, 1 - abs(at[:, None] - np.arange(small))))
    return matrices[0].T @ dy @ matrices[1]  # type: ignore[no-any-return]
