"""The right numbers in wrong places: transposed, flipped, shifted; of the gradient, of the upstream, or of what it is made with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from .diagnosis import Diagnosis, axis_words, listed
from .evidence import Evidence

COVERED = 0.35  # of the wrong numbers, a shift must explain: what came in from beyond the edge is not known
FURTHEST = 2


class Move(NamedTuple):
    """A way to move the numbers of an array; `words` end a sentence that begins with what is moved."""

    sign: str
    words: str
    apply: Callable[[Array], Array]


def moves(
    shape: tuple[int, ...], words: tuple[str, ...], fills: tuple[str, ...] = ("round", "zeros")
) -> Iterator[Move]:
    """All simple ones of an array of this shape (with further axes behind); `fills`: what shifted ones take in at the edge."""
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    for a, b in itertools.combinations(axes, 2):
        if shape[a] == shape[b]:
            yield Move("transposed", f"has {words[a]} and {words[b]} exchanged", _swap(a, b))
    for some in (*((a,) for a in axes), *itertools.combinations(axes, 2)):
        yield Move("flipped", f"has its {listed([words[a] for a in some])} in reverse order", _flip(some))
    for step, fill in itertools.product([s for k in range(1, FURTHEST + 1) for s in (k, -k)], fills):
        for some in (*((a,) for a in axes), *([tuple(axes[-2:])] if len(axes) > 1 else [])):
            if all(abs(step) < shape[a] for a in some) and not (fill == "round" and len(some) > 1):
                places = "a place" if abs(step) == 1 else f"{abs(step)} places"
                along = listed([words[a] for a in some])
                yield Move("shifted", f"is moved by {places} along the {along}", _shift(some, step, fill))


def moved(e: Evidence) -> Iterator[Diagnosis]:
    """The gradient, or the upstream, is moved."""
    yield from _moved(e, ("round", "zeros"))


def moved_beyond(e: Evidence) -> Iterator[Diagnosis]:
    """As `moved`; what comes in from beyond the edge may be anything."""
    yield from _moved(e, ("open",))


def _moved(e: Evidence, fills: tuple[str, ...]) -> Iterator[Diagnosis]:
    for move in moves(e.shape, axis_words(e), fills):
        if _fits(e, e.moved_inputs(e.true, move.apply)):
            yield Diagnosis(move.sign, f"the gradient {move.words}")
            return
    if e.true.shape[1] == 1:
        return
    for move in moves(e.out_shape, axis_words(e, output=True), fills):
        if _fits(e, e.moved_outputs(e.true, move.apply)):
            yield Diagnosis(move.sign, f"it is the gradient for an upstream that {move.words}")
            return


def moved_elsewhere(e: Evidence) -> Iterator[Diagnosis]:
    """It is the gradient that would be right if another input were transposed, flipped or shifted."""
    directions = e.directions(2)
    claimed = directions @ e.claimed
    wrong = directions @ e.error
    for name, array in e.subject.inputs.items():
        if name == e.name or array.ndim < 2:
            continue
        words = tuple(f"axis {a}" for a in range(array.ndim))
        for move in moves(array.shape, words):
            other = np.ascontiguousarray(move.apply(array[..., None])[..., 0])
            if not np.isfinite(other).all():
                continue
            there = replace(e.subject, inputs=e.subject.at(**{name: other}))
            slopes, known = e.along(there, directions)
            off = np.where(known, claimed - slopes, 0)
            if known.mean() > 0.5 and np.linalg.norm(off) < 1e-5 * np.linalg.norm(np.where(known, wrong, 0)):
                yield Diagnosis(move.sign, f"it is the gradient of a function whose {name} {move.words}")
                return


def window_on_its_side(e: Evidence) -> Iterator[Diagnosis]:
    """Every output's window (H, W) is exchanged for one of (W, H) with the same upper left corner."""
    if len(e.shape) != 4 or e.true.shape[1] < 4:
        return
    H, W = e.shape[2:]
    boxes = [_box(column.reshape(e.shape), e.bar) for column in e.true.T]
    sizes = [(box[1] - box[0], box[3] - box[2]) for box in boxes if box]
    if not sizes or max(sizes)[0] == max(sizes)[1]:
        return
    height, width = max(sizes)
    predicted = np.full(e.true.shape, np.nan)
    for j, box in enumerate(boxes):
        if box and (box[1] - box[0], box[3] - box[2]) == (height, width):
            top, left = box[0], box[2]
            whole = np.zeros((*e.shape[:2], H + width, W + height))
            patch = e.true[:, j].reshape(e.shape)[:, :, top : top + height, left : left + width]
            whole[:, :, top : top + width, left : left + height] = patch.swapaxes(2, 3)
            predicted[:, j] = whole[:, :, :H, :W].ravel()
    if _fits(e, predicted):
        yield Diagnosis("transposed", f"each window of {height}x{width} is given back as one of {width}x{height}")


def label_shifted(e: Evidence) -> Iterator[Diagnosis]:
    """What is taken away in one place is wanted in another, as with a loss's labels: the error is a pattern less the same one, shifted."""
    if e.true.shape[1] > 1:
        return
    error = e.error
    up, down = np.maximum(error, 0), np.maximum(-error, 0)
    if not (up > e.bar).any() or not (down > e.bar).any():
        return
    for move in moves(e.shape, axis_words(e)):
        for first, second in ((up, down), (down, up)):
            if move.sign == "shifted" and np.nanmax(np.abs(e.moved_inputs(first, move.apply) - second)) <= 2 * e.bar:
                yield Diagnosis("shifted", f"one of its terms {move.words}")
                return


def _fits(e: Evidence, predicted: Array) -> bool:
    covered = (e.wrong & np.isfinite(predicted)).sum() >= COVERED * e.wrong.sum()
    return bool(covered) and e.explains(predicted)


def _box(picture: Array, bar: float) -> tuple[int, int, int, int] | None:
    seen = np.abs(picture).max(axis=(0, 1)) > bar
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1) if len(rows) else None


def _swap(a: int, b: int) -> Callable[[Array], Array]:
    return lambda array: array.swapaxes(a, b)


def _flip(axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda array: np.flip(array, axes)


def _shift(axes: tuple[int, ...], step: int, fill: str) -> Callable[[Array], Array]:
    def apply(array: Array) -> Array:
        rolled = np.roll(array, (step,) * len(axes), axes)
        if fill == "round":
            return rolled
        for axis in axes:
            edge = [slice(None)] * array.ndim
            edge[axis] = slice(None, step) if step > 0 else slice(step, None)
            rolled[tuple(edge)] = 0 if fill == "zeros" else np.nan
        return rolled

    return apply
