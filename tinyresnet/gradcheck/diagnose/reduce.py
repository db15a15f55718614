"""A smaller function with the same mistake: fewer pictures, smaller ones, some of the numbers and outputs from both ends of each axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tinyresnet_kernels import Array

from ..subject import Arrays, Run, Subject

ENTRIES = 45_000  # of the matrices: a few seconds
SIDE = 320  # numbers, or outputs
PICTURES, PIXELS = 3, 7


def reduced(subject: Subject, name: str) -> tuple[Subject, tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The subject, made small if it is large, with the whole sizes of the input and outputs of which its own are a part."""
    if _small(subject, name):
        return subject, subject.inputs[name].shape, _shapes(subject)
    for axis, most in ((0, PICTURES), (2, PIXELS), (3, PIXELS)):
        smaller = _cropped(subject, axis, most)
        if _runs(smaller):
            subject = smaller
        if _small(subject, name):
            break
    shape, shapes = subject.inputs[name].shape, _shapes(subject)
    if not _small(subject, name):
        subject = _block(subject, name)
    return subject, shape, shapes


def _shapes(subject: Subject) -> tuple[tuple[int, ...], ...]:
    return tuple(np.shape(y) for y in subject.forward(subject.inputs).outputs)


def _small(subject: Subject, name: str) -> bool:
    n, m = subject.inputs[name].size, sum(math.prod(shape) for shape in _shapes(subject))
    return n * m <= ENTRIES or (n <= SIDE and m <= SIDE)


def _cropped(subject: Subject, axis: int, most: int) -> Subject:
    passed = list(subject.inputs)[: subject.passed or None] if subject.passed else list(subject.inputs)[:1]
    part = (slice(None),) * axis + (slice(most),)
    inputs = {n: a[part].copy() if n in passed and a.ndim > axis else a for n, a in subject.inputs.items()}
    return replace(subject, inputs=inputs)


def _runs(subject: Subject) -> bool:
    try:
        run = subject.forward(subject.inputs)
        found = run.backward(tuple(np.ones_like(y) for y in run.outputs))
    except Exception:
        return False
    return all(name in found and np.shape(found[name]) == array.shape for name, array in subject.inputs.items())


def _block(subject: Subject, name: str) -> Subject:
    """The subject as a function of some of an input's numbers, with some of its outputs; all else stands still."""
    base = {n: a.copy() for n, a in subject.inputs.items()}
    chosen = np.ix_(*_ends(base[name].shape, SIDE))
    parts = [np.ix_(*_ends(shape, SIDE)) for shape in _shapes(subject)]

    def fresh() -> Callable[[Arrays], Run]:
        forward = subject.fresh()

        def smaller(arrays: Arrays) -> Run:
            whole = base[name].copy()
            whole[chosen] = arrays[name]
            run = forward({**arrays, name: whole})

            def backward(dys: tuple[Array, ...]) -> dict[str, Array]:
                wide = [np.zeros_like(y) for y in run.outputs]
                for dy, all_of_it, part in zip(dys, wide, parts, strict=True):
                    all_of_it[part] = dy
                found = run.backward(tuple(wide))
                return {**found, name: np.asarray(found[name])[chosen]}

            return Run(tuple(np.asarray(y)[p] for y, p in zip(run.outputs, parts, strict=True)), run.cache, backward)

        return smaller

    return replace(subject, inputs={**base, name: base[name][chosen]}, fresh=fresh, source=None)


def _ends(shape: tuple[int, ...], most: int) -> list[Array]:
    """As many indices of each axis, from both of its ends, as make no more than so many numbers together."""
    sizes = list(shape)
    while math.prod(sizes) > most:
        sizes = [size - (size == max(sizes)) for size in sizes]  # equal ones stay equal: they may be exchanged
    return [
        np.concatenate([np.arange((few + 1) // 2), np.arange(size - few // 2, size)])
        for few, size in zip(sizes, shape, strict=True)
    ]
