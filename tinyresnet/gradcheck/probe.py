"""A function of one of the subject's inputs alone: its outputs as one row, along any direction, and what backward claims for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from .slopes import Noise
from .subject import Run, Subject

TINY = 1e-100  # a complex step


class Probe:
    """A function of one of the subject's inputs alone: its outputs as one row, and what backward claims for it."""

    def __init__(self, subject: Subject, name: str, *, base: Run | None = None) -> None:
        """`base`, a forward pass of the subject at its inputs, saves one before each claim; not if backward spoils what it uses."""
        self.subject, self.base, self.name = subject, base, name
        self.point = subject.inputs[name]
        self.scale = scale_of(self.point)
        self.outputs = (base or self._run()).outputs
        self.here = flat(self.outputs)
        self.forwards = 0

    def at(self, moved: Array) -> Array:
        """All outputs with the input moved to here."""
        self.forwards += 1
        return flat(self.subject.forward(self.subject.at(**{self.name: moved})).outputs)

    def along(self, v: Array) -> Callable[[float], Array]:
        """The outputs along v, which is in units of the input's own size."""
        step = self.scale * v

        def f(t: float) -> Array:
            return self.at(self.point + t * step) if t else self.here

        return f

    def noise(self, rng: np.random.Generator) -> Noise:
        """How far rounding makes the outputs jump about."""
        sizes = (self.scale * factor for factor in (0.2, 3))
        others = [self.at(size * rng.standard_normal(self.point.shape)) for size in sizes]
        return Noise.measured(self.along(rng.standard_normal(self.point.shape)), others)

    def complex_slopes(self, v: Array) -> Array | None:
        """The slopes along v by a step of i h, which needs no difference and so may be tiny; None if the function takes no complex numbers.

        Squire & Trapp 1998. Right only where the function is analytic: abs, or np.var of complex numbers, are not.
        """
        try:
            y = self.at(self.point + 1j * TINY * self.scale * v)
        except Exception:
            return None
        return y.imag / TINY if y.dtype.kind == "c" and y.shape == self.here.shape else None

    def claim(self, upstream: Array) -> Array:
        """The gradient of <upstream, y>, in units of the input's own size."""
        gradient = (self.base or self._run()).backward(unflat(upstream, self.outputs))[self.name]
        return np.asarray(gradient, np.float64) * self.scale

    def _run(self) -> Run:
        return self.subject.forward({name: array.copy() for name, array in self.subject.inputs.items()})


def scale_of(point: Array) -> float:
    """The size of an input: its root mean square, or its spread where that is less; 1 for zeros."""
    if point.size == 0:
        return 1.0
    values = np.abs(point.astype(np.float64))
    largest = float(values.max())
    if largest == 0 or not math.isfinite(largest):
        return 1.0
    size = largest * float(np.sqrt(np.mean((values / largest) ** 2)))
    spread = float(np.std(point.astype(np.float64)))
    return spread if 1e-6 * size < spread < size else size


def flat(outputs: tuple[Array, ...]) -> Array:
    """All outputs as one row."""
    return np.concatenate([np.asarray(output).ravel() for output in outputs])


def unflat(row: Array, outputs: tuple[Array, ...]) -> tuple[Any, ...]:
    """A row as arrays like the outputs."""
    edges = np.cumsum([np.size(output) for output in outputs])[:-1]
    parts = np.split(row, edges)
    return tuple(
        part.reshape(np.shape(output)).astype(np.asarray(output).dtype)
        for part, output in zip(parts, outputs, strict=True)
    )
