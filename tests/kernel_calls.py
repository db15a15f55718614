"""Random arguments for kernels: sizes, values of a kind, and memory layouts. What is drawn for which kernel says `kernel_table.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinyresnet import Array

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda a: a,
    "channels-last": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1) if a.ndim > 2 else a,
    "fortran": np.asfortranarray,
    "backwards": lambda a: np.flip(np.ascontiguousarray(np.flip(a))),
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "inside a larger one": lambda a: np.pad(a, 1)[tuple(slice(1, -1) for _ in a.shape)],
    "read-only": lambda a: _read_only(LAYOUTS["channels-last"](a.copy())),
}
KINDS = ("plain", "wide range", "huge", "tiny", "nan", "infinite")


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


class Draw:
    """Random numbers of one kind and dtype. Of a kind `huge` or `tiny` only the first array is, so that no sum of products overflows."""

    def __init__(
        self, rng: np.random.Generator, dtype: npt.DTypeLike, kind: str = "plain", *, small: bool = False
    ) -> None:
        self.rng, self.dtype, self.kind = rng, np.dtype(dtype), kind
        self.largest, self.work = (8, 20_000) if small else (23, 1_000_000)  # of a picture; multiply-adds
        self.layout = self.one_of(
            "plain", "channels-last", "channels-last", None
        )  # of all arrays; None: of each its own
        self.arrays = 0

    def one_of(self, *values: Any) -> Any:
        """One of these, by chance."""
        return values[self.rng.integers(len(values))]

    def size(self) -> int:
        """A size of a picture: 1, odd, even, prime, at most `largest`."""
        return int(self.one_of(*(n for n in (1, 2, 3, 5, 7, 8, 11, 13, 16, 19, 23) if n <= self.largest)))

    def array(self, *shape: int, special: bool = True) -> Array:
        """An array of the kind, in any memory layout; `special`: it may hold the NaN or infinity of a kind that has them."""
        values = self.rng.standard_normal(shape)
        single = self.dtype == np.float32
        if self.kind == "wide range":
            values *= 10 ** self.rng.uniform(-6, 6, shape)
        elif self.kind == "huge":
            values *= (1e30 if single else 1e300) if self.arrays == 0 else 1e-3
        elif self.kind == "tiny":
            values *= (1e-40 if single else 1e-310) if self.arrays == 0 else 1
        array = values.astype(self.dtype)
        if special and array.size and self.rng.random() < 0.7:
            self.taint(array)
        self.arrays += 1
        return self.laid_out(array)

    def simple(self, *shape: int, special: bool = False) -> Array:
        """An array of multiples of 1/4 from -2 to 2, whose products and sums are exact: whether they are above zero is beyond doubt."""
        array = (self.rng.integers(-8, 9, shape) / 4).astype(self.dtype)
        if special and array.size:
            self.taint(array)
        return self.laid_out(array)

    def taint(self, array: Array) -> None:
        """Put the NaN or infinity in, if the kind has one."""
        if self.kind in ("nan", "infinite"):
            array.flat[self.rng.integers(array.size)] = np.nan if self.kind == "nan" else self.one_of(np.inf, -np.inf)

    def laid_out(self, array: Array) -> Array:
        """The array in this call's memory layout."""
        return LAYOUTS[self.layout or self.one_of(*LAYOUTS)](array)

    def form_only(self, *shape: int) -> Array:
        """An array whose shape, dtype and layout alone may count: all its values are NaN."""
        return self.laid_out(np.full(shape, np.nan, self.dtype))


class Call(NamedTuple):
    """What a function is called with."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = {}  # noqa: RUF012 (never written to)

    def mapped(self, change: Callable[[Array], Array]) -> Call:
        """The same call with every array of floating-point numbers changed, in nested tuples too."""
        return Call(_mapped(self.args, change), {name: _mapped(value, change) for name, value in self.kwargs.items()})

    def __str__(self) -> str:
        return f"({', '.join([*map(_short, self.args), *(f'{k}={_short(v)}' for k, v in self.kwargs.items())])})"


def _mapped(value: Any, change: Callable[[Array], Array]) -> Any:
    if isinstance(value, np.ndarray):
        return change(value) if value.dtype.kind == "f" else value
    if isinstance(value, tuple):
        parts = [_mapped(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def _short(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value) if not isinstance(value, tuple) else f"({', '.join(map(_short, value))})"
    return f"{value.dtype}{list(value.shape)} strides {[s // value.itemsize for s in value.strides]}"


def arrays_of(value: Any) -> list[Array]:
    """All arrays of a result, in nested tuples too; a NumPy number is one."""
    if isinstance(value, tuple):
        return [array for part in value for array in arrays_of(part)]
    return [np.asarray(value)] if isinstance(value, np.ndarray | np.generic) else []
