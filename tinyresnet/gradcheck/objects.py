"""An object of anybody's making as what is checked: its forward and backward, and where it keeps parameters and their gradients."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array

from ..errors import InputError
from ..layers import Layer
from .subject import Arrays, Run, Subject, as_tuple, named, of_layer


def of_object(thing: Any, x: Any, *, train: bool = True, name: str | None = None) -> Subject:
    """An object with forward(x) -> y or (y, cache) and backward(dy) or backward(dy, cache) -> dx.

    Its parameters: attributes that hold an array, with a gradient beside it (`weight` with `dweight`, `grad_weight` or
    `weight_grad`), attributes with `.data` and `.grad`, or two dicts `params` and `grads`.
    """
    if isinstance(thing, Layer):
        return of_layer(thing, x, train=train, name=name)
    title = name or type(thing).__name__
    for method in ("forward", "backward"):
        if not callable(getattr(thing, method, None)):
            raise InputError(f"{title} has no method `{method}`: forward(x) and backward(dy) are wanted")
    holds_cache = len(inspect.signature(thing.backward).parameters) == 1
    takes_train = "train" in inspect.signature(thing.forward).parameters
    places = _parameters(thing)
    inputs = named("x", x) | {n: place.data for n, place in places.items()}
    count = len(x) if isinstance(x, tuple) else 1

    def fresh() -> Callable[[Arrays], Run]:
        worker = copy.deepcopy(thing)

        def forward(arrays: Arrays) -> Run:
            for n, place in _parameters(worker).items():
                place.put(arrays[n])
            came = tuple(arrays.values())[:count]
            result = worker.forward(came if count > 1 else came[0], **({"train": train} if takes_train else {}))
            y, cache = (result, None) if holds_cache else result
            many = isinstance(y, tuple)

            def backward(dys: tuple[Array, ...]) -> dict[str, Array]:
                for place in _parameters(worker).values():
                    place.clear()
                dy = dys if many else dys[0]
                dx = worker.backward(dy) if holds_cache else worker.backward(dy, cache)
                return named("x", dx) | {n: place.grad for n, place in _parameters(worker).items()}

            return Run(as_tuple(y), cache, backward)

        return forward

    return Subject(title, inputs, fresh, thing, train, count, holds_cache)


class Place(NamedTuple):
    """Where an object keeps a parameter and its gradient."""

    data: Array
    grad: Array
    put: Callable[[Array], None]
    clear: Callable[[], None]


def _parameters(thing: Any) -> dict[str, Place]:
    """The parameters of an object that is no Layer."""
    found: dict[str, Place] = {}
    attributes = dict(vars(thing)) if hasattr(thing, "__dict__") else {}
    params, grads = attributes.get("params"), attributes.get("grads")
    if isinstance(params, dict) and isinstance(grads, dict):
        for name, array in params.items():
            found[name] = _in_dict(params, grads, name, array)
        return found
    for name, value in attributes.items():
        if isinstance(getattr(value, "data", None), np.ndarray) and hasattr(value, "grad"):
            found[name] = _in_param(value)
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            beside = [other for other in (f"d{name}", f"grad_{name}", f"{name}_grad") if other in attributes]
            if beside:
                found[name] = _in_attributes(thing, name, beside[0])
    return found


def _in_dict(params: dict[str, Any], grads: dict[str, Any], name: str, array: Array) -> Place:
    zeros = np.zeros_like(array)
    return Place(
        array,
        grads.get(name, zeros),
        lambda new: params.__setitem__(name, new),
        lambda: grads.__setitem__(name, np.zeros_like(params[name])),
    )


def _in_param(param: Any) -> Place:
    return Place(
        param.data,
        param.grad,
        lambda new: setattr(param, "data", new),
        lambda: setattr(param, "grad", np.zeros_like(param.data)),
    )


def _in_attributes(thing: Any, name: str, grad: str) -> Place:
    return Place(
        getattr(thing, name),
        getattr(thing, grad),
        lambda new: setattr(thing, name, new),
        lambda: setattr(thing, grad, np.zeros_like(getattr(thing, name))),
    )
