"""Every kind of layer that the networks are made of, small enough to check in a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Chain,
    Conv2d,
    Dropout,
    Flatten,
    Fork,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    ShortcutA,
)
from ..layers.shortcut import shortcut
from ..loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward

PICTURE = (3, 4, 7, 6)  # N C H W: odd and unequal sizes leave remainders


@dataclass(frozen=True)
class Shipped:
    """A layer in float64 and the shape of what it takes; `pair` marks a layer that takes two of it."""

    name: str
    make: Callable[[np.random.Generator], Layer]
    shape: tuple[int, ...] = PICTURE
    pair: bool = False
    train: bool = True

    def inputs(
        self, rng: np.random.Generator
    ) -> np.typing.NDArray[np.float64] | tuple[np.typing.NDArray[np.float64], ...]:
        """Normal numbers for the layer to take."""
        drawn = [rng.standard_normal(self.shape) for _ in range(1 + self.pair)]
        return tuple(drawn) if self.pair else drawn[0]


class CrossEntropy(Layer):
    """Softmax cross-entropy with fixed labels as a layer, so that it can be checked like one."""

    def __init__(self, labels: np.typing.NDArray[np.int64], label_smoothing: float) -> None:
        self.labels, self.label_smoothing = labels, label_smoothing

    def forward(self, x, *, train):  # type: ignore[no-untyped-def]
        """The loss, shape ()."""
        return softmax_cross_entropy_forward(x, self.labels, label_smoothing=self.label_smoothing)

    def backward(self, dy, cache):  # type: ignore[no-untyped-def]
        """dlogits."""
        return softmax_cross_entropy_backward(dy, cache)


def _conv(
    C: int, O: int, kernel: int | tuple[int, int] = 3, **settings: object
) -> Callable[[np.random.Generator], Layer]:
    return lambda rng: Conv2d(C, O, kernel, rng=rng, dtype=np.float64, **settings)  # type: ignore[arg-type]


def _norm(rng: np.random.Generator, C: int = 4) -> BatchNorm2d:
    layer = BatchNorm2d(C, dtype=np.float64)
    layer.weight.data, layer.bias.data = rng.uniform(0.5, 2, C), rng.standard_normal(C)
    layer.running_mean, layer.running_var = rng.standard_normal(C), rng.uniform(0.5, 2, C)
    return layer


def _block(rng: np.random.Generator, O: int, stride: int, option: str) -> Residual:
    f64 = np.float64
    branch = {"conv1": Conv2d(4, O, 3, stride=stride, pad=1, rng=rng, dtype=f64), "bn1": _norm(rng, O), "relu1": ReLU()}
    branch |= {"conv2": Conv2d(O, O, 3, pad=1, rng=rng, dtype=f64), "bn2": _norm(rng, O)}
    return Residual(Chain(branch), shortcut(option, 4, O, stride=stride, rng=rng, dtype=f64), ReLU())


SHIPPED: tuple[Shipped, ...] = (
    Shipped("conv2d 3x3", _conv(4, 5, pad=1)),
    Shipped("conv2d 3x3, stride 2", _conv(4, 5, pad=1, stride=2)),
    Shipped("conv2d 1x1, bias", _conv(4, 5, 1, bias=True)),
    Shipped("conv2d 1x5, dilation 2, groups 2", _conv(4, 6, (1, 5), pad=(0, 4), dilation=2, groups=2)),
    Shipped("batch norm, training", _norm),
    Shipped("batch norm, evaluation", _norm, train=False),
    Shipped("ReLU", lambda rng: ReLU()),
    Shipped("max pooling 3x3, stride 2", lambda rng: MaxPool2d(3, stride=2, pad=1)),
    Shipped("average pooling 2x2", lambda rng: AvgPool2d(2)),
    Shipped("global average pooling", lambda rng: GlobalAvgPool()),
    Shipped("flatten", lambda rng: Flatten()),
    Shipped("dropout", lambda rng: Dropout(0.3, rng=rng.spawn(1)[0])),
    Shipped("linear", lambda rng: Linear(5, 4, rng=rng, dtype=np.float64), shape=(3, 5)),
    Shipped("fork", lambda rng: Fork()),
    Shipped("add", lambda rng: Add(), pair=True),
    Shipped("shortcut A", lambda rng: ShortcutA(8, stride=2)),
    Shipped("residual block, identity", lambda rng: _block(rng, 4, 1, "A")),
    Shipped("residual block, shortcut A", lambda rng: _block(rng, 8, 2, "A")),
    Shipped("residual block, shortcut B", lambda rng: _block(rng, 8, 2, "B")),
    Shipped("residual block, shortcut D", lambda rng: _block(rng, 8, 2, "D"), shape=(3, 4, 8, 6)),
    Shipped("softmax cross-entropy", lambda rng: CrossEntropy(rng.integers(0, 5, 4), 0.0), shape=(4, 5)),
    Shipped("softmax cross-entropy, smoothed", lambda rng: CrossEntropy(rng.integers(0, 5, 4), 0.1), shape=(4, 5)),
)
