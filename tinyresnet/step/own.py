"""A layer of the reader's own, from a Python file, as a model that can be walked: whatever the gradient checker takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinyresnet_kernels import Array, use

from ..errors import InputError
from ..gradcheck.subject import Subject
from ..gradcheck.target import own
from ..layers import Chain, Layer, Param

DTYPES = ("float64", "float32", "int64", "int32", "uint8", "bool")


def own_model(word: str, shape: tuple[int, ...] | None, *, train: bool, seed: int) -> tuple[Layer, Array]:
    """What "file.py:Name(3, 4)" names as a model, and an x for it: multiples of 1/4, drawn from the seed.

    x is float64, or float32 if the layer takes no other; its shape by default the first of the usual ones that fits.
    Raises InputError if there is no such thing, if it doesn't run, or if it takes or gives more than one array.
    """
    if ".py" not in word:
        raise InputError(f"{word}: a file and what to take from it are wanted, like mine.py:MyLayer")
    with use("reference"):
        subject = _subject(word, shape, train, seed)
        name, x = next(iter(subject.inputs.items()))
        x = np.rint(4 * x) / 4
        try:
            run = subject.forward({**subject.inputs, name: x.copy()})
            outputs, grads = run.outputs, run.backward(tuple(np.zeros_like(y) for y in run.outputs))
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"{word} stops with {type(error).__name__}: {error}") from error
    if len(outputs) != 1 or not isinstance(outputs[0], np.ndarray | np.floating):
        kinds = ", ".join(type(y).__name__ for y in outputs)
        raise InputError(f"{word} gives {len(outputs)} outputs ({kinds}): one array is wanted")
    for given, array in subject.inputs.items():
        grad = grads.get(given)
        if grad is None or np.shape(grad) != array.shape:
            came = "none" if grad is None else f"one of shape {np.shape(grad)}"
            raise InputError(f"{word}: for {given} a gradient of shape {array.shape} is wanted, backward gives {came}")
    thing = subject.source
    if isinstance(thing, Layer) and thing.children():
        return thing, x
    known = isinstance(thing, Layer) and type(thing).__module__.startswith("tinyresnet.")
    return Chain({_name(subject.name).lower(): thing if known else _adapted(subject)}), x


def _subject(word: str, shape: tuple[int, ...] | None, train: bool, seed: int) -> Subject:
    shapes = (shape,) if shape else None
    try:
        return own(word, shapes, dtype="float64", train=train, seed=seed)
    except InputError as error:
        try:
            return own(word, shapes, dtype="float32", train=train, seed=seed)
        except InputError:
            raise error from None


def _name(expression: str) -> str:
    """What is named: "MyLayer" of "layers.MyLayer(3, 4)"."""
    return expression.partition("(")[0].rpartition(".")[2]


def _adapted(subject: Subject) -> Layer:
    """A layer that runs somebody's code. The trace shows the name of its class."""
    layer: Layer = type(_name(subject.name), (Own,), {})(subject)
    return layer


class Own(Layer):
    """Runs a subject of the gradient checker: its first input is x, all others are parameters."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.x_name, *rest = subject.inputs
        self.learned = {name: Param(subject.inputs[name].copy()) for name in rest}

    def params(self) -> dict[str, Param]:
        """The inputs behind the first."""
        return self.learned

    def forward(self, x: Array, *, train: bool) -> tuple[Array, Kept]:
        """y, and the way back with what the code remembers."""
        arrays = {self.x_name: x.copy(), **{name: param.data.copy() for name, param in self.learned.items()}}
        run = self.subject.forward(arrays)
        return np.asarray(run.outputs[0]), Kept(run.backward, run.cache)

    def backward(self, dy: Array, cache: Kept) -> Array:
        """dx; adds into the parameters' gradients."""
        grads = cache.backward((dy.copy(),))
        for name, param in self.learned.items():
            param.grad += grads[name]
        dx: Array = np.asarray(grads[self.x_name])
        return dx


class Kept:
    """The way back from one forward pass, and what somebody's code remembers, by name as far as it has names."""

    def __init__(self, backward: Any, cache: Any) -> None:
        self.backward, self.cache = backward, cache

    def _asdict(self) -> dict[str, Any]:
        """What can be shown of it: arrays of numbers, in the dtypes that every face knows."""
        if hasattr(self.cache, "_asdict"):
            found = self.cache._asdict()
        elif isinstance(self.cache, dict):
            found = {str(name): value for name, value in self.cache.items()}
        elif isinstance(self.cache, tuple | list):
            found = {f"cache{i}": value for i, value in enumerate(self.cache)}
        else:
            found = {"cache": self.cache}
        arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray | np.generic)}
        known = {name: np.asarray(value) for name, value in arrays.items() if value.dtype.kind in "biuf"}
        return {name: a if a.dtype.name in DTYPES else a.astype(np.float64) for name, a in known.items()}
