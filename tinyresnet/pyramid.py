"""The feature pyramid: coarse levels know what is there, fine levels know where; the way down tells the fine ones (Lin et al. 2017).

c3 -- lateral3 -- fork ------------ output3 -- p3 -- fork -- extra1 -- p4      (further levels by convolutions of stride 2)
                   | up x2                            p3
c2 -- lateral2 -- add -- fork ----- output2 -- p2
                          | up x2
c1 -- lateral1 ---------- add ----- output1 -- p1
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from .fuse import fuse
from .layers import Add, BatchNorm2d, Chain, Conv2d, Fork, Layer, ReLU, UpsampleNearest


def conv_bn_relu(
    C: int, O: int, *, stride: int = 1, rng: np.random.Generator, dtype: np.typing.DTypeLike = np.float32
) -> Chain:
    """A 3x3 convolution from C to O channels, batch norm, ReLU."""
    conv = Conv2d(C, O, 3, stride=stride, pad=1, rng=rng, dtype=dtype)
    return Chain({"conv": conv, "bn": BatchNorm2d(O, dtype=dtype), "relu": ReLU()})


class PyramidCache(NamedTuple):
    """The caches of each level's layers, the finest level first."""

    lateral: list[Any]
    up: list[Any]
    output: list[Any]
    extra: list[Any]


class FeaturePyramid(Layer):
    """(p_1, ..., p_L), each (N, channels, H_i, W_i), the finest first, of a backbone's features c_1, ..., c_B; L = B + extra.

    strides are those of the features; `self.strides` those of all levels.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        strides: tuple[int, ...],
        *,
        channels: int,
        extra: int = 0,
        rng: np.random.Generator,
        dtype: np.typing.DTypeLike = np.float32,
    ) -> None:
        self.count, self.extras = len(in_channels), extra
        self.strides = strides + tuple(strides[-1] * 2**i for i in range(1, extra + 1))

        def unit(stride: int = 1) -> Chain:
            return conv_bn_relu(channels, channels, stride=stride, rng=rng, dtype=dtype)

        for i, C in enumerate(in_channels, start=1):
            setattr(self, f"lateral{i}", Conv2d(C, channels, 1, bias=True, rng=rng, dtype=dtype))
        for i in range(1, self.count):
            setattr(self, f"fork{i + 1}", Fork())
            setattr(self, f"up{i}", UpsampleNearest(strides[i] // strides[i - 1]))
            setattr(self, f"add{i}", Add())
        for i in range(1, self.count + 1):
            setattr(self, f"output{i}", unit())
        for i in range(1, extra + 1):
            setattr(self, f"extra_fork{i}", Fork())
            setattr(self, f"extra{i}", unit(stride=2))

    def forward(self, x: tuple[Array, ...], *, train: bool) -> tuple[tuple[Array, ...], PyramidCache]:
        """The levels of the features x."""
        cache = PyramidCache([], [], [], [])
        levels: list[Array] = []
        top: Array | None = None  # of the level above, on its way down
        for i in range(self.count, 0, -1):
            y, lateral = self.part("lateral", i).forward(x[i - 1], train=train)
            cache.lateral.insert(0, lateral)
            if top is not None:
                raised, up = self.part("up", i).forward(top, train=train)
                cache.up.insert(0, up)
                y, _ = self.part("add", i).forward((y, raised), train=train)
            if i > 1:
                (y, top), _ = self.part("fork", i).forward(y, train=train)
            y, output = self.part("output", i).forward(y, train=train)
            cache.output.insert(0, output)
            levels.insert(0, y)
        for i in range(1, self.extras + 1):
            (y, levels[-1]), _ = self.part("extra_fork", i).forward(levels[-1], train=train)
            y, extra = self.part("extra", i).forward(y, train=train)
            cache.extra.append(extra)
            levels.append(y)
        return tuple(levels), cache

    def backward(self, dy: tuple[Array, ...], cache: PyramidCache) -> tuple[Array, ...]:
        """The gradients at the features, for those at all levels: the same way back, adds copying and forks summing."""
        dlevels, dx = list(dy), []
        for i in range(self.extras, 0, -1):
            d = self.part("extra", i).backward(dlevels.pop(), cache.extra[i - 1])
            dlevels[-1] = self.part("extra_fork", i).backward((d, dlevels[-1]), None)
        dtop: Array | None = None  # what comes back from the level below
        for i in range(1, self.count + 1):
            d = self.part("output", i).backward(dlevels[i - 1], cache.output[i - 1])
            if dtop is not None:
                d = self.part("fork", i).backward((d, dtop), None)
            draised: Array | None = None
            if i < self.count:
                d, draised = self.part("add", i).backward(d, None)
            dx.append(self.part("lateral", i).backward(d, cache.lateral[i - 1]))
            if draised is not None:
                dtop = self.part("up", i).backward(draised, cache.up[i - 1])
        return tuple(dx)

    def fused(self, *, input_gradient: bool = True) -> FeaturePyramid:
        """The same pyramid on the same parameters, its outputs as units (`fuse.py`)."""
        other = copy.copy(self)
        for name, layer in self.children().items():
            if isinstance(layer, Chain):
                setattr(other, name, fuse(layer))
        return other

    def part(self, kind: str, level: int) -> Layer:
        """The layer of this kind at a level."""
        layer: Layer = vars(self)[f"{kind}{level}"]
        return layer
