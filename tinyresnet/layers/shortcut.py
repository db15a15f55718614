"""Shortcuts for blocks that change the shape: A without parameters, B and C by projection, D by averaging first.

A, B and C: He et al. 2016, section 3.3 and 4.1. B projects where the shape changes, C everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array, Form, empty_memory, form

from ..errors import InputError
from . import checks
from .base import Chain, Layer
from .conv import Conv2d
from .norm import BatchNorm2d
from .pool import AvgPool2d


class SubsamplePadCache(NamedTuple):
    """What backward needs: no values, for each number is copied or dropped. `front` zero channels stand before the copied ones."""

    x: Form
    y_shape: tuple[int, ...]
    stride: int
    front: int


def subsample_pad_forward(x: Array, *, out_channels: int, stride: int) -> tuple[Array, SubsamplePadCache]:
    """y (N, O, OH, OW): every stride-th pixel of x (N, C, H, W), with O - C zero channels, half before and half behind.

    Raises InputError if O < C: option A can only widen.
    """
    checks.array("shortcut A", "x", x, "N C H W")
    checks.at_least("shortcut A", "stride", stride, 1)
    C = x.shape[1]
    if out_channels < C:
        raise InputError(f"shortcut A: x has {C} channels and {out_channels} are to come out: it can pad but not drop")
    front = (out_channels - C) // 2
    kept = x[:, :, ::stride, ::stride]
    y = empty_memory((x.shape[0], out_channels, *kept.shape[2:]), x, channels_last=form(x).channels_last)
    y[...] = 0
    y[:, front : front + C] = kept
    return y, SubsamplePadCache(form(x), y.shape, stride, front)


def subsample_pad_backward(dy: Array, cache: SubsamplePadCache) -> Array:
    """dx (N, C, H, W): dy where the pixel was kept, 0 where it was skipped; the zero channels' dy goes nowhere."""
    x, y_shape, stride, front = cache
    checks.upstream("shortcut A backward", dy, y_shape, x)
    dx = empty_memory(x.shape, dy, channels_last=x.channels_last)
    dx[...] = 0
    dx[:, :, ::stride, ::stride] = dy[:, front : front + x.shape[1]]
    return dx


class ShortcutA(Layer):
    """Option A: subsample and pad with zero channels; no parameters."""

    def __init__(self, out_channels: int, *, stride: int) -> None:
        self.out_channels, self.stride = out_channels, stride

    def forward(self, x: Array, *, train: bool) -> tuple[Array, SubsamplePadCache]:
        return subsample_pad_forward(x, out_channels=self.out_channels, stride=self.stride)

    def backward(self, dy: Array, cache: SubsamplePadCache) -> Array:
        return subsample_pad_backward(dy, cache)


def projection(C: int, O: int, *, stride: int, rng: np.random.Generator, dtype: np.typing.DTypeLike) -> Chain:
    """Options B and C: a 1x1 convolution and a batch norm."""
    conv = Conv2d(C, O, 1, stride=stride, rng=rng, dtype=dtype)
    return Chain({"0": conv, "1": BatchNorm2d(O, dtype=dtype)})


def average_projection(C: int, O: int, *, stride: int, rng: np.random.Generator, dtype: np.typing.DTypeLike) -> Chain:
    """Option D: average each stride x stride window first, so that no pixel is skipped (He et al. 2019, "Bag of tricks", figure 2c)."""
    conv = Conv2d(C, O, 1, rng=rng, dtype=dtype)
    return Chain({"0": AvgPool2d(stride), "1": conv, "2": BatchNorm2d(O, dtype=dtype)})


def shortcut(
    option: str,
    C: int,
    O: int,
    *,
    stride: int,
    rng: np.random.Generator,
    dtype: np.typing.DTypeLike,
) -> Layer | None:
    """The shortcut of a block from C to O channels by option A, B, C or D; None where the identity serves."""
    if option != "C" and stride == 1 and C == O:
        return None
    if option == "A":
        return ShortcutA(O, stride=stride)
    if option == "D" and stride > 1:
        return average_projection(C, O, stride=stride, rng=rng, dtype=dtype)
    if option in ("B", "C", "D"):
        return projection(C, O, stride=stride, rng=rng, dtype=dtype)
    raise InputError(f"shortcut is {option!r}: A, B, C or D is wanted")
