"""What is done number by number: ReLU both ways, the sum of two arrays; and channels-last memory. Kernels: `elementwise.cu`."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, empty_like, empty_memory, is_channels_last, like_memory
from ..dispatch import replaces
from .launch import THREADS, blocks, flat, kernel, supported


def run(name: str, like: Array, *arrays: Array) -> None:
    """Run a kernel on arrays of one memory order, as rows of numbers; a thread a vector."""
    kernel("elementwise", name, like)(blocks(-(-like.nbytes // 16)), (THREADS,), (*arrays, np.int32(like.size)))


@replaces("cuda", when=supported)
def rectify(x: Array) -> tuple[Array, Array]:
    """As the readable form: y and the mask, of any shape."""
    y, mask = empty_like(x), empty_like(x, np.bool_)
    run("rectify", x, flat(x), flat(y), flat(mask))
    return y, mask


def one_order(dy: Array, mask: Array) -> bool:
    """Whether the kernel takes these: dy as always, both of one shape, without gaps and in the same order."""
    return (
        supported(dy)
        and dy.shape == mask.shape
        and ((is_channels_last(dy) and is_channels_last(mask)) or (dy.flags.c_contiguous and mask.flags.c_contiguous))
    )


@replaces("cuda", when=one_order)
def gate(dy: Array, mask: Array) -> Array:
    """As the readable form: dx of any shape."""
    dx = empty_like(dy)
    run("gate", dy, flat(dy), flat(mask), flat(dx))
    return dx


@replaces("cuda", when=lambda a, b: supported(a, b) and a.shape == b.shape)
def total(a: Array, b: Array) -> Array:
    """As the readable form: a + b of any shape."""
    y = empty_like(a)
    run("total", a, flat(a), flat(like_memory(b, a)), flat(y))
    return y


@replaces("cuda", when=lambda x: supported(x) and x.ndim == 4)
def preferred_memory(x: Array) -> Array:
    """x (N, C, H, W) in channels-last memory."""
    if x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return x
    moved = empty_memory(x.shape, x, channels_last=True)
    moved[...] = x
    return moved
