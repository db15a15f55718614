"""The stand-in for CuPy is no more permissive than CuPy, and counts what a GPU would wait for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import strict_cupy
from cases import draw
from tinyresnet_kernels import fetch, same_kind

REFUSED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "numpy.asarray": lambda xp, x, a: np.asarray(x),
    "device + host": lambda xp, x, a: x + a,
    "host + device": lambda xp, x, a: a + x,
    "host -= device": lambda xp, x, a: a.__isub__(x),
    "device -= host": lambda xp, x, a: x.__isub__(a),
    "device @ host": lambda xp, x, a: x @ a,
    "compare": lambda xp, x, a: x < a,
    "host's where": lambda xp, x, a: np.where(a > 0, x, a),
    "where of host arrays": lambda xp, x, a: xp.where(a > 0, x, x),
    "where with a host arm": lambda xp, x, a: xp.where(x > 0, x, a),
    "exp of a host array": lambda xp, x, a: xp.exp(a),
    "stack": lambda xp, x, a: xp.stack([x, a]),
    "concatenate": lambda xp, x, a: xp.concatenate([x, a]),
    "zero-dimensional host array": lambda xp, x, a: x * np.array(2.0),
    "range": lambda xp, x, a: range(x.sum()),
}
STRICTER: dict[
    str, Callable[[Any, Any, Any], Any]
] = {  # than CuPy, which takes it (and copies) or depends on the version
    "host index": lambda xp, x, a: x[np.array([0, 1])],
    "host mask": lambda xp, x, a: x[a > 0],
    "host array set": lambda xp, x, a: x.__setitem__(..., a),
    "numpy.exp": lambda xp, x, a: np.exp(x),
    "numpy.sum": lambda xp, x, a: np.sum(x),
    "numpy.linalg.norm": lambda xp, x, a: np.linalg.norm(x),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_two_kinds_do_not_mix(what: str, xp: Any) -> None:
    a = draw(1, (3, 3))
    with pytest.raises(TypeError):
        REFUSED[what](xp, xp.asarray(a), a)


@pytest.mark.parametrize("what", STRICTER)
def test_the_stand_in_refuses_what_would_be_slow(what: str, stand_in: Any) -> None:
    a = draw(1, (3, 3))
    with pytest.raises(TypeError):
        STRICTER[what](stand_in, stand_in.asarray(a), a)


def test_the_stand_in_shares_no_memory_with_the_host(stand_in: Any) -> None:
    a = draw(1, (3, 3))
    x = stand_in.asarray(a)
    x += 1
    got = x.get()
    got += 1
    np.testing.assert_array_equal(x.get(), a + 1)
    np.testing.assert_array_equal(a, draw(1, (3, 3)))
    with pytest.raises(AttributeError):
        x.flags.writeable = False
    view = x[1:]
    view += 1
    np.testing.assert_array_equal(x.get()[1:], a[1:] + 2)


def test_results_are_of_the_same_kind(xp: Any) -> None:
    x = xp.asarray(draw(1, (3, 3)).astype(np.float32))
    values = [x.sum(), x.max(), x[0, 0], x.mean(axis=0), -x, x > 0, 2 * x, np.float32(2) * x, x * np.float32(2), x**0.5]
    values += [1 - x, 1 / x, x @ x, x.T, x.real, x.argmax(), (x > 0).any(), xp.allclose(x, x), xp.isfinite(x)]
    assert all(isinstance(value, xp.ndarray) for value in values)
    assert {value.dtype for value in values[6:10]} == {np.dtype(np.float32)}


COUNTED: dict[str, tuple[Callable[[Any], Any], strict_cupy.Counts]] = {
    "float": (lambda x: float(x[0]), strict_cupy.Counts(reads=1)),
    "int": (lambda x: int(x[0]), strict_cupy.Counts(reads=1)),
    "if": (lambda x: bool((x > 0).all()), strict_cupy.Counts(reads=1)),
    "item": (lambda x: x[0].item(), strict_cupy.Counts(reads=1)),
    "mask": (lambda x: x[x > 0], strict_cupy.Counts(reads=1)),
    "get": (lambda x: x.get(), strict_cupy.Counts(to_host=1)),
    "asnumpy": (lambda x: strict_cupy.asnumpy(x), strict_cupy.Counts(to_host=1)),
    "tolist": (lambda x: x.tolist(), strict_cupy.Counts(to_host=1)),
    "asarray": (lambda x: strict_cupy.asarray([1.0]), strict_cupy.Counts(to_device=1)),
    "asarray of its own": (lambda x: strict_cupy.asarray(x), strict_cupy.Counts()),
    "fetch": (lambda x: fetch(x, x[0], x > 0), strict_cupy.Counts(to_host=1)),
    "same kind": (lambda x: same_kind(np.ones(2), x), strict_cupy.Counts(to_device=1)),
    "same kind already": (lambda x: same_kind(x, x), strict_cupy.Counts()),
    "arithmetic": (lambda x: (2 * x + x.sum())[:, None], strict_cupy.Counts()),
}


@pytest.mark.parametrize("what", COUNTED)
def test_the_stand_in_counts(what: str, stand_in: Any) -> None:
    act, wanted = COUNTED[what]
    x = stand_in.asarray(draw(1, (4,)))
    with stand_in.counting() as counts:
        act(x)
    assert counts == wanted


OWN = {"Counts", "Flags", "counting"}  # names of the stand-in that are no names of CuPy's


@pytest.mark.gpu  # likewise
def test_the_stand_in_offers_nothing_that_cupy_lacks() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    for name, value in vars(strict_cupy).items():
        if name.startswith("_") or name in OWN or getattr(value, "__module__", "strict_cupy") != "strict_cupy":
            continue
        if inspect.ismodule(value) or name == "as_strided":
            continue
        assert hasattr(cupy, name), name
        if inspect.isfunction(value) and inspect.isfunction(getattr(cupy, name)):
            theirs = inspect.signature(getattr(cupy, name)).parameters
            assert set(inspect.signature(value).parameters) <= set(theirs), name
    for name in vars(strict_cupy.ndarray):
        assert name in ("__module__", "__dict__", "__weakref__", "_read", "_numbers", "__array_ufunc__", "__annotations__",
                        "__rmatmul__", "__firstlineno__", "__static_attributes__") or hasattr(cupy.ndarray, name), name  # fmt: skip
    assert hasattr(cupy.lib.stride_tricks, "as_strided")
