"""The one door between the readable functions and the fast ones.

A readable function is marked `@accelerated`; a backend supplies a function of the same name and signature with
`@replaces("cpu")`. A call goes to the replacement when one is registered for the array's type, else to the readable body,
which stays callable as `f.reference`. `use("reference")` switches the replacements off in a `with` block.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np

from .arrays import array_module

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

BACKENDS = {"cpu": "numpy", "cuda": "cupy"}  # backend: the module whose arrays it works on

_replacements: dict[tuple[str, str], Callable[..., Any]] = {}
_chosen: contextvars.ContextVar[str | None] = contextvars.ContextVar("tinyresnet_backend", default=None)


class Accelerated(Generic[P, R]):
    """A readable function that a backend may replace. `reference` is the readable body itself."""

    def __init__(self, reference: Callable[P, R]) -> None:
        self.reference = reference
        functools.update_wrapper(self, reference)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The replacement's or the readable body's result."""
        if _replacements and (fast := self._replacement(args[0])):
            return cast(R, fast(*args, **kwargs))
        return self.reference(*args, **kwargs)

    def _replacement(self, x: Any) -> Callable[..., Any] | None:
        backend = "cpu" if array_module(x) is np else "cuda"
        if _chosen.get() not in (None, backend):
            return None
        return _replacements.get((backend, self.reference.__name__))


def accelerated(reference: Callable[P, R]) -> Accelerated[P, R]:
    """Mark a readable function, whose first argument is an array, as one that a backend may replace."""
    return Accelerated(reference)


def replaces(backend: str, target: Accelerated[..., Any]) -> Callable[[F], F]:
    """Register the decorated function as `backend`'s form of `target`.

    Raises ValueError if the backend is unknown, or if the name or the signature is not the readable one's: callers must not
    be able to tell the two apart.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}: known are {', '.join(BACKENDS)}")

    def register(function: F) -> F:
        name = target.reference.__name__
        wanted, came = (list(inspect.signature(f).parameters.values()) for f in (target.reference, function))
        if [(p.name, p.kind, p.default) for p in wanted] != [(p.name, p.kind, p.default) for p in came]:
            raise ValueError(f"{backend}'s {name} has the signature {came}: the readable one has {wanted}")
        _replacements[backend, name] = function
        return function

    return register


def available() -> list[str]:
    """The backends that can be chosen with `use`: "reference" always, others once they have registered a function."""
    return ["reference", *(name for name in BACKENDS if any(backend == name for backend, _ in _replacements))]


@contextlib.contextmanager
def use(backend: str) -> Iterator[None]:
    """Within the block, call `backend`'s functions ("reference": the readable ones). Raises ValueError if it is not available."""
    if backend not in available():
        raise ValueError(f"backend {backend!r} is not available here: available are {', '.join(available())}")
    token = _chosen.set(backend)
    try:
        yield
    finally:
        _chosen.reset(token)
