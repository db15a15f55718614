"""Every kind of layer that the networks are made of, small enough to check in a moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Chain,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Fork,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    PointBoxes,
    ReLU,
    Residual,
    ShortcutA,
    Sigmoid,
    UpsampleBilinear,
    UpsampleNearest,
)
from ..layers.shortcut import shortcut
from ..loss import LOSSES, softmax_cross_entropy_backward, softmax_cross_entropy_forward

PICTURE = (3, 4, 7, 6)  # N C H W: odd and unequal sizes leave remainders


@dataclass(frozen=True)
class Shipped:
    """A layer in float64 and the shape of what it takes; `pair` marks one that takes two of it, `more` has the shapes of further arrays."""

    name: str
    make: Callable[[np.random.Generator], Layer]
    shape: tuple[int, ...] = PICTURE
    pair: bool = False
    train: bool = True
    more: tuple[tuple[int, ...], ...] = ()
    far: int = 0  # of boxes x0 y0 x1 y1: what stands between their corners, so that none is turned inside out

    def inputs(
        self, rng: np.random.Generator
    ) -> np.typing.NDArray[np.float64] | tuple[np.typing.NDArray[np.float64], ...]:
        """Normal numbers for the layer to take."""
        drawn = [rng.standard_normal(shape) for shape in (self.shape, *[self.shape] * self.pair, *self.more)]
        if self.far:
            drawn[0][:, 2:] += self.far
        return tuple(drawn) if len(drawn) > 1 else drawn[0]


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


class FixedLoss(Layer):
    """Any loss of LOSSES with fixed others (targets, labels) and settings as a layer; fractions take on x's precision."""

    def __init__(self, kind: str, *others: Any, **settings: Any) -> None:
        self.kind, self.others, self.settings = kind, others, settings

    def forward(self, x: Any, *, train: bool) -> tuple[Any, Any]:
        """The loss, shape ()."""
        others = [_precise(other, x) for other in self.others]
        settings = {name: _precise(setting, x) for name, setting in self.settings.items()}
        return LOSSES[self.kind][0](x, *others, **settings)

    def backward(self, dy: Any, cache: Any) -> Any:
        """dx."""
        return LOSSES[self.kind][1](dy, cache)


def _precise(value: Any, x: Any) -> Any:
    is_fractions = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return value.astype(x.real.dtype) if is_fractions else value


def _masks(rng: np.random.Generator) -> np.typing.NDArray[np.int64]:
    """Labels of PICTURE's pixels; a fifth is ignored."""
    N, K, H, W = PICTURE
    return np.where(rng.random((N, H, W)) < 0.2, 255, rng.integers(0, K, (N, H, W)))


def drawn_boxes(rng: np.random.Generator, M: int) -> np.typing.NDArray[np.float64]:
    """Targets (M, 4) for boxes of normal corners with 8 between: many lie across them, some apart from them, inside, around."""
    near, sides = 4 * rng.standard_normal((M, 2)), rng.uniform(1, 16, (M, 2))
    return np.concatenate([near, near + sides], axis=1)


def _conv(
    C: int, O: int, kernel: int | tuple[int, int] = 3, **settings: object
) -> Callable[[np.random.Generator], Layer]:
    return lambda rng: Conv2d(C, O, kernel, rng=rng, dtype=np.float64, **settings)  # type: ignore[arg-type]


def _conv_transpose(
    C: int, O: int, kernel: int | tuple[int, int], **settings: object
) -> Callable[[np.random.Generator], Layer]:
    return lambda rng: ConvTranspose2d(C, O, kernel, rng=rng, dtype=np.float64, **settings)  # type: ignore[arg-type]


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
    Shipped("transposed conv 4x4, stride 2", _conv_transpose(4, 5, 4, stride=2, pad=1), shape=(3, 4, 3, 4)),
    Shipped("transposed conv 2x3, strides 2 and 1, bias", _conv_transpose(4, 2, (2, 3), stride=(2, 1), bias=True)),
    Shipped("batch norm, training", _norm),
    Shipped("batch norm, evaluation", _norm, train=False),
    Shipped("ReLU", lambda rng: ReLU()),
    Shipped("sigmoid", lambda rng: Sigmoid()),
    Shipped("max pooling 3x3, stride 2", lambda rng: MaxPool2d(3, stride=2, pad=1)),
    Shipped("average pooling 2x2", lambda rng: AvgPool2d(2)),
    Shipped("global average pooling", lambda rng: GlobalAvgPool()),
    Shipped("upsampling, nearest", lambda rng: UpsampleNearest((2, 3))),
    Shipped("upsampling, bilinear", lambda rng: UpsampleBilinear((2, 3))),
    Shipped("flatten", lambda rng: Flatten()),
    Shipped("dropout", lambda rng: Dropout(0.3, rng=rng.spawn(1)[0])),
    Shipped("linear", lambda rng: Linear(5, 4, rng=rng, dtype=np.float64), shape=(3, 5)),
    Shipped("point boxes", lambda rng: PointBoxes(4)),
    Shipped("fork", lambda rng: Fork()),
    Shipped("add", lambda rng: Add(), pair=True),
    Shipped("concat", lambda rng: Concat(), more=((3, 2, 7, 6),)),
    Shipped("shortcut A", lambda rng: ShortcutA(8, stride=2)),
    Shipped("residual block, identity", lambda rng: _block(rng, 4, 1, "A")),
    Shipped("residual block, shortcut A", lambda rng: _block(rng, 8, 2, "A")),
    Shipped("residual block, shortcut B", lambda rng: _block(rng, 8, 2, "B")),
    Shipped("residual block, shortcut D", lambda rng: _block(rng, 8, 2, "D"), shape=(3, 4, 8, 6)),
    Shipped("softmax cross-entropy", lambda rng: CrossEntropy(rng.integers(0, 5, 4), 0.0), shape=(4, 5)),
    Shipped("softmax cross-entropy, smoothed", lambda rng: CrossEntropy(rng.integers(0, 5, 4), 0.1), shape=(4, 5)),
    Shipped(
        "pixel cross-entropy",
        lambda rng: FixedLoss("PixelCrossEntropy", _masks(rng), class_weights=rng.uniform(0.5, 2, 4)),
    ),
    Shipped(
        "focal loss", lambda rng: FixedLoss("FocalLoss", rng.choice([-1.0, 0.0, 1.0], PICTURE), count=9), shape=PICTURE
    ),
    Shipped("smooth L1", lambda rng: FixedLoss("SmoothL1", rng.standard_normal((5, 4)), count=3), shape=(5, 4)),
    Shipped("GIoU", lambda rng: FixedLoss("GIoU", drawn_boxes(rng, 6), count=3), shape=(6, 4), far=8),
)
