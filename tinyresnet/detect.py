"""The detector: boxes with classes. One stage, no anchor boxes: every place of a pyramid says what is there and how far its sides are.

FCOS in small (Tian et al. 2019), with the quality of the box in the class's target (Li et al. 2020, "Generalized focal loss") in place of a
centre branch. What it learns from, and the loss: `assign.py`.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import Array, array_module, on_host

from .backbone import Backbone, OnBackbone
from .boxes import batched_nms, clip_boxes
from .errors import InputError
from .fuse import fuse
from .layers import BatchNorm2d, Chain, Conv2d, Fork, Layer, PointBoxes, ReLU, checks
from .layers.sigmoid import sigmoid_forward
from .pyramid import FeaturePyramid
from .resnet import Config, build
from .segment import cut_to, pad_to

PRIOR = 0.01  # what a new detector believes a place to hold a thing with (Lin et al. 2017, "Focal loss", section 4.1)


@dataclass(frozen=True)
class DetectorConfig(OnBackbone):
    """Everything that makes this detector again. `backbone.num_classes` are the K classes of things."""

    backbone: Config
    channels: int = 32  # of the pyramid and the head
    depth: int = 2  # convolutions of the head before its two outputs
    first: int = 2  # the backbone's first stage that the pyramid sees
    extra: int = 1  # levels of the pyramid beyond the backbone's last stage
    output_stride: int | None = None

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("depth", 0), ("extra", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise InputError(f"{name} is {value!r}: a whole number of at least {least} is wanted")

    @property
    def name(self) -> str:
        """What errors and tables call it."""
        return f"a detector on {self.backbone.name}"

    def as_dict(self) -> dict[str, Any]:
        """A plain dict for JSON."""
        return {"task": "detect", **asdict(self)}


class Outputs(NamedTuple):
    """What a detector says at each of P places, level after level and row by row: logits (N, P, K); boxes (N, P, 4) in pixels."""

    logits: Array
    boxes: Array


class DetectorCache(NamedTuple):
    """The caches of the parts, of the boxes one a level; the shapes of the pictures and of the levels."""

    backbone: Any
    pyramid: Any
    head: list[Any]
    decode: list[Any]
    shape: tuple[int, ...]
    sizes: list[tuple[int, int]]


class Detector(Layer):
    """Outputs of pictures (N, C, H, W) of any size, which are padded to a multiple of the largest stride inside."""

    def __init__(
        self, config: DetectorConfig, *, rng: np.random.Generator, dtype: np.typing.DTypeLike = np.float32
    ) -> None:
        self.config = config
        network = build(**config.backbone.as_dict(), rng=rng, dtype=dtype)
        self.picture_size = 3 * network.picture_size
        self.backbone = Backbone(network, first=config.first, output_stride=config.output_stride)
        C, K = config.channels, config.backbone.num_classes
        self.pyramid = FeaturePyramid(
            self.backbone.channels, self.backbone.strides, channels=C, extra=config.extra, rng=rng, dtype=dtype
        )
        self.strides = self.pyramid.strides
        self.head = Head(C, K, config.depth, len(self.strides), rng=rng, dtype=dtype)
        for i, stride in enumerate(self.strides, start=1):
            setattr(self, f"boxes{i}", PointBoxes(stride))

    def forward(self, x: Array, *, train: bool) -> tuple[Outputs, DetectorCache]:
        """What is said at every place."""
        checks.array("detector", "x", x, "N C H W")
        features, backbone = self.backbone.forward(pad_to(x, self.strides[-1]), train=train)
        levels, pyramid = self.pyramid.forward(features, train=train)
        outputs, head = self.head.forward(levels, train=train)
        logits, boxes, decode = [], [], []
        for i, (scores, raw) in enumerate(outputs, start=1):
            found, cache = vars(self)[f"boxes{i}"].forward(raw, train=train)
            logits.append(in_rows(scores))
            boxes.append(in_rows(found))
            decode.append(cache)
        xp = array_module(x)
        y = Outputs(xp.concatenate(logits, axis=1), xp.concatenate(boxes, axis=1))
        sizes = [level.shape[2:] for level in levels]
        return y, DetectorCache(backbone, pyramid, head, decode, x.shape, sizes)

    def backward(self, dy: Outputs, cache: DetectorCache) -> Any:
        """dx (N, C, H, W); None where it was fused without."""
        dlogits, dboxes = dy
        doutputs, start = [], 0
        for i, (size, decode) in enumerate(zip(cache.sizes, cache.decode, strict=True), start=1):
            places = slice(start, start := start + math.prod(size))
            draw = vars(self)[f"boxes{i}"].backward(in_pictures(dboxes[:, places], size), decode)
            doutputs.append((in_pictures(dlogits[:, places], size), draw))
        dlevels = self.head.backward(tuple(doutputs), cache.head)
        dx = self.backbone.backward(self.pyramid.backward(dlevels, cache.pyramid), cache.backbone)
        return None if dx is None else cut_to(dx, cache.shape)

    def fused(self, *, input_gradient: bool = True) -> Detector:
        """The same detector on the same parameters, its blocks as units (`fuse.py`)."""
        other = copy.copy(self)
        other.backbone = self.backbone.fused(input_gradient=input_gradient)
        other.pyramid, other.head = self.pyramid.fused(), self.head.fused()
        return other

    def __str__(self) -> str:
        from .summary import summary

        return summary(self, (self.config.backbone.in_channels, self.picture_size, self.picture_size))


class Head(Layer):
    """(scores (N, K, H, W), raw box distances (N, 4, H, W)) of a level (N, C, H, W): a few convolutions, then one for each output.

    All levels share the convolutions, whose gradients there add up; each level has batch norms of its own, for its numbers are of
    another size than its neighbours' (Tan et al. 2020, EfficientDet).
    """

    def __init__(
        self, C: int, K: int, depth: int, levels: int, *, rng: np.random.Generator, dtype: np.typing.DTypeLike
    ) -> None:
        towers: list[dict[str, Layer]] = [{} for _ in range(levels)]
        for i in range(1, depth + 1):
            conv = Conv2d(C, C, 3, pad=1, rng=rng, dtype=dtype)
            setattr(self, f"conv{i}", conv)
            for level, tower in enumerate(towers, start=1):
                norm, relu = BatchNorm2d(C, dtype=dtype), ReLU()
                setattr(self, f"bn{i}_level{level}", norm)
                setattr(self, f"relu{i}_level{level}", relu)
                tower |= {f"conv{i}": conv, f"bn{i}": norm, f"relu{i}": relu}
        self.towers: list[Layer] = [Chain(tower) for tower in towers]  # the same layers, as they are run
        self.fork = Fork()
        self.score = Conv2d(C, K, 3, pad=1, bias=True, rng=rng, dtype=dtype)
        self.box = Conv2d(C, 4, 3, pad=1, bias=True, rng=rng, dtype=dtype)
        for output in (self.score, self.box):
            output.weight.data *= 0.1  # starts near the prior
        assert self.score.bias is not None
        self.score.bias.data[...] = -math.log((1 - PRIOR) / PRIOR)

    def forward(self, x: tuple[Array, ...], *, train: bool) -> tuple[tuple[tuple[Array, Array], ...], list[Any]]:
        """The two outputs of every level."""
        outputs, caches = [], []
        for tower, level in zip(self.towers, x, strict=True):
            y, along = tower.forward(level, train=train)
            (a, b), _ = self.fork.forward(y, train=train)
            scores, score = self.score.forward(a, train=train)
            raw, box = self.box.forward(b, train=train)
            outputs.append((scores, raw))
            caches.append((along, score, box))
        return tuple(outputs), caches

    def backward(self, dy: tuple[tuple[Array, Array], ...], cache: list[Any]) -> tuple[Array, ...]:
        """The gradients at the levels."""
        dx = []
        for tower, (dscores, draw), (along, score, box) in zip(self.towers, dy, cache, strict=True):
            d = self.fork.backward((self.score.backward(dscores, score), self.box.backward(draw, box)), None)
            dx.append(tower.backward(d, along))
        return tuple(dx)

    def fused(self, *, input_gradient: bool = True) -> Head:
        """The same head on the same parameters, its towers as units (`fuse.py`)."""
        other = copy.copy(self)
        other.towers = [fuse(tower) for tower in self.towers]
        return other


class Detections(NamedTuple):
    """What was found in a picture, the best first: boxes (M, 4) float32, scores (M,) in (0, 1), labels (M,)."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


def detections(
    y: Outputs,
    size: tuple[int, int],
    *,
    threshold: float = 0.05,
    overlap: float = 0.6,
    most: int = 100,
    candidates: int = 300,
) -> list[Detections]:
    """What a detector found in each picture of this size (H, W): boxes cut at its edges, of scores above `threshold`.

    Of the `candidates` best, those are left out that overlap a better one of their class by an IoU above `overlap`; at most `most` remain.
    """
    logits, boxes = on_host(y.logits), on_host(y.boxes)
    if not (np.isfinite(logits).all() and np.isfinite(boxes).all()):
        raise InputError("the detector gave a NaN or an infinity: are the weights or the picture damaged?")
    found = []
    for n in range(len(logits)):
        scores = sigmoid_forward(logits[n])[0]
        place, label = np.nonzero(scores > threshold)
        score = scores[place, label]
        best = np.argsort(-score, kind="stable")[:candidates]
        box, score, label = clip_boxes(boxes[n, place[best]], *size), score[best], label[best]
        kept = batched_nms(box, score, label, overlap)[:most]
        found.append(Detections(box[kept], score[kept], label[kept]))
    return found


def in_rows(x: Array) -> Array:
    """(N, C, H, W) as (N, H * W, C): one row a place."""
    N, C, H, W = x.shape
    return x.transpose(0, 2, 3, 1).reshape(N, H * W, C)


def in_pictures(rows: Array, size: tuple[int, int]) -> Array:
    """(N, H * W, C) as (N, C, H, W) again, channels-last in memory."""
    return rows.reshape(len(rows), *size, -1).transpose(0, 3, 1, 2)
