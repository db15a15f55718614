"""The magnitudes of the terms of a convolution by Winograd's tiles, whose sums meet numbers that the output's own window does not hold.

With the absolute values of all matrices (see `cpu/winograd.py`) in place of the matrices, the sums are those of the magnitudes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest import mock

import numpy as np

from kernel_calls import Call
from tinyresnet import Array
from tinyresnet.layers import conv
from tinyresnet_kernels import Pair

B = np.abs([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])  # of the tile
G = np.abs([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # of the filter
A = np.abs([[1, 1, 1, 0], [0, 1, -1, -1]])  # of the output
EXTRA = 100  # roundings more than the definition has, at most: of up to 48 channels, of tiles, filters and outputs


def _tiles(x: Array, pad: Pair) -> Array:
    """The 4x4 tiles of x (N, C, H, W), two apart: (N, C, tile rows, tile columns, 4, 4)."""
    rows, columns = (-(-(n + 2 * p - 2) // 2) for n, p in zip(x.shape[2:], pad, strict=True))
    wide = np.zeros((*x.shape[:2], 2 * rows + 2, 2 * columns + 2))
    wide[:, :, pad[0] : pad[0] + x.shape[2], pad[1] : pad[1] + x.shape[3]] = x
    return np.lib.stride_tricks.sliding_window_view(wide, (4, 4), axis=(2, 3))[:, :, ::2, ::2]


def _forward(x: Array, weight: Array, pad: Pair) -> Array:
    points = np.einsum("pr,nchwrs,qs->nhwpqc", B, _tiles(x, pad), B)
    filters = np.einsum("pi,ocij,qj->pqco", G, weight, G)
    products = np.einsum("nhwpqc,pqco->nhwpqo", points, filters, optimize=True)
    y = np.einsum("ap,nhwpqo,bq->nohawb", A, products, A)
    N, O, h, _, w, _ = y.shape
    return y.reshape(N, O, 2 * h, 2 * w)[:, :, : x.shape[2] + 2 * pad[0] - 2, : x.shape[3] + 2 * pad[1] - 2]


def tiled(weight: Array, stride: Pair, dilation: Pair, groups: int) -> bool:
    """Whether tiles may serve such a convolution."""
    return weight.shape[2:] == (3, 3) and (tuple(stride), tuple(dilation), groups) == ((1, 1), (1, 1), 1)


def correlate(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """Magnitudes of y."""
    y = conv.correlate.reference(x, weight, stride, pad, dilation, groups)
    return np.maximum(y, _forward(x, weight, pad)) if tiled(weight, stride, dilation, groups) and y.size else y


def input_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """Magnitudes of dx."""
    dx = conv.input_gradient.reference(dy, weight, x, stride, pad, dilation, groups)
    turned = (2 - pad[0], 2 - pad[1])
    if not tiled(weight, stride, dilation, groups) or min(turned) < 0 or not dx.size:
        return dx
    return np.maximum(dx, _forward(dy, weight[:, :, ::-1, ::-1].swapaxes(0, 1), turned))


def weight_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """Magnitudes of dweight."""
    dweight = conv.weight_gradient.reference(dy, weight, x, stride, pad, dilation, groups)
    if not tiled(weight, stride, dilation, groups) or not dy.size:
        return dweight
    tiles = _tiles(x, pad)
    N, _, h, w = tiles.shape[:4]
    wide = np.zeros((N, dy.shape[1], 2 * h, 2 * w))
    wide[:, :, : dy.shape[2], : dy.shape[3]] = dy
    upstream = np.einsum("ap,nohawb,bq->nhwpqo", A, wide.reshape(N, -1, h, 2, w, 2), A)
    points = np.einsum("pr,nchwrs,qs->nhwpqc", B, tiles, B)
    products = np.einsum("nhwpqc,nhwpqo->pqoc", points, upstream, optimize=True)
    return np.maximum(dweight, np.einsum("pi,pqoc,qj->ocij", G, products, G))


TILED: dict[str, Callable[..., Array]] = {f.__name__: f for f in (correlate, input_gradient, weight_gradient)}


def by_tiles() -> AbstractContextManager[object]:
    """Within the block, the readable units are made of the convolutions here."""
    return mock.patch.multiple("tinyresnet.units", **TILED)


def may_be_tiled(call: Call) -> bool:
    """Whether one of the arguments is a 3x3 weight."""
    return any(isinstance(arg, np.ndarray) and arg.ndim == 4 and arg.shape[2:] == (3, 3) for arg in call.args)
