"""One trace: every forward and backward of every layer as a step with copies of all its arrays, without a line in the layers.

    with tr.trace(model) as steps:
        y, cache = model.forward(x, train=True)
        loss, dlogits = steps.loss(y, labels)
        dx = model.backward(dlogits, cache)
    steps["layer1.0.conv2", "backward"].tensors["dweight"]

Nothing is computed otherwise than without the trace: the bits are the same. Its JSON form: trace_form.py.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array, Form, array_module

from .errors import InputError
from .layers import Layer
from .loss import LOSSES
from .observe import around

PAIRS = {"forward": {"Add": ("a", "b")}, "backward": {"Fork": ("da", "db")}}  # how the arrays of a pair are called
RESULTS = {"forward": {"Fork": ("a", "b")}, "backward": {"Add": ("da", "db")}}


class Source(NamedTuple):
    """Where an array came from: the step that made it, and its name there."""

    step: int
    name: str


@dataclass(frozen=True)
class Step:
    """One layer's pass in one direction.

    `tensors` holds arrays by name. Forward: x (an add: a, b; a concat: x0, x1...), parameters, what the cache remembers, y (a fork: a, b).
    Backward: the same of its forward step, dy (a fork: da, db), dx (an add: da, db; a concat: dx0, dx1...) and its own dweight, dbias.
    `given` and `made` name what came in and what was computed; `sources` says which step made what came in.
    """

    index: int
    path: str  # "layer1.0.conv1"; the loss is "loss"
    kind: str  # the layer's class: "Conv2d", "own MyLayer"; of a loss its name in LOSSES: "CrossEntropy"
    direction: str  # "forward" or "backward"
    train: bool
    settings: dict[str, Any]  # numbers of the cache that are not arrays: stride, pad, eps...
    tensors: dict[str, Array]
    given: tuple[str, ...]
    made: tuple[str, ...]
    params: tuple[str, ...]
    sources: dict[str, Source]
    forward: int | None = (
        None  # of a backward step: the index of the forward step it answers, None if that was not traced
    )


@dataclass
class Trace:
    """The steps in the order of computation. `trace[5]`, `trace["layer1.0.conv1", "backward"]`, `for step in trace`."""

    steps: list[Step] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, which: int | tuple[str, str]) -> Step:
        """A step by index, or the last one by (path, direction). Raises KeyError with the paths that there are."""
        if not isinstance(which, tuple):
            return self.steps[which]
        path, direction = which
        for step in reversed(self.steps):
            if (step.path, step.direction) == (path, direction):
                return step
        raise KeyError(f"no {direction} step at {path!r}: there are {', '.join(dict.fromkeys(s.path for s in self))}")


class Recorder(Trace):
    """A trace that is being written."""

    def __init__(self) -> None:
        super().__init__([])
        self.alive: list[Any] = []  # what was met, kept so that no id is given twice
        self.copies: dict[int, Array] = {}  # id of an array -> its copy
        # id of an array -> who made it: a fork and an add make two of one array
        self.makers: dict[int, list[Source]] = {}
        # id of a layer -> (cache, forward step) that wait for their backward
        self.waiting: dict[int, list[tuple[Any, int]]] = {}

    def loss(self, logits: Array, labels: Array, **settings: Any) -> tuple[float, Array]:
        """`softmax_cross_entropy`, its two passes as steps: loss and dlogits (N, K)."""
        return self.loss_of("CrossEntropy", logits, labels, **settings)

    def loss_of(
        self, kind: str, x: Array, *others: Array, path: str = "loss", dloss: float = 1.0, **settings: Any
    ) -> tuple[float, Array]:
        """A loss of LOSSES by its kind, its two passes as steps: loss, and dx for this `dloss` (its share in a sum of losses).

        Given are x, the others under their names in the forward function, and the settings that are arrays.
        """
        forward, backward = LOSSES[kind]
        value, cache = forward(x, *others, **settings)
        xp = array_module(x)
        value = xp.asarray(value)
        names = list(inspect.signature(forward).parameters)[1:]
        given = {"x": x, **dict(zip(names, others, strict=False))}
        given |= {name: setting for name, setting in settings.items() if hasattr(setting, "dtype")}
        kept, plain = _cache(cache)
        called = {id(array): name for name, array in given.items()}
        kept = {called.get(id(array), name): array for name, array in kept.items()}
        arrays = {**given, **kept, "y": value}
        # what is wanted is no result, although it may be made of labels
        made = ("y", *(name for name in kept if name not in {*given, "target"}))
        index = self._add(path, kind, "forward", True, plain, arrays, tuple(given), made)
        dy = xp.asarray(xp.ones_like(value) * dloss)
        dx = backward(dy, cache)
        self._add(path, kind, "backward", True, plain, {"dy": dy, **kept, "dx": dx}, ("dy",), ("dx",), index)
        return float(value), dx

    def forward(self, path: str, layer: Layer, run: Any, x: Any, train: bool) -> Any:
        """Run a layer's forward pass and write the step."""
        kind = kind_of(layer)
        given = _named(x, "x", PAIRS["forward"].get(kind))
        params = {name: param.data for name, param in layer.params().items()}
        for array in (*given.values(), *params.values()):
            self._copy(array)  # before the layer could write to them
        y, cache = run(x, train=train)
        kept, settings = _cache(cache)
        made = _named(y, "y", RESULTS["forward"].get(kind))
        kept = {name: array for name, array in kept.items() if name not in given}
        arrays = {**given, **params, **kept, **made}
        # what a cache remembers beside the given and the parameters was computed here too
        computed = ("mask", "winner", "p", "rows", "columns", *(("mean", "var") if train else ()))
        names = (*made, *(name for name in arrays if name in computed))
        index = self._add(path, kind, "forward", train, settings, arrays, tuple(given), names, params=tuple(params))
        self.waiting.setdefault(id(layer), []).append((cache, index))
        return y, cache

    def backward(self, path: str, layer: Layer, run: Any, dy: Any, cache: Any) -> Any:
        """Run a layer's backward pass and write the step."""
        kind = kind_of(layer)
        given = _named(dy, "dy", PAIRS["backward"].get(kind))
        for array in given.values():
            self._copy(array)
        dx, grads = _own_gradients(layer, lambda: run(dy, cache))
        kept, settings = _cache(cache)
        made = _named(dx, "dx", RESULTS["backward"].get(kind)) | grads
        params = {name: param.data for name, param in layer.params().items()}
        forward = self._answered(layer, cache)
        train = self.steps[forward].train if forward is not None else True
        arrays = {**params, **kept, **given, **made}
        names = tuple(made)
        self._add(path, kind, "backward", train, settings, arrays, tuple(given), names, forward, params=tuple(params))
        return dx

    def _add(
        self,
        path: str,
        kind: str,
        direction: str,
        train: bool,
        settings: dict[str, Any],
        arrays: Mapping[str, Array],
        given: tuple[str, ...],
        made: tuple[str, ...],
        forward: int | None = None,
        *,
        params: tuple[str, ...] = (),
    ) -> int:
        """Write a step; its index."""
        index = len(self.steps)
        sources = {name: self._maker(arrays[name]) for name in given}
        passed = {
            id(arrays[name]) for name in given
        }  # as a fork does: who waits for this array under an earlier name still will
        waiting = {
            id(arrays[name]): [
                maker for maker in self.makers.get(id(arrays[name]), []) if maker not in sources.values()
            ]
            for name in made
        }
        for key, earlier in waiting.items():
            own = [Source(index, name) for name in made if id(arrays[name]) == key]
            self.makers[key] = own + (earlier if key in passed else [])
        tensors = {name: self._copy(array) for name, array in arrays.items()}
        found = {name: source for name, source in sources.items() if source}
        self.steps.append(
            Step(index, path, kind, direction, train, settings, tensors, given, made, params, found, forward)
        )
        return index

    def _copy(self, array: Array) -> Array:
        """A copy of the array as it is now; the one that is there already, if it is still right."""
        known = self.copies.get(id(array))
        now = np.array(array.get() if hasattr(array, "get") else array, order="C")
        if (
            known is not None
            and known.shape == now.shape
            and np.array_equal(known, now, equal_nan=now.dtype.kind in "fc")
        ):
            return known
        now.flags.writeable = False
        self.copies[id(array)] = now
        self.alive.append(array)
        return now

    def _maker(self, array: Array) -> Source | None:
        """Who made an array. Of two names for one array the first reader gets the first: a block's branch runs before its shortcut."""
        makers = self.makers.get(id(array), [])
        return makers.pop(0) if len(makers) > 1 else next(iter(makers), None)

    def _answered(self, layer: Layer, cache: Any) -> int | None:
        """The forward step whose cache this is; for layers without a cache the last that waits."""
        waiting = self.waiting.get(id(layer), [])
        for i in reversed(range(len(waiting))):
            if waiting[i][0] is cache:
                return waiting.pop(i)[1]
        return None


def kind_of(layer: Layer) -> str:
    """What a step calls a layer: its class, "own" before the name if the class is not one of the library's layers."""
    ours = type(layer).__module__.startswith(f"{__package__}.layers.")
    return type(layer).__name__ if ours else f"own {type(layer).__name__}"


@contextlib.contextmanager
def trace(model: Layer) -> Iterator[Recorder]:
    """Within the block, every forward and backward of every leaf layer of the model becomes a step of the trace that this yields.

    Raises InputError for a fused model: its layers do not run.
    """
    if type(model).__name__ == "Fused":
        raise InputError("trace: this model is fused, its layers do not run: trace the model that was fused")
    recorder = Recorder()
    with around(model, forward=recorder.forward, backward=recorder.backward):
        yield recorder


def _named(value: Any, name: str, pair: tuple[str, str] | None) -> dict[str, Array]:
    """An array under its name, or the arrays of a pair under theirs."""
    if isinstance(value, tuple):
        return dict(zip(pair or [f"{name}{i}" for i in range(len(value))], value, strict=True))
    return {name: value}


def _cache(cache: Any) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the other settings of a named cache. (Of a Form there is nothing to keep but its shape.)"""
    if isinstance(cache, Form):
        return {}, {"x_shape": list(cache.shape)}
    named = cache._asdict() if hasattr(cache, "_asdict") else {"cache": cache}
    arrays = {name: value for name, value in named.items() if hasattr(value, "dtype") and hasattr(value, "ndim")}
    settings = {name: _plain(value) for name, value in named.items() if name not in arrays}
    forms = {f"{name}_shape": list(value.shape) for name, value in named.items() if isinstance(value, Form)}
    return arrays, {name: value for name, value in settings.items() if value is not None} | forms


def _plain(value: Any) -> Any:
    """A setting as JSON knows it, or None."""
    if isinstance(value, bool | int | float | str):
        return value
    return list(value) if type(value) is tuple and all(isinstance(v, int | float) for v in value) else None


def _own_gradients(layer: Layer, run: Callable[[], Any]) -> tuple[Any, dict[str, Array]]:
    """What a backward pass returns, and what it alone adds to each parameter's gradient.

    The pass adds into zeros, and then the sum goes on as it would have; a gradient that the layer replaces, wrongly, stays replaced.
    """
    params = layer.params()
    before = {name: param.grad for name, param in params.items()}
    own = {name: array_module(param.grad).zeros_like(param.grad) for name, param in params.items()}
    for name, param in params.items():
        param.grad = own[name]
    try:
        dx = run()
    finally:
        for name, param in params.items():
            if param.grad is own[name]:
                param.grad = before[name]
                param.grad += own[name]
            else:
                own[name] = param.grad
    return dx, {f"d{name}": grad for name, grad in own.items()}
