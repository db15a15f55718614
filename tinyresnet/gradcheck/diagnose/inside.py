"""Layers made of layers: is the claim right for a function in which one of the parts has another derivative?

A part's forward pass is replaced by one that gives the same output here and now, and changes otherwise when its input does: not at all
(the way through it is cut), as its input (its backward pass is left out), through another mask. No formula of a gradient is needed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tinyresnet_kernels import Array

from ...layers import BatchNorm2d, Layer, ReLU, Residual
from ...layers.norm import AXES, per_channel
from ..subject import Subject, guarded, of_layer
from .diagnosis import Diagnosis
from .evidence import Evidence

Forward: TypeAlias = Callable[[Callable[[Any], Any], Any], Any]  # of the part's own forward, and its x: y
CLOSE = 1e-5


class Seen(NamedTuple):
    """What a part took and gave."""

    x: Any
    y: Any


@dataclass(frozen=True)
class Change:
    """Parts with other derivatives; `sign` and `sentence`: the mistake that this would be."""

    sign: str
    sentence: str
    forwards: Mapping[str, Forward]


def inside(e: Evidence) -> Iterator[Diagnosis]:
    """Try every part's changes; then shares of single ways that are there more or less than once."""
    layer = e.subject.source
    if not is_composite(e):
        return
    seen = _seen(e.subject, layer)
    directions = e.directions(2)
    claimed = directions @ e.claimed

    def slopes(forwards: Mapping[str, Forward]) -> Array:
        return e.along(_changed(e.subject, layer, forwards), directions)[0]

    true = slopes({})

    def fits(wanted: Array) -> bool:
        known = np.isfinite(wanted) & np.isfinite(true)
        off = np.where(known, claimed - wanted, 0)
        error = np.where(known, claimed - true, 0)
        return bool(known.mean() > 0.5) and float(np.linalg.norm(off)) < CLOSE * float(np.linalg.norm(error))

    for change in _changes(layer, seen, train=e.subject.train):
        if fits(slopes(change.forwards)):
            yield Diagnosis(change.sign, change.sentence)
            return
    for way in _ways(layer, seen):
        cut = slopes({way: _constant(seen[way])})
        share = true - cut
        known = np.isfinite(share)
        size = float((share[known] ** 2).sum())
        count = float(((claimed - true) * share)[known].sum()) / size if size else 0.0
        if abs(count) > CLOSE and fits(true + count * share):
            sign = "extra term" if count > 0 else "scale" if count > -1 else "sign"
            yield Diagnosis(sign, f"what comes by {way} counts {1 + count:.3g} times: it should once")
            return
        for relu in (path for path, part in _parts(layer).items() if isinstance(part, ReLU)):
            both = slopes({way: _constant(seen[way]), relu: _passed(seen[relu])}) - cut
            through = slopes({relu: _passed(seen[relu])}) - true
            if fits(true + through - both):
                yield Diagnosis("mask", f"what comes by {way} passes {relu} unmasked: it goes through it as well")
                return


def is_composite(e: Evidence) -> bool:
    """Whether the subject is a layer that is made of layers."""
    return isinstance(e.subject.source, Layer) and bool(e.subject.source.children())


def _changes(layer: Layer, seen: dict[str, Seen], *, train: bool) -> Iterator[Change]:
    for path, part in _parts(layer).items():
        if path not in seen:
            continue
        was = seen[path]
        if isinstance(part, ReLU):
            yield Change("mask", f"the mask of {path} is left out: all numbers pass there", {path: _passed(was)})
            masks = {f"{other}'s {end}": getattr(s, end) for other, s in seen.items() for end in ("x", "y")}
            for words, array in masks.items():
                if isinstance(array, np.ndarray) and array.shape == was.x.shape and ((array > 0) != (was.x > 0)).any():
                    sentence = f"the mask of {path} is the sign of {words}: it should be that of its own x"
                    yield Change("mask", sentence, {path: _masked(was, array > 0)})
        elif isinstance(part, BatchNorm2d):
            if train:
                sentence = f"the mean and variance in {path} are taken for constants: the batch moves them"
                yield Change("missing term", sentence, {path: _by_constants(part, was)})
            else:
                sentence = (
                    f"the mean and variance in {path} are taken for the batch's: in evaluation they are constants"
                )
                yield Change("extra term", sentence, {path: _by_the_batch(part, was)})
        if not isinstance(was.y, tuple):
            yield Change("missing term", f"what comes by {path} is left out", {path: _constant(was)})
        if np.shape(was.x) == np.shape(was.y):
            yield Change("missing term", f"the backward pass of {path} is left out", {path: _passed(was)})


def _ways(layer: Layer, seen: dict[str, Seen]) -> list[str]:
    """The parts that are ways beside one another."""
    residuals = [(path, part) for path, part in {"": layer, **_parts(layer)}.items() if isinstance(part, Residual)]
    return [
        way
        for path, _ in residuals
        for way in (f"{path}.branch".lstrip("."), f"{path}.shortcut".lstrip("."))
        if way in seen
    ]


def _constant(was: Seen) -> Forward:
    return lambda forward, x: was.y.copy()


def _passed(was: Seen) -> Forward:
    return lambda forward, x: was.y + (x - was.x)


def _masked(was: Seen, mask: Array) -> Forward:
    return lambda forward, x: was.y + mask * (x - was.x)


def _by_constants(part: BatchNorm2d, was: Seen) -> Forward:
    """Batch norm with the statistics of this x, whatever x will be."""
    scale = 1 / np.sqrt(was.x.var(axis=AXES) + part.eps)
    fixed = per_channel(scale) * (was.x - per_channel(was.x.mean(axis=AXES)))

    def change(forward: Callable[[Any], Any], x: Array) -> Any:
        weighed = forward(was.x)  # with its parameters as they are now
        return weighed + per_channel(_slope(weighed, fixed) * scale) * (x - was.x)

    return change


def _by_the_batch(part: BatchNorm2d, was: Seen) -> Forward:
    """Batch norm by the running statistics that yet move with x, as if they were the batch's."""
    scale = 1 / np.sqrt(part.running_var + part.eps)
    fixed = per_channel(scale) * (was.x - per_channel(part.running_mean))

    def change(forward: Callable[[Any], Any], x: Array) -> Any:
        weighed = forward(was.x)
        step = x - was.x
        step = step - step.mean(axis=AXES, keepdims=True) - fixed * (step * fixed).mean(axis=AXES, keepdims=True)
        return weighed + per_channel(_slope(weighed, fixed) * scale) * step

    return change


def _slope(y: Array, xhat: Array) -> Array:
    """The weight (C,) in y = weight * xhat + bias."""
    centred = xhat - xhat.mean(axis=AXES, keepdims=True)
    slope: Array = (y * centred).sum(axis=AXES) / (xhat * centred).sum(axis=AXES)
    return slope


def _parts(layer: Layer, prefix: str = "") -> dict[str, Layer]:
    """Every layer below this one by its attributes' names."""
    found: dict[str, Layer] = {}
    for name, value in vars(layer).items():
        if isinstance(value, Layer):
            found[prefix + name] = value
            found |= _parts(value, f"{prefix}{name}.")
    return found


def _seen(subject: Subject, layer: Layer) -> dict[str, Seen]:
    """What every part takes and gives in a forward pass."""
    seen: dict[str, Seen] = {}

    def record(path: str) -> Forward:
        def forward(own: Callable[[Any], Any], x: Any) -> Any:
            y = own(x)
            seen[path] = Seen(*(a.copy() if isinstance(a, np.ndarray) else a for a in (x, y)))
            return y

        return forward

    _changed(subject, layer, {path: record(path) for path in _parts(layer)}).forward(subject.inputs)
    return seen


def _changed(subject: Subject, layer: Layer, forwards: Mapping[str, Forward]) -> Subject:
    """The layer as a subject, with some parts' forward passes replaced."""
    other = copy.deepcopy(layer)
    for path, part in _parts(other).items():
        if path in forwards:
            kind = type(part)
            part.__class__ = type(kind.__name__, (kind,), {"forward": _method(kind, forwards[path])})
    x = tuple(subject.inputs.values())[: subject.passed]
    return guarded(of_layer(other, x if len(x) > 1 else x[0], train=subject.train))


def _method(kind: type[Layer], replaced: Forward) -> Callable[..., Any]:
    """A forward pass without a way back."""

    def forward(self: Layer, x: Any, *, train: bool) -> tuple[Any, None]:
        return replaced(lambda x: kind.forward(self, x, train=train)[0], x), None

    return forward
