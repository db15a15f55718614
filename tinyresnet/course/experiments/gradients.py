"""How alike the gradients at nearby pictures are, before training: gradient shattering (Balduzzi et al. 2017).

The gradient here is g(x) = d <r, logits(x)> / dx for a fixed random direction r: what the pixels get back. If g(x) and g(x') have little
in common for close x and x', then a step that is right for one picture says nothing about the next, however large it is. Two views:

    along a line    x(t) goes around a circle through two pictures; the slope d <r, logits> / dt, like brown noise or like white noise
    under noise     the cosine of g(x) and g(x + sigma n), the mean over pictures

Networks run in evaluation mode, so that each picture is on its own; the statistics of batch norms are first set to those of a batch.

`block_gradients` is about length instead of likeness: how much gradient of the loss reaches each block.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import Array

from ...fuse import fuse
from ...layers import BatchNorm2d, Layer
from ...loss import softmax_cross_entropy
from ...observe import observe
from ...resnet import ResNet


def settle_statistics(model: ResNet, x: Array) -> None:
    """Set the running statistics of every batch norm to those of the batch x (N, C, H, W), as if training had met nothing else."""
    norms = [layer for _, layer in model.named_layers() if isinstance(layer, BatchNorm2d)]
    momentum = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 1.0
    fuse(model).forward(x, train=True)
    for layer, before in zip(norms, momentum, strict=True):
        layer.momentum = before


def input_gradient(model: ResNet, x: Array, direction: Array) -> Array:
    """g (N, C, H, W) = d <direction, logits> / dx for each picture of x; direction (K,). No param.grad changes."""
    kept = [(param, param.grad) for _, param in model.named_params()]
    network: Layer = fuse(model)
    try:
        for param, grad in kept:
            param.grad = np.zeros_like(grad)
        logits, cache = network.forward(x, train=False)
        g: Array = network.backward(np.broadcast_to(direction, logits.shape).astype(x.dtype), cache)
        return g
    finally:
        for param, grad in kept:
            param.grad = grad


def circle(a: Array, b: Array, points: int) -> tuple[Array, Array]:
    """Pictures x(t) = cos(t) a + sin(t) b (points, C, H, W), t from 0 to pi/2, and dx/dt. All are about as long as a and b."""
    t = np.linspace(0, math.pi / 2, points, dtype=a.dtype)[:, None, None, None]
    return np.cos(t) * a + np.sin(t) * b, np.cos(t) * b - np.sin(t) * a


def slopes_along(model: ResNet, a: Array, b: Array, direction: Array, points: int = 256) -> NDArray[np.float64]:
    """d <direction, logits(x(t))> / dt (points,) on the circle from a to b (C, H, W), by the chain rule."""
    x, dx_dt = circle(a, b, points)
    slopes: NDArray[np.float64] = (input_gradient(model, x, direction) * dx_dt).sum(axis=(1, 2, 3), dtype=np.float64)
    return slopes


def autocorrelation(slopes: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The correlation (most + 1,) of the slopes with themselves, `lag` points further on: 1 at lag 0; white noise: about 0 behind."""
    centred = slopes - slopes.mean()
    products = [(centred[: len(centred) - lag] * centred[lag:]).sum() for lag in range(most + 1)]
    correlation: NDArray[np.float64] = np.array(products) / products[0]
    return correlation


def cosines_under_noise(
    model: ResNet, x: Array, direction: Array, sigma: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The cosine (N,) of the gradients at each picture of x (normalised, so sigma is a share of its spread) and at x + sigma n."""
    noisy = x + np.float32(sigma) * rng.standard_normal(x.shape, np.float32)
    return cosines(input_gradient(model, x, direction), input_gradient(model, noisy, direction))


def cosines(a: Array, b: Array) -> NDArray[np.float64]:
    """The cosine (N,) of the angle between a[n] and b[n], each of any shape; 0 where one of them is 0."""
    a, b = (np.asarray(values, np.float64).reshape(len(values), -1) for values in (a, b))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide((a * b).sum(axis=1), lengths, out=np.zeros(len(a)), where=lengths > 0)  # type: ignore[no-any-return]


def block_gradients(model: ResNet, x: Array, labels: Array) -> dict[str, float]:
    """The norm of d loss / d (what goes into a block), by the block's path, the first block first; in training mode."""
    norms: dict[str, float] = {}

    def look(path: str, layer: Layer, dy: Array, dx: Array) -> None:
        block, _, name = path.rpartition(".")
        if name == entrance and block:
            norms[block] = float(np.linalg.norm(dx.astype(np.float64)))

    paths = [path for path, _ in model.named_layers()]
    entrance = (
        "fork" if any(path.endswith(".fork") for path in paths) else "conv1"
    )  # a plain block begins with its convolution
    with observe(model, backward=look):
        logits, cache = model.forward(x, train=True)
        model.backward(softmax_cross_entropy(logits, labels)[1], cache)
    return dict(reversed(norms.items()))
