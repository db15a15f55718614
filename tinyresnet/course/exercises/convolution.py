"""Convolution as the exercises call it: whole numbers for stride and pad, small arrays of unequal sizes."""

from __future__ import annotations

from typing import Any

from tinyresnet_kernels import im2col

from ...layers.conv import ConvCache, conv2d_backward, conv2d_forward
from .model import Rng

SETTINGS = tuple({"stride": s, "pad": p} for s, p in ((1, 0), (1, 1), (2, 0), (2, 1), (3, 1), (2, 2)))


def forward(x: Any, weight: Any, bias: Any, stride: int, pad: int) -> Any:
    """y, cache."""
    return conv2d_forward(x, weight, bias, stride=stride, pad=pad)[0], (x, weight, bias, stride, pad)


def output(x: Any, weight: Any, bias: Any, stride: int, pad: int) -> Any:
    """y alone."""
    return forward(x, weight, bias, stride, pad)[0]


def backward(dy: Any, cache: Any) -> Any:
    """dx, dweight, dbias."""
    x, weight, bias, stride, pad = cache
    return conv2d_backward(dy, conv_cache(x, weight, bias, stride, pad))


def draw(rng: Rng, stride: int, pad: int) -> tuple[Any, ...]:
    """x, weight, bias, stride, pad: small, of unequal sizes."""
    N, C, O = rng.integers(2, 5, 3)
    H, W = rng.integers(5, 10, 2)
    KH, KW = rng.integers(2, 4, 2)
    weight = rng.standard_normal((O, C, KH, KW))
    return rng.standard_normal((N, C, H, W)), weight, rng.standard_normal(O), stride, pad


def draw_columns(rng: Rng, stride: int, pad: int) -> tuple[Any, ...]:
    """x, kernel, stride, pad."""
    x, weight, *_ = draw(rng, stride, pad)
    return x, weight.shape[2:], stride, pad


def columns(x: Any, kernel: Any, stride: int, pad: int) -> Any:
    """im2col with whole numbers."""
    return im2col(x, kernel, (stride, stride), (pad, pad))


def conv_cache(x: Any, weight: Any, bias: Any, stride: int, pad: int) -> ConvCache:
    """The library's cache."""
    return ConvCache(x, weight, bias, (stride, stride), (pad, pad), (1, 1), 1)
