"""What is checked: a function of named arrays, and the backward pass that claims its gradients.

A `Layer`, a class of one's own with `forward` and `backward`, or a pair of functions: all are seen in one form here.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from ..errors import InputError
from ..layers import Layer

Arrays = Mapping[str, Array]


class Run(NamedTuple):
    """One forward pass: its outputs, what it remembers, and the way back from it."""

    outputs: tuple[Array, ...]
    cache: Any
    backward: Callable[[tuple[Array, ...]], dict[str, Array]]  # the gradients by name, given dy for each output


@dataclass(frozen=True)
class Subject:
    """A function and its inputs by name: every one that is made of real numbers has a gradient to be checked.

    `fresh` gives a function that runs forward passes on one and the same object, which no other one shares.
    """

    name: str
    inputs: dict[str, Array]
    fresh: Callable[[], Callable[[Arrays], Run]]
    source: Any = None  # what it was made of: a layer, say
    train: bool = True
    passed: int = 0  # so many of the inputs are passed to forward; the others are parameters. 0: all
    remembers: bool = False  # it keeps its last forward pass in itself, and so can go back from no other

    def forward(self, arrays: Arrays) -> Run:
        """A pass that leaves nothing behind: two calls with the same arrays give the same bits."""
        return self.fresh()(arrays)

    def at(self, **moved: Array) -> dict[str, Array]:
        """The inputs with some of them replaced."""
        return {**self.inputs, **moved}

    def cast(self, dtype: np.typing.DTypeLike) -> Subject:
        """The same function at the same numbers in another precision."""
        return replace(self, inputs={name: array.astype(dtype) for name, array in self.inputs.items()})


def guarded(subject: Subject) -> Subject:
    """The same function, which gets copies of all arrays in every pass: for one that writes to what it is given."""

    def fresh() -> Callable[[Arrays], Run]:
        forward = subject.fresh()
        return lambda arrays: forward({name: array.copy() for name, array in arrays.items()})

    return replace(subject, fresh=fresh)


def of_layer(layer: Layer, x: Any, *, train: bool = True, name: str | None = None) -> Subject:
    """A layer as a function of its input ("x", or "x0" and "x1" for a pair) and of its parameters."""
    pair = isinstance(x, tuple)
    inputs = named("x", x) | {path: param.data for path, param in layer.named_params()}
    count = len(x) if pair else 1

    def fresh() -> Callable[[Arrays], Run]:
        kept: list[Layer] = []

        def forward(arrays: Arrays) -> Run:
            if not kept:
                kept.append(_worker(layer, arrays))
            worker = kept[0]
            for path, param in worker.named_params():
                param.data = arrays[path]
            came = tuple(arrays.values())[:count]
            y, cache = worker.forward(came if pair else came[0], train=train)
            many = isinstance(y, tuple)

            def backward(dys: tuple[Array, ...]) -> dict[str, Array]:
                for _, param in worker.named_params():
                    param.grad = np.zeros_like(param.data)
                dx = worker.backward(dys if many else dys[0], cache)
                return named("x", dx) | {path: param.grad for path, param in worker.named_params()}

            return Run(as_tuple(y), cache, backward)

        return forward

    return Subject(name or type(layer).__name__, inputs, fresh, layer, train, count)


def _worker(layer: Layer, arrays: Arrays) -> Layer:
    """A copy of the layer without its parameters' numbers, its running statistics in these arrays' precision."""
    memo: dict[int, Any] = {}
    dtype = np.result_type(*arrays.values())
    for _, param in layer.named_params():
        memo[id(param.data)] = memo[id(param.grad)] = np.empty(0)
    for _, buffer in layer.named_buffers():
        memo[id(buffer)] = buffer.astype(dtype) if buffer.dtype.kind == "f" else buffer.copy()
    return copy.deepcopy(layer, memo)


def of_pair(
    forward: Callable[..., Any], backward: Callable[..., Any], *inputs: Any, name: str | None = None, **settings: Any
) -> Subject:
    """A pair of functions: forward(*inputs, **settings) -> y, cache and backward(dy, cache) -> the inputs' gradients, in their order.

    y may be a tuple; dy is then one too. Inputs that are no floating-point arrays (labels, sizes) have no gradient; backward
    gives gradients for the others alone, or None in the place of those it has none for.
    """
    names = _argument_names(forward, len(inputs))
    real = {n: x for n, x in zip(names, inputs, strict=True) if isinstance(x, np.ndarray) and x.dtype.kind in "fc"}
    if not real:
        raise InputError(f"{name or forward.__name__}: an array of floating-point numbers is wanted among the inputs")

    def run(arrays: Arrays) -> Run:
        given = [arrays.get(n, x) for n, x in zip(names, inputs, strict=True)]
        result = forward(*given, **settings)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise InputError(f"{forward.__name__} gave {_kind(result)}: (y, cache) is wanted")
        y, cache = result
        many = isinstance(y, tuple)

        def back(dys: tuple[Array, ...]) -> dict[str, Array]:
            found = as_tuple(backward(dys if many else dys[0], cache))
            if len(found) == len(names) != len(real):
                found = tuple(g for n, g in zip(names, found, strict=True) if n in real)
            if len(found) != len(real):
                raise InputError(
                    f"{backward.__name__} gave {len(found)} gradients: {len(real)} are wanted, of {', '.join(real)}"
                )
            return {n: g for n, g in zip(real, found, strict=True) if g is not None}

        return Run(as_tuple(y), cache, back)

    return Subject(name or forward.__name__, real, lambda: run)


def named(stem: str, values: Any) -> dict[str, Array]:
    """An array as {"x": array}, a tuple as {"x0": first, "x1": second}."""
    if isinstance(values, tuple):
        return {f"{stem}{i}": value for i, value in enumerate(values)}
    return {stem: values}


def as_tuple(values: Any) -> tuple[Any, ...]:
    """The values, if they are a tuple or list; else a tuple of the one."""
    return tuple(values) if isinstance(values, tuple | list) else (values,)


def _argument_names(function: Callable[..., Any], count: int) -> list[str]:
    parameters = list(inspect.signature(function).parameters.values())
    plain = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = [f"x{i}" for i in range(len(plain), count)]
    return (plain + rest)[:count]


def _kind(result: Any) -> str:
    return f"a tuple of {len(result)}" if isinstance(result, tuple) else f"a {type(result).__name__}"
