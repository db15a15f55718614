"""The gradient of a convolution's weights. Kernels: `implicit_gemm_weight.cu` and, the shipped ones, `implicit_gemm_weight_patches.cu`."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Array, empty_memory
from ..dispatch import replaces
from ..im2col import Pair
from . import geometry, launch, patches_weight
from .conv import supported
from .geometry import Geometry
from .versions import chosen

ENOUGH_BLOCKS = 256


@replaces("cuda", when=supported)
def weight_gradient(dy: Array, weight: Array, x: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: dweight (O, C/groups, KH, KW)."""
    dweight = empty_memory(weight.shape, dy, channels_last=False)
    (sizes,) = geometry.forward(x.shape, weight.shape, stride, pad, dilation, groups)
    numbers = geometry.integers((sizes,), x)
    arrays, name = (launch.channels_last(dy), launch.channels_last(x)), chosen("weight_gradient")
    if name.endswith("v1"):
        run = launch.kernel("implicit_gemm_weight", name, x)
        run((math.ceil(weight.size / launch.THREADS),), (launch.THREADS,), (*arrays, dweight.reshape(-1), numbers))
        return dweight
    if name.endswith("v4"):
        work = patches_weight.work(sizes, groups, 16 // x.dtype.itemsize)
        if work is not None:
            partials = empty_memory((work.chunks * weight.size,), x, channels_last=False)
            run = launch.kernel("implicit_gemm_weight_patches", f"{name}_{work.far}", x)
            plan = geometry.integers((work.plan,), x)
            run(work.grid, (work.threads,), (*arrays, partials, plan), shared_mem=work.shared_bytes)
            add_partials(partials, dweight, work.chunks)
            return dweight
        name = name.replace("v4", "v3")  # a kernel whose patch does not fit into shared memory
    tile = (16, 16)
    if name.endswith("v3"):
        tile = (16 if sizes.M <= 16 else 64, 64)
        name = f"{name}_{tile[0]}"
    tiles = math.ceil(sizes.M / tile[0]) * math.ceil(sizes.taps * sizes.K / tile[1])
    chunk = chunk_of(sizes, tiles * groups)
    chunks = math.ceil(sizes.pixels / chunk)
    partials = empty_memory((chunks * weight.size,), x, channels_last=False)
    run = launch.kernel("implicit_gemm_weight", name, x)
    run((tiles, chunks, groups), (launch.THREADS,), (*arrays, partials, numbers, np.int32(chunk)))
    add_partials(partials, dweight, chunks)
    return dweight


def chunk_of(sizes: Geometry, blocks: int) -> int:
    """How many pixels a block sums, a multiple of 16, where there are so many blocks for each chunk."""
    chunks = max(1, ENOUGH_BLOCKS // blocks)
    return max(64, math.ceil(sizes.pixels / chunks / 16) * 16)


def add_partials(partials: Array, dweight: Array, chunks: int) -> None:
    """Write the sum of so many partial sums (O, taps, C/groups) to dweight (O, C/groups, KH, KW)."""
    O, K, KH, KW = dweight.shape
    run = launch.kernel("implicit_gemm_weight", "add_partials", dweight)
    integers = [np.int32(i) for i in (O, KH * KW, K, chunks)]
    run((math.ceil(dweight.size / 32),), (launch.THREADS,), (partials, dweight.reshape(-1), *integers))
