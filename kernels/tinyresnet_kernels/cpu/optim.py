"""The optimisers' updates, in one pass over a parameter, its gradient and its state."""

from __future__ import annotations

import math

import numpy as np

from ..arrays import Array
from ..dispatch import replaces
from .compiling import kernel
from .rows import share_numbers


@kernel
def sgd_numbers(data, grad, velocity, lr, decay, momentum, nesterov):
    """Move data and velocity, in place."""
    for i in range(len(data)):
        g = grad[i] + decay * data[i] if decay != 0 else grad[i]
        v = momentum * velocity[i] + g
        velocity[i] = v
        data[i] -= lr * (g + momentum * v if nesterov else v)


@kernel
def adamw_numbers(data, grad, m, v, lr, shrink, new1, new2, inverse_scale, eps):
    """Move data, m and v, in place; `shrink` is what decay leaves, new1 and new2 weigh the new values in m and v."""
    for i in range(len(data)):
        g = grad[i]
        m[i] += new1 * (g - m[i])
        v[i] += new2 * (g * g - v[i])
        data[i] = shrink * data[i] - lr * m[i] / (math.sqrt(v[i]) * inverse_scale + eps)


def supported(data: Array, *others: Array | float) -> bool:
    """Whether the kernels take these arrays: all float32 or all float64, of one shape, C-contiguous."""
    arrays = [data, *(other for other in others if isinstance(other, np.ndarray))]
    return data.dtype in (np.float32, np.float64) and all(
        array.dtype == data.dtype and array.shape == data.shape and array.flags.c_contiguous for array in arrays
    )


@replaces("cpu", when=supported)
def sgd_update(
    data: Array, grad: Array, velocity: Array, lr: float, decay: float, momentum: float, nesterov: bool
) -> None:
    """As the readable form."""
    number = data.dtype.type  # a float64 among float32 would make Numba compute in float64
    arrays = [array.reshape(-1) for array in (data, grad, velocity)]
    settings = number(lr), number(decay), number(momentum), bool(nesterov)
    share_numbers(
        lambda first, last: sgd_numbers(*(array[first:last] for array in arrays), *settings), data.size, 5 * data.nbytes
    )


@replaces("cpu", when=supported)
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
    arrays = [array.reshape(-1) for array in (data, grad, m, v)]
    rates = (lr / (1 - beta1**steps), 1 - lr * decay, 1 - beta1, 1 - beta2, 1 / math.sqrt(1 - beta2**steps), eps)
    settings = [number(rate) for rate in rates]
    share_numbers(
        lambda first, last: adamw_numbers(*(array[first:last] for array in arrays), *settings),
        data.size,
        7 * data.nbytes,
    )
