"""Right in one part and wrong in another: the border, the last ones, an output or a term of a sum left out, overwritten, masked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinyresnet_kernels import Array

from .diagnosis import Diagnosis, axis_words
from .evidence import Evidence


def border(e: Evidence) -> Iterator[Diagnosis]:
    """Wrong in the outer one or two rows and columns alone, on more than one side."""
    if len(e.shape) < 3 or e.name not in list(e.subject.inputs)[: e.subject.passed or None]:
        return
    bad = np.any(np.any(e.wrong, axis=1).reshape(e.shape), axis=tuple(range(len(e.shape) - 2)))
    H, W = bad.shape
    for width in (1, 2):
        inner = bad[width : H - width, width : W - width]
        if inner.size == 0 or inner.any():
            continue
        rows, columns = np.flatnonzero(bad.any(axis=1)), np.flatnonzero(bad.any(axis=0))
        spread = bad.sum() > max(bad.any(axis=1).sum(), bad.any(axis=0).sum())
        lost = not (np.abs(e.claimed[e.wrong.any(axis=1)]) > e.bar).any()
        first = rows[0] < width or columns[0] < width
        sides = bad[:width].any(), bad[H - width :].any(), bad[:, :width].any(), bad[:, W - width :].any()
        inward = not bad[width : H - width].any() or not bad[:, width : W - width].any()
        if spread and sum(sides) > 1 and not inward and (first or not lost):
            what = "the outer row and column" if width == 1 else "the outer two rows and columns"
            yield Diagnosis(
                "border", f"only {what} are wrong, inside all is right: how is the padding, or the edge, treated?"
            )
            return


def kept_block(e: Evidence) -> Iterator[Diagnosis]:
    """A block of it is right and the rest is zero."""
    there = np.abs(e.true).max(axis=1) > e.bar
    bad: Array = np.any(e.wrong, axis=1)
    lost = (np.abs(e.claimed).max(axis=1) <= e.bar) & there
    words = axis_words(e)
    if (bad == lost).all() and bad.any() and not bad[~lost].any():
        kept = (there & ~lost).reshape(e.shape)
        if _is_block(kept, there.reshape(e.shape)):
            if _inner(kept):
                yield Diagnosis("border", "the outer rows and columns are zero, inside all is right: was it cropped?")
            yield Diagnosis("part", f"it is zero except for {_where(kept, words)}, and right there")
            return


def last_ones(e: Evidence) -> Iterator[Diagnosis]:
    """All of the error lies in the last (or first) ones along an axis."""
    there = np.abs(e.true).max(axis=1) > e.bar
    wrong: Array = e.wrong.any(axis=1).reshape(e.shape)
    words = axis_words(e)
    for axis, size in enumerate(e.shape):
        others = tuple(a for a in range(wrong.ndim) if a != axis)
        along = np.flatnonzero(wrong.any(axis=others))
        apart = (
            2 * len(along) <= size
            and len(along) == along[-1] - along[0] + 1
            and (along[0] == 0 or along[-1] == size - 1)
        )
        several = wrong.sum() > len(along) * (size > 2 or wrong.size > size)  # elements: one alone is no end of an axis
        if apart and there.reshape(e.shape).any(axis=others)[along].all() and several:
            end = "last" if along[-1] == size - 1 else "first"
            which = f"{end} of" if len(along) == 1 else f"{end} {len(along)} of"
            verb = "is" if len(along) == 1 else "are"
            yield Diagnosis("part", f"only the {which} {size} {words[axis]} {verb} wrong")
            return


def kept_outputs(e: Evidence) -> Iterator[Diagnosis]:
    """It is the gradient for an upstream of which a part is zero: some outputs are left out."""
    if e.true.shape[1] < 2:
        return
    there = np.abs(e.true).max(axis=0) > e.bar
    lost = (np.abs(e.claimed).max(axis=0) <= e.bar) & there
    if not lost.any() or not e.explains(np.where(lost, 0, e.true)):
        return
    kept = (there & ~lost).reshape(e.out_shape)
    words = axis_words(e, output=True)
    whole = there.reshape(e.out_shape)
    if not _is_block(kept, whole):
        if len(e.shapes) > 1 and all(_is_block(k, w) or not k.any() for k, w in zip(kept, whole, strict=True)):
            shares = [_where(k, words[1:]) if (k != w).any() else "all" for k, w in zip(kept, whole, strict=True)]
            sentence = "; ".join(f"of output {i} {share}" for i, share in enumerate(shares))
            yield Diagnosis("part", f"only a part of the outputs gives something back: {sentence}")
            return
        yield Diagnosis(
            "mask", f"{lost.sum()} of {lost.size} outputs give nothing back, the others the right gradients"
        )
        return
    where = _where(kept, words)
    if len(e.shapes) > 1 and len(np.flatnonzero(kept.reshape(len(e.shapes), -1).any(axis=1))) < len(e.shapes):
        yield Diagnosis(
            "missing term", f"only what comes by {where} is there: what comes by the other outputs is not added"
        )
        return
    some = np.abs(e.true) > e.bar
    mixed = some[:, lost].any(axis=1) & some[:, there & ~lost].any(axis=1)
    if 2 * mixed.sum() > some.any(axis=1).sum():
        yield Diagnosis(
            "missing sum", f"only {where} of the outputs count: the sum over all of them is wanted. Is it = for +=?"
        )
        yield Diagnosis("part", f"what comes by the other outputs than {where} is left out")
    else:
        yield Diagnosis("part", f"only {where} of the outputs give something back")
        yield Diagnosis("missing sum", f"only {where} of the outputs are summed")


def overwritten(e: Evidence) -> Iterator[Diagnosis]:
    """Where several outputs reach a number of the input, only the last one's (or first one's) share is there."""
    n = e.true.shape[0]
    out = e.out_shape if len(e.out_shape) == 4 else (1, 1, 1, e.true.shape[1])
    entry = e.known & (np.abs(e.claimed - e.true) > e.bar) & (np.abs(e.claimed) > e.bar)
    lost = ~(np.abs(e.claimed) > e.bar).any(axis=0)
    if e.linear and (lost == e.wrong.any(axis=0)).all():
        return  # whole outputs are left out
    if entry.any() or ((np.abs(e.true) > e.bar).sum(axis=1).max() < 2 and e.linear):
        return

    def places(seen: Array) -> Array:
        """Of which places of the output (n, OH*OW) each number hears."""
        return seen.reshape(n, *out).any(axis=(1, 2)).reshape(n, -1)

    for seen in (np.abs(e.true) > e.bar, e.reach):
        by_place = places(seen)
        several = by_place.sum(axis=1) > 1
        last = by_place.shape[1] - 1 - by_place[:, ::-1].argmax(axis=1)
        for which, place in (("last", last), ("first", by_place.argmax(axis=1))):
            kept = np.zeros_like(by_place)
            kept[np.arange(n), place] = True
            whole = np.broadcast_to(kept.reshape(n, 1, 1, *out[2:]), (n, *out)).reshape(e.true.shape)
            apart = len(set(place[several].tolist())) > 1  # else it is a sum of which a part is left out
            if apart and e.explains(np.where(whole, e.true, 0)):
                sentence = (
                    f"where several outputs share a number, the {which} one overwrites the others: is it = for +=?"
                )
                yield Diagnosis("overwritten", sentence)
                return


def masked(e: Evidence) -> Iterator[Diagnosis]:
    """Each number goes to one output of its own, and others are let through than should be."""
    true, claimed = (np.abs(np.where(e.known, a, 0)) > e.bar for a in (e.true, e.claimed))
    either = true | claimed
    if not e.wrong.any():
        return
    if not e.known.all():
        either = either | e.reach  # what is not known may go to others as well
    if either.sum(axis=0).max() == 1 and either.sum(axis=1).max() == 1:
        factors = np.unique(np.round(e.claimed[claimed], 6))
        passed, stopped = (claimed & ~true).sum(), (true & ~claimed).sum()
        if passed or stopped or len(factors) <= 3:
            yield Diagnosis("mask", _let_through(int(passed), int(stopped), factors))


def stopped(e: Evidence) -> Iterator[Diagnosis]:
    """Some numbers are stopped without a pattern; or the error is where nothing should be."""
    there = np.abs(e.true).max(axis=1) > e.bar
    lost = there & (np.abs(e.claimed).max(axis=1) <= e.bar)
    if lost.any() and e.explains(np.where(lost[:, None], 0, e.true)):
        yield Diagnosis(
            "mask", f"{lost.sum()} of {there.sum()} numbers are stopped that should pass, the others are right"
        )
        return
    alone = e.wrong.any(axis=1) & ~there
    if (alone == e.wrong.any(axis=1)).all() and not e.linear:
        yield Diagnosis("mask", f"{alone.sum()} numbers that have no gradient get one; the others are right")
    elif not (e.wrong & (np.abs(e.true) > e.bar)).any() and e.linear:
        yield Diagnosis("extra term", "outputs that do not depend on a number add to its gradient; all else is right")


def _let_through(passed: int, stopped: int, factors: Array) -> str:
    if passed and stopped:
        return f"{passed} numbers pass that should be stopped, and {stopped} are stopped that should pass: is it another mask?"
    if passed:
        return f"{passed} numbers pass that should be stopped: is the mask left out, or another one?"
    if stopped:
        return f"{stopped} numbers are stopped that should pass: is the mask another one?"
    return f"the numbers are let through by the factors {', '.join(f'{f:.3g}' for f in factors)}: by which mask?"


def _is_block(kept: Array, there: Array) -> bool:
    """Whether what is kept are the numbers at some indices of each axis."""
    block = np.ones(kept.shape, bool)
    for axis, size in enumerate(kept.shape):
        others = tuple(a for a in range(kept.ndim) if a != axis)
        block &= kept.any(axis=others).reshape([size if a == axis else 1 for a in range(kept.ndim)])
    return bool(kept.any()) and bool((kept == (block & there)).all())


def _inner(kept: Array) -> bool:
    """Whether all but the same few rows and columns on every side is kept."""
    if kept.ndim < 3:
        return False
    sides = []
    for axis in (-2, -1):
        along = np.any(kept, axis=tuple(a for a in range(kept.ndim) if a != axis % kept.ndim))
        there = np.flatnonzero(along)
        sides += [int(there[0]), len(along) - 1 - int(there[-1])]
    inside = kept[..., sides[0] : kept.shape[-2] - sides[1], sides[2] : kept.shape[-1] - sides[3]]
    return 1 <= sides[0] <= 2 and len(set(sides)) == 1 and bool(inside.all())


def _where(kept: Array, words: tuple[str, ...]) -> str:
    """The indices that are kept, in words."""
    parts = []
    for axis, size in enumerate(kept.shape):
        others = tuple(a for a in range(kept.ndim) if a != axis)
        along = np.flatnonzero(kept.any(axis=others))
        if len(along) < size:
            steps = np.unique(np.diff(along))
            if len(along) == 1:
                parts.append(f"{words[axis]} {along[0]}")
            elif len(steps) == 1:
                step = f" in steps of {steps[0]}" if steps[0] > 1 else ""
                parts.append(f"{words[axis]} {along[0]} to {along[-1]}{step}")
            else:
                parts.append(f"some {words[axis]}")
    return ", ".join(parts) or "a part"
