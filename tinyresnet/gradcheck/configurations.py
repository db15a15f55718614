"""Right layers by chance: kinds, sizes, settings, scales from a thousandth to a thousand, ties and zeros, both precisions.

What a checker says of them must never be "wrong".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array

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
from .shipped import CrossEntropy, FixedLoss

Rng = np.random.Generator


class Configuration(NamedTuple):
    """A right layer and what it takes."""

    name: str
    layer: Layer
    x: Any
    train: bool


def draw_configuration(rng: Rng) -> Configuration:
    """One by chance; every kind is as likely as every other."""
    dtype = np.float64 if rng.random() < 0.6 else np.float32
    name = str(rng.choice(list(MAKERS)))
    layer, of, count = MAKERS[name](rng, dtype)
    arrays = tuple(draw_numbers(rng, of, dtype) if isinstance(of, tuple) else of for _ in range(count))
    for i, (_, param) in enumerate(layer.named_params()):
        if i == 0 and rng.random() < 0.3:
            param.data *= param.data.dtype.type(10.0 ** rng.uniform(-3, 3))
    x = arrays if count > 1 else arrays[0]
    return Configuration(f"{name} {arrays[0].shape}", layer, x, bool(rng.random() < 0.7))


def draw_numbers(rng: Rng, shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> Array:
    """Normal numbers; or whole ones, with ties and zeros; or normal ones far from zero; of any scale."""
    x = rng.standard_normal(shape)
    kind = rng.integers(5)
    if kind == 0:
        x = np.round(x)
    elif kind == 1:
        x = np.round(2 * x) / 2
        x[rng.random(shape) < 0.3] = 0
    elif kind == 2:
        x += rng.uniform(-20, 20)
    return np.asarray(x * 10.0 ** rng.uniform(-3, 3), dtype)


def _size(rng: Rng, least: int = 1, most: int = 7) -> int:
    return int(rng.integers(least, most + 1))


def _picture(rng: Rng, C: int | None = None, least: int = 1) -> tuple[int, int, int, int]:
    return _size(rng, 1, 4), C or _size(rng, 1, 6), _size(rng, least, 8), _size(rng, least, 8)


# a layer; the shape of what it takes, or the numbers themselves; how many such arrays
Made = tuple[Layer, tuple[int, ...] | Array, int]


def _conv(rng: Rng, dtype: Any) -> Made:
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    C, O, kernel = groups * _size(rng, 1, 3), groups * _size(rng, 1, 3), (_size(rng, 1, 3), _size(rng, 1, 4))
    settings = {"stride": _size(rng, 1, 3), "pad": _size(rng, 0, 2), "dilation": _size(rng, 1, 2), "groups": groups}
    layer = Conv2d(C, O, kernel, bias=bool(rng.random() < 0.5), rng=rng, dtype=dtype, **settings)
    return layer, _picture(rng, C, least=7), 1


def _conv_transpose(rng: Rng, dtype: Any) -> Made:
    C, O, kernel, pad = _size(rng, 1, 4), _size(rng, 1, 4), (_size(rng, 1, 4), _size(rng, 1, 4)), _size(rng, 0, 2)
    bias, stride = bool(rng.random() < 0.5), _size(rng, 1, 3)
    layer = ConvTranspose2d(C, O, kernel, stride=stride, pad=pad, bias=bias, rng=rng, dtype=dtype)
    return layer, _picture(rng, C, least=2 * pad + 1), 1


def _norm(rng: Rng, dtype: Any, C: int | None = None) -> Made:
    N, C, H, W = _picture(rng, C, least=2)
    return _filled(BatchNorm2d(C, dtype=dtype), rng), (N, C, H, W), 1


def _filled(norm: BatchNorm2d, rng: Rng) -> BatchNorm2d:
    C, dtype = len(norm.weight.data), norm.weight.data.dtype
    norm.weight.data, norm.bias.data = rng.uniform(-2, 2, C).astype(dtype), rng.standard_normal(C).astype(dtype)
    norm.running_mean, norm.running_var = rng.standard_normal(C).astype(dtype), rng.uniform(0.5, 2, C).astype(dtype)
    return norm


def _pool(kind: Callable[..., Layer]) -> Callable[[Rng, Any], Made]:
    def make(rng: Rng, dtype: Any) -> Made:
        kernel = _size(rng, 1, 3), _size(rng, 1, 3)
        pad = int(rng.integers(0, min(kernel) // 2 + 1))
        return kind(kernel, stride=_size(rng, 1, 3), pad=pad), _picture(rng, least=3), 1

    return make


def _linear(rng: Rng, dtype: Any) -> Made:
    I, O = _size(rng, 1, 20), _size(rng, 1, 12)
    return Linear(I, O, rng=rng, dtype=dtype), (_size(rng, 1, 6), I), 1


def _of_pictures(make: Callable[[Rng], Layer], count: int = 1) -> Callable[[Rng, Any], Made]:
    return lambda rng, dtype: (make(rng), _picture(rng), count)


def _upsample(kind: Callable[..., Layer]) -> Callable[[Rng, Any], Made]:
    return lambda rng, dtype: (kind((_size(rng, 1, 3), _size(rng, 1, 3))), _picture(rng), 1)


def _concat(rng: Rng, dtype: Any) -> Made:
    return Concat(), _picture(rng), _size(rng, 2, 4)


def _shortcut_a(rng: Rng, dtype: Any) -> Made:
    C = _size(rng, 1, 5)
    return ShortcutA(C + _size(rng, 0, 4), stride=_size(rng, 1, 3)), _picture(rng, C), 1


def _block(rng: Rng, dtype: Any) -> Made:
    C, O, stride, option = _size(rng, 1, 4), _size(rng, 1, 4), _size(rng, 1, 2), str(rng.choice(list("ABCD")))
    if option == "A":
        O = C + _size(rng, 0, 3)
    branch = {
        "conv1": Conv2d(C, O, 3, stride=stride, pad=1, rng=rng, dtype=dtype),
        "bn1": _filled(BatchNorm2d(O, dtype=dtype), rng),
        "relu1": ReLU(),
        "conv2": Conv2d(O, O, 3, pad=1, rng=rng, dtype=dtype),
        "bn2": _filled(BatchNorm2d(O, dtype=dtype), rng),
    }
    way = shortcut(option, C, O, stride=stride, rng=rng, dtype=dtype)
    N, _, H, W = _picture(rng, C, least=3)
    return Residual(Chain(branch), way, ReLU()), (N + 1, C, H - H % 2 + 2, W - W % 2 + 2), 1


def _cross_entropy(rng: Rng, dtype: Any) -> Made:
    N, K = _size(rng, 1, 6), _size(rng, 2, 8)
    labels = rng.integers(0, K, N)
    labels[1:][rng.random(N - 1) < 0.2] = -100
    return CrossEntropy(labels, float(rng.choice([0.0, 0.1, 0.5]))), (N, K), 1


def _point_boxes(rng: Rng, dtype: Any) -> Made:
    return PointBoxes(_size(rng, 1, 16), most=float(rng.choice([2.0, 64.0]))), _picture(rng, 4), 1


def _pixel_cross_entropy(rng: Rng, dtype: Any) -> Made:
    N, K, H, W = _size(rng, 1, 3), _size(rng, 2, 5), _size(rng, 1, 5), _size(rng, 1, 5)
    labels = rng.integers(0, K, (N, H, W))
    labels.flat[1:][rng.random(labels.size - 1) < 0.2] = 255
    class_weights = rng.uniform(0.1, 3, K) if rng.random() < 0.5 else None
    return FixedLoss("PixelCrossEntropy", labels, class_weights=class_weights), (N, K, H, W), 1


def _focal(rng: Rng, dtype: Any) -> Made:
    """Soft targets with gamma 2 alone: a smaller one has a kink where p hits its target."""
    shape, is_soft = (_size(rng), _size(rng, 1, 5)), rng.random() < 0.3
    targets = rng.uniform(0, 1, shape) if is_soft else rng.integers(0, 2, shape).astype(float)
    targets[rng.random(shape) < 0.2] = -1
    alpha, gamma = (float(rng.uniform(0, 1)) if rng.random() < 0.7 else None), 2.0 if is_soft else rng.uniform(0, 4)
    return FixedLoss("FocalLoss", targets, alpha=alpha, gamma=gamma, count=_size(rng)), shape, 1


def _smooth_l1(rng: Rng, dtype: Any) -> Made:
    shape, beta = (_size(rng), _size(rng, 1, 5)), float(rng.choice([1 / 9, 1, 10]))
    return FixedLoss("SmoothL1", draw_numbers(rng, shape, dtype), beta=beta, count=_size(rng)), shape, 1


def _giou(rng: Rng, dtype: Any) -> Made:
    """Of boxes and targets of one scale. (Where their edges coincide, a loss, being one number, can not be judged.)"""
    M, scale = _size(rng), 10.0 ** rng.uniform(-3, 3)
    near, sides = rng.uniform(-3, 3, (2, M, 2)), rng.uniform(0.3, 6, (2, M, 2))
    boxes, target = np.asarray(scale * np.concatenate([near, near + sides], axis=2), dtype)
    weight = rng.uniform(0.5, 2, M) if rng.random() < 0.5 else None
    return FixedLoss("GIoU", target, weight, count=_size(rng)), boxes, 1


MAKERS: dict[str, Callable[[Rng, Any], Made]] = {
    "conv2d": _conv,
    "transposed conv": _conv_transpose,
    "batch norm": _norm,
    "ReLU": _of_pictures(lambda rng: ReLU()),
    "sigmoid": _of_pictures(lambda rng: Sigmoid()),
    "max pooling": _pool(MaxPool2d),
    "average pooling": _pool(AvgPool2d),
    "global average pooling": _of_pictures(lambda rng: GlobalAvgPool()),
    "linear": _linear,
    "flatten": _of_pictures(lambda rng: Flatten()),
    "dropout": _of_pictures(lambda rng: Dropout(rng.uniform(0, 0.9), rng=rng.spawn(1)[0])),
    "fork": _of_pictures(lambda rng: Fork()),
    "add": _of_pictures(lambda rng: Add(), 2),
    "nearest upsampling": _upsample(UpsampleNearest),
    "bilinear upsampling": _upsample(UpsampleBilinear),
    "concat": _concat,
    "shortcut A": _shortcut_a,
    "residual block": _block,
    "cross-entropy": _cross_entropy,
    "point boxes": _point_boxes,
    "pixel cross-entropy": _pixel_cross_entropy,
    "focal loss": _focal,
    "smooth L1": _smooth_l1,
    "GIoU": _giou,
}
