"""What can be walked through: the small network in hand numbers or with trained weights, a named network, weights, a layer of one's own."""

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
from ..errors import InputError
from ..evaluate import logits_of
from ..layers import Layer
from ..resnet import ResNet, build
from ..weights import Header, read_arrays, read_network
from .session import Session, hand_session
from .small import small_resnet

LARGEST = 512  # pixels; two such pictures through resnet18 leave more than 1 GB of numbers


def open_session(
    *,
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

    real: the small network with trained weights. model: a named network with random weights. weights: a file or the folder of a run
    (`model` then only names files that don't say it). images: one or two pictures for a network; of one alone the second is its mirror
    image. layer: "file.py:MyLayer(3, 4)", and `shape` that of its x. train: whether batch norm takes its statistics from the two
    pictures. Raises InputError.
    """
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
    if layer:
        from .own import own_model

        own, x = own_model(layer, shape, train=train, seed=seed)
        file, _, name = layer.partition(":")
        title = f"{Path(file).name}:{name}, for x of shape {' × '.join(map(str, x.shape))}"
        return Session(title, own, x, None, train=train, seed=seed)
    if real:
        with resources.as_file(resources.files(__package__) / "digits.safetensors") as path:
            return _real_network(path).session(images, train=train, seed=seed)
    if weights:
        found, header = read_network(weights, model)
        title = f"{found.config.name} with the weights of {Path(weights).name}"
        return _network(title, found, header).session(images, train=train, seed=seed)
    if model:
        found = build(model, rng=np.random.default_rng(seed))
        header = Header(classes=drawn_shapes.CLASSES)  # as many as it has: random weights know none better
        return _network(f"{model} with random weights", found, header).session(images, train=train, seed=seed)
    hand = hand_session(seed)
    return hand if train else dataclasses.replace(hand, train=False)


@dataclasses.dataclass(frozen=True)
class Network:
    """A classifier, and what is known of the pictures (channels, size, size) that it takes."""

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
        title = f"{self.title}; {what}"
        found = Session(title, self.model, x, labels, self.header.classes, train=train, seed=seed)
        if not math.isfinite(found.loss):
            raise InputError(f"{self.title}: the loss is {found.loss}: the weights are damaged")
        return found

    def pictures(self, images: Sequence[Path], seed: int) -> tuple[Array, Array | None, str]:
        """Two pictures uint8, their classes if these are known, and what to call them."""
        if images:
            pixels = np.stack([read_picture(Path(image), self.size, self.channels) for image in images])
            if len(images) == 1:
                return np.concatenate([pixels, pixels[..., ::-1]]), None, f"{images[0].name} and its mirror image"
            return pixels, None, f"{images[0].name} and {images[1].name}"
        if self.shipped:
            return *self.shipped, "two test pictures"
        pixels, labels = _two_shapes(self.channels, self.size, seed)
        return pixels, labels if self.header.classes == drawn_shapes.CLASSES else None, "two drawn shapes"


def _network(title: str, model: ResNet, header: Header) -> Network:
    """A network of `resnet.py`. Raises InputError if no pictures can be made for it."""
    channels, size = model.config.in_channels, header.picture_size or model.picture_size
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


def _two_shapes(channels: int, size: int, seed: int) -> tuple[Array, Array]:
    """Two test pictures (2, channels, size, size) of the built-in shapes, of different classes, and these."""
    rng = np.random.default_rng(seed)
    indices = drawn_shapes.TEST_START + rng.choice(len(drawn_shapes.CLASSES), 2, replace=False)
    pixels = drawn_shapes.draw(indices, seed=seed, size=size).x
    if channels == 1:
        pixels = np.rint(pixels.mean(axis=1, keepdims=True)).astype(np.uint8)
    return pixels, drawn_shapes.labels(indices)
