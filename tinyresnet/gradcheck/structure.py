"""What a backward pass must give whatever its numbers: shapes, dtypes, the same every time, linear in dy.

None of it takes a finite difference. Each check is a function that yields what it found wrong, as a sentence; those about what a pass
writes and keeps are in `manners.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from .probe import scale_of
from .subject import Run, Subject

ROUGH = 3e4  # units in the last place, of all a gradient's numbers together
LINEAR = 5  # times the root of the rounding that a gradient may be off from linear in dy


@dataclass(frozen=True)
class Finding:
    """Something that is wrong apart from the numbers; `names`: the gradients it is about, if it is about any."""

    check: str
    detail: str
    names: tuple[str, ...] = ()
    verdict: str = "wrong"

    @property
    def ends(self) -> bool:
        """Whether nothing can be measured after this."""
        return self.check in ("runs", "repeatable")


def gradient_forms(subject: Subject, rng: np.random.Generator) -> Iterator[Finding]:
    """Every input has a gradient of its own shape and dtype; outputs have the inputs' dtype."""
    run = subject.forward(copies(subject.inputs))
    gradients = run.backward(upstreams(run, rng))
    for name, array in subject.inputs.items():
        gradient = gradients.get(name)
        if gradient is None:
            yield Finding("gradient_forms", f"there is no gradient of {name}", (name,))
        elif np.shape(gradient) != array.shape:
            yield Finding("gradient_forms", f"its shape is {np.shape(gradient)}: {array.shape} is wanted", (name,))
        elif np.asarray(gradient).dtype != array.dtype:
            dtype = np.asarray(gradient).dtype
            yield Finding("dtypes", f"its dtype is {dtype}: {array.dtype} is wanted", (name,))
    wanted = np.result_type(*subject.inputs.values())
    for output in run.outputs:
        if np.asarray(output).dtype != wanted:
            yield Finding("dtypes", f"the output's dtype is {np.asarray(output).dtype}: {wanted} is wanted")


def repeatable(subject: Subject, rng: np.random.Generator) -> Iterator[Finding]:
    """The same inputs give the same bits."""
    first, second = (subject.forward(copies(subject.inputs)) for _ in range(2))
    if not same(first.outputs, second.outputs):
        detail = "two forward passes on the same inputs differ: no slope can be measured of a function that changes"
        yield Finding("repeatable", detail, verdict="inconclusive")
        return
    dys = upstreams(first, rng)
    once, again = first.backward(dys), second.backward(dys)
    if names := tuple(name for name in once if not same((once[name],), (again[name],))):
        yield Finding("repeatable", "two backward passes on the same numbers differ", names)


def linear_in_upstream(subject: Subject, rng: np.random.Generator) -> Iterator[Finding]:
    """No upstream gives no gradient; the sum of two gives the sum."""
    run = subject.forward(copies(subject.inputs))
    first, second = upstreams(run, rng), upstreams(run, rng)
    nothing = copied(run.backward(tuple(np.zeros_like(dy) for dy in first)))
    if names := tuple(name for name, gradient in nothing.items() if np.any(gradient != 0)):
        yield Finding("upstream", "the gradient for an upstream of zeros is not zero", names)
    a, b = 0.75, -1.5
    mixed = tuple(np.asarray(a * f + b * s, f.dtype) for f, s in zip(first, second, strict=True))
    one, two, both = (copied(run.backward(dys)) for dys in (first, second, mixed))
    for name in both:
        wanted = a * one[name] + b * two[name]
        size = np.linalg.norm(a * one[name]) + np.linalg.norm(b * two[name]) + _lost(subject, run, mixed, name)
        limit = LINEAR * np.sqrt(np.finfo(wanted.dtype).eps)
        if not np.linalg.norm(both[name] - wanted) <= limit * size:
            yield Finding("upstream", "the gradient is not linear in the upstream gradient", (name,))


def precise(subject: Subject, rng: np.random.Generator) -> Iterator[Finding]:
    """The gradient rounds as its dtype does: a third of the upstream gives a third of it, to its last places."""
    run = subject.forward(copies(subject.inputs))
    dys = upstreams(run, rng)
    whole = copied(run.backward(dys))
    third = copied(run.backward(tuple(np.asarray(dy / 3, dy.dtype) for dy in dys)))
    for name, gradient in whole.items():
        off = float(np.linalg.norm(gradient - 3 * third[name]))
        size = float(np.linalg.norm(gradient)) + _lost(subject, run, dys, name)
        if not off <= ROUGH * np.finfo(gradient.dtype).eps * size:
            yield Finding(
                "precise", f"it is rounded to {off / size:.0e}, far more coarsely than its dtype rounds", (name,)
            )


def memory_layout(subject: Subject, rng: np.random.Generator) -> Iterator[Finding]:
    """How numbers lie in memory must not matter: Fortran order, and every other number of a larger array."""
    run = subject.forward(copies(subject.inputs))
    dys = upstreams(run, rng)
    wanted = copied(run.backward(dys))
    for how, lay in (("in Fortran order", _fortran), ("inside a larger one", _every_other)):
        other = subject.forward({name: lay(array) for name, array in subject.inputs.items()})
        found = other.backward(tuple(lay(dy) for dy in dys))
        for name, gradient in wanted.items():
            size = float(np.linalg.norm(gradient)) + _lost(subject, run, dys, name)
            if np.shape(found[name]) != gradient.shape:
                yield Finding("memory_layout", f"its shape is another where arrays lie {how}", (name,))
            elif not np.linalg.norm(found[name] - gradient) <= 1e3 * np.finfo(gradient.dtype).eps * size:
                yield Finding("memory_layout", f"the gradient is another where arrays lie {how}", (name,))


def other_sizes(subject: Subject, rng: np.random.Generator) -> Iterator[Finding]:
    """A batch of one, of none, and smaller pictures, where it takes them: the gradients must fit all the same."""
    for point, inputs in resized(subject):
        try:
            run = subject.forward(copies(inputs))
        except Exception:
            continue  # it may refuse such numbers
        gradients = run.backward(upstreams(run, rng))
        if names := tuple(n for n in inputs if n not in gradients or np.shape(gradients[n]) != inputs[n].shape):
            yield Finding("other_sizes", f"its shape is wrong {point}", names)


def resized(subject: Subject) -> Iterator[tuple[str, dict[str, Array]]]:
    """The inputs at other sizes, and what these are; the sizes of parameters stay. Nothing for numbers without a batch."""
    passed = list(subject.inputs)[: subject.passed or None]
    if not subject.passed or any(subject.inputs[name].ndim < 2 for name in passed):
        return
    ways: dict[str, Callable[[Array], Array]]
    ways = {"in a batch of one": lambda x: x[:1], "at another size": cropped, "in an empty batch": lambda x: x[:0]}
    for point, cut in ways.items():
        moved = {name: np.ascontiguousarray(cut(subject.inputs[name])) for name in passed}
        if any(moved[name].shape != subject.inputs[name].shape for name in passed):
            yield point, subject.at(**moved)


def cropped(x: Array) -> Array:
    """x (N, C, H, W) without its last row and its last two columns; an axis that is too short for that stays."""
    cuts = [slice(0, size - 1 - i if size > 2 + i else None) for i, size in enumerate(x.shape[2:])]
    return x[(slice(None), slice(None), *cuts)]


FORMS: tuple[Callable[[Subject, np.random.Generator], Iterator[Finding]], ...] = (
    gradient_forms, repeatable, linear_in_upstream, precise, memory_layout, other_sizes,
)  # fmt: skip


def upstreams(run: Run, rng: np.random.Generator) -> tuple[Array, ...]:
    """A random dy for each output."""
    return tuple(np.asarray(rng.standard_normal(np.shape(y)), np.asarray(y).dtype) for y in run.outputs)


def arrays_in(value: Any) -> list[Array]:
    """Every array in a nest of tuples, lists, dicts and plain objects."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        return [array for part in value.values() for array in arrays_in(part)]
    if isinstance(value, tuple | list):
        return [array for part in value for array in arrays_in(part)]
    return []


def copies(arrays: dict[str, Array]) -> dict[str, Array]:
    """Copies by name."""
    return {name: array.copy() for name, array in arrays.items()}


def copied(gradients: dict[str, Any]) -> dict[str, Array]:
    """The gradients as they are now: a backward pass may use their memory again."""
    return {name: np.array(gradient) for name, gradient in gradients.items() if gradient is not None}


def same(found: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    """Whether all arrays are equal in every bit, NaNs too."""
    return all(
        np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind in "fc") for a, b in zip(found, wanted, strict=True)
    )


def _lost(subject: Subject, run: Run, dys: tuple[Array, ...], name: str) -> float:
    """How large a gradient may have been before its terms cancelled: all of the output put down to this input."""
    up, out = (float(np.sqrt(sum(np.linalg.norm(part) ** 2 for part in parts))) for parts in (dys, run.outputs))
    return 1e-3 * up * out / scale_of(subject.inputs[name])


def _fortran(array: Array) -> Array:
    return np.asfortranarray(array) if array.ndim else array


def _every_other(array: Array) -> Array:
    """The same numbers, not side by side in memory."""
    if array.ndim == 0:
        return array
    return np.repeat(array, 2, axis=-1)[..., ::2]
