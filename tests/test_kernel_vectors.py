"""Every vector primitive does what its NumPy twin does, bit for bit; the one that rounds only once, as exactly as can be."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="there are no vectors without Numba")

from tinyresnet import Array  # noqa: E402
from tinyresnet_kernels.cpu import host, twins, vector  # noqa: E402

RED = 7.0  # what lies in the output before, and must lie there still where nothing was to be written


def programs(v: Any) -> dict[str, Callable[..., None]]:
    """A program for each primitive, with the primitives of `v`: it writes to out, from a, b and c, at place i and with n lanes."""

    def load(a, b, c, i, n, out):
        v.store(out, 3, v.load(a, i))

    def store(a, b, c, i, n, out):
        v.store(out, i, v.load(a, 0))

    def load_first(a, b, c, i, n, out):
        v.store(out, 3, v.load_first(a, i, n))

    def store_first(a, b, c, i, n, out):
        v.store_first(out, i, v.load(a, 0), n)

    def spread(a, b, c, i, n, out):
        v.store(out, 3, v.spread(a, i))

    def zero(a, b, c, i, n, out):
        v.store(out, 3, v.zero(a))

    def multiply_add(a, b, c, i, n, out):
        v.store(out, 3, v.multiply_add(v.load(a, i), v.load(b, i), v.load(c, i)))

    def add(a, b, c, i, n, out):
        v.store(out, 3, v.add(v.load(a, i), v.load(b, i)))

    def subtract(a, b, c, i, n, out):
        v.store(out, 3, v.subtract(v.load(a, i), v.load(b, i)))

    def multiply(a, b, c, i, n, out):
        v.store(out, 3, v.multiply(v.load(a, i), v.load(b, i)))

    def where_positive(a, b, c, i, n, out):
        v.store(out, 3, v.where_positive(v.load(a, i), v.load(b, i)))

    def store_positive(a, b, c, i, n, out):
        mask = np.zeros(len(out), np.bool_)
        v.store_positive(mask, i, v.load(a, i))
        for k in range(len(out)):
            out[k] = mask[k]

    def where_mask(a, b, c, i, n, out):
        v.store(out, 3, v.where_mask(b > 0, i, v.load(a, i)))

    return {name: program for name, program in locals().items() if callable(program)}


COMPILED = {name: numba.njit(program) for name, program in programs(vector).items()}
PLAIN = programs(twins)


def test_every_primitive_has_a_twin_and_is_tested() -> None:
    primitives = {name for name, value in vars(vector).items() if type(value) is type(vector.load)}
    twin = {name for name, f in inspect.getmembers(twins, inspect.isfunction) if f.__module__ == twins.__name__}
    assert primitives == twin == set(COMPILED)


def numbers(rng: np.random.Generator, dtype: Any, size: int) -> Array:
    """Numbers of all magnitudes, among them NaN, infinities, zeros of both signs, the smallest and the largest."""
    info = np.finfo(dtype)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, info.smallest_subnormal, -info.tiny, info.max, 1.0, -1.0]
    values = (rng.standard_normal(size) * 10 ** rng.uniform(-9, 9, size)).astype(dtype)
    places = rng.random(size) < 0.4
    values[places] = rng.choice(np.array(special, dtype), places.sum())
    return values


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # NumPy's, at infinities
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", COMPILED)
def test_a_primitive_does_what_its_twin_does(name: str, dtype: Any, rng: np.random.Generator) -> None:
    lanes = host.lanes(np.dtype(dtype).itemsize)
    assert vector.lanes(np.dtype(dtype).itemsize) == lanes
    for _ in range(200):
        a, b, c = (numbers(rng, dtype, lanes + 5) for _ in range(3))
        i, n = int(rng.integers(0, 6)), int(rng.integers(0, lanes + 1))
        got, wanted = (np.full(lanes + 8, RED, dtype) for _ in range(2))
        COMPILED[name](a, b, c, i, n, got)
        PLAIN[name](a, b, c, i, n, wanted)
        if name == "multiply_add":
            check_fused(*(array[i : i + lanes] for array in (a, b, c)), got[3:-5], wanted[3:-5])
            got[3:-5] = wanted[3:-5]
        np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(wanted[wanted == 0]))


def check_fused(x: Array, y: Array, z: Array, got: Array, wanted: Array) -> None:
    """Rounded once: each number is a nearest one to the exact result, in fractions; where an input is not finite, it is the twin's."""
    info = np.finfo(got.dtype)
    for i in range(len(got)):
        if not np.isfinite([x[i], y[i], z[i]]).all():
            only_z = np.isfinite([x[i], y[i]]).all()  # the twin's product may overflow against it
            np.testing.assert_array_equal(got[i], z[i] if only_z else wanted[i])
            continue
        exact = Fraction(float(x[i])) * Fraction(float(y[i])) + Fraction(float(z[i]))
        if np.isfinite(got[i]):
            step = np.spacing(min(abs(got[i]), np.nextafter(info.max, 0)))  # beyond the largest number there is no step
            assert abs(Fraction(float(got[i])) - exact) <= Fraction(float(step)) / 2
        else:
            assert abs(exact) > Fraction(float(info.max))


def test_an_array_with_strides_is_refused() -> None:
    """Vectors are read from memory as it lies: an array that skips some of it would be misread without a word."""
    out = np.zeros(100)
    with pytest.raises(numba.errors.TypingError, match="a contiguous array is wanted"):
        COMPILED["load"](np.zeros(200)[::2], out, out, 0, 0, out)
