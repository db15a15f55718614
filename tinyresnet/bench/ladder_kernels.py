"""The compiled versions of the ladder. They take bordered pictures, channels-last. Needs Numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from tinyresnet_kernels import Array
from tinyresnet_kernels.cpu.compiling import FLAGS
from tinyresnet_kernels.cpu.host import lanes
from tinyresnet_kernels.cpu.tiles import product_tile, tallest

ROWS = tallest(1)
tile_of_many, tile_of_one = product_tile(ROWS, 1), product_tile(1, 1)


def _six_loops(x: Any, weight: Any, y: Any) -> None:
    N, OH, OW, O = y.shape
    KH, KW, C, _ = weight.shape
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                for i in range(KH):
                    for j in range(KW):
                        for c in range(C):
                            for o in range(O):
                                y[n, oh, ow, o] += x[n, oh + i, ow + j, c] * weight[i, j, c, o]


def six_loops(x: Array, weight: Array) -> Array:
    """y (N, OH, OW, O) of bordered x (N, H, W, C) and weight (KH, KW, C, O)."""
    N, H, W, _ = x.shape
    KH, KW, _, O = weight.shape
    y = np.zeros((N, H - KH + 1, W - KW + 1, O), x.dtype)
    six_loops_compiled(x, weight, y)
    return y


def _one_pixel(x: Any, pixels: Any, taps: Any, run: Any, weight: Any, y: Any, places: Any, O: Any, width: Any) -> None:
    for p in range(len(pixels)):
        for o in range(0, O, width):
            tile_of_one(x, pixels, p, 0, taps, run, weight, o * len(taps) * run, y, places, o, width)


def _many_pixels(
    x: Any, pixels: Any, taps: Any, run: Any, weight: Any, y: Any, places: Any, O: Any, width: Any
) -> None:
    whole = len(pixels) // ROWS * ROWS
    for o in range(0, O, width):
        for p in range(0, whole, ROWS):
            tile_of_many(x, pixels, p, 0, taps, run, weight, o * len(taps) * run, y, places, o, width)
        for p in range(whole, len(pixels)):
            tile_of_one(x, pixels, p, 0, taps, run, weight, o * len(taps) * run, y, places, o, width)


_compile: Any = numba.njit(nogil=True, fastmath=FLAGS, error_model="numpy")
six_loops_compiled, one_pixel, many_pixels = _compile(_six_loops), _compile(_one_pixel), _compile(_many_pixels)


def tiles(x: Array, weight: Array, *, tall: bool) -> Array:
    """y (N, OH, OW, O) of bordered x (N, H, W, C) and weight (KH, KW, C, O), by one pixel, or by as many as the registers hold.

    O is a multiple of the numbers in a vector.
    """
    (N, H, W, C), (KH, KW, _, O) = x.shape, weight.shape
    OH, OW, width, K = H - KH + 1, W - KW + 1, lanes(x.itemsize), KH * KW * C
    n, oh, ow = np.ogrid[:N, :OH, :OW]
    pixels, places = (((n * H + oh) * W + ow) * C).ravel(), np.arange(N * OH * OW) * O
    taps = np.arange(KH) * W * C  # the columns of a kernel's row are neighbours in memory, a run of KW * C numbers
    packed = weight.reshape(K, O // width, width).transpose(1, 0, 2).ravel()
    y = np.empty((N, OH, OW, O), x.dtype)
    kernel = many_pixels if tall else one_pixel
    kernel(x.reshape(-1), pixels, taps, KW * C, packed, y.reshape(-1), places, O, width)
    return y
