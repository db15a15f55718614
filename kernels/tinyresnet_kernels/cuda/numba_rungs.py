"""The first rungs of the ladders once more, as `numba.cuda` kernels: CUDA in Python, for a lesson that needs neither a GPU nor a compiler.

    NUMBA_ENABLE_CUDASIM=1 python lesson.py

runs them in Numba's simulator, a Python thread for each CUDA thread, where `print` and `pdb` work inside a kernel; small arrays only.
The variable must be set before Numba is imported. Without it they need a GPU and its toolkit. Numba's own `numba.cuda` is deprecated;
where NVIDIA's package `numba-cuda` is installed, it takes its place under the same name.

Nothing imports this module by itself: the kernels that ship are the `.cu` files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda, float32

from ..arrays import Array
from ..im2col import Pair, output_size

kernel: Callable[[Callable[..., None]], Any] = cuda.jit

THREADS = 32  # of a block
BLOCKS = 2  # of a grid whose threads go on in its strides: the simulator takes long to start a thread
TILE = 8  # a block of TILE x TILE threads makes as many numbers of a product


@kernel
def matmul_v1(a: Array, b: Array, c: Array) -> None:
    """c (M, N) = a (M, K) @ b (K, N): one thread, one number. Every number of a is read N times, of b M times."""
    n, m = cuda.grid(2)
    if m < c.shape[0] and n < c.shape[1]:
        total = float32(0)
        for k in range(a.shape[1]):
            total += a[m, k] * b[k, n]
        c[m, n] = total


@kernel
def matmul_v2(a: Array, b: Array, c: Array) -> None:
    """The same by tiles in shared memory: a block brings TILE x TILE numbers of a and of b, and uses each of them TILE times."""
    tile_a = cuda.shared.array((TILE, TILE), float32)
    tile_b = cuda.shared.array((TILE, TILE), float32)
    x, y = cuda.threadIdx.x, cuda.threadIdx.y
    n, m = cuda.grid(2)
    total = float32(0)
    for start in range(0, a.shape[1], TILE):
        tile_a[y, x] = a[m, start + x] if m < a.shape[0] and start + x < a.shape[1] else 0
        tile_b[y, x] = b[start + y, n] if start + y < b.shape[0] and n < b.shape[1] else 0
        cuda.syncthreads()  # all of the tiles must be there: every thread comes here, also one without a number of c
        for k in range(TILE):
            total += tile_a[y, k] * tile_b[k, x]
        cuda.syncthreads()  # before the tiles are overwritten
    if m < c.shape[0] and n < c.shape[1]:
        c[m, n] = total


@kernel
def im2col_v1(x: Array, cols: Array, stride: Pair, pad: Pair) -> None:
    """cols (N, C, KH, KW, OH, OW) of x (N, C, H, W): one thread, one number, in strides of the grid."""
    _, C, KH, KW, OH, OW = cols.shape
    for i in range(cuda.grid(1), cols.size, cuda.gridsize(1)):
        ow, oh, kw, kh = i % OW, i // OW % OH, i // (OW * OH) % KW, i // (OW * OH * KW) % KH
        c, n = i // (OW * OH * KW * KH) % C, i // (OW * OH * KW * KH * C)
        h, w = oh * stride[0] - pad[0] + kh, ow * stride[1] - pad[1] + kw
        inside = 0 <= h < x.shape[2] and 0 <= w < x.shape[3]
        cols[n, c, kh, kw, oh, ow] = x[n, c, h, w] if inside else 0


@kernel
def convolution_v1(x: Array, weight: Array, y: Array, stride: Pair, pad: Pair) -> None:
    """y (N, O, OH, OW) of x (N, C, H, W) and weight (O, C, KH, KW): one thread, one number; the columns are never written down."""
    _, O, OH, OW = y.shape
    _, C, KH, KW = weight.shape
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        ow, oh, o, n = i % OW, i // OW % OH, i // (OW * OH) % O, i // (OW * OH * O)
        total = float32(0)
        for c in range(C):
            for kh in range(KH):
                for kw in range(KW):
                    h, w = oh * stride[0] - pad[0] + kh, ow * stride[1] - pad[1] + kw
                    if 0 <= h < x.shape[2] and 0 <= w < x.shape[3]:
                        total += x[n, c, h, w] * weight[o, c, kh, kw]
        y[n, o, oh, ow] = total


@kernel
def block_sum(x: Array, sums: Array) -> None:
    """sums (blocks,) of x (n,): each block's share, by a tree in shared memory: 32 numbers become 16, 8, 4, 2, 1."""
    slots = cuda.shared.array(THREADS, float32)
    thread = cuda.threadIdx.x
    total = float32(0)
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        total += x[i]
    slots[thread] = total
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if thread < half:
            slots[thread] += slots[thread + half]
        cuda.syncthreads()
        half //= 2
    if thread == 0:
        sums[cuda.blockIdx.x] = slots[0]


def matmul(a: Array, b: Array, rung: Any = matmul_v2) -> Array:
    """a (M, K) @ b (K, N) by a rung, in float32."""
    c = np.full((a.shape[0], b.shape[1]), np.nan, np.float32)
    rung[(-(-c.shape[1] // TILE), -(-c.shape[0] // TILE)), (TILE, TILE)](a, b, c)
    return c


def im2col(x: Array, kernel: Pair, stride: Pair = (1, 1), pad: Pair = (0, 0)) -> Array:
    """The windows of x (N, C, H, W) as columns (N, C*KH*KW, OH*OW), in float32."""
    N, C = x.shape[:2]
    OH, OW = (output_size(*axis, 1) for axis in zip(x.shape[2:], kernel, stride, pad, strict=True))
    cols = np.full((N, C, *kernel, OH, OW), np.nan, np.float32)
    im2col_v1[BLOCKS, THREADS](x, cols, stride, pad)
    return cols.reshape(N, -1, OH * OW)


def convolution(x: Array, weight: Array, stride: Pair = (1, 1), pad: Pair = (0, 0)) -> Array:
    """y (N, O, OH, OW) of x (N, C, H, W) and weight (O, C, KH, KW), in float32."""
    OH, OW = (output_size(*axis, 1) for axis in zip(x.shape[2:], weight.shape[2:], stride, pad, strict=True))
    y = np.full((len(x), len(weight), OH, OW), np.nan, np.float32)
    convolution_v1[BLOCKS, THREADS](x, weight, y, stride, pad)
    return y


def total(x: Array, blocks: int = BLOCKS) -> float:
    """The sum of x (n,) in two launches: of each block's share, and of those sums. No atomics, so the bits are always the same."""
    sums, whole = np.full(blocks, np.nan, np.float32), np.full(1, np.nan, np.float32)
    block_sum[blocks, THREADS](x, sums)
    block_sum[1, THREADS](sums, whole)
    return float(whole[0])
