"""Whole networks as cases: a training step (forward, loss, backward, SGD), and inference."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from ..device import move
from ..fuse import fuse
from ..layers import Layer
from ..loss import softmax_cross_entropy
from ..optim import SGD
from ..resnet import ARCHITECTURES, build
from .convolution import shapes_of
from .device import CPU, Device
from .torch_network import inference_step, training_step
from .work import UNIT, Case, Comparison, Run, Torch, Work, draw, readable, relative

MOMENTUM, DECAY, LR = 0.9, 1e-4, 0.01
SAFETY = 4.0


@dataclass(frozen=True)
class Setting:
    """A network by name, its batch, and whether its blocks run as units."""

    name: str
    N: int
    fused: bool = True

    @property
    def picture_size(self) -> int:
        """The pictures' height and width."""
        return ARCHITECTURES[self.name].picture_size

    @property
    def plain(self) -> Setting:
        """The same layer by layer."""
        return replace(self, fused=False)


class Numbers(NamedTuple):
    """What a pass forward and a pass back give, by name."""

    forward: dict[str, Array]
    backward: dict[str, Array]


class Training:
    """A network and all that a step of it needs; two of the same setting start with the same numbers."""

    def __init__(self, setting: Setting, device: Device = CPU, *, contiguous: bool = False) -> None:
        rng, S = np.random.default_rng(0), setting.picture_size
        classes = 10 if S == 32 else 1000
        self.model = move(build(setting.name, num_classes=classes, rng=rng), device.name)
        self.running: Layer = fuse(self.model, input_gradient=False) if setting.fused else self.model
        x = draw(rng, setting.N, 3, S, S)
        self.x = device.carry(np.ascontiguousarray(x) if contiguous else x)
        self.labels = device.carry(rng.integers(0, classes, setting.N))
        self.optimiser = SGD(self.model.named_params(), momentum=MOMENTUM, weight_decay=DECAY)

    def step(self, lr: float = LR) -> float:
        """One update; the loss before it."""
        self.optimiser.zero_grad()
        logits, cache = self.running.forward(self.x, train=True)
        loss, dlogits = softmax_cross_entropy(logits, self.labels)
        self.running.backward(dlogits, cache)
        self.optimiser.step(lr)
        return loss

    def infer(self) -> Array:
        """Logits (N, K)."""
        logits: Array = self.running.forward(self.x, train=False)[0]
        return logits

    def numbers_of_step(self) -> Numbers:
        """The loss and the running statistics; every gradient, and what a step with learning rate 1 makes of every parameter."""
        loss = self.step(lr=1.0)
        forward = dict(self.model.named_buffers()) | {"loss": np.array(loss)}
        backward = {name: param.data for name, param in self.model.named_params()}
        backward |= {f"gradient of {name}": param.grad for name, param in self.model.named_params()}
        return Numbers(forward, backward)

    def numbers_of_inference(self) -> Numbers:
        """The logits."""
        return Numbers({"logits": self.infer()}, {})


def cases(name: str, batch: int, inference: tuple[int, ...], *, fused: bool = True) -> list[Case]:
    """The training step at this batch, and inference at each of these."""
    step = Setting(name, batch, fused)
    found = [Case(_title(step), "training step", partial(_step, step), 6.0 * _multiply_adds(step), patience=8.0)]
    for N in inference:
        setting = Setting(name, N, fused)
        make, operations = partial(_inference, setting), 2.0 * _multiply_adds(setting)
        found.append(Case(_title(setting), "inference", make, operations, patience=3.0))
    return found


def _title(setting: Setting) -> str:
    return f"{setting.name}, batch {setting.N}, {setting.picture_size}x{setting.picture_size}"


def _multiply_adds(setting: Setting) -> int:
    """Of the convolutions, forward."""
    shapes = shapes_of(build(setting.name, rng=np.random.default_rng(0)), setting.N)
    return sum(shape.multiply_adds * count for shape, count in shapes.items())


def _step(setting: Setting, device: Device) -> Work:
    def theirs(torch: Torch) -> Run:
        same = Training(setting)
        return training_step(torch, same.model, same.x, same.labels, MOMENTUM, DECAY, LR)

    plain = readable(Training(setting.plain, device, contiguous=True).step)
    compare = partial(_compare, setting, device, Training.numbers_of_step)
    return Work(Training(setting, device).step, plain, compare, theirs)


def _inference(setting: Setting, device: Device) -> Work:
    def theirs(torch: Torch) -> Run:
        same = Training(setting)
        return inference_step(torch, same.model, same.x)

    plain = readable(Training(setting.plain, device, contiguous=True).infer)
    compare = partial(_compare, setting, device, Training.numbers_of_inference)
    return Work(Training(setting, device).infer, plain, compare, theirs)


def _compare(setting: Setting, device: Device, numbers: Callable[[Training], Numbers]) -> Comparison:
    """Against the readable layers on the readable kernels: every array's difference in norm, relative to its norm.

    Going forward, e = 4 layers sqrt(terms) u is allowed: each layer adds the rounding of its sums. Going back, 2 sqrt(e): a share of e of
    the ReLU's inputs may round to the other side of zero, where a gradient is or is not, and they are spread at random.
    """
    fast = numbers(Training(setting, device))
    plain = Training(setting.plain, device, contiguous=True)
    began = time.perf_counter()
    wanted = readable(partial(numbers, plain))()
    seconds = time.perf_counter() - began
    shapes = shapes_of(build(setting.name, rng=np.random.default_rng(0)), setting.N)  # one on the CPU
    terms = max(math.prod(shape.weight[1:]) for shape in shapes)
    forward = SAFETY * sum(shapes.values()) * math.sqrt(terms) * UNIT
    ahead, back = (_difference(*both) for both in zip(fast, wanted, strict=True))
    return Comparison(float(np.max([ahead / forward, back / (2 * math.sqrt(forward))])), seconds)


def _difference(got: dict[str, Array], wanted: dict[str, Array]) -> float:
    """The largest relative difference of arrays of the same name; NaN where there is one."""
    return float(np.max([relative(got[name], array) for name, array in wanted.items()], initial=0))
