"""Convolutions as cases: a shape forward, and its two gradients."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinyresnet_kernels import Array, Pair, on_host, output_size

from ..layers import Conv2d
from ..layers.conv import correlate, input_gradient, weight_gradient
from ..observe import observe
from ..resnet import ResNet
from .device import Device
from .work import UNIT, Case, Comparison, Kind, Run, Torch, Work, draw, excess

PRODUCTS: dict[Kind, Any] = {
    "forward": correlate,
    "input gradient": input_gradient,
    "weight gradient": weight_gradient,
}
SAFETY = 4.0


@dataclass(frozen=True)
class Shape:
    """One convolution of x (N, C, H, W) to O channels."""

    N: int
    C: int
    H: int
    W: int
    O: int
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    pad: Pair = (1, 1)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def x(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return self.N, self.C, self.H, self.W

    @property
    def weight(self) -> tuple[int, int, int, int]:
        """(O, C/groups, KH, KW)."""
        return self.O, self.C // self.groups, *self.kernel

    @property
    def y(self) -> tuple[int, int, int, int]:
        """(N, O, OH, OW)."""
        settings = zip((self.H, self.W), self.kernel, self.stride, self.pad, self.dilation, strict=True)
        OH, OW = (output_size(*axis) for axis in settings)
        return self.N, self.O, OH, OW

    @property
    def settings(self) -> tuple[Pair, Pair, Pair, int]:
        """Stride, pad, dilation and groups, as the products take them."""
        return self.stride, self.pad, self.dilation, self.groups

    @property
    def multiply_adds(self) -> int:
        """Of one product, padding counted as picture."""
        return math.prod(self.y) * math.prod(self.weight[1:])

    @property
    def moved(self) -> float:
        """Bytes of picture, weight and output; each product reads two of them and writes the third."""
        return 4.0 * (math.prod(self.x) + math.prod(self.weight) + math.prod(self.y))

    def __str__(self) -> str:
        stride = f"/{self.stride[0]}" if self.stride != (1, 1) else ""
        more = f" dilation {self.dilation[0]}" if self.dilation != (1, 1) else ""
        more += f" groups {self.groups}" if self.groups > 1 else ""
        KH, KW = self.kernel
        return f"{self.C}->{self.O} {KH}x{KW}{stride}{more} @ {self.H}x{self.W}"


COMMON = (
    Shape(128, 16, 32, 32, 16),
    Shape(128, 64, 8, 8, 64),
    Shape(8, 64, 56, 56, 64),
    Shape(8, 128, 56, 56, 256, (1, 1), pad=(0, 0)),
)
ODD = (
    Shape(13, 17, 31, 29, 19),
    Shape(32, 5, 32, 32, 5),
    Shape(32, 5, 32, 32, 7, (2, 2), pad=(0, 0)),
    Shape(32, 32, 32, 32, 32, pad=(3, 3), dilation=(3, 3)),
    Shape(32, 32, 32, 32, 32, groups=4),
    Shape(32, 32, 32, 32, 32, groups=32),
    Shape(32, 32, 32, 32, 32, (1, 7), pad=(0, 3)),
    Shape(32, 32, 32, 32, 32, (7, 1), stride=(2, 2), pad=(3, 0)),
    Shape(32, 24, 33, 33, 40, (5, 5), stride=(3, 3), pad=(2, 2)),
)


def shapes_of(model: ResNet, N: int) -> dict[Shape, int]:
    """Every convolution's shape in a network at batch N, and how often it has it."""
    found: dict[Shape, int] = {}

    def tell(path: str, layer: Any, x: Any, y: Any) -> None:
        if isinstance(layer, Conv2d):
            O, _, KH, KW = layer.weight.data.shape
            _, C, H, W = x.shape
            shape = Shape(N, C, H, W, O, (KH, KW), layer.stride, layer.pad, layer.dilation, layer.groups)
            found[shape] = found.get(shape, 0) + 1

    size = model.picture_size
    with observe(model, forward=tell):
        model.forward(np.zeros((0, model.config.in_channels, size, size), np.float32), train=False)
    return found


def cases(shapes: dict[Shape, int], seed: int = 0) -> list[Case]:
    """Three cases a shape."""
    found: list[Case] = []
    for shape, count in shapes.items():
        for kind in PRODUCTS:
            make = partial(work, shape, kind, seed)
            found.append(Case(str(shape), kind, make, 2.0 * shape.multiply_adds, shape.moved, count))
    return found


def work(shape: Shape, kind: Kind, seed: int, device: Device) -> Work:
    """One product of random numbers."""
    rng = np.random.default_rng(seed)
    x, weight, dy = draw(rng, *shape.x), rng.standard_normal(shape.weight, np.float32), draw(rng, *shape.y)
    product, inputs = PRODUCTS[kind], [x, weight] if kind == "forward" else [dy, weight, x]
    ours = partial(product, *map(device.carry, inputs), *shape.settings)
    plain = [device.carry(np.ascontiguousarray(array)) for array in inputs]  # which suits the readable form best
    return Work(
        ours,
        partial(product.reference, *plain, *shape.settings),
        partial(compare, product, ours, plain, shape, kind),
        partial(theirs, shape, kind, x, weight, dy),
    )


def compare(product: Any, ours: Run, inputs: list[Array], shape: Shape, kind: Kind) -> Comparison:
    """Against the readable form of these inputs.

    Allowed is 4 sqrt(terms) u times the sum of the terms' magnitudes, for u the unit of rounding: roundings are of either sign, so
    they grow as the root of their number (Higham & Mary 2019, theorem 2.4). The magnitudes' sums are the same product of |x| and |w|.
    """
    OG, CG = shape.O // shape.groups, shape.C // shape.groups
    taps = math.prod(shape.kernel)
    terms = {"forward": CG * taps, "input gradient": OG * taps}.get(kind, shape.N * math.prod(shape.y[2:]))
    began = time.perf_counter()
    wanted = on_host(product.reference(*inputs, *shape.settings))
    seconds = time.perf_counter() - began
    magnitude = product.reference(*(abs(array) for array in inputs), *shape.settings)
    return Comparison(excess(ours(), wanted, SAFETY * math.sqrt(terms) * UNIT * magnitude), seconds)


def theirs(shape: Shape, kind: Kind, x: Array, weight: Array, dy: Array, torch: Torch) -> Run:
    """The same product in PyTorch; gradients by its autograd, which makes only the one that is asked for."""
    conv2d = torch.module.nn.functional.conv2d
    settings = {"stride": shape.stride, "padding": shape.pad, "dilation": shape.dilation, "groups": shape.groups}
    tx, tw, tdy = (torch.tensor(array) for array in (x, weight, dy))
    if kind == "forward":
        return lambda: conv2d(tx, tw, **settings)
    wanted = (tx if kind == "input gradient" else tw).detach().requires_grad_()
    y = conv2d(wanted, tw, **settings) if kind == "input gradient" else conv2d(tx, wanted, **settings)
    return lambda: torch.module.autograd.grad(y, wanted, tdy, retain_graph=True)[0]
