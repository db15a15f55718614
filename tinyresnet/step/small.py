"""The small network that the stepper walks by default: two residual blocks on 8 x 8 pictures.

    x 1@8x8   conv1 - relu - maxpool   1@4x4   layer1 (identity shortcut)   1@4x4
              layer2 (stride 2, shortcut A)   2@2x2   avgpool - flatten - fc - loss

In *hand numbers* a person can follow with a pencil: pixels 0 to 3, weights multiples of 1/4, one channel, so that most sums have at most 9
terms, and a batch norm of the second block runs over 8 values.
"""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array, use

from ..layers import (
    BatchNorm2d,
    Chain,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    Param,
    ReLU,
    Residual,
)
from ..layers.shortcut import ShortcutA

CLASSES = ("cross", "ring", "bar")
LOSSES = {1: "CrossEntropy", 3: "PixelCrossEntropy"}  # by the axes of the labels: (N,) or (N, H, W)


def small_resnet(*, width: int, num_classes: int, rng: np.random.Generator, dtype: np.typing.DTypeLike) -> Chain:
    """Logits (N, num_classes) of pictures (N, 1, 8, 8); `width` channels in the first block, twice as many in the second."""

    def conv(C: int, O: int, stride: int = 1) -> Conv2d:
        return Conv2d(C, O, 3, stride=stride, pad=1, rng=rng, dtype=dtype)

    def block(C: int, O: int, stride: int, shortcut: Layer | None) -> Residual:
        branch = {"conv1": conv(C, O, stride), "bn1": BatchNorm2d(O, dtype=dtype), "relu1": ReLU()}
        branch |= {"conv2": conv(O, O), "bn2": BatchNorm2d(O, dtype=dtype)}
        return Residual(Chain(branch), shortcut, ReLU())

    return Chain(
        {
            "conv1": conv(1, width),
            "relu": ReLU(),
            "maxpool": MaxPool2d(2),
            "layer1": block(width, width, 1, None),
            "layer2": block(width, 2 * width, 2, ShortcutA(2 * width, stride=2)),
            "avgpool": GlobalAvgPool(),
            "flatten": Flatten(),
            "fc": Linear(2 * width, num_classes, rng=rng, dtype=dtype),
        }
    )


def hand_network(seed: int) -> tuple[Chain, Array, Array]:
    """The network in hand numbers, two pictures (2, 1, 8, 8) and their labels (2,), all drawn from the seed; float64.

    Of the networks that the seed draws the first is taken in which every number has something to say: each ReLU passes some numbers and
    stops some, and every parameter gets a gradient.
    """
    rng = np.random.default_rng(seed)
    while True:
        model = small_resnet(width=1, num_classes=len(CLASSES), rng=rng, dtype=np.float64)
        for name, param in model.named_params():
            in_quarters(name, param, rng)
        x, labels = pictures(rng)
        if speaks(model, x, labels):
            model.zero_grad()
            return model, x, labels


def in_quarters(name: str, param: Param, rng: np.random.Generator) -> None:
    """Fill a parameter with multiples of 1/4: weights within ±1, some of them 0; batch norm's weights near 1."""
    shape, layer = param.data.shape, name.split(".")[-2]
    if layer.startswith("bn"):
        quarters = rng.integers(3, 7, shape) if name.endswith("weight") else rng.integers(-2, 3, shape)
    else:
        quarters = rng.integers(-4, 5, shape)
    param.data[...] = quarters / 4


def pictures(rng: np.random.Generator, count: int = len(CLASSES)) -> tuple[Array, Array]:
    """Two pictures of different classes, of the first `count`, their strokes 2 or 3 and a few stray 1s on 0."""
    labels = rng.permutation(count)[:2]
    x = (rng.random((2, 1, 8, 8)) < 0.12).astype(np.float64)
    for picture, label in zip(x[:, 0], labels, strict=True):
        row, column = rng.integers(1, 3, 2)
        strokes = rng.integers(2, 4, (5, 5)).astype(np.float64)
        part = picture[row : row + 5, column : column + 5]
        mask = _OUTLINES[CLASSES[label]]
        part[mask] = strokes[mask]
    return x, labels


_OUTLINES = {
    "cross": np.eye(5, dtype=bool) | np.eye(5, dtype=bool)[::-1],
    "ring": np.pad(np.zeros((3, 3), bool), 1, constant_values=True),
    "bar": np.broadcast_to(np.arange(5) == 2, (5, 5)).T,
}


def speaks(model: Layer, x: Array, labels: Array, *, least: float = 0.01) -> bool:
    """Whether every ReLU passes some numbers and stops some, and every parameter gets a gradient worth looking at, of `least` or more."""
    from ..trace import trace

    with use("reference"), trace(model) as steps:
        logits, cache = model.forward(x, train=True)
        masks = [step.tensors["mask"] for step in steps if step.kind == "ReLU"]
        shares = [float(mask[n].mean()) for mask in masks for n in range(2)]
        variances = [step.tensors["var"].min() for step in steps if "var" in step.made]
        if min(shares) <= 0.2 or max(shares) >= 0.9 or min(variances) <= 0.1:
            return False
        loss, dlogits = steps.loss_of(LOSSES[labels.ndim], logits, labels)
        model.backward(dlogits, cache)
    return min(float(abs(param.grad).max()) for _, param in model.named_params()) > least and 0.4 < loss < 2.5
