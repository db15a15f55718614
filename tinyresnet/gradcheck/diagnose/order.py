"""The right numbers in another order, whatever order that is; and a maximum's gradient in wrong places."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyresnet_kernels import Array

from .diagnosis import Diagnosis, axis_words
from .evidence import Evidence


def permuted(e: Evidence) -> Iterator[Diagnosis]:
    """Slices along an axis of the input or output stand in another order."""
    if not e.known.all():
        return
    m = e.true.shape[1]
    for output, shape in ((False, e.shape), (True, e.out_shape)):
        words = axis_words(e, output=output)
        for axis, size in enumerate(shape):
            if not 2 <= size <= 256 or (output and m == 1):
                continue
            claimed, true = ((a.T if output else a).reshape(*shape, -1) for a in (e.claimed, e.true))
            claimed, true = (np.moveaxis(a, axis, 0).reshape(size, -1) for a in (claimed, true))
            order = _order(claimed, true, e.bar)
            if order is not None:
                first = ", ".join(map(str, order[:6])) + (", ..." if size > 6 else "")
                of = "the upstream's " if output else ""
                yield Diagnosis("permuted", f"{of}{words[axis]} are taken in another order: {first}")
                return


def numbers_permuted(e: Evidence) -> Iterator[Diagnosis]:
    """Single numbers of the input or output stand in another order."""
    if not e.known.all():
        return
    for claimed, true, of in (
        (e.claimed, e.true, "its numbers"),
        (e.claimed.T, e.true.T, "the upstream's numbers"),
    ):
        if min(true.shape) > 1 and _order(claimed, true, e.bar) is not None:
            yield Diagnosis("permuted", f"{of} stand in another order: is a reshape in the place of a transpose?")
            return


def selected(e: Evidence) -> Iterator[Diagnosis]:
    """Each output is one of the input's numbers (times a constant), but its gradient goes to another, or to several."""
    true, claimed = np.where(e.known, e.true, 0), np.where(e.known, e.claimed, 0)
    right, wrong = np.abs(true) > e.bar, np.abs(claimed) > e.bar
    if not right.any() or not wrong.any():
        return
    values = true[right]
    same = np.ptp(values) <= e.bar and np.abs(claimed[wrong] - values[0]).max() <= e.bar
    if not same or not (e.known.all() or not e.linear):
        return
    by_column, by_row = right.sum(axis=0), right.sum(axis=1)
    if not e.linear and by_column.max() == 1 and wrong.sum(axis=0).max() >= 1:
        many = int(wrong.sum(axis=0).max())
        how = f"to up to {many} numbers each" if many > 1 else "to other numbers than the ones that were chosen"
        yield Diagnosis("winners", f"the outputs' gradients go {how}")
    elif (
        e.linear
        and (right & ~wrong).any()
        and ((by_column.max() == 1 and wrong.sum(axis=0).max() == 1) or (by_row.max() == wrong.sum(axis=1).max() == 1))
    ):
        yield Diagnosis("permuted", "the right numbers stand in other places than the ones they came from")


def on_kinks(e: Evidence) -> Iterator[Diagnosis]:
    """All is right but at numbers that stand on a kink, or very near one: a zero's, or a tie's."""
    if e.known.all() or e.wrong.any():
        return
    unknown = ~e.known
    outside = unknown & ((e.claimed < e.low - 1e-6) | (e.claimed > e.high + 1e-6))
    alone = e.reach.sum(axis=0).max() <= 1  # each output has one number of its own
    if alone and outside.any():
        value = float(e.claimed[outside][0])
        yield Diagnosis("mask", f"it is wrong exactly at a kink: {value:.3g} lies outside of both its sides' slopes")
        return
    slopes, known = e.along(e.subject, np.ones((1, e.true.shape[0])))
    off = np.where(known, e.claimed.sum(axis=0) - slopes, 0)[0]
    if np.abs(off).max() > 1e-6 * max(1.0, float(np.abs(e.claimed).max())):
        output = int(np.abs(off).argmax())
        total = float(e.claimed[:, output].sum())
        sentence = (
            f"where several tie, their gradients sum to {total:.3g} for 1 that arrives: one of them wins, or they share"
        )
        yield Diagnosis("mask" if alone else "winners", sentence)


def _order(claimed: Array, true: Array, bar: float) -> list[int] | None:
    """Which of the true slices (k, ...) each claimed one is; None if they are not these, or all in their places."""
    nearest = np.array([int(np.abs(true - slice_).max(axis=1).argmin()) for slice_ in claimed])
    if np.abs(claimed - true[nearest]).max() > bar or not np.abs(claimed - true).max() > bar:
        return None
    if len(set(nearest.tolist())) < max(2, (len(true) + 1) // 2):
        return None
    return [int(i) for i in nearest]
