"""What several pieces are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array, Pair


def scatter(cols: Array, shape: tuple[int, ...], stride: Pair, pad: Pair, dilation: Pair = (1, 1)) -> Array:
    """col2im for windows that need not fit: add cols (N, C, KH, KW, OH, OW) into (N, C, H, W) = shape; what falls beside it is lost."""
    (N, C, H, W), (_, _, KH, KW, OH, OW) = shape, cols.shape
    height = max(H + 2 * pad[0], (OH - 1) * stride[0] + (KH - 1) * dilation[0] + 1)
    width = max(W + 2 * pad[1], (OW - 1) * stride[1] + (KW - 1) * dilation[1] + 1)
    x = np.zeros((N, C, height, width), cols.dtype)
    for i, j in np.ndindex(KH, KW):
        rows = slice(i * dilation[0], i * dilation[0] + (OH - 1) * stride[0] + 1, stride[0])
        columns = slice(j * dilation[1], j * dilation[1] + (OW - 1) * stride[1] + 1, stride[1])
        x[:, :, rows, columns] += cols[:, :, i, j]
    return x[:, :, pad[0] : pad[0] + H, pad[1] : pad[1] + W]


def overwrite(cols: Array, shape: tuple[int, ...], stride: Pair, pad: Pair) -> Array:
    """As col2im, but the last window to reach a pixel of (N, C, H, W) = shape overwrites those before it."""
    (N, C, H, W), (_, _, KH, KW, OH, OW) = shape, cols.shape
    x = np.zeros((N, C, H + 2 * pad[0], W + 2 * pad[1]), cols.dtype)
    for oh, ow in np.ndindex(OH, OW):
        top, left = oh * stride[0], ow * stride[1]
        x[:, :, top : top + KH, left : left + KW] = cols[:, :, :, :, oh, ow]
    return x[:, :, pad[0] : pad[0] + H, pad[1] : pad[1] + W]


def keep(layer: Any, value: Array) -> Array:
    """A copy of the value in memory that belongs to the layer: the next one goes to the same place."""
    held = vars(layer).get("held")
    if held is None or held.shape != value.shape or held.dtype != value.dtype:
        held = layer.held = np.empty_like(value)
    held[...] = value
    return held  # type: ignore[no-any-return]
