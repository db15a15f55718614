"""What a pass may write to and keep: nothing of the caller's, and nothing that another pass will find changed.

None of it takes a finite difference. Each check yields what it found wrong, as a sentence.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from ..layers import Layer
from .structure import FORMS, Finding, arrays_in, copied, copies, same, upstreams
from .subject import Subject, as_tuple


def look_over(subject: Subject, rng: np.random.Generator) -> list[Finding]:
    """All findings about forms and manners; one that makes the others meaningless ends the list."""
    found: list[Finding] = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            run = subject.forward(copies(subject.inputs))
            run.backward(upstreams(run, rng))
        except Exception as error:
            return [Finding("runs", f"it stops with {type(error).__name__}: {error}")]
        for check in (*FORMS, *MANNERS):
            try:
                found += check(subject, rng)
            except Exception as error:
                found.append(Finding(check.__name__, f"it stops with {type(error).__name__}: {error}"))
            if any(finding.ends for finding in found):
                break
    return found


def writes(subject: Subject, rng: np.random.Generator) -> Iterator[Finding]:
    """Forward writes to none of its inputs; backward to none of dy, the inputs, the outputs and the cache."""
    inputs = copies(subject.inputs)
    run = subject.forward(inputs)
    if names := tuple(name for name in inputs if not same((inputs[name],), (subject.inputs[name],))):
        yield Finding("writes", f"the forward pass writes to its input {', '.join(names)}")
    dys = upstreams(run, rng)
    held = {"dy": list(dys), "an input": list(inputs.values()), "the output": list(run.outputs)}
    held["the cache"] = [a for a in arrays_in(run.cache) if not any(a is b for kept in held.values() for b in kept)]
    before = {name: [np.array(a) for a in arrays] for name, arrays in held.items()}
    run.backward(dys)
    for name, arrays in held.items():
        if not same(tuple(arrays), tuple(before[name])):
            yield Finding("writes", f"the backward pass writes to {name}")


def stale(subject: Subject, rng: np.random.Generator) -> Iterator[Finding]:
    """Passes on other numbers, before and between a forward and its backward, change neither; nor what they gave.

    Where the object keeps its last pass in itself, only what came before may be looked at.
    """
    run = subject.forward(copies(subject.inputs))
    dys = upstreams(run, rng)
    wanted = copied(run.backward(dys))
    passed = list(subject.inputs)[: subject.passed or None]
    others = subject.at(**{name: rng.permuted(subject.inputs[name]) for name in passed})
    smaller = subject.at(**{name: _smaller(others[name]) for name in passed})
    forward = subject.fresh()
    for arrays in () if _draws(subject.source) else (smaller, others):
        try:
            before = forward(copies(arrays))
            before.backward(upstreams(before, rng))
        except Exception:
            forward = subject.fresh()  # it takes no smaller pictures
    first = forward(copies(subject.inputs))
    y = [np.array(output) for output in first.outputs]
    if not subject.remembers:
        forward(copies(others))
    if not same(first.outputs, tuple(y)):
        yield Finding("stale", "another forward pass changes the output of the one before")
    gradients = first.backward(dys)
    if names := tuple(name for name in wanted if not same((gradients[name],), (wanted[name],))):
        yield Finding("stale", "after another forward pass backward gives something else: something is kept", names)
        return
    first.backward(upstreams(first, rng))
    if names := tuple(name for name in wanted if name in passed and not same((gradients[name],), (wanted[name],))):
        yield Finding("stale", "another backward pass changes the gradient that was given before", names)


def layer_state(subject: Subject, rng: np.random.Generator) -> Iterator[Finding]:
    """A layer's backward adds to its parameters' gradients and changes nothing else; a later training pass changes no earlier cache."""
    if not isinstance(subject.source, Layer):
        return
    layer = copy.deepcopy(subject.source)
    passed = tuple(copies(subject.inputs).values())[: subject.passed]
    x: Any = passed if len(passed) > 1 else passed[0]
    y, cache = layer.forward(x, train=subject.train)
    dys = tuple(np.asarray(rng.standard_normal(np.shape(part)), np.asarray(part).dtype) for part in as_tuple(y))
    dy = dys if isinstance(y, tuple) else dys[0]
    before = {**{name: param.data.copy() for name, param in layer.named_params()}, **_buffers(layer)}
    layer.zero_grad()
    layer.backward(dy, cache)
    once = {name: param.grad.copy() for name, param in layer.named_params()}
    after = {**{name: param.data for name, param in layer.named_params()}, **_buffers(layer)}
    if names := tuple(name for name in before if not same((after[name],), (before[name],))):
        yield Finding("layer_state", f"the backward pass changes {', '.join(names)}")
    layer.backward(dy, cache)
    for name, param in layer.named_params():
        if not np.linalg.norm(param.grad - 2 * once[name]) <= 1e-3 * float(np.linalg.norm(once[name])):
            yield Finding("layer_state", "a second backward pass does not add to the first one's gradient", (name,))
    layer = copy.deepcopy(subject.source)
    _, cache = layer.forward(x, train=False)
    wanted = [np.array(part) for part in as_tuple(layer.backward(dy, cache))]
    other = tuple(rng.permuted(part) for part in passed)
    layer.forward(other if len(other) > 1 else other[0], train=True)
    if not same(as_tuple(layer.backward(dy, cache)), tuple(wanted)):
        yield Finding("layer_state", "a training pass changes what an evaluation before it remembers")


MANNERS: tuple[Callable[[Subject, np.random.Generator], Iterator[Finding]], ...] = (writes, stale, layer_state)


def _buffers(layer: Layer) -> dict[str, Array]:
    return {name: np.array(buffer) for name, buffer in layer.named_buffers()}


def _draws(thing: Any) -> bool:
    """Whether it, or a part of it, holds a generator of random numbers: then each pass may rightly be another."""
    parts = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
    return any(isinstance(part, np.random.Generator | np.random.RandomState) for part in parts) or any(
        _draws(part) for part in parts if isinstance(part, Layer)
    )


def _smaller(array: Array) -> Array:
    return array[..., :-1].copy() if array.ndim > 2 and array.shape[-1] > 1 else array.copy()
