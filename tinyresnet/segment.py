"""The segmenter: a class for every pixel. A head on any ResNet's stages, and their strides made up for by upsampling.

head "fpn": a feature pyramid; its levels brought to the finest one's size, side by side, mixed by one convolution (Kirillov et al. 2019,
            "Panoptic feature pyramid networks", which sums them).
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
    BatchNorm2d,
    Chain,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Identity,
    Layer,
    ReLU,
    UpsampleBilinear,
    checks,
)
from .layers.conv_transpose import bilinear_init
from .pyramid import FeaturePyramid
from .resnet import Config, build

HEADS = ("fpn", "fcn")


@dataclass(frozen=True)
class SegmenterConfig(OnBackbone):
    """Everything that makes this segmenter again. Of the K classes of things in `backbone`, K + 1 logits come: the background is first."""

    backbone: Config
    head: str = "fpn"
    channels: int = 24  # of the pyramid and the head
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
    full: Any
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
        K, strides = config.backbone.num_classes + 1, self.backbone.strides
        if config.head == "fpn":
            self.head: Layer = PyramidHead(self.backbone, config.channels, config.extra, K, rng=rng, dtype=dtype)
        else:
            self.head = ScoreHead(self.backbone, K, rng=rng, dtype=dtype)
        self.multiple = self.backbone.strides[-1] * (2**config.extra if config.head == "fpn" else 1)
        self.full: Layer = _enlarge(config.head, K, strides[0], rng, dtype)

    def forward(self, x: Array, *, train: bool) -> tuple[Array, SegmenterCache]:
        """Logits of the pictures' own size."""
        checks.array("segmenter", "x", x, "N C H W")
        features, backbone = self.backbone.forward(pad_to(x, self.multiple), train=train)
        scores, head = self.head.forward(features, train=train)
        logits, full = self.full.forward(scores, train=train)
        return cut_to(logits, x.shape), SegmenterCache(backbone, head, full, x.shape)

    def backward(self, dy: Array, cache: SegmenterCache) -> Any:
        """dx (N, C, H, W); None where it was fused without."""
        dlogits = pad_to(dy, self.multiple)
        dfeatures = self.head.backward(self.full.backward(dlogits, cache.full), cache.head)
        dx = self.backbone.backward(dfeatures, cache.backbone)
        return None if dx is None else cut_to(dx, cache.shape)

    def fused(self, *, input_gradient: bool = True) -> Segmenter:
        """The same segmenter on the same parameters, its blocks as units (`fuse.py`)."""
        other = copy.copy(self)
        other.backbone = self.backbone.fused(input_gradient=input_gradient)
        if isinstance(self.head, PyramidHead):
            other.head = self.head.fused()
        return other

    def __str__(self) -> str:
        from .summary import summary

        return summary(self, (self.config.backbone.in_channels, self.picture_size, self.picture_size))


class PyramidHead(Layer):
    """Scores (N, K, H_1, W_1) at the finest feature's size, from a feature pyramid whose levels stand side by side.

    A coarse level comes up by steps, each a convolution and a doubling of its size: so the coarsest ones, which see the most, are also
    the deepest.
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
        self.pyramid = FeaturePyramid(
            backbone.channels, backbone.strides, channels=channels, extra=extra, rng=rng, dtype=dtype
        )
        strides = self.pyramid.strides

        def unit(C: int) -> dict[str, Layer]:
            conv = Conv2d(C, channels, 3, pad=1, rng=rng, dtype=dtype)
            return {"conv": conv, "bn": BatchNorm2d(channels, dtype=dtype), "relu": ReLU()}

        for i, stride in enumerate(strides[1:], start=2):
            steps: dict[str, Layer] = {}
            for step in range(1, (stride // strides[0]).bit_length()):
                steps |= {f"{name}{step}": layer for name, layer in unit(channels).items()}
                steps[f"up{step}"] = UpsampleBilinear(2)
            setattr(self, f"rise{i}", Chain(steps))
        self.concat = Concat()
        self.mix: Layer = Chain(unit(len(strides) * channels))
        self.score = Conv2d(channels, K, 1, bias=True, rng=rng, dtype=dtype)

    def forward(self, x: tuple[Array, ...], *, train: bool) -> tuple[Array, Any]:
        """The scores of the features x."""
        levels, pyramid = self.pyramid.forward(x, train=train)
        risen, rises = [levels[0]], []
        for i, level in enumerate(levels[1:], start=2):
            y, cache = vars(self)[f"rise{i}"].forward(level, train=train)
            risen.append(y)
            rises.append(cache)
        y, concat = self.concat.forward(tuple(risen), train=train)
        y, mix = self.mix.forward(y, train=train)
        y, score = self.score.forward(y, train=train)
        return y, (pyramid, rises, concat, mix, score)

    def backward(self, dy: Array, cache: Any) -> tuple[Array, ...]:
        """The gradients at the features."""
        pyramid, rises, concat, mix, score = cache
        d = self.mix.backward(self.score.backward(dy, score), mix)
        first, *rest = self.concat.backward(d, concat)
        ways = enumerate(zip(rest, rises, strict=True), start=2)
        dlevels = (first, *(vars(self)[f"rise{i}"].backward(d, rise) for i, (d, rise) in ways))
        return self.pyramid.backward(dlevels, pyramid)

    def fused(self, *, input_gradient: bool = True) -> PyramidHead:
        """The same head on the same parameters, its convolutions as units (`fuse.py`)."""
        other = copy.copy(self)
        other.pyramid = self.pyramid.fused()
        for name, layer in self.children().items():
            if isinstance(layer, Chain):
                setattr(other, name, fuse(layer))
        return other


class ScoreHead(Layer):
    """Scores (N, K, H_1, W_1) at the finest feature's size: of each stage by a 1x1 convolution, added up from the coarsest on."""

    def __init__(self, backbone: Backbone, K: int, *, rng: np.random.Generator, dtype: np.typing.DTypeLike) -> None:
        strides = self.strides = backbone.strides
        for i, C in enumerate(backbone.channels, start=1):
            setattr(self, f"score{i}", Conv2d(C, K, 1, bias=True, rng=rng, dtype=dtype))
        for i in range(1, len(strides)):
            setattr(self, f"up{i}", _enlarge("fcn", K, strides[i] // strides[i - 1], rng, dtype))
            setattr(self, f"add{i}", Add())

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
        return y, (scores, ups)

    def backward(self, dy: Array, cache: Any) -> tuple[Array, ...]:
        """The gradients at the features."""
        (scores, ups), dx = cache, []
        for i, up in enumerate(ups, start=1):
            d, dabove = vars(self)[f"add{i}"].backward(dy, None)
            dx.append(vars(self)[f"score{i}"].backward(d, scores[i - 1]))
            dy = vars(self)[f"up{i}"].backward(dabove, up)
        dx.append(vars(self)[f"score{len(scores)}"].backward(dy, scores[-1]))
        return tuple(dx)


def _enlarge(head: str, K: int, scale: int, rng: np.random.Generator, dtype: np.typing.DTypeLike) -> Layer:
    """Makes scores (N, K, H, W) larger by `scale`: bilinear interpolation, or a transposed convolution that starts as it."""
    if scale == 1:
        return Identity()
    if head == "fpn":
        return UpsampleBilinear(scale)
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
