"""Read this first: what a parameter is, what a layer is, and how layers stand in a row.

A layer owns parameters and never activations. What the backward pass needs to remember is in the `cache` that `forward`
returns and the caller hands back, so two forwards followed by the first one's backward are right.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinyresnet_kernels import Array, array_module, same_kind

from ..errors import InputError


class Param:
    """A learned array and the gradient that backward passes add into; both of one shape and dtype."""

    def __init__(self, data: Array) -> None:
        self.data = data
        self.grad = array_module(data).zeros_like(data)


class Layer(abc.ABC):
    """One step of a network. Params and child layers are found among the attributes, in the order in which they were set."""

    buffers: tuple[str, ...] = ()  # names of the attributes that are saved but not learned

    @abc.abstractmethod
    def forward(self, x: Any, *, train: bool) -> tuple[Any, Any]:
        """y and the cache that backward needs. x is an array (for an add, a pair of arrays)."""

    @abc.abstractmethod
    def backward(self, dy: Any, cache: Any) -> Any:
        """dx, given dy = d loss / d y; adds d loss / d param into every `param.grad`."""

    def multiply_adds(self, y_shape: tuple[int, ...]) -> int:
        """Multiply-adds of one forward pass that gives an output of this shape; 0 where there is no product to speak of."""
        return 0

    def children(self) -> dict[str, Layer]:
        """The layers that this one is made of, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Layer)}

    def params(self) -> dict[str, Param]:
        """This layer's own parameters (not its children's), by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Param)}

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Every layer below this one as ("layer1.0.conv1", layer), parents before children."""
        for name, child in self.children().items():
            yield prefix + name, child
            yield from child.named_layers(f"{prefix}{name}.")

    def named_params(self) -> Iterator[tuple[str, Param]]:
        """Every parameter as ("layer1.0.conv1.weight", param)."""
        for path, layer in [("", self), *self.named_layers()]:
            for name, param in layer.params().items():
                yield f"{path}.{name}".lstrip("."), param

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Every buffer as ("bn1.running_mean", array)."""
        for path, layer in [("", self), *self.named_layers()]:
            for name in layer.buffers:
                yield f"{path}.{name}".lstrip("."), getattr(layer, name)

    def __getitem__(self, path: str) -> Layer:
        """The layer at a path: model["layer1.0.conv1"]. Raises KeyError."""
        return dict(self.named_layers())[path]

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by name."""
        arrays = {name: param.data for name, param in self.named_params()} | dict(self.named_buffers())
        return {name: array.copy() for name, array in arrays.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy all parameters and buffers from `state` into this layer, in this layer's dtypes and on its device; all or nothing.

        `num_batches_tracked` may be missing: old PyTorch files lack it.
        Raises InputError that lists what is missing, unexpected, misshapen and of a wrong dtype.
        """
        wanted = {name: param.data for name, param in self.named_params()} | dict(self.named_buffers())
        missing = [name for name in wanted if name not in state and not name.endswith("num_batches_tracked")]
        unexpected = [name for name in state if name not in wanted]
        misshapen = [
            f"{name} {state[name].shape} instead of {array.shape}"
            for name, array in wanted.items()
            if name in state and state[name].shape != array.shape
        ]
        miscast = [
            f"{name} {state[name].dtype} for {array.dtype}"
            for name, array in wanted.items()
            if name in state and not np.can_cast(state[name].dtype, array.dtype, "same_kind")
        ]
        problems = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen, "of a wrong dtype": miscast}
        if any(problems.values()):
            lists = [f"{what}: {_first(names)}" for what, names in problems.items() if names]
            raise InputError(f"the weights do not fit the model; {'; '.join(lists)}")
        with np.errstate(over="ignore", invalid="ignore"):  # a float64 too large for float32 becomes infinite
            for name, array in wanted.items():
                if name in state:
                    array[...] = same_kind(state[name], array)

    def zero_grad(self) -> None:
        """Set every parameter's gradient to zero."""
        for _, param in self.named_params():
            param.grad[...] = 0


def _first(names: list[str], most: int = 8) -> str:
    """The names in a row, or the first of them and how many more there are."""
    more = [f"and {len(names) - most} more"] if len(names) > most else []
    return ", ".join(names[:most] + more)


class Identity(Layer):
    """y = x: stands where a block has no shortcut of its own or no last ReLU."""

    def forward(self, x: Any, *, train: bool) -> tuple[Any, None]:
        return x, None

    def backward(self, dy: Any, cache: None) -> Any:
        return dy


class Chain(Layer):
    """Layers one after another; the cache is a dict of their caches by name."""

    def __init__(self, children: Mapping[str, Layer]) -> None:
        if len({id(child) for child in children.values()}) < len(children):
            raise InputError("no layer object may stand twice in a chain: make a second one")
        vars(self).update(children)

    def forward(self, x: Any, *, train: bool) -> tuple[Any, dict[str, Any]]:
        """Run every layer on what the one before it gave."""
        cache = {}
        for name, child in self.children().items():
            x, cache[name] = child.forward(x, train=train)
        return x, cache

    def backward(self, dy: Any, cache: dict[str, Any]) -> Any:
        """The same way back: each layer's dx is the next one's dy."""
        for name, child in reversed(self.children().items()):
            dy = child.backward(dy, cache[name])
        return dy


def he_normal(shape: tuple[int, ...], fan: int, rng: np.random.Generator, dtype: np.typing.DTypeLike) -> Array:
    """Normal numbers of variance 2 / fan: keeps the variance through a ReLU (He et al. 2015, eq. 10)."""
    weight = rng.standard_normal(shape) * math.sqrt(2 / fan)
    return weight.astype(dtype)
