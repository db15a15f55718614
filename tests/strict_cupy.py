"""A stand-in for CuPy that needs no GPU: this module, put into `sys.modules` as "cupy" by a fixture.

Its arrays hold a NumPy array out of sight, so their numbers are NumPy's to the bit. It refuses whatever CuPy refuses, and some of what
CuPy would let pass because it is slow or depends on the version:
- no implicit way to NumPy (`np.asarray(x)`, `np.exp(x)`, an operation of the two kinds) or from it (`x[...] = numpy_array`, an index);
- no NumPy array where a function wants one of its own; NumPy's and Python's scalars are welcome in arithmetic;
- every result is an array, reductions to one number too; flags cannot be set; no function or argument that CuPy lacks.
It counts what makes a GPU wait: copies to the device, copies to the host, and single numbers that are read (`float(x)`, `if x`, masks).
"""

from __future__ import annotations

import contextlib
import functools
import operator
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

__version__ = "stand-in"
inf, pi, nan = np.inf, np.pi, np.nan
float32, float64, complex128, int32, int64, bool_ = (
    np.float32,
    np.float64,
    np.complex128,
    np.int32,
    np.int64,
    np.bool_,
)


@dataclass
class Counts:
    """Copies to the device and to the host, and synchronising reads of single numbers."""

    to_device: int = 0
    to_host: int = 0
    reads: int = 0


_now = Counts()


@contextlib.contextmanager
def counting() -> Iterator[Counts]:
    """Within the block, and afterwards: the counts since it began (up to its end)."""
    before, seen = replace(_now), Counts()
    try:
        yield seen
    finally:
        for name, value in vars(_now).items():
            setattr(seen, name, value - getattr(before, name))


class Flags(NamedTuple):
    """What CuPy tells of an array's memory; none of it can be set."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


def _host(value: Any) -> Any:
    """What NumPy gets for an operand: the hidden array, or a scalar as it is. Raises TypeError as CuPy does."""
    if isinstance(value, ndarray):
        return value._numbers
    if isinstance(value, bool | int | float | complex | np.generic):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _own(value: Any) -> np.ndarray:
    """The hidden array; no scalar. Raises TypeError."""
    if not isinstance(value, ndarray):
        raise TypeError(f"Unsupported type {type(value)}: an array on the device is wanted")
    return value._numbers


def _on_device(numbers: Any) -> ndarray:
    array = object.__new__(ndarray)
    array._numbers = np.asarray(numbers)
    return array


def _quiet(function: Callable[..., Any], *args: Any, **kwargs: Any) -> ndarray:
    """NumPy's result as an array of this kind; a device never warns."""
    with np.errstate(all="ignore"):
        return _on_device(function(*args, **kwargs))


def _index(index: Any) -> Any:
    """An index as NumPy takes it: whole numbers, slices and arrays of this kind. A mask is a read: its count gives the shape."""
    if isinstance(index, tuple):
        return tuple(_index(part) for part in index)
    if isinstance(index, ndarray):
        return index._numbers
    if index is None or index is Ellipsis or isinstance(index, slice | int | np.integer):
        return index
    raise TypeError(f"Unsupported type {type(index)} as an index")


def _is_mask(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, ndarray) and part.dtype == bool for part in parts)


def _two_way(name: str) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """x + y and y + x for the operator of this name."""
    function = getattr(operator, name)

    def forward(self: ndarray, other: Any) -> Any:
        return _quiet(function, self._numbers, _host(other))

    def backward(self: ndarray, other: Any) -> Any:
        return _quiet(function, _host(other), self._numbers)

    return forward, backward


def _in_place(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, name)

    def change(self: ndarray, other: Any) -> Any:
        with np.errstate(all="ignore"):
            function(self._numbers, _host(other))
        return self

    return change


class ndarray:  # noqa: N801 (CuPy's name)
    """An array on the pretended device."""

    __array_ufunc__ = None  # so that numpy_array + x comes to __radd__, which refuses, and numpy_scalar * x to __rmul__
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape: Any, dtype: Any = float, memptr: None = None, strides: None = None, order: str = "C"):
        self._numbers = np.full(shape, 77, dtype, order)  # type: ignore[call-overload]

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use `.get()`.")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} of an array on the device: use the array's own module")

    __add__, __radd__ = _two_way("add")
    __sub__, __rsub__ = _two_way("sub")
    __mul__, __rmul__ = _two_way("mul")
    __truediv__, __rtruediv__ = _two_way("truediv")
    __floordiv__, __rfloordiv__ = _two_way("floordiv")
    __mod__, __rmod__ = _two_way("mod")
    __pow__, __rpow__ = _two_way("pow")
    __and__, __rand__ = _two_way("and_")
    __or__, __ror__ = _two_way("or_")
    __lt__, __gt__ = _two_way("lt")[0], _two_way("gt")[0]
    __le__, __ge__ = _two_way("le")[0], _two_way("ge")[0]
    __eq__, __ne__ = _two_way("eq")[0], _two_way("ne")[0]  # type: ignore[assignment]
    __iadd__, __isub__, __imul__, __itruediv__ = (_in_place(name) for name in ("iadd", "isub", "imul", "itruediv"))

    def __matmul__(self, other: Any) -> ndarray:
        return _quiet(operator.matmul, self._numbers, _own(other))

    def __rmatmul__(self, other: Any) -> ndarray:
        return _quiet(operator.matmul, _own(other), self._numbers)

    def __neg__(self) -> ndarray:
        return _on_device(-self._numbers)

    def __invert__(self) -> ndarray:
        return _on_device(~self._numbers)

    def __abs__(self) -> ndarray:
        return _on_device(abs(self._numbers))

    def __getitem__(self, index: Any) -> ndarray:
        _now.reads += _is_mask(index)
        return _on_device(self._numbers[_index(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._numbers[_index(index)] = _host(value)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[ndarray]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"strict_cupy.ndarray(shape={self.shape}, dtype={self.dtype})"

    # What waits for the device.

    def get(self, stream: None = None, order: str = "C", out: None = None, blocking: bool = True) -> np.ndarray:
        _now.to_host += 1
        return np.array(self._numbers, order=order)  # type: ignore[call-overload, no-any-return]

    def _read(self) -> Any:
        _now.reads += 1
        return self._numbers.item()

    def item(self) -> Any:
        return self._read()

    def __bool__(self) -> bool:
        return bool(self._read())

    def __int__(self) -> int:
        return int(self._read())

    def __float__(self) -> float:
        return float(self._read())

    def __complex__(self) -> complex:
        return complex(self._read())

    def tolist(self) -> Any:
        return self.get().tolist()

    # What it is like, which the host knows without asking.

    shape = property(lambda self: self._numbers.shape)
    dtype = property(lambda self: self._numbers.dtype)
    ndim = property(lambda self: self._numbers.ndim)
    size = property(lambda self: self._numbers.size)
    nbytes = property(lambda self: self._numbers.nbytes)
    itemsize = property(lambda self: self._numbers.itemsize)
    strides = property(lambda self: self._numbers.strides)

    @property
    def flags(self) -> Flags:
        flags = self._numbers.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, flags.owndata)

    data = property(lambda self: SimpleNamespace(ptr=self._numbers.ctypes.data))

    T = property(lambda self: _on_device(self._numbers.T))
    real = property(lambda self: _on_device(self._numbers.real))
    imag = property(lambda self: _on_device(self._numbers.imag))

    # CuPy's methods, with CuPy's arguments.

    def sum(self, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> ndarray:
        return _quiet(self._numbers.sum, axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(self, axis: Any = None, dtype: Any = None, out: None = None, keepdims: bool = False) -> ndarray:
        return _quiet(self._numbers.mean, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, axis: Any = None, out: None = None, keepdims: bool = False) -> ndarray:
        return _on_device(self._numbers.max(axis=axis, keepdims=keepdims))

    def min(self, axis: Any = None, out: None = None, keepdims: bool = False) -> ndarray:
        return _on_device(self._numbers.min(axis=axis, keepdims=keepdims))

    def argmax(self, axis: Any = None, out: None = None, dtype: Any = None, keepdims: bool = False) -> ndarray:
        return _on_device(self._numbers.argmax(axis=axis, keepdims=keepdims))

    def any(self, axis: Any = None, out: None = None, keepdims: bool = False) -> ndarray:
        return _on_device(self._numbers.any(axis=axis, keepdims=keepdims))

    def all(self, axis: Any = None, out: None = None, keepdims: bool = False) -> ndarray:
        return _on_device(self._numbers.all(axis=axis, keepdims=keepdims))

    def astype(
        self, dtype: Any, order: Any = "K", casting: None = None, subok: None = None, copy: bool = True
    ) -> ndarray:
        return _quiet(self._numbers.astype, dtype, order=order, copy=copy)

    def copy(self, order: Any = "C") -> ndarray:
        return _on_device(self._numbers.copy(order))

    def ravel(self, order: Any = "C") -> ndarray:
        return _on_device(self._numbers.ravel(order))

    def reshape(self, *shape: Any, order: Any = "C") -> ndarray:
        return _on_device(self._numbers.reshape(*shape, order=order))

    def transpose(self, *axes: Any) -> ndarray:
        return _on_device(self._numbers.transpose(*axes))

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        return _on_device(self._numbers.swapaxes(axis1, axis2))

    def fill(self, value: Any) -> None:
        self._numbers.fill(_host(value))


# The part of the namespace that the library uses, with CuPy's arguments.


def asarray(a: Any, dtype: Any = None, order: Any = None) -> ndarray:
    """a itself if it is of this kind and fits; else a copy, from the host to the device or on it."""
    if isinstance(a, ndarray):
        numbers = np.asarray(a._numbers, dtype, order)
        return a if numbers is a._numbers else _on_device(numbers)
    _now.to_device += 1
    return _on_device(np.array(a, dtype, order=order or "K"))


def asnumpy(a: Any, stream: None = None, order: Any = "C", out: None = None, *, blocking: bool = True) -> Any:
    return a.get(order=order) if isinstance(a, ndarray) else np.asarray(a, order=order)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    return asarray(a, dtype, "C")


def empty(shape: Any, dtype: Any = float, order: Any = "C") -> ndarray:
    """Filled with a number that a test would notice."""
    return ndarray(shape, dtype, order=order)


def zeros(shape: Any, dtype: Any = float, order: Any = "C") -> ndarray:
    return _on_device(np.zeros(shape, dtype, order))


def ones(shape: Any, dtype: Any = float, order: Any = "C") -> ndarray:
    return _on_device(np.ones(shape, dtype, order))


def zeros_like(a: Any, dtype: Any = None) -> ndarray:
    return _on_device(np.zeros_like(_own(a), dtype))


def ones_like(a: Any, dtype: Any = None) -> ndarray:
    return _on_device(np.ones_like(_own(a), dtype))


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> ndarray:
    return _on_device(np.arange(start, dtype=dtype) if stop is None else np.arange(start, stop, step, dtype))


def where(condition: Any, x: Any, y: Any) -> ndarray:
    """Only the form of three: that of one is a read."""
    return _on_device(np.where(_own(condition), _host(x), _host(y)))


def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    np.copyto(_own(dst), _host(src), casting, where=True if where is None else _own(where))  # type: ignore[call-overload]


def clip(a: Any, a_min: Any, a_max: Any) -> ndarray:
    return _on_device(np.clip(_own(a), a_min, a_max))


def take_along_axis(a: Any, indices: Any, axis: int) -> ndarray:
    return _on_device(np.take_along_axis(_own(a), _own(indices), axis))


def pad(array: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> ndarray:
    return _on_device(np.pad(_own(array), pad_width, mode, **kwargs))  # type: ignore[call-overload]


def broadcast_to(array: Any, shape: Any) -> ndarray:
    return _on_device(np.broadcast_to(_own(array), shape))


def stack(tup: Any, axis: int = 0) -> ndarray:
    return _on_device(np.stack([_own(array) for array in tup], axis))


def concatenate(tup: Any, axis: int = 0) -> ndarray:
    return _on_device(np.concatenate([_own(array) for array in tup], axis))


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> ndarray:
    return _on_device(np.allclose(_own(a), _host(b), rtol, atol, equal_nan))


def isfinite(x: Any) -> ndarray:
    return _on_device(np.isfinite(_own(x)))


def exp(x: Any, out: Any = None) -> ndarray:
    if out is None:
        return _quiet(np.exp, _own(x))
    np.exp(_own(x), out=_own(out))
    return out  # type: ignore[no-any-return]


def log(x: Any) -> ndarray:
    return _quiet(np.log, _own(x))


def log1p(x: Any) -> ndarray:
    return _quiet(np.log1p, _own(x))


def maximum(x1: Any, x2: Any) -> ndarray:
    return _quiet(np.maximum, _own(x1), _host(x2))


def minimum(x1: Any, x2: Any) -> ndarray:
    return _quiet(np.minimum, _own(x1), _host(x2))


def as_strided(x: Any, shape: Any = None, strides: Any = None) -> ndarray:
    return _on_device(np.lib.stride_tricks.as_strided(_own(x), shape, strides))


# Kernels: run by the runtime that needs no GPU.


class RawKernel:
    """Takes arrays of this kind and NumPy's scalars; as the host's runtime it refuses what CuPy would misread."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        self._kernel(grid, block, [_host(arg) for arg in args], shared_mem=shared_mem)

    max_dynamic_shared_size_bytes = property(
        lambda self: self._kernel.max_dynamic_shared_size_bytes,
        lambda self, size: setattr(self._kernel, "max_dynamic_shared_size_bytes", size),
    )


class RawModule:
    """CUDA C++ that is compiled when a function is asked for."""

    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        from tinyresnet_kernels import host

        self._module = host.RawModule(code=code, options=options)

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self._module.get_function(name))


class Event:
    """A mark in the device's queue, which is never behind."""

    def record(self, stream: None = None) -> None:
        self.seconds = time.perf_counter()

    def synchronize(self) -> None:
        assert self.seconds


class Device:
    """The one device."""

    id = 0
    compute_capability = "90"

    def synchronize(self) -> None:
        """Nothing is left to do."""


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    """Milliseconds."""
    return 1000 * (end_event.seconds - start_event.seconds)


def stand_in_with_kernels(monkeypatch: Any) -> Any:
    """Put this module in CuPy's place, with the CUDA kernels; until the test ends. Needs a C++ compiler."""
    from tinyresnet_kernels import dispatch
    from tinyresnet_kernels.cuda import launch

    dispatch.load("cuda")
    monkeypatch.setitem(sys.modules, "cupy", sys.modules[__name__])
    monkeypatch.setattr(
        launch, "_module", functools.cache(launch._module.__wrapped__)
    )  # forgets whose modules they were
    return sys.modules[__name__]


lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=as_strided))
CARD = {"name": b"stand-in", "multiProcessorCount": 1, "totalGlobalMem": 1 << 30}
cuda = SimpleNamespace(
    runtime=SimpleNamespace(
        getDeviceCount=lambda: 1,
        runtimeGetVersion=lambda: 12000,
        driverGetVersion=lambda: 12000,
        getDeviceProperties=lambda device: CARD,
    ),
    Event=Event,
    Device=Device,
    get_elapsed_time=get_elapsed_time,
)
