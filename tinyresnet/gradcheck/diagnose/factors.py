"""Zero, a turned sign, one factor for all, one for each channel; averages for sums. What the factor is, by the counts at hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from tinyresnet_kernels import Array

from .diagnosis import Diagnosis, axis_words
from .evidence import Evidence, joined
from .inside import is_composite

CLOSE = 1e-6  # factors that differ by less are one


def zero(e: Evidence) -> Iterator[Diagnosis]:
    """Nothing is claimed."""
    if not e.claimed.any() and not e.at_zero.any():
        yield Diagnosis("zero", "it is zero: was it left out, or never added to the gradient?")
        yield Diagnosis("missing term", "it is zero: all of the ways that lead to the loss are left out")


def one_factor(e: Evidence) -> Iterator[Diagnosis]:
    """claimed = factor * true."""
    size = float((e.true[e.known] ** 2).sum())
    if size == 0:
        return
    factor = float((e.claimed * e.true)[e.known].sum()) / size
    if factor == 0 or not e.explains(factor * e.true):
        return
    if abs(factor + 1) < CLOSE:
        yield Diagnosis("sign", "it is the right gradient with its sign turned: is a minus missing, or one too many?")
        return
    times = f"{factor:.4g} times" if abs(factor) >= 1 else f"1/{1 / factor:.4g} of"
    what = f"it is {times} the right one"
    summed = "" if is_composite(e) else _count(factor, summed_counts(e))
    if summed:
        kind = "divided by the number of what it is a sum of" if abs(factor) < 1 else "summed where an average belongs"
        yield Diagnosis("mean for sum", f"{what}: {summed}. Was it {kind}?")
    words = _count(factor, all_counts(e)) or _other(factor, e)
    yield Diagnosis("scale", f"{what}{': ' + words if words else ''}. Is a factor left out, or one too many?")
    if words and not summed:
        yield Diagnosis("mean for sum", f"{what}: {words}. Was it divided by a count that it is no mean of?")


def channel_factors(e: Evidence) -> Iterator[Diagnosis]:
    """claimed = factor * true with a factor for each index of one axis; or for each of the input's numbers, by how many outputs see it."""
    rows = row_factors(e)
    if rows is None:
        return
    seen = (np.abs(e.true) > e.bar).reshape(-1, *e.out_shape)
    for axes in ([], [2]) if seen.ndim == 5 else ([],):  # of windows, each has all channels
        counts = (
            seen.any(axis=tuple(axes)).reshape(len(seen), -1).sum(axis=1)
            if axes
            else seen.reshape(len(seen), -1).sum(axis=1)
        )
        if e.explains(e.true / np.maximum(counts, 1)[:, None]):
            yield Diagnosis(
                "mean for sum",
                f"each number is divided by how many outputs it goes to (1 to {counts.max()}): they add up",
            )
            return
    factors = rows.reshape(e.shape)
    if np.isin(np.round(factors[np.isfinite(factors)], 6), (0, 1)).all():
        return
    for axis in range(len(e.shape)):
        others = tuple(a for a in range(len(e.shape)) if a != axis)
        flat = np.moveaxis(factors, axis, 0).reshape(e.shape[axis], -1)
        if np.isnan(flat).all(axis=1).any():
            continue
        each = np.nanmean(flat, axis=1)
        shape = [e.shape[axis] if a == axis else 1 for a in range(len(e.shape))]
        if e.explains(e.true * np.broadcast_to(each.reshape(shape), e.shape).reshape(-1, 1)):
            few = ", ".join(f"{v:.3g}" for v in each[:4])
            name = _vector(each, e, axis, others)
            what = name or "is something per channel left out, or twice?"
            yield Diagnosis(
                "channel scale", f"each of the {axis_words(e)[axis]} is off by a factor of its own ({few}): {what}"
            )
            return


def row_factors(e: Evidence) -> Array | None:
    """The factor (n,) of each row, NaN where nothing is known; None if that does not explain the claim."""
    true, claimed = np.where(e.known, e.true, 0), np.where(e.known, e.claimed, 0)
    size = (true**2).sum(axis=1)
    there = size > e.bar**2
    factors = np.where(there, (true * claimed).sum(axis=1) / np.where(there, size, 1), np.nan)
    return factors if e.explains(np.where(there, factors, 0)[:, None] * e.true) else None


def summed_counts(e: Evidence) -> dict[str, float]:
    """How many outputs each number is summed over, and how many numbers each output is a mean of, by their names."""
    found: dict[str, float] = {}
    seen = np.abs(e.true) > e.bar
    by_output = seen.reshape(-1, *e.out_shape)
    by_input = np.moveaxis(seen.reshape(*e.shape, -1), -1, 0)
    shape, shapes = e.whole
    for array, words, whole in (
        (by_output, axis_words(e, output=True), joined(shapes)),
        (by_input, axis_words(e), shape),
    ):
        sizes = {}
        for axis in range(1, array.ndim):
            others = tuple(a for a in range(1, array.ndim) if a != axis)
            if array.shape[axis] > 1 and array.any(axis=others).sum(axis=1).max() == array.shape[axis]:
                sizes[words[axis - 1]] = whole[axis - 1]
        found |= _products(sizes)
    columns = np.unique(seen.sum(axis=0))
    if len(columns) == 1 and columns[0] > 1 and len(e.shape) > 1:
        values = np.abs(e.true[seen])
        if np.ptp(values) <= e.bar:
            found.setdefault("numbers that each output is a mean of", float(columns[0]))
    return found


def all_counts(e: Evidence) -> dict[str, float]:
    """Every size of an input or output, their products, and the kernel's."""
    found: dict[str, float] = {}
    for output, shape in ((True, joined(e.whole[1])), (False, e.whole[0])):
        found |= _products(dict(zip(axis_words(e, output=output), shape, strict=True)))
    for name, array in e.subject.inputs.items():
        if name != e.name:
            found |= _products({f"axis {a} of {name}": size for a, size in enumerate(array.shape)})
    return found


def _products(sizes: dict[str, int]) -> dict[str, float]:
    found = {}
    for count in range(1, len(sizes) + 1):
        for some in itertools.combinations(sizes, count):
            found["*".join(some)] = float(math.prod(sizes[s] for s in some))
    return {name: size for name, size in found.items() if size > 1}


def _count(factor: float, counts: dict[str, float]) -> str:
    size = abs(factor) if abs(factor) > 1 else 1 / abs(factor)
    for name, count in counts.items():
        if abs(size / count - 1) < CLOSE:
            return f"{name} = {count:g}"
    return ""


def _other(factor: float, e: Evidence) -> str:
    """A factor that is no count: M / (M - 1), a ratio of two sizes, a root."""
    size = abs(factor) if abs(factor) > 1 else 1 / abs(factor)
    counts = all_counts(e)
    rows, columns = counts.get("rows", 1), counts.get("columns", 1)
    if min(rows, columns) > 1 and abs(size / (max(rows, columns) / min(rows, columns)) - 1) < CLOSE:
        which = "rows / columns" if rows > columns else "columns / rows"
        return f"{which} = {max(rows, columns):g} / {min(rows, columns):g}"
    for name, count in counts.items():
        if count > 2 and abs(size / (count / (count - 1)) - 1) < CLOSE:
            return f"M / (M - 1) with M = {name} = {count:g}"
    if abs(size * size - round(size * size)) < CLOSE and round(size * size) > 1:
        return f"the root of {round(size * size)}"
    return ""


def _vector(each: Array, e: Evidence, axis: int, others: tuple[int, ...]) -> str:
    """What the factors are, by the other inputs' numbers and the spread of this one."""
    known: dict[str, Array] = {name: array for name, array in e.subject.inputs.items() if array.shape == each.shape}
    for name, array in list(e.subject.inputs.items()):
        if array.ndim > 1 and array.shape[min(1, array.ndim - 1)] == len(each):
            rest = tuple(a for a in range(array.ndim) if a != 1)
            known[f"the deviation of {name}"] = array.std(axis=rest)
    for name, vector in known.items():
        with np.errstate(all="ignore"):
            forms = {
                name: vector,
                f"1 / {name}": 1 / vector,
                f"the sign of {name}": np.sign(vector),
                f"|{name}|": abs(vector),
            }
            for words, form in forms.items():
                if np.allclose(each, form, rtol=1e-4) and not np.allclose(form, 1, rtol=1e-3):
                    return f"it is {words}"
    return ""
