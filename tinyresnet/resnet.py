"""The networks: the CIFAR family and the ImageNet family of He et al., and their plain and pre-activation twins.

CIFAR (He et al. 2016a, section 4.2): depth 6n + 2, three stages of n basic blocks, 16, 32 and 64 channels wide.
ImageNet (table 1): four stages; 18 and 34 of basic blocks, 50, 101 and 152 of bottlenecks, the stride in the 3x3 convolution.
Plain twins have the same layers without shortcuts. Pre-activation: He et al. 2016b, "Identity mappings in deep residual networks".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from tinyresnet_kernels import Array, form, like_memory, preferred_memory

from .errors import InputError, unknown
from .layers import (
    BatchNorm2d,
    Chain,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    ReLU,
    Residual,
    checks,
)
from .layers.norm import zero_init
from .layers.shortcut import shortcut


@dataclass(frozen=True)
class Architecture:
    """What a name such as "resnet20" stands for."""

    block: str  # "basic", "bottleneck", "plain" or "preact"
    blocks: tuple[int, ...]  # per stage
    width: int  # channels of the first stage; each further stage has twice as many
    shortcut: str
    picture_size: int

    @property
    def expansion(self) -> int:
        """How many times a block's output is wider than its 3x3 convolution."""
        return 4 if self.block == "bottleneck" else 1


def _cifar(depth: int, block: str) -> Architecture:
    return Architecture(block, ((depth - 2) // 6,) * 3, width=16, shortcut="A", picture_size=32)


def _imagenet(block: str, *blocks: int) -> Architecture:
    return Architecture(block, blocks, width=64, shortcut="B", picture_size=224)


_PREFIXES = {"resnet": "basic", "plain": "plain", "preact_resnet": "preact"}
ARCHITECTURES: dict[str, Architecture] = {
    **{f"{name}{d}": _cifar(d, block) for name, block in _PREFIXES.items() for d in (8, 20, 32, 44, 56, 110)},
    "resnet18": _imagenet("basic", 2, 2, 2, 2),
    "resnet34": _imagenet("basic", 3, 4, 6, 3),
    "resnet50": _imagenet("bottleneck", 3, 4, 6, 3),
    "resnet101": _imagenet("bottleneck", 3, 4, 23, 3),
    "resnet152": _imagenet("bottleneck", 3, 8, 36, 3),
}


@dataclass(frozen=True)
class Config:
    """Everything that `build` needs to make this network again; a weight file carries it."""

    name: str
    num_classes: int = 10
    in_channels: int = 3
    width: int | None = None  # None: the architecture's own
    shortcut: str | None = None  # likewise; "A", "B", "C" or "D"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Raises InputError on settings that no network can have; they may come from a file."""
        if not isinstance(self.name, str):
            raise InputError(f"the model's name is {self.name!r}: a string is wanted")
        for setting in ("num_classes", "in_channels", "width"):
            value = getattr(self, setting)
            if isinstance(value, np.integer):  # such as labels.max() + 1; JSON knows only int
                value = int(value)
                object.__setattr__(self, setting, value)
            if (type(value) is not int or value < 1) and (setting, value) != ("width", None):
                raise InputError(f"{self.name}: {setting} is {value!r}: a whole number of at least 1 is wanted")
        if self.shortcut not in (None, *"ABCD"):
            raise InputError(f"{self.name}: shortcut is {self.shortcut!r}: A, B, C or D is wanted")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise InputError(f"{self.name}: dropout is {self.dropout!r}: a number 0 <= dropout < 1 is wanted")

    def as_dict(self) -> dict[str, Any]:
        """A plain dict for JSON."""
        return asdict(self)


class ResNet(Chain):
    """A network with the configuration that made it; `print(model)` shows its layers, shapes, parameters and multiply-adds."""

    def __init__(self, children: dict[str, Layer], config: Config, picture_size: int) -> None:
        super().__init__(children)
        self.config, self.picture_size = config, picture_size

    def forward(self, x: Array, *, train: bool) -> tuple[Array, dict[str, Any]]:
        """Logits (N, num_classes) of pictures x (N, C, H, W), which are brought once into the memory layout that the kernels like."""
        checks.array(self.config.name, "x", x, "N C H W")
        y, cache = super().forward(preferred_memory(x), train=train)
        return y, cache | {"x": form(x)}

    def backward(self, dy: Array, cache: dict[str, Any]) -> Array:
        """dx (N, C, H, W), in x's memory layout."""
        return like_memory(super().backward(dy, cache), cache["x"])

    def __str__(self) -> str:
        from .summary import summary

        return summary(self, (self.config.in_channels, self.picture_size, self.picture_size))


def build(
    name: str,
    *,
    num_classes: int = 10,
    in_channels: int = 3,
    width: int | None = None,
    shortcut: str | None = None,
    dropout: float = 0.0,
    zero_init_residual: bool = False,
    rng: np.random.Generator,
    dtype: np.typing.DTypeLike = np.float32,
) -> ResNet:
    """The network of this name: logits (N, num_classes) of pictures (N, in_channels, H, W).

    width is the first stage's channels; shortcut is option A, B, C or D; dropout acts before the last layer; zero_init_residual starts
    each block as its shortcut alone. Raises InputError on an unknown name and on settings that do not fit.
    """
    if name not in ARCHITECTURES:
        raise unknown("model", name, ARCHITECTURES)
    config = Config(name, num_classes, in_channels, width, shortcut, dropout)
    return _Builder(ARCHITECTURES[name], config, zero_init_residual, rng, dtype).network()


@dataclass(frozen=True)
class _Builder:
    """Makes the layers from the stem to the head; the rng draws the weights in this order."""

    architecture: Architecture
    config: Config
    zero_init_residual: bool
    rng: np.random.Generator
    dtype: np.typing.DTypeLike

    def network(self) -> ResNet:
        arch, config = self.architecture, self.config
        width = config.width or arch.width
        layers = self.stem(width)
        C = width
        for stage, count in enumerate(arch.blocks):
            middle = width * 2**stage
            blocks: dict[str, Layer] = {}
            for i in range(count):
                blocks[str(i)] = self.block(C, middle, stride=2 if stage > 0 and i == 0 else 1)
                C = middle * arch.expansion
            layers[f"layer{stage + 1}"] = Chain(blocks)
        if arch.block == "preact":  # the last block ends in an add: its ReLU stands here
            layers |= {"bn": self.norm(C), "relu": ReLU()}
        layers |= {"avgpool": GlobalAvgPool(), "flatten": Flatten()}
        if config.dropout:
            layers["dropout"] = Dropout(config.dropout, rng=self.rng.spawn(1)[0])
        layers["fc"] = Linear(C, config.num_classes, rng=self.rng, dtype=self.dtype)
        return ResNet(layers, config, arch.picture_size)

    def stem(self, width: int) -> dict[str, Layer]:
        C = self.config.in_channels
        if self.architecture.picture_size > 32:
            conv1 = self.conv(C, width, 7, stride=2)
            return {"conv1": conv1, "bn1": self.norm(width), "relu": ReLU(), "maxpool": MaxPool2d(3, stride=2, pad=1)}
        if self.architecture.block == "preact":
            return {"conv1": self.conv(C, width, 3)}
        return {"conv1": self.conv(C, width, 3), "bn1": self.norm(width), "relu": ReLU()}

    def block(self, C: int, middle: int, *, stride: int) -> Layer:
        """A block from C channels, `middle` wide; the first of a stage has stride 2."""
        kind, O = self.architecture.block, middle * self.architecture.expansion
        conv, norm = self.conv, self.norm
        if kind == "preact":
            branch = {"bn1": norm(C), "relu1": ReLU(), "conv1": conv(C, O, 3, stride=stride)}
            branch |= {"bn2": norm(O), "relu2": ReLU(), "conv2": conv(O, O, 3)}
        elif kind == "bottleneck":
            branch = {"conv1": conv(C, middle, 1), "bn1": norm(middle), "relu1": ReLU()}
            branch |= {"conv2": conv(middle, middle, 3, stride=stride), "bn2": norm(middle), "relu2": ReLU()}
            branch |= {"conv3": conv(middle, O, 1), "bn3": norm(O)}
        else:
            branch = {"conv1": conv(C, O, 3, stride=stride), "bn1": norm(O), "relu1": ReLU()}
            branch |= {"conv2": conv(O, O, 3), "bn2": norm(O)}
        if kind == "plain":
            return Chain(branch | {"relu": ReLU()})
        if self.zero_init_residual:
            self.start_at_zero(branch)
        option = self.config.shortcut or self.architecture.shortcut
        way = shortcut(option, C, O, stride=stride, rng=self.rng, dtype=self.dtype)
        return Residual(Chain(branch), way, None if kind == "preact" else ReLU())

    def start_at_zero(self, branch: dict[str, Layer]) -> None:
        last = list(branch.values())[-1]
        if not isinstance(last, BatchNorm2d):
            raise InputError(
                f"{self.config.name}: zero_init_residual needs blocks that end in a batch norm; pre-activation ones do not"
            )
        zero_init(last)

    def conv(self, C: int, O: int, kernel: int, *, stride: int = 1) -> Conv2d:
        return Conv2d(C, O, kernel, stride=stride, pad=kernel // 2, rng=self.rng, dtype=self.dtype)

    def norm(self, C: int) -> BatchNorm2d:
        return BatchNorm2d(C, dtype=self.dtype)


class Maker(Protocol):
    """A function that makes one named network: `resnet20(num_classes=10, rng=np.random.default_rng(0))`; see `build`."""

    def __call__(self, *, rng: np.random.Generator, **settings: Any) -> ResNet: ...


def _maker(name: str) -> Maker:
    def make(*, rng: np.random.Generator, **settings: Any) -> ResNet:
        return build(name, rng=rng, **settings)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"{name}: logits (N, num_classes) of pictures (N, C, H, W); takes the settings of `build`."
    return make


MAKERS: dict[str, Callable[..., ResNet]] = {name: _maker(name) for name in ARCHITECTURES}
