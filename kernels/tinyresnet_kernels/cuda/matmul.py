"""The ladder of the matrix product."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Array, array_module
from . import launch
from .versions import chosen

MOST_PRODUCTS = 65535  # in one launch


def matmul(a: Array, b: Array) -> Array:
    """a @ b of matrices (M, K) and (K, N), float32 or float64, by the rung of `versions` that is chosen."""
    (M, K), (_, N) = a.shape, b.shape
    c = array_module(a).empty((M, N), a.dtype)
    if M and N and K:
        products(launch.flat(a), launch.flat(b), c.reshape(-1), (M, N, K), (0, 0, 0), 1)
    return c if K else array_module(a).zeros_like(c)  # type: ignore[no-any-return]


def products(
    a: Array, b: Array, c: Array, sizes: tuple[int, int, int], apart: tuple[int, int, int], count: int
) -> None:
    """Write `count` products of sizes (M, N, K) into c; each one's a, b and c stand so many numbers behind those of the one before."""
    name = chosen("matmul")
    M, N, K = sizes
    width = 4 if a.dtype == np.float32 else 2
    tile = {"matmul_v1": (8, 32), "matmul_v2": (16, 16), "matmul_v3": (64, 64), "matmul_v4": (32 * width, 32 * width)}
    rows, columns = (math.ceil(size / side) for size, side in zip((M, N), tile[name], strict=True))
    run = launch.kernel("matmul", name, a)
    for first in range(0, count, MOST_PRODUCTS):
        parts = [array[first * step :] for array, step in zip((a, b, c), apart, strict=True)]
        arguments = [*parts, *(np.int32(i) for i in (*sizes, *apart))]
        if name == "matmul_v4":
            whole = all(size % width == 0 for size in (N, K, *apart)) and all(map(_aligned, parts))
            arguments.append(np.int32(whole))
        run((rows, columns, min(count - first, MOST_PRODUCTS)), (launch.THREADS,), arguments)


def _aligned(x: Array) -> bool:
    """Whether x begins at a multiple of 16 bytes."""
    address: int = x.ctypes.data if array_module(x) is np else x.data.ptr  # type: ignore[attr-defined]
    return address % 16 == 0
