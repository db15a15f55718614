"""Random shapes and settings for kernels: convolutions, poolings, pictures, and arrays of any kind."""

from __future__ import annotations

from typing import NamedTuple

from kernel_calls import Draw
from tinyresnet_kernels import Pair, output_size


def picture(draw: Draw, *, empty: bool = True) -> tuple[int, int, int, int]:
    """A random shape (N, C, H, W)."""
    N, C = draw.one_of(0, 1, 1, 2, 3, 5, 17), draw.one_of(1, 2, 3, 5, 8, 16, 19, 32, 35, 64)
    return N if empty else max(N, 1), C, draw.size(), draw.size()


def any_shape(draw: Draw) -> tuple[int, ...]:
    """A random shape of any number of axes, often (N, C, H, W)."""
    return draw.one_of(picture(draw), picture(draw), (draw.size(), 7), (0,), (1000 + draw.size(),), (2, 3, draw.size()))


class Convolution(NamedTuple):
    """Sizes and settings of a random convolution."""

    x: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    y: tuple[int, int, int, int]
    settings: tuple[Pair, Pair, Pair, int]  # stride, pad, dilation, groups


def convolution(draw: Draw, *, plain: bool = False) -> Convolution:
    """A random convolution. Channels: fewer than, as many as, and more than one and two registers of any machine hold.

    A `plain` one has no dilation and no groups, and is not empty.
    """
    while True:
        N, G = draw.one_of(0, 1, 1, 2, 3, 5, 17, 33), draw.one_of(1, 1, 1, 2, 3)
        CG, OG = (
            draw.one_of(1, 2, 3, 5, 8, 16, 19, 35),
            draw.one_of(1, 2, 3, 4, 7, 8, 13, 16, 17, 24, 32, 33, 48, 64, 65),
        )
        kernel = draw.one_of((1, 1), (1, 1), (3, 3), (3, 3), (3, 3), (2, 2), (1, 7), (7, 1), (5, 3), (4, 2), (7, 7))
        stride = draw.one_of((1, 1), (1, 1), (2, 2), (2, 2), (3, 3), (1, 2), (3, 1), (4, 5))
        dilation = draw.one_of((1, 1), (1, 1), (2, 2), (3, 3), (1, 2), (4, 1))
        pad = tuple(int(draw.rng.integers(0, reach + 2)) for reach in kernel)
        if draw.rng.random() < 0.25:  # what Winograd's tiles may serve
            sizes = (4, 8, 16) if draw.largest == 8 else (16, 16, 32, 48)
            N, G, CG, OG = max(N, 1), 1, draw.one_of(*sizes), draw.one_of(*sizes)
            kernel, stride, dilation = (3, 3), (1, 1), (1, 1)
        elif draw.rng.random() < 0.1:  # depthwise
            G, CG, OG = draw.one_of(3, 8, 16, 19, 48), 1, 1
        if plain:
            N, G, dilation = max(N, 1), 1, (1, 1)
        size = (draw.size(), draw.size())
        OH, OW = (output_size(*axis) for axis in zip(size, kernel, stride, pad, dilation, strict=True))
        x, weight, y = (N, G * CG, *size), (G * OG, CG, *kernel), (N, G * OG, OH, OW)
        if OH > 0 and OW > 0 and N * G * OG * OH * OW * CG * kernel[0] * kernel[1] <= draw.work:
            return Convolution(x, weight, y, (stride, pad, dilation, G))


class Pooling(NamedTuple):
    """Sizes and settings of a random pooling: a window holds more picture than padding."""

    x: tuple[int, int, int, int]
    y: tuple[int, int, int, int]
    settings: tuple[Pair, Pair, Pair]  # kernel, stride, pad


def pooling(draw: Draw) -> Pooling:
    while True:
        x = picture(draw)
        kernel = draw.one_of((2, 2), (2, 2), (3, 3), (1, 1), (1, 5), (4, 3))
        stride = draw.one_of((1, 1), (2, 2), (2, 2), (3, 1), (4, 5))
        pad = tuple(int(draw.rng.integers(0, size // 2 + 1)) for size in kernel)
        OH, OW = (output_size(*axis, 1) for axis in zip(x[2:], kernel, stride, pad, strict=True))
        if OH > 0 and OW > 0:
            return Pooling(x, (*x[:2], OH, OW), (kernel, stride, pad))
