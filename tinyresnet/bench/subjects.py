"""What the profiler runs of the CUDA kernels: every rung of the ladders, and every other op; each on problems of a known size."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array, col2im, form, im2col
from tinyresnet_kernels.cuda import norm, source, versions
from tinyresnet_kernels.cuda.matmul import matmul

from .. import loss, optim, units
from ..errors import unknown
from ..layers import norm as layers_norm
from ..layers import pool, relu, residual
from .convolution import PRODUCTS, Shape
from .work import Kind, draw

BATCH = 2  # pictures: the first rungs take seconds for each
THREE = ((16, 32), (32, 16), (64, 8))  # channels and picture size of ResNet-20's 3x3 convolutions
KINDS: dict[str, Kind] = {
    "correlate": "forward",
    "input_gradient": "input gradient",
    "weight_gradient": "weight gradient",
}


class Problem(NamedTuple):
    """One call of an op. `read` are the arrays whose numbers it needs (of others the form alone counts), `changed` those it changes."""

    says: str
    function: Any
    reference: Callable[..., Any]
    args: tuple[Any, ...]
    read: tuple[Array, ...]
    changed: tuple[Array, ...] = ()


Problems = Callable[[int], list[Problem]]


@dataclass(frozen=True)
class Subject:
    """What is run by a name: an op, as it is shipped or by one rung of its ladder."""

    name: str
    op: str
    says: str
    problems: Problems
    rung: bool = False

    def chosen(self) -> contextlib.AbstractContextManager[None]:
        """Within the block, the op uses this rung."""
        return versions.version(self.name) if self.rung and self.op in versions.VERSIONS else contextlib.nullcontext()


def find(name: str) -> Subject:
    """The subject of this name, or the one that runs the kernel of this name. Raises InputError."""
    if name in SUBJECTS:
        return SUBJECTS[name]
    kernels = [kernel for file in source.files() for kernel in source.kernels(file)]
    if name not in kernels:
        raise unknown("kernel", name, SUBJECTS)
    if name in HELPERS:
        return SUBJECTS[HELPERS[name]]
    return SUBJECTS[max((known for known in SUBJECTS if name.startswith(known)), key=len)]


def ladders() -> dict[str, list[Subject]]:
    """The rungs of each op that has a ladder, from the first to the last."""
    found: dict[str, list[Subject]] = {}
    for subject in SUBJECTS.values():
        if subject.rung:
            found.setdefault(subject.op, []).append(subject)
    return found


def _numbers(*shape: int) -> Array:
    """Standard normal, pictures in channels-last memory; always the same."""
    return draw(np.random.default_rng(sum(shape)), *shape)


def _pictures(shape: Shape) -> str:
    return f"{shape}, {shape.N} picture{'s' if shape.N > 1 else ''}"


def product_problem(op: str, shape: Shape) -> Problem:
    """One of a convolution's three products."""
    product = PRODUCTS[KINDS[op]]
    x, weight, dy = _numbers(*shape.x), np.ascontiguousarray(_numbers(*shape.weight)), _numbers(*shape.y)
    args = (x, weight) if op == "correlate" else (dy, weight, x)
    read = {"correlate": (x, weight), "input_gradient": (dy, weight), "weight_gradient": (dy, x)}[op]
    return Problem(_pictures(shape), product, product.reference, (*args, *shape.settings), read)


def _products(op: str) -> Problems:
    return lambda N: [product_problem(op, Shape(N, C, size, size, C)) for C, size in THREE]


def _matmul(N: int) -> list[Problem]:
    M, K = 128 * N, 64
    a, b = _numbers(M, K), _numbers(K, 256)
    return [Problem(f"({M}, {K}) @ ({K}, 256)", matmul, np.matmul, (a, b), (a, b))]


def _moments(function: Any) -> Problems:
    def problems(N: int) -> list[Problem]:
        x = _numbers(N, 16, 32, 32)
        return [Problem(f"{N} x 16 x 32 x 32", function, layers_norm.moments.reference, (x,), (x,))]

    return problems


def _of(function: Any, *rest: Any, pictures: int = 1, vectors: int = 0) -> Problems:
    """An op of so many arrays (N, 16, 32, 32), then so many (16,), and the rest."""

    def problems(N: int) -> list[Problem]:
        arrays = (*(_numbers(N, 16, 32, 32) for _ in range(pictures)), *(_numbers(16) for _ in range(vectors)))
        return [Problem(f"{N} x 16 x 32 x 32", function, function.reference, (*arrays, *rest), arrays)]

    return problems


def _gate(N: int) -> list[Problem]:
    dy = _numbers(N, 16, 32, 32)
    return [Problem(f"{N} x 16 x 32 x 32", relu.gate, relu.gate.reference, (dy, dy > 0), (dy, dy > 0))]


def _settle(N: int) -> list[Problem]:
    x, scale, shift = _numbers(N, 16, 32, 32), _numbers(16), _numbers(16)
    return [
        Problem(f"{N} x 16 x 32 x 32{says}", units.settle, units.settle.reference, (x, scale, shift, shortcut), read)
        for says, shortcut, read in (("", None, (x, scale, shift)), (" and a shortcut", x + 1, (x, x, scale, shift)))
    ]


MAX, MEAN = ((3, 3), (2, 2), (1, 1)), ((2, 2), (2, 2), (0, 0))


def _maxima_gradient(N: int) -> list[Problem]:
    x, function = _numbers(N, 16, 32, 32), pool.window_maxima_gradient
    y, winner = pool.window_maxima.reference(x, *MAX)
    return [
        Problem(f"{N} x 16 x 32 x 32, 3x3/2", function, function.reference, (y, winner, form(x), *MAX), (y, winner))
    ]


def _means_gradient(N: int) -> list[Problem]:
    x, dy, function = _numbers(N, 16, 32, 32), _numbers(N, 16, 16, 16), pool.window_means_gradient
    return [Problem(f"{N} x 16 x 32 x 32, 2x2/2", function, function.reference, (dy, form(x), *MEAN), (dy,))]


def _cross_entropy(N: int) -> list[Problem]:
    logits, target = _numbers(64 * N, 10), np.eye(10, dtype=np.float32)[np.arange(64 * N) % 10]
    function = loss.cross_entropy_rows
    return [Problem(f"{64 * N} x 10", function, function.reference, (logits, target), (logits, target))]


def _cross_entropy_gradient(N: int) -> list[Problem]:
    p, target = abs(_numbers(64 * N, 10)), np.eye(10, dtype=np.float32)[np.arange(64 * N) % 10]
    function, factor = loss.cross_entropy_gradient_rows, np.array(0.5, np.float32)
    return [Problem(f"{64 * N} x 10", function, function.reference, (p, target, factor), (p, target))]


def _update(function: Any, changed: tuple[int, ...], count: int, *settings: Any) -> Problems:
    """An update of a layer's 64 x 64 x 3 x 3 weights."""

    def problems(N: int) -> list[Problem]:
        arrays = tuple(abs(_numbers(64 * 64 * 9)) + i for i in range(count))
        args = (*arrays, *settings)
        return [
            Problem(
                "36,864 numbers", function, function.reference, args, (arrays[1],), tuple(arrays[i] for i in changed)
            )
        ]

    return problems


def _columns(N: int) -> list[Problem]:
    x = _numbers(N, 16, 32, 32)
    args = (x, (3, 3), (1, 1), (1, 1), (1, 1))
    return [Problem(f"{N} x 16 x 32 x 32, 3x3", im2col, im2col.reference, args, (x,))]


def _pictures_of_columns(N: int) -> list[Problem]:
    cols = _numbers(N, 144, 1024)
    args = (cols, (N, 16, 32, 32), (3, 3), (1, 1), (1, 1), (1, 1))
    return [Problem(f"{N} x 16 x 32 x 32, 3x3", col2im, col2im.reference, args, (cols,))]


OPS: dict[str, tuple[str, Problems]] = {
    "correlate": ("a convolution's y", _products("correlate")),
    "input_gradient": ("a convolution's dx", _products("input_gradient")),
    "weight_gradient": ("a convolution's dweight", _products("weight_gradient")),
    "matmul": ("a matrix product", _matmul),
    "moments": ("mean and variance of each channel", _moments(layers_norm.moments)),
    "scale_and_shift": ("batch norm's y", _of(layers_norm.scale_and_shift, vectors=3)),
    "gradient_sums": ("batch norm's two sums going back", _of(layers_norm.gradient_sums, pictures=2, vectors=1)),
    "normalized_gradient": ("batch norm's dx", _of(layers_norm.normalized_gradient, pictures=2, vectors=4)),
    "settle": ("batch norm, add and ReLU in one", _settle),
    "close": ("back through a ReLU, with batch norm's sums", _of(units.close, pictures=3, vectors=1)),
    "rectify": ("ReLU, and its mask", _of(relu.rectify)),
    "gate": ("back through a ReLU", _gate),
    "total": ("the add of two ways", _of(residual.total, pictures=2)),
    "window_maxima": ("max pooling", _of(pool.window_maxima, *MAX)),
    "window_maxima_gradient": ("back through max pooling", _maxima_gradient),
    "window_means": ("average pooling", _of(pool.window_means, *MEAN)),
    "window_means_gradient": ("back through average pooling", _means_gradient),
    "picture_means": ("global average pooling", _of(pool.picture_means)),
    "im2col": ("columns of pictures", _columns),
    "col2im": ("back from columns to pictures", _pictures_of_columns),
    "cross_entropy_rows": ("softmax and loss", _cross_entropy),
    "cross_entropy_gradient_rows": ("the gradient of softmax and loss", _cross_entropy_gradient),
    "sgd_update": ("a step of SGD with momentum", _update(optim.sgd_update, (0, 2), 3, 0.1, 1e-4, 0.9, False)),
    "adamw_update": ("a step of AdamW", _update(optim.adamw_update, (0, 2, 3), 4, 0.1, 1e-4, 0.9, 0.99, 1e-8, 3)),
}
HELPERS = {
    "pack_weights": "implicit_gemm_v4",
    "add_partials": "weight_gradient",
    "moments_join": "moments",
    "sums_join": "gradient_sums",
}


def _subjects() -> dict[str, Subject]:
    found = [
        Subject(rung, op, says, OPS[op][1], rung=True)
        for op, rungs in versions.DESCRIPTIONS.items()
        for rung, says in rungs.items()
    ]
    if "moments" not in versions.DESCRIPTIONS:
        for function in (norm.moments_v1, norm.moments_v2, norm.moments_v3):
            says = inspect.cleandoc(function.__doc__ or "").splitlines()[0].rstrip(".")
            says = says[0].lower() + says[1:]
            found.append(Subject(function.__name__, "moments", says, _moments(function), rung=True))
    found += [Subject(op, op, says, problems) for op, (says, problems) in OPS.items()]
    return {subject.name: subject for subject in found}


SUBJECTS = _subjects()
