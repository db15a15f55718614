"""The segmenter: a class for every pixel. A head on any ResNet's stages, and their strides made up for by upsampling.

head "fpn": the way down of a feature pyramid, with a convolution at each level, so that the finest is also the deepest (Lin et al. 2017;
            such a decoder with adds: Chaurasia & Culurciello 2017, "LinkNet"; with concatenation: Ronneberger et al. 2015, "U-Net").
head "fcn": a score of each stage by itself; from the coarsest on, upsampled by a transposed convolution that starts as bilinear
            interpolation, and added to the next (Long, Shelhamer and Darrell 2015).
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array, array_module, form, like_memory

from .backbone import Backbone, OnBackbone
from .errors import InputError, unknown
from .fuse import fuse
from .layers import (
    Add,
    Chain,
    Conv2d,
    ConvTranspose2d,
    Fork,
    Identity,
    Layer,
    UpsampleNearest,
    checks,
)
from .layers.conv_transpose import bilinear_init
from .pyramid import conv_bn_relu
from .resnet import Config, build

HEADS = ("fpn", "fcn")


@dataclass(frozen=True)
class SegmenterConfig(OnBackbone):
    """Everything that makes this segmenter again. Of the K classes of things in `backbone`, K + 1 logits come: the background is first."""

    backbone: Config
    head: str = "fpn"
    channels: int = 32  # of the decoder, at most
    first: int = 2  # the backbone's first stage that the head sees
    extra: int = 2  # levels of the pyramid beyond the backbone's last stage
    output_stride: int | None = None  # the largest stride, kept by dilation; None: the backbone's own

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise unknown("head", self.head, HEADS)
        for name, least in (("channels", 1), ("extra", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise InputError(f"{name} is {value!r}: a whole number of at least {least} is wanted")

    @property
    def name(self) -> str:
        """What errors and tables call it."""
        return f"a segmenter on {self.backbone.name}"

    def as_dict(self) -> dict[str, Any]:
        """A plain dict for JSON."""
        return {"task": "segment", **asdict(self)}


class SegmenterCache(NamedTuple):
    """The caches of the parts; the shape of the pictures before they were padded."""

    backbone: Any
    head: Any
    shape: tuple[int, ...]


class Segmenter(Layer):
    """Logits (N, K + 1, H, W) of pictures (N, C, H, W) of any size: inside, they are padded to a multiple of the largest stride."""

    def __init__(
        self, config: SegmenterConfig, *, rng: np.random.Generator, dtype: np.typing.DTypeLike = np.float32
    ) -> None:
        self.config = config
        network = build(**config.backbone.as_dict(), rng=rng, dtype=dtype)
        self.picture_size = 3 * network.picture_size  # a scene has room for several things of the classifier's size
        self.backbone = Backbone(network, first=config.first, output_stride=config.output_stride)
        K = config.backbone.num_classes + 1
        if config.head == "fpn":
            self.head: Layer = Decoder(self.backbone, config.channels, config.extra, K, rng=rng, dtype=dtype)
        else:
            self.head = ScoreHead(self.backbone, K, rng=rng, dtype=dtype)
        self.multiple = self.backbone.strides[-1] * (2**config.extra if config.head == "fpn" else 1)

    def forward(self, x: Array, *, train: bool) -> tuple[Array, SegmenterCache]:
        """Logits of the pictures' own size."""
        checks.array("segmenter", "x", x, "N C H W")
        features, backbone = self.backbone.forward(pad_to(x, self.multiple), train=train)
        logits, head = self.head.forward(features, train=train)
        return cut_to(logits, x.shape), SegmenterCache(backbone, head, x.shape)

    def backward(self, dy: Array, cache: SegmenterCache) -> Any:
        """dx (N, C, H, W); None where it was fused without."""
        dfeatures = self.head.backward(pad_to(dy, self.multiple), cache.head)
        dx = self.backbone.backward(dfeatures, cache.backbone)
        return None if dx is None else cut_to(dx, cache.shape)

    def fused(self, *, input_gradient: bool = True) -> Segmenter:
        """The same segmenter on the same parameters, its blocks as units (`fuse.py`)."""
        other = copy.copy(self)
        other.backbone = self.backbone.fused(input_gradient=input_gradient)
        if isinstance(self.head, Decoder):
            other.head = self.head.fused()
        return other

    def __str__(self) -> str:
        from .summary import summary

        return summary(self, (self.config.backbone.in_channels, self.picture_size, self.picture_size))


class Decoder(Layer):
    """Scores (N, K, H, W) of the pictures' size, from a backbone's features and further levels: one level's convolutions after the other.

    c2 -- fork -- down3 -- merge3        c_i: a feature, the finest is c1; down: a convolution of stride 2; merge: a convolution;
           |                 | up        up: wherever the level below has fewer channels, made as narrow before
           lateral2 ------- add -- merge2
                                     | up
    c1 ------------------ lateral1 - add -- merge1 -- score

    No level has more channels than `channels`, nor than its feature.
    """

    def __init__(
        self,
        backbone: Backbone,
        channels: int,
        extra: int,
        K: int,
        *,
        rng: np.random.Generator,
        dtype: np.typing.DTypeLike,
    ) -> None:
        strides = backbone.strides + tuple(backbone.strides[-1] * 2**i for i in range(1, extra + 1))
        self.count, self.total = len(backbone.strides), len(strides)
        widths = [min(channels, C) for C in backbone.channels]
        widths += [widths[-1]] * extra
        inputs = [*backbone.channels, *widths[self.count :]]

        def unit(C: int, O: int, stride: int = 1) -> Chain:
            return conv_bn_relu(C, O, stride=stride, rng=rng, dtype=dtype)

        for i in range(self.count, self.total):
            setattr(self, f"fork{i}", Fork())
            setattr(self, f"down{i + 1}", unit(inputs[i - 1], widths[i], stride=2))
        setattr(self, f"merge{self.total}", unit(inputs[-1], widths[-1]))
        for i in range(self.total - 1, 0, -1):
            C, O = widths[i], widths[i - 1]
            if C > O:
                setattr(self, f"narrow{i}", Conv2d(C, O, 1, rng=rng, dtype=dtype))
            setattr(self, f"up{i}", UpsampleNearest(strides[i] // strides[i - 1]))
            setattr(self, f"lateral{i}", Conv2d(inputs[i - 1], O, 1, bias=True, rng=rng, dtype=dtype))
            setattr(self, f"add{i}", Add())
            setattr(self, f"merge{i}", unit(O, O))
        self.score = _enlarging(widths[0], K, strides[0], rng, dtype)

    def forward(self, x: tuple[Array, ...], *, train: bool) -> tuple[Array, dict[str, Any]]:
        """The scores of the features x."""
        cache: dict[str, Any] = {}

        def run(name: str, x: Any) -> Any:
            y, cache[name] = vars(self)[name].forward(x, train=train)
            return y

        levels = list(x)
        for i in range(self.count, self.total):
            levels[-1], y = run(f"fork{i}", levels[-1])
            levels.append(run(f"down{i + 1}", y))
        y = run(f"merge{self.total}", levels[-1])
        for i in range(self.total - 1, 0, -1):
            above = run(f"up{i}", run(f"narrow{i}", y) if hasattr(self, f"narrow{i}") else y)
            y = run(f"merge{i}", run(f"add{i}", (run(f"lateral{i}", levels[i - 1]), above)))
        return run("score", y), cache

    def backward(self, dy: Array, cache: dict[str, Any]) -> tuple[Array, ...]:
        """The gradients at the features: the same way back."""

        def back(name: str, dy: Any) -> Any:
            return vars(self)[name].backward(dy, cache[name])

        d, dx = back("score", dy), []
        for i in range(1, self.total):
            d, dabove = back(f"add{i}", back(f"merge{i}", d))
            dx.append(back(f"lateral{i}", d))
            d = back(f"up{i}", dabove)
            d = back(f"narrow{i}", d) if hasattr(self, f"narrow{i}") else d
        dx.append(back(f"merge{self.total}", d))
        for i in range(self.total - 1, self.count - 1, -1):
            d = back(f"down{i + 1}", dx.pop())
            dx[-1] = back(f"fork{i}", (dx[-1], d))
        return tuple(dx)

    def fused(self, *, input_gradient: bool = True) -> Decoder:
        """The same decoder on the same parameters, its convolutions as units (`fuse.py`)."""
        other = copy.copy(self)
        for name, layer in self.children().items():
            if isinstance(layer, Chain):
                setattr(other, name, fuse(layer))
        return other


class ScoreHead(Layer):
    """Scores (N, K, H, W) of the pictures' size: of each stage by a 1x1 convolution, added up from the coarsest on."""

    def __init__(self, backbone: Backbone, K: int, *, rng: np.random.Generator, dtype: np.typing.DTypeLike) -> None:
        strides = self.strides = backbone.strides
        for i, C in enumerate(backbone.channels, start=1):
            setattr(self, f"score{i}", Conv2d(C, K, 1, bias=True, rng=rng, dtype=dtype))
        for i in range(1, len(strides)):
            setattr(self, f"up{i}", _interpolating(K, strides[i] // strides[i - 1], rng, dtype))
            setattr(self, f"add{i}", Add())
        self.full = _interpolating(K, strides[0], rng, dtype)

    def forward(self, x: tuple[Array, ...], *, train: bool) -> tuple[Array, Any]:
        """The scores of the features x."""
        y, score = vars(self)[f"score{len(x)}"].forward(x[-1], train=train)
        scores, ups = [score], list[Any]()
        for i in range(len(x) - 1, 0, -1):
            above, up = vars(self)[f"up{i}"].forward(y, train=train)
            y, score = vars(self)[f"score{i}"].forward(x[i - 1], train=train)
            y, _ = vars(self)[f"add{i}"].forward((y, above), train=train)
            scores.insert(0, score)
            ups.insert(0, up)
        y, full = self.full.forward(y, train=train)
        return y, (scores, ups, full)

    def backward(self, dy: Array, cache: Any) -> tuple[Array, ...]:
        """The gradients at the features."""
        (scores, ups, full), dx = cache, []
        dy = self.full.backward(dy, full)
        for i, up in enumerate(ups, start=1):
            d, dabove = vars(self)[f"add{i}"].backward(dy, None)
            dx.append(vars(self)[f"score{i}"].backward(d, scores[i - 1]))
            dy = vars(self)[f"up{i}"].backward(dabove, up)
        dx.append(vars(self)[f"score{len(scores)}"].backward(dy, scores[-1]))
        return tuple(dx)


def _enlarging(C: int, K: int, scale: int, rng: np.random.Generator, dtype: np.typing.DTypeLike) -> Layer:
    """Scores of features (N, C, H, W), `scale` times as large."""
    if scale == 1:
        return Conv2d(C, K, 1, bias=True, rng=rng, dtype=dtype)
    return ConvTranspose2d(C, K, scale, stride=scale, bias=True, rng=rng, dtype=dtype)  # each pixel becomes a block


def _interpolating(K: int, scale: int, rng: np.random.Generator, dtype: np.typing.DTypeLike) -> Layer:
    """Makes scores (N, K, H, W) larger by `scale`; starts as bilinear interpolation."""
    if scale == 1:
        return Identity()
    layer = ConvTranspose2d(K, K, 2 * scale, stride=scale, pad=scale // 2, rng=rng, dtype=dtype)
    bilinear_init(layer)
    return layer


def pad_to(x: Array, multiple: int) -> Array:
    """x (N, C, H, W) with zeros below and on the right, H and W now multiples."""
    bottom, right = (-size % multiple for size in x.shape[2:])
    if not bottom and not right:
        return x
    return like_memory(array_module(x).pad(x, ((0, 0), (0, 0), (0, bottom), (0, right))), form(x))


def cut_to(y: Array, shape: tuple[int, ...]) -> Array:
    """y without what `pad_to` added to an x of this shape."""
    return y if y.shape[2:] == shape[2:] else like_memory(y[:, :, : shape[2], : shape[3]], form(y))
