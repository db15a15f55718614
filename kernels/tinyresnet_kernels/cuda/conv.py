"""The implicit convolution: forward and gradient of the input.

Kernels: `implicit_gemm.cu` and, the shipped ones, `implicit_gemm_patches.cu`. The gradient of the weights stands in `conv_weight.py`.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Array, Form, array_module, empty_memory, like_memory
from ..dispatch import replaces
from ..im2col import Pair, output_size
from . import geometry, launch, patches
from .geometry import Geometry
from .im2col import im2col, in_c_order
from .matmul import products
from .versions import chosen


def supported(x: Array, weight: Array, *settings: object) -> bool:
    """Whether the kernels take these: as everywhere, and no negative padding."""
    return launch.supported(x, weight)


@replaces("cuda", when=supported)
def correlate(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """As the readable form: y (N, O, OH, OW)."""
    settings = (stride, pad, dilation, groups)
    rung = chosen("correlate")
    if rung == "columns":
        return _columns(x, weight, *settings)
    if rung == "implicit_gemm_v5":
        check_tensor_cores(x)
    classes = geometry.forward(x.shape, weight.shape, *settings)
    y = empty_memory((len(x), len(weight), classes[0].down.outputs, classes[0].across.outputs), x, channels_last=True)
    gather(rung, classes, x, weight, y, groups)
    return like_memory(y, x)


def check_tensor_cores(x: Array) -> None:
    """Raises ValueError for what the fifth rung does not take: other numbers than float32, and GPUs without products in TF32."""
    if x.dtype != np.float32:
        raise ValueError(f"implicit_gemm_v5: x has dtype {x.dtype}: float32 is wanted")
    xp = array_module(x)
    if xp is not np and int(xp.cuda.Device().compute_capability) < 80:
        raise ValueError(
            "implicit_gemm_v5: this GPU's tensor cores have no TF32: compute capability 8.0 or newer is wanted"
        )


@replaces("cuda", when=supported)
def input_gradient(
    dy: Array, weight: Array, x: Array | Form, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Array:
    """As the readable form: dx (N, C, H, W)."""
    dx = empty_memory(x.shape, dy, channels_last=True)
    classes = geometry.backward(x.shape, weight.shape, stride, pad, dilation, groups)
    gather(chosen("input_gradient"), classes, dy, weight, dx, groups)
    return like_memory(dx, x)


def gather(name: str, classes: tuple[Geometry, ...], read: Array, weight: Array, written: Array, groups: int) -> None:
    """Run a rung that walks over these classes of the pixels of `written`."""
    arrays = (launch.channels_last(read), in_c_order(weight), launch.channels_last(written))
    if name.endswith("v4"):
        work = patches.work(classes, groups, 16 // read.dtype.itemsize)
        if work is not None:
            return _patches(work, *arrays, groups)
        name = name.replace("v4", "v3")  # a kernel whose patch does not fit into shared memory
    M, pixels = classes[0].M, max(g.pixels for g in classes)
    if name.endswith("v5"):
        grid = (math.ceil(pixels / 64) * math.ceil(M / 32), len(classes), groups)
        launch.kernel("implicit_gemm_tensor", name, read)(grid, (128,), (*arrays, geometry.integers(classes, read)))
        return None
    if name.endswith("v3"):
        tile = (64, 16 if M <= 16 else 32 if M <= 32 else 64)
        name = f"{name}_{tile[1]}"
    else:
        tile = (16, 16)
    blocks = math.ceil(pixels / tile[0]) * math.ceil(M / tile[1])
    if name.endswith("v1"):
        blocks = math.ceil(pixels * M / launch.THREADS)
    grid = (blocks, len(classes), groups)
    launch.kernel("implicit_gemm", name, read)(grid, (launch.THREADS,), (*arrays, geometry.integers(classes, read)))
    return None


def _patches(work: patches.Work, read: Array, weight: Array, written: Array, groups: int) -> None:
    """The fourth rung: weights in the order in which it reads them, and then itself."""
    plans = geometry.integers(work.plans, read)
    packed = empty_memory((max(work.packed, 1),), read, channels_last=False)
    if work.packed:
        outputs = work.tile.vectors * 16 // read.dtype.itemsize
        grid = (*launch.blocks(work.packed // len(work.plans)), len(work.plans))
        pack = launch.kernel("implicit_gemm_patches", "pack_weights", read)
        pack(grid, (launch.THREADS,), (weight, packed, plans, np.int32(groups), np.int32(outputs)))
    run = launch.kernel("implicit_gemm_patches", f"implicit_gemm_v4_{work.tile.name}", read)
    run(work.grid, (128,), (read, packed, written, plans), shared_mem=work.shared_bytes)


def _columns(x: Array, weight: Array, stride: Pair, pad: Pair, dilation: Pair, groups: int) -> Array:
    """The readable form's way: columns in memory, and one matrix product a picture and group."""
    (N, _, H, W), (O, CG, KH, KW) = x.shape, weight.shape
    OH, OW = (output_size(*axis) for axis in zip((H, W), (KH, KW), stride, pad, dilation, strict=True))
    cols = im2col(x, (KH, KW), stride, pad, dilation).reshape(-1)
    y = empty_memory((N, O, OH, OW), x, channels_last=False)
    M, K, P = O // groups, CG * KH * KW, OH * OW
    numbers, out = in_c_order(weight), y.reshape(-1)
    for g in range(groups):
        parts = numbers[g * M * K :], cols[g * K * P :], out[g * M * P :]
        products(*parts, (M, P, K), (0, groups * K * P, O * P), N)
    return like_memory(y, x)
