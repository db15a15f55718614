"""What can be walked through: a small network in hand numbers or with trained weights, a named network, weights, a layer of one's own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from tinyresnet_kernels import Array, use

from ..data import normalize, read_picture
from ..data import shapes as drawn_shapes
from ..data.scene_shapes import draw_scenes
from ..detect import Detector
from ..errors import InputError
from ..evaluate import logits_of
from ..layers import Layer
from ..models import Model
from ..resnet import Config, ResNet, build
from ..segment import Segmenter, SegmenterConfig
from ..tasks.segment import BACKGROUND
from ..trained import built_in
from ..weights import Header, read_arrays, read_model
from .session import Session, hand_segmenter_session, hand_session
from .small import small_resnet

LARGEST = 512  # pixels; two such pictures through resnet18 leave more than 1 GB of numbers
SCENE = 96  # pixels of a segmenter's pictures at most: it takes any size, and its backbone works on most of them at full size
LEAST_SCENE = 48  # pixels: objects have a size of their own; of a smaller picture a corner is drawn
NO_DETECTOR = "classifiers and segmenters can be walked through (--task classify or segment), detectors cannot"


def open_session(
    *,
    task: str | None = None,
    head: str | None = None,
    real: bool = False,
    model: str | None = None,
    weights: str | None = None,
    images: Sequence[Path] = (),
    layer: str | None = None,
    shape: tuple[int, ...] | None = None,
    train: bool = True,
    seed: int = 0,
) -> Session:
    """Open what these name; by default the small network in hand numbers that the seed draws.

    task: "classify" or "segment", by default what the weights are for. head: of a segmenter that is made here, "fpn" or "fcn".
    real: the small network, or the built-in segmenter, with trained weights. model: a named network with random weights. weights: a file
    or the folder of a run (`model` then only names files that don't say it). images: one or two pictures for a network; of one alone the
    second is its mirror image. layer: "file.py:MyLayer(3, 4)", and `shape` that of its x. train: whether batch norm takes its statistics
    from the two pictures. Raises InputError.
    """
    if task == "detect":
        raise InputError(NO_DETECTOR)
    given = {"--real": real, "--model or --weights": model or weights, "--layer": layer}
    chosen = [name for name, value in given.items() if value]
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(chosen)} are both given: one of them is wanted")
    if shape is not None and not layer:
        raise InputError("--shape is given without --layer: it is the shape of that layer's x")
    if images and chosen not in (["--real"], ["--model or --weights"]):
        raise InputError("--image is given without a network: --model, --weights or --real is wanted too")
    if len(images) > 2:
        raise InputError(f"{len(images)} pictures are given: one or two are wanted")
    if seed < 0:
        raise InputError(f"the seed is {seed}: 0 or more is wanted")
    if head and (task != "segment" or real or weights):
        raise InputError(
            "--head is given without a segmenter to make: it goes with --task segment alone or with --model"
        )
    if layer and task:
        raise InputError("--layer and --task are both given: a layer has no task")
    if layer:
        from .own import own_model

        own, x = own_model(layer, shape, train=train, seed=seed)
        file, _, name = layer.partition(":")
        title = f"{Path(file).name}:{name}, for x of shape {' × '.join(map(str, x.shape))}"
        return Session(title, own, x, None, train=train, seed=seed)
    if found := _network(task, head, real=real, model=model, weights=weights, seed=seed):
        return found.session(images, train=train, seed=seed)
    hand = hand_segmenter_session(seed, head or "fpn") if task == "segment" else hand_session(seed)
    return hand if train else dataclasses.replace(hand, train=False)


def _network(
    task: str | None, head: str | None, *, real: bool, model: str | None, weights: str | None, seed: int
) -> Network | None:
    """What these name; None if they name nothing."""
    if real and task == "segment":
        return _made_for("the built-in segmenter", *built_in("segment"))
    if real:
        with resources.as_file(resources.files(__package__) / "digits.safetensors") as path:
            return _real_network(path)
    if weights:
        found, header = read_model(weights, model)
        its = "classify" if isinstance(found, ResNet) else "segment"
        if task not in (None, its) and not isinstance(found, Detector):
            raise InputError(f"{weights}: these are weights to {its}, not to {task}")
        return _made_for(f"{found.config.name} with the weights of {Path(weights).name}", found, header)
    if model:
        rng = np.random.default_rng(seed)
        made: Model = build(model, rng=rng)
        if task == "segment":
            made = Segmenter(SegmenterConfig(Config(model), head=head or "fpn"), rng=rng)
        header = Header(classes=drawn_shapes.CLASSES)  # as many as it has: random weights know none better
        return _made_for(f"{made.config.name} with random weights", made, header)
    return None


@dataclasses.dataclass(frozen=True)
class Network:
    """A classifier or a segmenter, and what is known of the pictures (channels, size, size) that it takes."""

    title: str
    model: Layer
    channels: int
    size: int
    header: Header
    shipped: tuple[Array, Array] | None = None  # uint8 pictures that come with it, and their labels

    def session(self, images: Sequence[Path], *, train: bool, seed: int) -> Session:
        """Walk through it with two pictures: these, or those that come with it, or two drawn shapes."""
        pixels, labels, what = self.pictures(images, seed)
        mean, std = self.header.normalization() or ((0.0,), (1.0,))
        x = normalize(pixels, mean, std)
        if labels is None:
            with use("reference"):
                labels = logits_of(self.model, x).argmax(axis=1)
        title, classes = f"{self.title}; {what}", self.header.classes
        if self.segments and classes:
            classes = (BACKGROUND, *classes)
        found = Session(title, self.model, x, labels, classes, train=train, seed=seed)
        if not math.isfinite(found.loss):
            raise InputError(f"{self.title}: the loss is {found.loss}: the weights are damaged")
        return found

    def pictures(self, images: Sequence[Path], seed: int) -> tuple[Array, Array | None, str]:
        """Two pictures uint8, their classes (of a segmenter's, each pixel's) if these are known, and what to call them."""
        if images:
            pixels = np.stack([read_picture(Path(image), self.size, self.channels) for image in images])
            if len(images) == 1:
                return np.concatenate([pixels, pixels[..., ::-1]]), None, f"{images[0].name} and its mirror image"
            return pixels, None, f"{images[0].name} and {images[1].name}"
        if self.shipped:
            return *self.shipped, "two test pictures"
        draw, what = (_two_scenes, "two drawn scenes") if self.segments else (_two_shapes, "two drawn shapes")
        pixels, labels = draw(self.size, seed)
        if self.channels == 1:
            pixels = np.rint(pixels.mean(axis=1, keepdims=True)).astype(np.uint8)
        return pixels, labels if self.header.classes == drawn_shapes.CLASSES else None, what

    @property
    def segments(self) -> bool:
        """Whether it is a segmenter."""
        return isinstance(self.model, Segmenter)


def _made_for(title: str, model: Model, header: Header) -> Network:
    """A network, and the size of the pictures to walk it with. Raises InputError if it is a detector or no pictures can be made for it."""
    if isinstance(model, Detector):
        raise InputError(f"{title}: {NO_DETECTOR}")
    channels, size = model.config.in_channels, header.picture_size or model.picture_size
    if isinstance(model, Segmenter):
        size = _scene_size(size, model.multiple)
    if channels not in (1, 3):
        raise InputError(f"{title} is made for {channels} channels: pictures have 1 (grey) or 3 (colour)")
    if not 1 <= size <= LARGEST:
        raise InputError(f"{title} is made for pictures of {size} pixels: 1 to {LARGEST} can be walked through")
    return Network(title, model, channels, size, header)


def _real_network(path: Path) -> Network:
    """The small network in a file that `train_digits.py` made, and the two test pictures in it."""
    arrays, header = read_arrays(path)
    rng = np.random.default_rng(0)
    settings = {"width": header.extra["width"], "num_classes": len(header.classes)}
    model = small_resnet(**settings, rng=rng, dtype=np.float32)
    model.load_state_dict({n.removeprefix("model."): array for n, array in arrays.items() if n.startswith("model.")})
    title = "two residual blocks trained on handwritten digits"
    return Network(title, model, 1, header.picture_size, header, (arrays["pictures"], arrays["labels"]))


def _scene_size(size: int, multiple: int) -> int:
    """The size of a segmenter's pictures: at most SCENE, and a multiple of `multiple`, so that nothing is padded."""
    return max(multiple, min(size, SCENE) // multiple * multiple)


def _two_shapes(size: int, seed: int) -> tuple[Array, Array]:
    """Two test pictures (2, 3, size, size) of the built-in shapes, of different classes, and these."""
    rng = np.random.default_rng(seed)
    indices = drawn_shapes.TEST_START + rng.choice(len(drawn_shapes.CLASSES), 2, replace=False)
    return drawn_shapes.draw(indices, seed=seed, size=size).x, drawn_shapes.labels(indices)


def _two_scenes(size: int, seed: int) -> tuple[Array, Array]:
    """Two test scenes (2, 3, size, size) of the built-in shapes, and the class of each pixel (2, size, size)."""
    scenes = draw_scenes(drawn_shapes.TEST_START + np.arange(2), seed=seed, size=max(size, LEAST_SCENE))
    return scenes.x[..., :size, :size], scenes.masks[..., :size, :size].astype(np.int64)
