"""The one door between the readable functions and the fast ones.

A readable function is marked `@accelerated`; a backend supplies a function of the same name and signature with
`@replaces("cpu")`. A call goes to the replacement when there is one for the arrays that came, else to the readable body,
which stays callable as `f.reference`. `use("reference")` switches the replacements off in a `with` block. A backend is a
subpackage of this one, imported when its arrays are first met; where that fails (no Numba, say), the readable bodies serve.
The CUDA kernels are two backends: "cuda" for CuPy's arrays, and "cuda-host", which runs them on the CPU on NumPy's arrays (`host/`);
that one is for tests and lessons, and never chosen by itself.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numpy as np

from .arrays import array_module

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

BACKENDS = {"cpu": "cpu", "cuda": "cuda", "cuda-host": "cuda"}  # backend: the subpackage that supplies its functions

Replacement = tuple[Callable[..., Any], Callable[..., bool] | None]

_readable: dict[str, Callable[..., Any]] = {}
_replacements: dict[tuple[str, str], Replacement] = {}
_loaded: set[str] = set()
_chosen: contextvars.ContextVar[str | None] = contextvars.ContextVar("tinyresnet_backend", default=None)


class Accelerated(Generic[P, R]):
    """A readable function that a backend may replace. `reference` is the readable body itself."""

    def __init__(self, reference: Callable[P, R]) -> None:
        self.reference = reference
        functools.update_wrapper(self, reference)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The replacement's or the readable body's result."""
        if _chosen.get() != "reference" and (fast := self._replacement(*args, **kwargs)):
            return cast(R, fast(*args, **kwargs))
        return self.reference(*args, **kwargs)

    def _replacement(self, *args: Any, **kwargs: Any) -> Callable[..., Any] | None:
        backends = ("cpu", "cuda-host") if array_module(args[0]) is np else ("cuda",)
        backend = _chosen.get() or backends[0]
        if backend not in backends:
            return None
        load(backend)
        function, when = _replacements.get((BACKENDS[backend], self.reference.__name__), (None, None))
        return function if when is None or when(*args, **kwargs) else None


def accelerated(reference: Callable[P, R]) -> Accelerated[P, R]:
    """Mark a readable function, whose first argument is an array, as one that a backend may replace.

    Raises ValueError if a backend's function of this name has another signature.
    """
    _readable[reference.__name__] = reference
    for backend, name in _replacements:
        if name == reference.__name__:
            _compare_signatures(backend, name)
    return Accelerated(reference)


def replaces(backend: str, *, when: Callable[..., bool] | None = None) -> Callable[[F], F]:
    """Register the decorated function as `backend`'s form of the readable one of its name, for calls where `when(*arguments)` is true.

    Raises ValueError if the backend is unknown, or if the signature is not the readable one's: callers must not be able to tell the
    two apart.
    """
    if backend not in BACKENDS.values():
        raise ValueError(f"unknown backend {backend!r}: known are {', '.join(dict.fromkeys(BACKENDS.values()))}")

    def register(function: F) -> F:
        name = function.__name__
        _replacements[backend, name] = (function, when)
        _compare_signatures(backend, name)
        return function

    return register


def _compare_signatures(backend: str, name: str) -> None:
    if name not in _readable:
        return  # not defined yet: compared when it is
    function, _ = _replacements[backend, name]
    wanted, came = (list(inspect.signature(f).parameters.values()) for f in (_readable[name], function))
    if [(p.name, p.kind, p.default) for p in wanted] != [(p.name, p.kind, p.default) for p in came]:
        del _replacements[backend, name]
        raise ValueError(f"{backend}'s {name} has the signature {came}: the readable one has {wanted}")


def load(backend: str) -> None:
    """Import the backend's functions, once. Where a package that it needs is missing, or refuses the NumPy that is here, there are none."""
    if backend not in _loaded:
        _loaded.add(backend)
        with contextlib.suppress(ImportError):
            importlib.import_module(f"{__package__}.{BACKENDS[backend]}")


def available() -> list[str]:
    """The backends that can be chosen with `use`: "reference" always, others where what they need is installed."""
    return ["reference", *filter(_is_available, BACKENDS)]


def _is_available(backend: str) -> bool:
    load(backend)
    if backend == "cuda-host":
        from .host import compiler

        if compiler() is None:
            return False
    if backend == "cuda" and not _has_gpu():
        return False
    return any(BACKENDS[backend] == by for by, _ in _replacements)


def _has_gpu() -> bool:
    try:
        return bool(importlib.import_module("cupy").cuda.runtime.getDeviceCount() > 0)
    except Exception:  # no CuPy, or one of its own kinds: no driver, one that is too old, no GPU
        return False


@contextlib.contextmanager
def use(backend: str) -> Iterator[None]:
    """Within the block, call `backend`'s functions ("reference": the readable ones). Raises ValueError if it is not available."""
    if backend != "reference" and not (backend in BACKENDS and _is_available(backend)):
        raise ValueError(f"backend {backend!r} is not available here: available are {', '.join(available())}")
    token = _chosen.set(backend)
    try:
        yield
    finally:
        _chosen.reset(token)
