"""One row a layer and a loss: how it is made, what it takes, and the same in PyTorch. The generic tests walk this table.

All numbers come from `draw`, whose bits no version of NumPy changes, so that the golden vectors stay valid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

import tinyresnet as tr
from tinyresnet import Array, Layer
from tinyresnet.layers import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Chain,
    Conv2d,
    Dropout,
    Flatten,
    Fork,
    GlobalAvgPool,
    Identity,
    Linear,
    MaxPool2d,
    ReLU,
    ShortcutA,
)
from tinyresnet.loss import CrossEntropyCache, softmax_cross_entropy_backward, softmax_cross_entropy_forward

Shape: TypeAlias = tuple[int, ...]
Tensors: TypeAlias = dict[str, Any]  # parameters and buffers as torch tensors, by name
Torch: TypeAlias = Callable[[Any, Any, Tensors, bool], Any]  # (torch.nn.functional, x, tensors, train) -> y
Make: TypeAlias = Callable[[np.random.Generator, npt.DTypeLike], Layer]


def draw(seed: int, shape: Shape) -> npt.NDArray[np.float64]:
    """Uniform numbers in [-2, 2), the same everywhere: made from the raw bits of a generator."""
    bits = np.random.PCG64(seed).random_raw(math.prod(shape)).reshape(shape)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-51 - 2


def fill(layer: Layer, seed: int = 100) -> Layer:
    """Give every parameter and running statistic numbers from `draw`: those that a layer starts with (0, 1) would hide mistakes."""
    for i, (_, param) in enumerate(layer.named_params()):
        param.data[...] = draw(seed + i, param.data.shape) / 2
    for i, (name, buffer) in enumerate(layer.named_buffers()):
        if name.endswith("running_mean"):
            buffer[...] = draw(seed + 500 + i, buffer.shape)
        elif name.endswith("running_var"):
            buffer[...] = draw(seed + 500 + i, buffer.shape) / 2 + 1.5
    return layer


@dataclass(frozen=True)
class Case:
    """One row. `any_shape`: it takes x of every shape; `no_cache`: its backward remembers nothing to compare dy with."""

    name: str
    make: Make
    x_shapes: tuple[Shape, ...]
    torch: Torch
    arms: int = 1  # how many arrays x is made of
    whole_numbers: bool = False  # x is made of a few whole numbers, so that it has ties
    any_shape: bool = False
    no_cache: bool = False

    def layer(self, dtype: npt.DTypeLike = np.float64) -> Layer:
        """A fresh layer; two of them are alike in every bit."""
        return fill(self.make(np.random.default_rng(0), dtype))

    def x(self, shape: Shape | None = None, dtype: npt.DTypeLike = np.float64, seed: int = 1) -> Any:
        """An input (an array or a pair) of this shape, by default the first row's."""
        shape = self.x_shapes[0] if shape is None else shape
        arrays = [draw(seed + 10 * arm, shape) for arm in range(self.arms)]
        arrays = [(np.floor(array) if self.whole_numbers else array).astype(dtype) for array in arrays]
        return arrays[0] if self.arms == 1 else tuple(arrays)

    @property
    def has_norm(self) -> bool:
        """Whether it contains a batch norm: then training refuses an empty batch."""
        return any(isinstance(layer, BatchNorm2d) for layer in every_layer(self.layer()))

    @property
    def modes(self) -> tuple[bool, ...]:
        """The values of `train` between which it differs."""
        differs = any(isinstance(layer, BatchNorm2d | Dropout) for layer in every_layer(self.layer()))
        return (True, False) if differs else (True,)


def every_layer(layer: Layer) -> list[Layer]:
    """The layer and all below it, identities too."""
    below = [part for part in vars(layer).values() if isinstance(part, Layer)]
    return [layer, *(deeper for part in below for deeper in every_layer(part))]


def parts(value: Any) -> list[Array]:
    """The arrays of an input, output or gradient: one, or those of a pair."""
    return list(value) if isinstance(value, tuple) else [value]


def like(value: Any, arrays: list[Array]) -> Any:
    """The arrays as a pair if `value` is one, else the one array: undoes `parts`."""
    return tuple(arrays) if isinstance(value, tuple) else arrays[0]


def upstream(y: Any, seed: int = 7) -> Any:
    """A random dy for y."""
    return like(y, [draw(seed + i, np.shape(part)).astype(part.dtype) for i, part in enumerate(parts(y))])


def _conv(name: str, C: int, O: int, kernel: Any, *x_shapes: Shape, bias: bool = False, **settings: Any) -> Case:
    def make(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
        return Conv2d(C, O, kernel, bias=bias, rng=rng, dtype=dtype, **settings)

    def torch(F: Any, x: Any, p: Tensors, train: bool) -> Any:
        words = {"padding" if word == "pad" else word: value for word, value in settings.items()}
        return F.conv2d(x, p["weight"], p["bias"] if bias else None, **words)

    return Case(name, make, x_shapes, torch)


def _norm(F: Any, x: Any, p: Tensors, at: str, train: bool) -> Any:
    names = ("running_mean", "running_var", "weight", "bias")
    return F.batch_norm(x, *(p[at + name] for name in names), training=train)


def _basic(option: str = "", stride: int = 1, at: str = "") -> Torch:
    """He et al. 2016a, figure 5 left."""

    def torch(F: Any, x: Any, p: Tensors, train: bool) -> Any:
        y = F.conv2d(x, p[at + "conv1.weight"], stride=stride, padding=1)
        y = F.relu(_norm(F, y, p, at + "bn1.", train))
        y = _norm(F, F.conv2d(y, p[at + "conv2.weight"], padding=1), p, at + "bn2.", train)
        return F.relu(y + _way(F, x, p, train, option, stride, at)) if option != "plain" else F.relu(y)

    return torch


def _bottleneck(F: Any, x: Any, p: Tensors, train: bool) -> Any:
    """He et al. 2016a, figure 5 right, with the stride in the 3x3 convolution."""
    y = F.relu(_norm(F, F.conv2d(x, p["conv1.weight"]), p, "bn1.", train))
    y = F.relu(_norm(F, F.conv2d(y, p["conv2.weight"], stride=2, padding=1), p, "bn2.", train))
    y = _norm(F, F.conv2d(y, p["conv3.weight"]), p, "bn3.", train)
    return F.relu(y + _way(F, x, p, train, "B", 2, ""))


def _preact(F: Any, x: Any, p: Tensors, train: bool) -> Any:
    """He et al. 2016b, figure 4e."""
    y = F.conv2d(F.relu(_norm(F, x, p, "bn1.", train)), p["conv1.weight"], stride=2, padding=1)
    y = F.conv2d(F.relu(_norm(F, y, p, "bn2.", train)), p["conv2.weight"], padding=1)
    return y + _way(F, x, p, train, "A", 2, "")


def _way(F: Any, x: Any, p: Tensors, train: bool, option: str, stride: int, at: str) -> Any:
    """The shortcut of a block; option A here is a doubling of the channels."""
    if option == "A":
        C = x.shape[1]
        return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, C // 2, C - C // 2))
    if option in ("B", "C"):
        return _norm(F, F.conv2d(x, p[at + "downsample.0.weight"], stride=stride), p, at + "downsample.1.", train)
    if option == "D":
        y = F.conv2d(F.avg_pool2d(x, stride), p[at + "downsample.1.weight"])
        return _norm(F, y, p, at + "downsample.2.", train)
    return x


def torch_resnet20(F: Any, x: Any, p: Tensors, train: bool) -> Any:
    """ResNet-20 with option A, from PyTorch's functions."""
    x = F.relu(_norm(F, F.conv2d(x, p["conv1.weight"], padding=1), p, "bn1.", train))
    for stage in (1, 2, 3):
        for block in range(3):
            first = stage > 1 and block == 0
            x = _basic("A" if first else "", 2 if first else 1, f"layer{stage}.{block}.")(F, x, p, train)
    return F.linear(x.mean((2, 3)), p["fc.weight"], p["fc.bias"])


def _block(name: str, model: str, path: str, torch: Torch, *x_shapes: Shape, width: int = 3, **settings: Any) -> Case:
    def make(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
        return tr.build(model, width=width, rng=rng, dtype=dtype, **settings)[path]

    return Case(name, make, x_shapes, torch)


def _fused(name: str, model: str, path: str, torch: Torch, *x_shapes: Shape, **settings: Any) -> Case:
    """A block as units, after an identity of names: its layers are called 0.conv1 and so on."""

    def make(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
        return tr.fuse(Chain({"0": tr.build(model, width=3, rng=rng, dtype=dtype, **settings)[path]}))

    return Case(name, make, x_shapes, torch)


def _max_pool(name: str, *x_shapes: Shape, kernel: Any, stride: Any = None, pad: Any = 0, ties: bool = False) -> Case:
    return Case(
        name,
        lambda rng, dtype: MaxPool2d(kernel, stride=stride, pad=pad),
        x_shapes,
        lambda F, x, p, train: F.max_pool2d(x, kernel, stride, pad),
        whole_numbers=ties,
    )


def _avg_pool(name: str, *x_shapes: Shape, kernel: Any, stride: Any = None, pad: Any = 0) -> Case:
    return Case(
        name,
        lambda rng, dtype: AvgPool2d(kernel, stride=stride, pad=pad),
        x_shapes,
        lambda F, x, p, train: F.avg_pool2d(x, kernel, stride, pad),
    )


def _stem(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
    conv = Conv2d(3, 4, 3, stride=2, bias=True, rng=rng, dtype=dtype)
    return Chain({"conv": conv, "norm": BatchNorm2d(4, dtype=dtype), "relu": ReLU(), "pool": MaxPool2d(2)})


def _torch_stem(F: Any, x: Any, p: Tensors, train: bool) -> Any:
    y = F.conv2d(x, p["conv.weight"], p["conv.bias"], stride=2)
    return F.max_pool2d(F.relu(_norm(F, y, p, "norm.", train)), 2)


def _torch_dropout(F: Any, x: Any, p: Tensors, train: bool) -> Any:
    kept = np.random.default_rng(5).random(tuple(x.shape)) >= 0.3
    return x * x.new_tensor(kept / 0.7) if train else x


LAYERS = (
    _conv("conv 3x3", 3, 4, 3, (2, 3, 5, 6), (1, 3, 3, 4), pad=1),
    _conv("conv 3x3, bias", 2, 3, 3, (3, 2, 6, 5), bias=True),
    _conv("conv 1x1", 4, 3, 1, (2, 4, 3, 5), (1, 4, 1, 1)),
    _conv("conv 1x1, stride 2", 3, 5, 1, (2, 3, 5, 6), (1, 3, 7, 4), stride=2),
    _conv("conv 1x7", 2, 3, (1, 7), (2, 2, 3, 8), pad=(0, 3), bias=True),
    _conv("conv 5x2", 2, 3, (5, 2), (2, 2, 7, 4), (1, 2, 9, 5), pad=(1, 0), stride=(2, 1)),
    _conv("conv 3x3, stride 2, remainder", 3, 4, 3, (2, 3, 8, 6), (1, 3, 7, 9), stride=2, bias=True),
    _conv("conv 3x3, strides 2 and 3", 2, 3, 3, (2, 2, 8, 9), (3, 2, 5, 10), stride=(2, 3), pad=1),
    _conv("conv 2x3, strides 3 and 1", 2, 3, (2, 3), (2, 2, 7, 5), stride=(3, 1), pad=(2, 1)),
    _conv("conv 3x3, stride 4: skips pixels", 2, 2, 3, (2, 2, 9, 10), stride=4),
    _conv("conv 3x3, dilation 2", 2, 3, 3, (2, 2, 7, 6), (1, 2, 5, 8), dilation=2, pad=1, bias=True),
    _conv("conv 2x3, dilations 3 and 2, stride 2", 2, 3, (2, 3), (2, 2, 7, 8), dilation=(3, 2), stride=2, pad=(1, 2)),
    _conv("conv 3x3, groups 2", 4, 6, 3, (2, 4, 5, 4), groups=2, pad=1, bias=True),
    _conv("conv 3x3, depthwise, stride 2", 4, 4, 3, (2, 4, 6, 5), (1, 4, 7, 8), groups=4, pad=1, stride=2),
    _conv("conv 3x2, depthwise, 2 for 1", 3, 6, (3, 2), (2, 3, 5, 6), groups=3, dilation=(1, 2), bias=True),
    _conv("conv 7x7, stride 2, pad 3", 3, 2, 7, (1, 3, 9, 8), (2, 3, 10, 11), stride=2, pad=3),
    _conv("conv 3x3, more pad than kernel", 2, 2, 3, (2, 2, 3, 2), pad=4, stride=2),
    Case(
        "batch norm",
        lambda rng, dtype: BatchNorm2d(3, dtype=dtype),
        ((3, 3, 4, 5), (1, 3, 2, 3), (2, 3, 1, 2)),
        lambda F, x, p, train: _norm(F, x, p, "", train),
    ),
    Case("ReLU", lambda rng, dtype: ReLU(), ((2, 3, 4, 5), (3, 7)), lambda F, x, p, train: F.relu(x), any_shape=True),
    Case(
        "ReLU, at the kink",
        lambda rng, dtype: ReLU(),
        ((2, 3, 4, 5),),
        lambda F, x, p, train: F.relu(x),
        whole_numbers=True,
        any_shape=True,
    ),
    _max_pool("max pool 2x2", (2, 3, 4, 6), (1, 2, 5, 7), kernel=2),
    _max_pool("max pool 3x3, stride 2, pad 1", (2, 3, 7, 6), (1, 2, 8, 5), kernel=3, stride=2, pad=1),
    _max_pool("max pool 3x3, stride 2, pad 1, ties", (2, 3, 7, 6), kernel=3, stride=2, pad=1, ties=True),
    _max_pool("max pool 2x3, stride 1, ties", (2, 2, 5, 6), kernel=(2, 3), stride=1, pad=(1, 0), ties=True),
    _max_pool("max pool 2x1, strides 3 and 2", (2, 2, 7, 5), kernel=(2, 1), stride=(3, 2)),
    _avg_pool("average pool 2x2", (2, 3, 4, 6), (1, 2, 5, 7), kernel=2),
    _avg_pool("average pool 3x3, stride 2, pad 1", (2, 3, 7, 6), (1, 2, 8, 5), kernel=3, stride=2, pad=1),
    _avg_pool("average pool 2x3, strides 1 and 2", (2, 2, 5, 8), kernel=(2, 3), stride=(1, 2), pad=(0, 1)),
    Case(
        "global average pool",
        lambda rng, dtype: GlobalAvgPool(),
        ((2, 3, 4, 5), (1, 2, 7, 3)),
        lambda F, x, p, train: x.mean((2, 3), keepdim=True),
    ),
    Case(
        "linear",
        lambda rng, dtype: Linear(5, 4, rng=rng, dtype=dtype),
        ((3, 5), (1, 5)),
        lambda F, x, p, train: F.linear(x, p["weight"], p["bias"]),
    ),
    Case("flatten", lambda rng, dtype: Flatten(), ((2, 3, 4, 5), (3, 4)), lambda F, x, p, train: x.flatten(1)),
    Case(
        "dropout",
        lambda rng, dtype: Dropout(0.3, rng=np.random.default_rng(5)),
        ((2, 3, 4, 5), (3, 7)),
        _torch_dropout,
        any_shape=True,
    ),
    Case(
        "add",
        lambda rng, dtype: Add(),
        ((2, 3, 4, 5), (3, 7)),
        lambda F, x, p, train: x[0] + x[1],
        arms=2,
        any_shape=True,
        no_cache=True,
    ),
    Case(
        "fork",
        lambda rng, dtype: Fork(),
        ((2, 3, 4, 5), (3, 7)),
        lambda F, x, p, train: (x, x),
        any_shape=True,
        no_cache=True,
    ),
    Case(
        "identity",
        lambda rng, dtype: Identity(),
        ((2, 3, 4, 5),),
        lambda F, x, p, train: x,
        any_shape=True,
        no_cache=True,
    ),
    Case(
        "shortcut A",
        lambda rng, dtype: ShortcutA(7, stride=2),
        ((2, 4, 5, 6), (1, 4, 4, 3)),
        lambda F, x, p, train: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 2)),
    ),
    Case("chain", _stem, ((2, 3, 9, 12), (3, 3, 7, 6)), _torch_stem),
    _block("residual block, identity", "resnet20", "layer1.0", _basic(), (2, 3, 4, 5)),
    _block("residual block, shortcut A", "resnet20", "layer2.0", _basic("A", 2), (3, 3, 5, 4)),
    _block("residual block, shortcut B", "resnet20", "layer2.0", _basic("B", 2), (2, 3, 6, 5), shortcut="B"),
    _block("residual block, shortcut C", "resnet20", "layer1.1", _basic("C"), (2, 3, 4, 5), shortcut="C"),
    _block("residual block, shortcut D", "resnet20", "layer2.0", _basic("D", 2), (2, 3, 6, 4), shortcut="D"),
    _block("plain block", "plain20", "layer2.0", _basic("plain", 2), (2, 3, 5, 4)),
    _block("pre-activation block", "preact_resnet20", "layer2.0", _preact, (2, 3, 5, 4)),
    _block("bottleneck block", "resnet50", "layer2.0", _bottleneck, (2, 8, 6, 5), width=2),
    _fused("units: residual block, identity", "resnet20", "layer1.0", _basic("", 1, "0."), (2, 3, 4, 5)),
    _fused("units: residual block, shortcut A", "resnet20", "layer2.0", _basic("A", 2, "0."), (3, 3, 5, 4)),
    _fused(
        "units: residual block, shortcut B", "resnet20", "layer2.0", _basic("B", 2, "0."), (2, 3, 6, 5), shortcut="B"
    ),
    _fused("units: plain block", "plain20", "layer2.0", _basic("plain", 2, "0."), (2, 3, 5, 4)),
    Case(
        "resnet20, narrow",
        lambda rng, dtype: tr.build("resnet20", width=2, num_classes=5, rng=rng, dtype=dtype),
        ((3, 3, 9, 12),),
        torch_resnet20,
    ),
)


class CrossEntropy(Layer):
    """Softmax cross-entropy as a layer, so that the generic tests walk it too. `labels` makes those of (N, K) logits."""

    def __init__(self, labels: Callable[[int, int], Array], **settings: Any) -> None:
        self.labels, self.settings = labels, settings

    def forward(self, x: Array, *, train: bool) -> tuple[Array, CrossEntropyCache]:
        N, K = (
            x.shape if getattr(x, "ndim", 0) == 2 else (2, 3)
        )  # for another x than (N, K), an error is expected anyway
        labels = self.labels(N, K)
        if labels.dtype.kind == "f" and getattr(x, "dtype", None) == np.float32:
            labels = labels.astype(np.float32)
        return softmax_cross_entropy_forward(x, labels, **self.settings)

    def backward(self, dy: Array, cache: CrossEntropyCache) -> Array:
        return softmax_cross_entropy_backward(dy, cache)


def _classes(N: int, K: int) -> Array:
    return np.arange(N) * 3 % K


def _some_ignored(mark: int) -> Callable[[int, int], Array]:
    return lambda N, K: np.where(np.arange(N) % 3 == 1, mark, _classes(N, K))


def _distributions(N: int, K: int) -> Array:
    share = np.floor(draw(3, (N, K)) + 2)
    share[:, 0] += 1  # no row is all zero, but some numbers are
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def _loss(name: str, labels: Callable[[int, int], Array], **settings: Any) -> Case:
    def torch(F: Any, x: Any, p: Tensors, train: bool) -> Any:
        wanted = labels(*x.shape)
        tensor = x.new_tensor(wanted)
        return F.cross_entropy(x, tensor.long() if wanted.dtype.kind == "i" else tensor, **settings)

    return Case(name, lambda rng, dtype: CrossEntropy(labels, **settings), ((4, 5), (3, 7), (1, 2)), torch)


LOSSES = (
    _loss("cross-entropy", _classes),
    _loss("cross-entropy, smoothed", _classes, label_smoothing=0.1),
    _loss("cross-entropy, ignored rows", _some_ignored(-100)),
    _loss("cross-entropy, smoothed, ignored class 3", _some_ignored(3), label_smoothing=0.2, ignore_index=3),
    _loss("cross-entropy, distributions", _distributions),
    _loss("cross-entropy, distributions, smoothed", _distributions, label_smoothing=0.3),
)

CASES = LAYERS + LOSSES
SMALL = tuple(case for case in CASES if case.torch is not torch_resnet20)  # those that are kept as golden vectors
