"""Normalisations, over whatever axes: the ways through the mean and the variance of what is normalised."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from tinyresnet_kernels import Array

from .diagnosis import Diagnosis, axis_words, listed
from .evidence import Evidence

FEWEST = 4  # numbers that share a mean and a variance: of fewer, any error would fit


def statistics(e: Evidence) -> Iterator[Diagnosis]:
    """The error is the same (the mean), or a multiple of x - mean (the variance), for all numbers that share statistics."""
    x = e.subject.inputs[e.name]
    if e.known.all(axis=0).mean() < 0.5 or e.true.shape[1] == 1:
        return
    for count in range(x.ndim, 0, -1):  # the most axes first: what holds over them holds over each of them
        for axes in itertools.combinations(range(x.ndim), count):
            group = int(np.prod([x.shape[a] for a in axes]))
            if group >= FEWEST:
                found = list(_over(e, x, axes))
                if found:
                    yield from found
                    return


def _over(e: Evidence, x: Array, axes: tuple[int, ...]) -> Iterator[Diagnosis]:
    ones = np.ones_like(x)
    centred = x - x.mean(axis=axes, keepdims=True)
    over = f"the {listed([axis_words(e)[a] for a in axes])}"
    if _spanned(e, e.true, (ones, centred), axes):
        return  # then an error says nothing
    if _spanned(e, e.error, (ones,), axes):
        yield Diagnosis(
            "mean path", f"the error is the same for all numbers that share a mean over {over}: see the way through it"
        )
    elif _spanned(e, e.error, (centred,), axes):
        yield Diagnosis(
            "variance path", f"the error is a multiple of x - mean over {over}: see the way through the variance"
        )
    elif _spanned(e, e.error, (ones, centred), axes):
        both = f"the ways through mean and variance over {over}"
        if _alone(e, e.claimed):
            yield Diagnosis("missing term", f"{both} are left out: were they taken for constants?")
        elif _alone(e, e.true):
            yield Diagnosis("extra term", f"{both} are in it: here they are constants")
        yield Diagnosis("variance path", f"{both} are wrong")
        yield Diagnosis("mean path", f"{both} are wrong")


def _spanned(e: Evidence, matrix: Array, patterns: tuple[Array, ...], axes: tuple[int, ...]) -> bool:
    """Whether each column is, within each group, made of the patterns."""
    shape = e.shape
    rest = tuple(a for a in range(len(shape)) if a not in axes)

    def grouped(array: Array) -> Array:
        order = np.transpose(array, (*rest, *axes, *range(len(shape), array.ndim)))
        return order.reshape(int(np.prod([shape[a] for a in rest], dtype=int)), -1, *array.shape[len(shape) :])

    columns = grouped(matrix[:, e.known.all(axis=0)].reshape(*shape, -1))  # (groups, group, outputs)
    basis = np.stack([grouped(p) for p in patterns], axis=-1)  # (groups, group, patterns)
    q, _ = np.linalg.qr(basis)
    left = columns - q @ (np.swapaxes(q, 1, 2) @ columns)
    limit = 1e-6 * float(np.abs(matrix).max()) if matrix is e.true else e.bar
    size = float(np.linalg.norm(columns))
    return bool(np.abs(left).max() <= 2 * limit) and float(np.linalg.norm(left)) <= 1e-2 * size


def _alone(e: Evidence, matrix: Array) -> bool:
    """Whether each number moves one output and each output is moved by one."""
    seen = np.abs(matrix) > e.bar
    return int(seen.sum(axis=0).max()) <= 1 and int(seen.sum(axis=1).max()) <= 1
