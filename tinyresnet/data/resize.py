"""Resizing whole arrays of pictures by two small matrix products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHUNK = 2000  # pictures at a time: bounds the memory of the float copies


def resize(x: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """x (N, C, H, W) uint8, its central square resized to (N, C, size, size), with a triangle filter.

    The filter is as wide as an output pixel when shrinking, so nothing is skipped, and linear when growing.
    """
    N, C, H, W = x.shape
    side = min(H, W)
    top, left = (H - side) // 2, (W - side) // 2
    x = x[:, :, top : top + side, left : left + side]
    if side == size:
        return x
    weight = _weights(side, size)
    y = np.empty((N, C, size, size), np.uint8)
    for start in range(0, N, CHUNK):
        part = x[start : start + CHUNK].astype(np.float32)
        y[start : start + CHUNK] = np.rint(weight @ part @ weight.T)
    return y


def _weights(old: int, new: int) -> NDArray[np.float32]:
    """How much of each old pixel goes into each new one: (new, old), each row sums to 1."""
    scale = old / new
    centre = (np.arange(new) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(old) - centre[:, None]) / max(scale, 1.0)
    weight = np.maximum(1 - distance, 0)
    shares: NDArray[np.float32] = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares
