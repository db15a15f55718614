"""The other ops as cases: they do little arithmetic, so what counts is how fast numbers go through memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from ..layers.linear import linear_backward, linear_forward
from ..layers.norm import batch_norm_backward, batch_norm_forward
from ..layers.pool import (
    avg_pool_backward,
    avg_pool_forward,
    global_avg_pool_backward,
    global_avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from ..layers.relu import relu_backward, relu_forward
from ..loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from .device import Device
from .work import UNIT, Case, Comparison, Run, Torch, Work, arrays, draw, excess, readable

SAFETY = 8.0


@dataclass(frozen=True)
class Op:
    """A pair of functions, what they take, and PyTorch's forward of the same arguments (its backward is autograd's)."""

    forward: Any
    backward: Any
    shapes: tuple[tuple[tuple[int, ...], ...], ...]  # per case: x, then parameters
    theirs: Callable[..., Any]
    settings: tuple[tuple[str, Any], ...] = ()
    operations: float = 1.0  # per number of x, forward and backward alike, about
    labels: bool = False  # whether class numbers are the last argument


CIFAR, IMAGENET = (128, 16, 32, 32), (8, 64, 56, 56)


def _norm(F: Any, x: Any, weight: Any, bias: Any) -> Any:
    return F.batch_norm(x, None, None, weight, bias, training=True)


OPS = {
    "batch_norm": Op(
        batch_norm_forward,
        batch_norm_backward,
        ((CIFAR, (16,), (16,)), (IMAGENET, (64,), (64,))),
        _norm,
        operations=7,
    ),
    "relu": Op(relu_forward, relu_backward, ((CIFAR,), (IMAGENET,)), lambda F, x: F.relu(x)),
    "max_pool": Op(
        max_pool_forward,
        max_pool_backward,
        (((8, 64, 112, 112),), (CIFAR,)),
        lambda F, x: F.max_pool2d(x, 3, 2, 1),
        (("kernel", 3), ("stride", 2), ("pad", 1)),
        operations=9 / 4,
    ),
    "avg_pool": Op(
        avg_pool_forward,
        avg_pool_backward,
        (((8, 64, 112, 112),), (CIFAR,)),
        lambda F, x: F.avg_pool2d(x, 2, 2),
        (("kernel", 2), ("stride", 2)),
    ),
    "global_avg_pool": Op(
        global_avg_pool_forward,
        global_avg_pool_backward,
        (((128, 64, 8, 8),), ((8, 512, 7, 7),)),
        lambda F, x: F.adaptive_avg_pool2d(x, 1),
    ),
    "linear": Op(
        linear_forward,
        linear_backward,
        (((128, 64), (10, 64), (10,)), ((128, 512), (1000, 512), (1000,))),
        lambda F, x, weight, bias: F.linear(x, weight, bias),
    ),
    "softmax_cross_entropy": Op(
        softmax_cross_entropy_forward,
        softmax_cross_entropy_backward,
        (((128, 10),), ((1024, 1000),)),
        lambda F, x, labels: F.cross_entropy(x, labels),
        operations=4,
        labels=True,
    ),
}


def cases(name: str, seed: int = 0) -> list[Case]:
    """Forward and backward of the op of this name, at each of its shapes."""
    op, found = OPS[name], []
    for shapes in op.shapes:
        sizes = [math.prod(shape) for shape in shapes]
        shape = " x ".join(map(str, shapes[0]))
        operations = 2.0 * sizes[0] * shapes[1][0] if name == "linear" else op.operations * sizes[0]
        for back in (False, True):
            title, work = f"{name} {'backward' if back else 'forward'} {shape}", partial(_work, op, shapes, back, seed)
            moved = _moved(op, shapes, back)
            found.append(Case(title, "elementwise", work, operations * (1 + back * (name == "linear")), moved))
    return found


def _moved(op: Op, shapes: tuple[tuple[int, ...], ...], back: bool) -> float:
    """Bytes: forward reads all inputs and writes y; backward reads dy and all inputs and writes their gradients."""
    inputs = [np.zeros(shape, np.float32) for shape in shapes]
    y = arrays(op.forward(*inputs, *_labels(op, shapes[0]), **dict(op.settings)))[0].nbytes
    total = float(sum(array.nbytes for array in inputs))
    return (2 * total + y) if back else (total + y)


def _labels(op: Op, shape: tuple[int, ...]) -> list[Array]:
    return [np.arange(shape[0]) % shape[1]] if op.labels else []


def _work(op: Op, shapes: tuple[tuple[int, ...], ...], back: bool, seed: int, device: Device) -> Work:
    rng = np.random.default_rng(seed)
    inputs = [draw(rng, *shape) for shape in shapes]
    labels, settings = _labels(op, shapes[0]), dict(op.settings)
    forward = partial(op.forward, *map(device.carry, (*inputs, *labels)), **settings)
    y, cache = forward()
    dy = draw(rng, *y.shape) if y.ndim else np.ones((), np.float32)
    ours = partial(op.backward, device.carry(dy), cache) if back else forward
    terms = max(math.prod(shapes[0]) // shapes[0][1], 1)
    return Work(ours, readable(ours), partial(_compare, ours, terms), partial(_theirs, op, back, inputs, labels, dy))


def _compare(ours: Run, terms: int) -> Comparison:
    """Allowed is 8 sqrt(terms) u times the largest number of each result; terms are what one channel's sum has."""
    began = time.perf_counter()
    wanted = arrays(readable(ours)())
    seconds = time.perf_counter() - began
    got = arrays(ours())
    if len(got) != len(wanted):
        return Comparison(float("inf"), seconds)
    bounds = [SAFETY * math.sqrt(terms) * UNIT * float(np.abs(array).max(initial=0)) for array in wanted]
    worst = [excess(*row) for row in zip(got, wanted, bounds, strict=True)]
    return Comparison(float(np.max(worst)), seconds)


def _theirs(op: Op, back: bool, inputs: list[Array], labels: list[Array], dy: Array, torch: Torch) -> Run:
    F = torch.module.nn.functional
    tensors = [torch.tensor(array) for array in inputs]
    wanted = [torch.tensor(array) for array in labels]
    if not back:
        return lambda: op.theirs(F, *tensors, *wanted)
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    y, upstream = op.theirs(F, *leaves, *wanted), torch.tensor(np.asarray(dy))
    return lambda: torch.module.autograd.grad(y, leaves, upstream, retain_graph=True)
