"""Comparing a kernel with its readable form, call by call; used by tests and by their child processes."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

import tinyresnet.units  # noqa: F401 (the readable functions are known once their modules are imported)
from device_arrays import carried, fetched
from kernel_calls import Call, Draw, arrays_of
from kernel_table import KERNELS
from tinyresnet import Array
from tinyresnet_kernels import dispatch, is_channels_last, use

dispatch.load("cpu")
from tinyresnet_kernels.cpu import conv, plan, threads  # noqa: E402 (only where there is Numba)


def replaced(backend: str = "cpu") -> list[str]:
    """Names of all functions that a backend's kernels replace."""
    dispatch.load(backend)
    return sorted(name for by, name in dispatch._replacements if by == dispatch.BACKENDS[backend])


def cpu_modules() -> list[ModuleType]:
    """All modules of the CPU kernels."""
    package = importlib.import_module("tinyresnet_kernels.cpu")
    names = [module.name for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    return [importlib.import_module(name) for name in names]


@contextlib.contextmanager
def scratch_of(size: int) -> Iterator[None]:
    """Within the block, kernels have scratch of `size` bytes: then small pictures are cut into bands too; and little work is enough."""
    before = plan.SCRATCH_BYTES, conv.ENOUGH_TILES, threads.WORTH_A_THREAD
    plan.SCRATCH_BYTES, conv.ENOUGH_TILES, threads.WORTH_A_THREAD = size, 1, 0
    plan.make_plan.cache_clear()  # plans that were made for another size
    try:
        yield
    finally:
        plan.SCRATCH_BYTES, conv.ENOUGH_TILES, threads.WORTH_A_THREAD = before
        plan.make_plan.cache_clear()


def is_replaced(name: str, call: Call, backend: str = "cpu") -> bool:
    """Whether the call goes to a kernel."""
    _, when = dispatch._replacements[dispatch.BACKENDS[backend], name]
    return when is None or bool(when(*call.args, **call.kwargs))


def results(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself; of one that works in place, what it makes of copies of the arguments that it changes."""
    places = KERNELS[name].in_place
    if not places:
        return function

    def changed(*args: Any, **kwargs: Any) -> Any:
        given = [arg.copy(order="K") if i in places else arg for i, arg in enumerate(args)]
        assert function(*given, **kwargs) is None
        return tuple(given[i] for i in places)

    return changed


def run(name: str, call: Call, backend: str = "cpu") -> Any:
    """The kernel's result, through the door that layers use; of "cuda" carried to CuPy's arrays and back."""
    function = results(name, dispatch.Accelerated(dispatch._readable[name]))
    with use(backend), np.errstate(all="ignore"):  # both forms meet infinities in NumPy
        if backend != "cuda":
            return function(*call.args, **call.kwargs)
        args = carried(call.args, sys.modules["cupy"])
        got = fetched(function(*args, **call.kwargs))
    for array, copy in zip(arrays_of(fetched(args)), arrays_of(call.args), strict=True):
        np.testing.assert_array_equal(array, copy, "an input was written to")
    return got


def compare(name: str, call: Call, backend: str = "cpu") -> float:
    """Assert that the kernel gives what the readable form gives; returns the largest error as a part of what is allowed.

    float32 is compared with the readable form in float64. Where inputs are NaN or infinite, the outputs must be so in the same
    places; nothing that came in may be written to.
    """
    reference, dtype = results(name, dispatch._readable[name]), np.dtype(call.args[0].dtype)
    before = call.mapped(np.copy)
    got = arrays_of(run(name, call, backend))
    for array, copy in zip(_floats(call), _floats(before), strict=True):
        np.testing.assert_array_equal(array, copy, "an input was written to")
    with np.errstate(all="ignore"):
        plain = arrays_of(reference(*call.args, **call.kwargs))
        exact_call = call.mapped(lambda a: a.astype(np.float64))
        wanted = arrays_of(reference(*exact_call.args, **exact_call.kwargs))
        bounds = KERNELS[name].bound(reference, call, np.finfo(dtype))
    worst = 0.0
    for array, like, true, bound in zip(got, plain, wanted, bounds, strict=True):
        form, wanted_form = ((a.dtype, a.shape, bool(a.flags.c_contiguous), is_channels_last(a)) for a in (array, like))
        memory = (
            KERNELS[name].memory if array.dtype.kind == "f" else "any"
        )  # a mask's layout is the kernels' own affair
        both = (
            array.ndim == 4 and form[2] and 1 in (array.shape[1], array.shape[2] * array.shape[3])
        )  # one channel, or one pixel
        free = memory == "any" or (memory == "channels-last" and (form[3] or both))
        assert form == wanted_form or (free and form[:2] == wanted_form[:2]), (
            f"dtype, shape, contiguous, channels-last are {form}: {wanted_form} is wanted"
        )
        special = ~np.isfinite(true)
        np.testing.assert_array_equal(array[special], true[special], "NaN or infinity")
        allowed = bound * (1 if dtype == np.float32 else 2)  # in float64 the readable form rounds too
        error, allowed = np.abs(array.astype(np.float64)[~special] - true[~special]), allowed[~special]
        wrong = ~(error <= allowed)
        assert not wrong.any(), (
            f"{wrong.sum()} of {wrong.size} numbers: error {error[wrong].max()}, allowed {allowed[wrong].max()}"
        )
        worst = max(worst, (error / np.where(allowed == 0, 1, allowed)).max(initial=0.0))
    return worst


def _floats(call: Call) -> list[Array]:
    return [array for array in arrays_of((call.args, tuple(call.kwargs.values()))) if array.dtype.kind == "f"]


def random_call(name: str, dtype: Any, kind: str, seed: int, *, small: bool = False) -> Call:
    """The call of this seed."""
    return KERNELS[name].call(Draw(np.random.default_rng(seed), dtype, kind, small=small))
