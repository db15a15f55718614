"""The optimisers' updates, in place. Kernels: `optim.cu`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import Array, array_module
from ..dispatch import replaces
from .launch import THREADS, blocks, kernel, supported


def in_place(data: Array, *others: Any) -> bool:
    """Whether the kernels take these arrays: as always, of one shape, C-contiguous, and starting at multiples of 16 bytes."""
    arrays = [data, *(other for other in others if getattr(other, "ndim", 0))]
    return supported(*arrays) and all(
        array.shape == data.shape and array.flags.c_contiguous and _address(array) % 16 == 0 for array in arrays
    )


def _address(array: Any) -> int:
    """Where an array's numbers start."""
    return int(array.ctypes.data if array_module(array) is np else array.data.ptr)


def update(name: str, arrays: list[Array], settings: list[np.generic]) -> None:
    """Run a kernel on the arrays as rows of numbers; a thread a vector."""
    data = arrays[0]
    grid = blocks(-(-data.nbytes // 16))
    arguments = (*(array.reshape(-1) for array in arrays), *settings, np.int32(data.size))
    kernel("optim", name, data)(grid, (THREADS,), arguments)


@replaces("cuda", when=in_place)
def sgd_update(
    data: Array, grad: Array, velocity: Array, lr: float, decay: float, momentum: float, nesterov: bool
) -> None:
    """As the readable form."""
    number = data.dtype.type
    update("sgd_update", [data, grad, velocity], [*map(number, (lr, decay, momentum)), np.int32(nesterov)])


@replaces("cuda", when=in_place)
def adamw_update(
    data: Array,
    grad: Array,
    m: Array,
    v: Array,
    lr: float,
    decay: float,
    beta1: float,
    beta2: float,
    eps: float,
    steps: int,
) -> None:
    """As the readable form."""
    number = data.dtype.type
    rates = (lr / (1 - beta1**steps), 1 - lr * decay, 1 - beta1, 1 - beta2, 1 / math.sqrt(1 - beta2**steps), eps)
    update("adamw_update", [data, grad, m, v], [number(rate) for rate in rates])
