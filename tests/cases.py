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
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Fork,
    GlobalAvgPool,
    Identity,
    Linear,
    MaxPool2d,
    PointBoxes,
    ReLU,
    ShortcutA,
    Sigmoid,
    UpsampleBilinear,
    UpsampleNearest,
)
from tinyresnet.loss import LOSSES as KINDS
from tinyresnet_kernels import same_kind

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
    """One row. `any_shape`: it takes x of every shape; `no_cache`: its backward remembers nothing to compare dy with.

    `far`: x are boxes x0 y0 x1 y1, with so much between the drawn corners that none is turned inside out.
    `refuses_empty`: it is a mean, which N = 0 does not have.
    """

    name: str
    make: Make
    x_shapes: tuple[Shape, ...]
    torch: Torch
    arms: int = 1  # how many arrays x is made of
    channels: tuple[int, ...] = ()  # of each of them, where they differ from those of the shape
    whole_numbers: bool = False  # x is made of a few whole numbers, so that it has ties
    any_shape: bool = False
    no_cache: bool = False
    refuses_empty: bool = False
    far: int = 0

    def layer(self, dtype: npt.DTypeLike = np.float64) -> Layer:
        """A fresh layer; two of them are alike in every bit."""
        return fill(self.make(np.random.default_rng(0), dtype))

    def x(self, shape: Shape | None = None, dtype: npt.DTypeLike = np.float64, seed: int = 1) -> Any:
        """An input (an array or several) of this shape, by default the first row's."""
        shape = self.x_shapes[0] if shape is None else shape
        shapes = [(shape[0], C, *shape[2:]) for C in self.channels] or [shape] * self.arms
        arrays = [draw(seed + 10 * arm, one) for arm, one in enumerate(shapes)]
        arrays = [np.floor(array) if self.whole_numbers else array for array in arrays]
        for array in arrays if self.far else ():
            array[:, 2:] += self.far
        arrays = [array.astype(dtype) for array in arrays]
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


def _conv_transpose(
    name: str, C: int, O: int, kernel: Any, *x_shapes: Shape, bias: bool = False, stride: Any = 1, pad: Any = 0
) -> Case:
    return Case(
        name,
        lambda rng, dtype: ConvTranspose2d(C, O, kernel, stride=stride, pad=pad, bias=bias, rng=rng, dtype=dtype),
        x_shapes,
        lambda F, x, p, train: F.conv_transpose2d(
            x, p["weight"], p["bias"] if bias else None, stride=stride, padding=pad
        ),
    )


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


def _upsample(name: str, kind: Any, scale: Any, *x_shapes: Shape) -> Case:
    settings = {"mode": "bilinear", "align_corners": False} if kind is UpsampleBilinear else {"mode": "nearest"}
    return Case(
        name,
        lambda rng, dtype: kind(scale),
        x_shapes,
        lambda F, x, p, train: F.interpolate(x, scale_factor=scale, **settings),
    )


def _concat(name: str, channels: tuple[int, ...], *x_shapes: Shape) -> Case:
    return Case(
        name,
        lambda rng, dtype: Concat(),
        x_shapes,
        lambda F, x, p, train: F.torch.cat(x, 1),
        arms=len(channels),
        channels=channels,
    )


class Skip(Layer):
    """A U of one step: down and up again beside a skip, whose channels then stand side by side (Ronneberger et al. 2015)."""

    def __init__(self) -> None:
        self.fork, self.down, self.up, self.concat = Fork(), MaxPool2d(2), UpsampleBilinear(2), Concat()

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Any]:
        (a, b), _ = self.fork.forward(x, train=train)
        a, down = self.down.forward(a, train=train)
        a, up = self.up.forward(a, train=train)
        y, concat = self.concat.forward((a, b), train=train)
        return y, (down, up, concat)

    def backward(self, dy: Array, cache: Any) -> Array:
        down, up, concat = cache
        da, db = self.concat.backward(dy, concat)
        return self.fork.backward((self.down.backward(self.up.backward(da, up), down), db), None)


def _torch_skip(F: Any, x: Any, p: Tensors, train: bool) -> Any:
    a = F.interpolate(F.max_pool2d(x, 2), scale_factor=2, mode="bilinear", align_corners=False)
    return F.torch.cat((a, x), 1)


def _stem(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
    conv = Conv2d(3, 4, 3, stride=2, bias=True, rng=rng, dtype=dtype)
    return Chain({"conv": conv, "norm": BatchNorm2d(4, dtype=dtype), "relu": ReLU(), "pool": MaxPool2d(2)})


def _torch_stem(F: Any, x: Any, p: Tensors, train: bool) -> Any:
    y = F.conv2d(x, p["conv.weight"], p["conv.bias"], stride=2)
    return F.max_pool2d(F.relu(_norm(F, y, p, "norm.", train)), 2)


def _torch_dropout(F: Any, x: Any, p: Tensors, train: bool) -> Any:
    kept = np.random.default_rng(5).random(tuple(x.shape)) >= 0.3
    return x * x.new_tensor(kept / 0.7) if train else x


def _point_boxes(name: str, stride: int, *x_shapes: Shape, **settings: Any) -> Case:
    def torch(F: Any, x: Any, p: Tensors, train: bool) -> Any:
        _, _, H, W = x.shape
        ltrb = stride * x.clamp(max=math.log(settings.get("most", 64))).exp()
        row, column = np.mgrid[:H, :W] + 0.5
        points = x.new_tensor(np.stack([column, row, column, row]) * stride)
        return points + x.new_tensor([-1, -1, 1, 1])[:, None, None] * ltrb

    return Case(name, lambda rng, dtype: PointBoxes(stride, **settings), x_shapes, torch)


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
    _conv_transpose("transposed conv 3x3, pad 1", 3, 4, 3, (2, 3, 4, 5), (1, 3, 1, 3), pad=1),
    _conv_transpose("transposed conv 4x4, stride 2, pad 1, bias", 2, 3, 4, (2, 2, 3, 4), stride=2, pad=1, bias=True),
    _conv_transpose("transposed conv 2x2, stride 2", 4, 2, 2, (2, 4, 4, 3), (1, 4, 1, 1), stride=2),
    _conv_transpose("transposed conv 3x2, strides 2 and 3: gaps", 2, 3, (3, 2), (3, 2, 3, 4), stride=(2, 3), bias=True),
    _conv_transpose("transposed conv 5x3, stride 2, pads 3 and 0", 3, 2, (5, 3), (2, 3, 5, 3), stride=2, pad=(3, 0)),
    _conv_transpose("transposed conv 2x3, more pad than kernel", 2, 2, (2, 3), (2, 2, 7, 8), pad=(2, 3)),
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
    Case(
        "sigmoid",
        lambda rng, dtype: Sigmoid(),
        ((2, 3, 4, 5), (3, 7)),
        lambda F, x, p, train: x.sigmoid(),
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
    _upsample("nearest x2", UpsampleNearest, 2, (2, 3, 3, 5), (1, 2, 1, 4)),
    _upsample("nearest x3", UpsampleNearest, 3, (2, 2, 4, 3)),
    _upsample("nearest x2 x3", UpsampleNearest, (2, 3), (3, 2, 3, 2), (1, 3, 5, 1)),
    _upsample("nearest x1", UpsampleNearest, 1, (2, 3, 4, 5)),
    _upsample("bilinear x2", UpsampleBilinear, 2, (2, 3, 3, 5), (1, 2, 1, 4)),
    _upsample("bilinear x3", UpsampleBilinear, 3, (2, 2, 4, 3)),
    _upsample("bilinear x2 x3", UpsampleBilinear, (2, 3), (3, 2, 3, 2), (1, 3, 5, 1)),
    _upsample("bilinear x1", UpsampleBilinear, 1, (2, 3, 4, 5)),
    Case(
        "linear",
        lambda rng, dtype: Linear(5, 4, rng=rng, dtype=dtype),
        ((3, 5), (1, 5)),
        lambda F, x, p, train: F.linear(x, p["weight"], p["bias"]),
    ),
    _point_boxes("point boxes, stride 8", 8, (2, 4, 3, 5), (1, 4, 1, 2)),
    _point_boxes("point boxes, stride 4, some clipped", 4, (2, 4, 5, 3), most=2),
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
    _concat("concat", (3, 3), (2, 3, 4, 5)),
    _concat("concat 2 1", (2, 1), (2, 2, 4, 3), (1, 2, 1, 5)),
    _concat("concat 4 1 2", (4, 1, 2), (3, 4, 2, 3), (2, 4, 5, 4)),
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
    Case("skip", lambda rng, dtype: Skip(), ((2, 3, 4, 6), (1, 3, 6, 2)), _torch_skip),
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


class Loss(Layer):
    """A loss as a layer, so that the generic tests walk it too. `others` makes what it takes beside x from x's shape.

    shape: of an x that is right; for one with other axes an error is expected anyway.
    """

    def __init__(self, kind: str, others: Callable[[Shape], tuple[Array, ...]], shape: Shape, **settings: Any) -> None:
        self.kind, self.others, self.shape, self.settings = kind, others, shape, settings

    def given(self, x: Any) -> tuple[list[Array], dict[str, Any]]:
        """What the loss takes beside x, and its settings, both of x's precision and on its side."""
        others = self.others(x.shape if getattr(x, "ndim", 0) == len(self.shape) else self.shape)
        return [_fitting(a, x) for a in others], {name: _fitting(value, x) for name, value in self.settings.items()}

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Any]:
        others, settings = self.given(x)
        return KINDS[self.kind][0](x, *others, **settings)

    def backward(self, dy: Array, cache: Any) -> Array:
        return KINDS[self.kind][1](dy, cache)


def _fitting(value: Any, x: Any) -> Any:
    """An array of fractions with x's precision, on x's side; anything else, and labels, as it is."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    single = getattr(x, "dtype", None) == np.float32
    return same_kind(value.astype(np.float32 if single else np.float64), x)


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

    def make(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
        return Loss("CrossEntropy", lambda shape: (labels(shape[0], shape[1]),), (4, 5), **settings)

    return Case(name, make, ((4, 5), (3, 7), (1, 2)), torch, refuses_empty=True)


def _pixel_labels(shape: Shape, mark: int) -> Array:
    N, K, H, W = shape
    places = np.arange(N * H * W).reshape(N, H, W)
    return np.where(places % 3 == 1, mark, places * 5 % K)


def _pixels(name: str, *x_shapes: Shape, mark: int = 255, class_weights: Array | None = None) -> Case:
    def make(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
        settings = {"ignore_index": mark, "class_weights": class_weights}
        return Loss("PixelCrossEntropy", lambda shape: (_pixel_labels(shape, mark),), x_shapes[0], **settings)

    def torch(F: Any, x: Any, p: Tensors, train: bool) -> Any:
        labels = x.new_tensor(_pixel_labels(x.shape, mark)).long()
        weight = None if class_weights is None else x.new_tensor(class_weights)
        return F.cross_entropy(x, labels, weight=weight, ignore_index=mark)

    return Case(name, make, x_shapes, torch, refuses_empty=True)


def _focal_targets(shape: Shape, *, soft: bool) -> Array:
    """0 and 1 and, if soft, what lies between; every fourth does not count."""
    targets = (draw(6, shape) + 2) / 4 if soft else (draw(6, shape) > 0.5).astype(float)
    return np.where(np.arange(math.prod(shape)).reshape(shape) % 4 == 2, -1, targets)


def _focal(
    name: str, *x_shapes: Shape, soft: bool = False, alpha: float | None = 0.25, gamma: float = 2.0, count: float = 3
) -> Case:
    def make(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
        settings = {"alpha": alpha, "gamma": gamma, "count": count}
        return Loss("FocalLoss", lambda shape: (_focal_targets(shape, soft=soft),), x_shapes[0], **settings)

    def torch(F: Any, x: Any, p: Tensors, train: bool) -> Any:
        targets = x.new_tensor(_focal_targets(x.shape, soft=soft))
        counts, targets = targets >= 0, targets.clamp(min=0)
        losses = F.binary_cross_entropy_with_logits(x, targets, reduction="none")
        losses = losses * (x.sigmoid() - targets).abs() ** gamma
        if alpha is not None:
            losses = losses * (alpha * targets + (1 - alpha) * (1 - targets))
        return losses[counts].sum() / count

    return Case(name, make, x_shapes, torch)


def _smooth_l1(name: str, *x_shapes: Shape, beta: float, count: float, whole_numbers: bool = False) -> Case:
    def target(shape: Shape) -> Array:
        wanted = draw(4, shape)
        return np.floor(wanted) if whole_numbers else wanted

    def make(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
        return Loss("SmoothL1", lambda shape: (target(shape),), x_shapes[0], beta=beta, count=count)

    def torch(F: Any, x: Any, p: Tensors, train: bool) -> Any:
        return F.smooth_l1_loss(x, x.new_tensor(target(x.shape)), beta=beta, reduction="sum") / count

    return Case(name, make, x_shapes, torch, whole_numbers=whole_numbers)


FAR = 5  # between the drawn corners of boxes: x0 and y0 are in [-2, 2), x1 and y1 in [3, 7)


def _beside(shape: Shape) -> Array:
    """Targets for such boxes: across them, apart from them in one way and in both, around them, inside them, a line."""
    kinds = [
        [-1, -1, 4, 4.5],
        [7.5, 0, 9, 3],
        [8, 7, 9, 9],
        [-3, -3, 8, 7.5],
        [2, 2.25, 3, 3],
        [-3, 2, 9, 2.5],
        [0, 2, 9, 2],
    ]
    return np.resize(np.array(kinds, float), shape)


def _touching(shape: Shape) -> Array:
    """Targets that share edges with the whole-numbered boxes of seed 1: equal, beside, at a corner, inside, around; a line on an edge."""
    x0, y0, x1, y1 = np.floor(draw(1, shape)).T + np.array([[0], [0], [FAR], [FAR]])
    kinds = [
        [x0, y0, x1, y1],
        [x1, y0, x1 + 2, y1],
        [x0 - 3, y0 + 1, x0, y1 + 1],
        [x1, y1, x1 + 1, y1 + 2],
        [x0, y0 + 1, x1 - 1, y1],
        [x0 - 1, y0, x1, y1 + 1],
        [x1, y0, x1, y1],
    ]
    return np.array([[edge[m] for edge in kinds[m % len(kinds)]] for m in range(len(x0))]).reshape(shape)


def _giou(name: str, target: Callable[[Shape], Array], M: int, *, weighted: bool = False, ties: bool = False) -> Case:
    def others(shape: Shape) -> tuple[Array, ...]:
        return (target(shape), draw(5, shape[:1]) + 2.5) if weighted else (target(shape),)

    def torch(F: Any, x: Any, p: Tensors, train: bool) -> Any:
        wanted, *weight = (x.new_tensor(other) for other in others(x.shape))
        near, far, low, high = x[:, :2], x[:, 2:], wanted[:, :2], wanted[:, 2:]
        overlap, outer = far.minimum(high) - near.maximum(low), far.maximum(high) - near.minimum(low)
        overlap = overlap.maximum(overlap.new_zeros(()))  # halves a gradient at 0, as `clamp` and `relu` do not
        intersection, enclosing = overlap[:, 0] * overlap[:, 1], outer[:, 0] * outer[:, 1]
        union = (far - near).prod(1) + (high - low).prod(1) - intersection
        losses = 1 - (intersection / union - (enclosing - union) / enclosing)
        return (losses * weight[0] if weighted else losses).sum() / 2.5

    def make(rng: np.random.Generator, dtype: npt.DTypeLike) -> Layer:
        return Loss("GIoU", others, (M, 4), count=2.5)

    return Case(name, make, ((M, 4), (1, 4)), torch, whole_numbers=ties, far=FAR)


LOSSES = (
    _loss("cross-entropy", _classes),
    _loss("cross-entropy, smoothed", _classes, label_smoothing=0.1),
    _loss("cross-entropy, ignored rows", _some_ignored(-100)),
    _loss("cross-entropy, smoothed, ignored class 3", _some_ignored(3), label_smoothing=0.2, ignore_index=3),
    _loss("cross-entropy, distributions", _distributions),
    _loss("cross-entropy, distributions, smoothed", _distributions, label_smoothing=0.3),
    _pixels("pixel cross-entropy", (2, 4, 3, 5), (1, 3, 2, 2), (3, 2, 1, 4)),
    _pixels("pixel cross-entropy, class weights", (2, 4, 3, 5), class_weights=np.array([0.5, 2, 0, 1.25])),
    _pixels("pixel cross-entropy, class weights, ignored -1", (2, 2, 3, 2), mark=-1, class_weights=np.array([1, 0.1])),
    _focal("focal loss", (2, 3, 4, 5), (1, 2, 3, 2)),
    _focal("focal loss, soft targets", (4, 5), (3, 7), soft=True, alpha=0.6, gamma=1.5, count=0.5),
    _focal("focal loss, no alpha", (4, 5), alpha=None, gamma=1),
    _focal("focal loss, gamma 0", (2, 4), gamma=0, soft=True),
    _smooth_l1("smooth L1", (3, 4), (5, 4), beta=1.0, count=3),
    _smooth_l1("smooth L1, a small beta, pictures", (2, 4, 3, 5), (1, 3, 2, 2), beta=1 / 9, count=7),
    _smooth_l1("smooth L1, beta 2, whole numbers", (6, 4), beta=2.0, count=1.5, whole_numbers=True),
    _giou("GIoU", _beside, 7),
    _giou("GIoU, weighted", _beside, 9, weighted=True),
    _giou("GIoU, edges that coincide", _touching, 14, ties=True),
)

CASES = LAYERS + LOSSES
SMALL = tuple(case for case in CASES if case.torch is not torch_resnet20)  # those that are kept as golden vectors
