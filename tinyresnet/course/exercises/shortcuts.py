"""Lesson 06: shortcut B, a strided 1x1 convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...layers import Conv2d
from ...layers.conv import ConvCache, conv2d_backward, conv2d_forward
from .model import Exercise, Function, Rng
from .museum import holding, pieces, random
from .words import hints


def project(x: Any, weight: Any, stride: int) -> Any:
    """y, cache = (x, weight, stride): a 1x1 convolution."""
    return conv2d_forward(x, weight[:, :, None, None], stride=stride)[0], (x, weight, stride)


def project_back(dy: Any, cache: Any) -> Any:
    """dx, dweight."""
    dx, dweight, _ = conv2d_backward(dy, _conv_cache(*cache))
    return dx, dweight[:, :, 0, 0]


def draw_projection(rng: Rng, stride: int) -> tuple[Any, ...]:
    """x, weight (O, C), stride."""
    (N, C, O), (H, W) = rng.integers(2, 5, 3), rng.integers(4, 8, 2)
    return rng.standard_normal((N, C, H, W)), rng.standard_normal((O, C)), stride


def _conv_cache(x: Any, weight: Any, stride: int, bias: Any = None) -> ConvCache:
    return ConvCache(x, weight[:, :, None, None], bias, (stride, stride), (0, 0), (1, 1), 1)


def _museum_projection(bug: Any, dy: Any, cache: Any) -> Any:
    x, weight, stride = cache
    layer = Conv2d(weight.shape[1], len(weight), 1, stride=stride, bias=True, rng=random(), dtype=np.float64)
    bias = np.zeros(len(weight), weight.dtype)
    return holding(layer, weight=weight[:, :, None, None], bias=bias), dy, _conv_cache(x, weight, stride, bias)


STRIDES = ({"stride": 2}, {"stride": 1}, {"stride": 3})

SHORTCUT_B = Exercise(
    "shortcut_b",
    6,
    "Shortcut B: a strided 1x1 convolution",
    (
        Function(
            "projection_forward",
            1,
            draw_projection,
            project,
            ("y", "cache"),
            STRIDES,
            hints=hints("projection_forward"),
        ),
        Function(
            "projection_backward",
            3,
            draw_projection,
            project_back,
            ("dx", "dweight"),
            STRIDES,
            project,
            hints("projection_backward"),
            pieces("conv2d", _museum_projection, lambda layer, dx: (dx, layer.params()["weight"].grad[:, :, 0, 0])),
        ),
    ),
)
