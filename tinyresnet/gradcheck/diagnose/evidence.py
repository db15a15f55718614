"""What a diagnosis rests on: of every number of an input and every output, how fast one moves the other, and what backward claims.

Both are matrices (n, m): a row for each of the input's numbers, a column for each output. The true one is measured, a number at a time;
the claimed one comes of backward, with one upstream gradient of a single 1 for each output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from tinyresnet_kernels import Array

from ..probe import flat, scale_of, unflat
from ..slopes import Noise, measure
from ..subject import Subject

VAGUE = 1e-7  # a slope that is not known to this part of the largest is not used
LEVELS = 8
LINEAR = 1e-7  # how far from linear in the upstream, of its size, a claim may be
FAR = 40.0  # so many times an input's size is beyond everything a maximum could choose instead

Whole: TypeAlias = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]


@dataclass
class Evidence:
    """The matrices, where the true one is known, and the subject they are of."""

    subject: Subject
    name: str
    shape: tuple[int, ...]  # of the input
    shapes: tuple[tuple[int, ...], ...]  # of the outputs
    true: Array
    known: Array
    low: Array  # where it is not known: between what and what the true one lies
    high: Array
    off: float  # how far the true one may be off where it is known
    claimed: Array
    at_zero: Array  # (n,) what is claimed for no upstream at all
    linear_upstream: bool
    linear: bool  # whether the function is, in this input
    rng: np.random.Generator
    whole: Whole  # the shapes of which `shape` and `shapes` may be parts

    @property
    def error(self) -> Array:
        """Claimed less true; 0 where the true one is not known."""
        return np.where(self.known, self.claimed - self.true, 0)

    @cached_property
    def bar(self) -> float:
        """What two equal entries may differ by."""
        return 10 * self.off + 1e-10 * float(np.abs(self.true[self.known]).max(initial=0))

    @cached_property
    def wrong(self) -> Array:
        """The entries that are wrong (n, m)."""
        return np.abs(self.error) > self.bar

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The outputs' shape; of several of one shape with their number before it; of others, how many numbers there are."""
        return joined(self.shapes)

    def explains(self, predicted: Array, where: Array | None = None) -> bool:
        """Whether the claim is this (n, m) down to the measuring error; NaN, and all outside `where`, may be anything."""
        counted = self.known & np.isfinite(predicted)
        if where is not None:
            counted = counted & where
        here = np.where(counted, self.claimed - predicted, 0)
        size = float(np.linalg.norm(np.where(counted, self.error, 0)))
        return bool((np.abs(here) <= self.bar).all()) and float(np.linalg.norm(here)) < 1e-2 * size

    def moved_inputs(self, matrix: Array, move: Callable[[Array], Array]) -> Array:
        """The matrix with its rows moved as `move` moves the input's array (with further axes behind)."""
        moved: Array = move(matrix.reshape(*self.shape, -1)).reshape(matrix.shape)
        return moved

    def moved_outputs(self, matrix: Array, move: Callable[[Array], Array]) -> Array:
        """The matrix with its columns moved as `move` moves the output's array (with an axis behind)."""
        moved: Array = move(matrix.T.reshape(*self.out_shape, -1)).reshape(matrix.shape[::-1]).T
        return moved

    def claim(self, upstream: Array) -> Array:
        """The gradient (n,) that backward claims for an upstream (m,)."""
        return claim(self.subject, self.name, upstream)

    @cached_property
    def reach(self) -> Array:
        """Which outputs (n, m) a number of the input can move at all, however far it is moved itself."""
        point = self.subject.inputs[self.name]
        far = FAR * (float(np.abs(point).max()) or 1.0)
        here = forward(self.subject, self.name, point)
        found = np.zeros(self.true.shape, bool)
        for i, where in enumerate(np.ndindex(self.shape)):
            for value in (far, -far):
                moved = point.copy()
                moved[where] = value
                found[i] |= forward(self.subject, self.name, moved) != here
        return found

    def directions(self, count: int = 3) -> Array:
        """Random directions (count, n) to try other functions along."""
        return self.rng.standard_normal((count, self.true.shape[0]))

    def along(self, subject: Subject, directions: Array) -> tuple[Array, Array]:
        """How fast another function's outputs change along each of the directions (count, m), and where that is known."""
        return slopes_along(subject, self.name, directions.reshape(-1, *self.shape), 0.05)


def joined(shapes: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    """The shape of several arrays as one."""
    if len(shapes) == 1:
        return shapes[0]
    if len(set(shapes)) == 1:
        return (len(shapes), *shapes[0])
    return (sum(int(np.prod(shape)) for shape in shapes),)


def forward(subject: Subject, name: str, moved: Array) -> Array:
    """All outputs as one row, with one input moved."""
    with np.errstate(all="ignore"):
        return flat(subject.forward(subject.at(**{name: moved})).outputs)


def claim(subject: Subject, name: str, upstream: Array) -> Array:
    """The claimed gradient as one row, of a forward pass of its own."""
    with np.errstate(all="ignore"):
        run = subject.forward(subject.inputs)
        gradient: Any = run.backward(unflat(upstream, run.outputs))[name]
    return np.array(gradient, np.float64).ravel()


def slopes_along(subject: Subject, name: str, directions: Array, width: float) -> tuple[Array, Array]:
    """Of every output along directions (count, *shape): the slope (count, m), NaN where it is not known well, and where it is known."""
    slopes, error, _, _ = map(np.array, zip(*map(_Line(subject, name, width), directions), strict=True))
    known = well_known(slopes, error)
    return np.where(known, slopes, np.nan), known


def well_known(slopes: Array, error: Array) -> Array:
    """Which slopes are known about as well as most others are, and well enough."""
    smooth = np.isfinite(slopes) & np.isfinite(error)
    size = float(np.abs(slopes[smooth]).max(initial=0))
    usual = float(np.median(error[smooth])) if smooth.any() else 0.0
    return smooth & (error <= min(VAGUE * size, max(1e-8 * size, 300 * usual)))


class _Line:
    """Measures along one direction: the slopes (NaN: not known), their errors, and the least and greatest they may be."""

    def __init__(self, subject: Subject, name: str, width: float) -> None:
        self.subject, self.name, self.point = subject, name, subject.inputs[name]
        self.scale = width * scale_of(self.point)
        self.here = forward(subject, name, self.point)
        rng = np.random.default_rng(0)
        self.noise = Noise.measured(self._along(rng.standard_normal(self.point.shape)))
        self.linear = all(self._straight(rng.standard_normal(self.point.shape) / width) for _ in range(2))

    def __call__(self, v: Array) -> tuple[Array, Array, Array, Array]:
        if self.linear:
            f = self._along(v)
            slope = (f(1.0) - f(-1.0)) / (2 * self.scale)
            return slope, np.full_like(slope, 4 * float(self.noise.size.max(initial=0)) / self.scale), slope, slope
        found = measure(self._along(v), self.here, self.noise, LEVELS)
        low, high = np.minimum(found.left, found.right), np.maximum(found.left, found.right)
        units = (np.where(found.smooth, found.value, np.nan), found.error, low, high)
        return units[0] / self.scale, units[1] / self.scale, units[2] / self.scale, units[3] / self.scale

    def _along(self, v: Array) -> Callable[[float], Array]:
        step = self.scale * v
        return lambda t: forward(self.subject, self.name, self.point + t * step) if t else self.here

    def _straight(self, v: Array) -> bool:
        f = self._along(v)
        ahead, behind, far = f(1.0), f(-1.0), f(2.0)
        rounding = 8 * self.noise.size.max(initial=0) + 4e-15 * (np.abs(ahead) + np.abs(behind) + np.abs(far)).max()
        bends = np.maximum(np.abs(ahead + behind - 2 * self.here), np.abs(far - 2 * ahead + self.here))
        return bool((bends <= rounding).all())


def gather(
    subject: Subject, name: str, rng: np.random.Generator, *, claims: bool = True, whole: Whole | None = None
) -> Evidence:
    """Measure and ask: at most a few hundred numbers and outputs, or it takes long. Without `claims` the true ones alone."""
    line = _Line(subject, name, 1.0)
    shape, m = line.point.shape, len(line.here)
    n = line.point.size
    true, error, low, high = (np.zeros((n, m)) for _ in range(4))
    for i in range(n):
        v = np.zeros(n)
        v[i] = 1
        true[i], error[i], low[i], high[i] = line(v.reshape(shape))
    known = well_known(true, error)
    at_zero = claim(subject, name, np.zeros(m)) if claims else np.zeros(n)
    units = np.eye(m) if claims else np.eye(0)
    claimed = np.array([claim(subject, name, unit) - at_zero for unit in units]).T.reshape(n, -1)
    linear = True
    for _ in range(2 * claims):
        r = 3 * rng.standard_normal(m)
        got, wanted = claim(subject, name, r), claimed @ r + at_zero
        linear &= float(np.linalg.norm(got - wanted)) <= LINEAR * float(np.linalg.norm(got) + np.linalg.norm(wanted))
    shapes = tuple(np.shape(y) for y in subject.forward(subject.inputs).outputs)
    off = float(error[known].max(initial=0))
    return Evidence(
        subject, name, shape, shapes, np.where(known, true, 0), known, low, high, off, claimed, at_zero, linear,
        line.linear, rng, whole or (shape, shapes),
    )  # fmt: skip
