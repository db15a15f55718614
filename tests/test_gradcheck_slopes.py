"""The measuring: every error bar holds the true slope and is not needlessly wide, kinks are seen, and few calls do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from tinyresnet.gradcheck.slopes import Noise, Slopes, measure
from tinyresnet_kernels import Array

N = 300
RNG = np.random.default_rng(1)
C, D, A, B = RNG.uniform(0.3, 3, N), *RNG.standard_normal((3, N))
FEW = RNG.random(N) < 0.08
AT = 10 ** RNG.uniform(-4, -0.5, N)
COSINE = C * np.cos(D)


def sine(t: float) -> Array:
    return np.sin(C * t + D)


class Known(NamedTuple):
    """A function of t, its slopes at 0, and how exactly half of them, and all of them, are known of their root mean square."""

    f: Callable[[float], Array]
    slope: Array
    usual: float
    worst: float
    calls: int = 17
    left: Array | None = None
    right: Array | None = None


KNOWN = {
    "sine": Known(sine, COSINE, 6e-12, 4e-11),
    "exponential": Known(lambda t: np.exp(C * t + D), C * np.exp(D), 6e-12, 6e-11),
    "cube": Known(lambda t: (C * t + D) ** 3, 3 * C * D**2, 2e-12, 4e-11, 15),
    "square": Known(lambda t: (C * t + D) ** 2, 2 * C * D, 2e-13, 1e-12, 15),
    "straight": Known(lambda t: C * t + D, C, 1e-13, 4e-13, 15),
    "quotient": Known(lambda t: D / (4 + C * t), -C * D / 16, 3e-11, 8e-9),
    "tanh": Known(lambda t: np.tanh(C * t + D), C / np.cosh(D) ** 2, 4e-11, 8e-11),
    "sharp": Known(lambda t: np.tanh(30 * C * t + D), 30 * C / np.cosh(D) ** 2, 3e-8, 5e-6),
    "far from zero": Known(lambda t: 1e6 + sine(t), COSINE, 8e-6, 8e-6, 15),
    "a kink at 0.3": Known(lambda t: sine(t) + np.where(t > 0.3, A * (t - 0.3), 0), COSINE, 8e-12, 2e-11),
    "a kink at -0.03": Known(lambda t: sine(t) + np.where(t < -0.03, A * (t + 0.03), 0), COSINE, 6e-11, 3e-10),
    "a kink at 1e-4": Known(lambda t: sine(t) + np.where(t > 1e-4, A * (t - 1e-4), 0), COSINE, 2e-5, 8e-5, 15),
    "some kinks beside": Known(lambda t: sine(t) + FEW * np.where(t > AT, 5 * (t - AT), 0), COSINE, 8e-12, 1, 15),
    "kinks": Known(
        lambda t: sine(t) + np.where(t > 0, A * t, B * t), COSINE + (A + B) / 2, 8e-12, 3e-11, 17, COSINE + B, COSINE + A
    ),
    "some kinks": Known(
        lambda t: sine(t) + FEW * np.where(t > 0, A * t, 0),
        *(np.where(FEW, COSINE + A / 2, COSINE), 8e-12, 3e-11, 17, COSINE, np.where(FEW, COSINE + A, COSINE)),
    ),
    "curved sides": Known(
        lambda t: np.maximum(np.sin(C * t), np.exp(-C * t) - 1), 0 * C, 3e-4, 1e-3, 17, -C, C
    ),
    "size": Known(lambda t: np.abs(t) * C, 0 * C, 1e-12, 1e-12, 15, -C, C),
}  # fmt: skip


def measured(f: Callable[[float], Array], most: int = 5) -> tuple[Slopes, Noise, list[float]]:
    calls: list[float] = []

    def counted(t: float) -> Array:
        calls.append(t)
        return f(t)

    noise = Noise.measured(counted, [f(0.7), f(-2.0)])
    return measure(counted, f(0.0), noise, most), noise, calls


@pytest.mark.parametrize("name", KNOWN)
def test_the_error_bars_hold_and_are_narrow(name: str) -> None:
    one = KNOWN[name]
    found, _, calls = measured(one.f)
    size = np.sqrt(np.mean(one.slope**2)) or 1
    assert (np.abs(found.value - one.slope) <= found.error).all()
    assert np.median(found.error) <= one.usual * size
    assert found.error.max() <= one.worst * size
    assert len(calls) == one.calls
    if one.left is None or one.right is None:
        assert not found.kinked.any()
        assert found.smooth.all()
    else:
        kinked = one.left != one.right
        assert (found.kinked == kinked).all()
        assert not found.smooth[kinked].any()
        for side, true in ((found.left, one.left), (found.right, one.right)):
            assert (np.abs(side - true) <= found.side_error).all()
        assert np.median(found.side_error) <= 1e-4
        assert found.side_error.max() <= 4e-4


def test_more_steps_make_it_more_exact_until_there_are_enough() -> None:
    errors, calls = zip(
        *((found.error.max(), len(made)) for found, _, made in map(most_steps, range(2, 9))), strict=True
    )
    assert all(
        error < bound for error, bound in zip(errors, (0.3, 2e-4, 3e-9, 8e-11, 8e-11, 8e-11, 8e-11), strict=True)
    )
    assert calls == (11, 13, 15, 17, 19, 19, 19)


def test_where_there_is_no_number_there_is_no_slope() -> None:
    none = np.arange(N) % 3 == 0
    found, noise, _ = measured(lambda t: np.where(none, np.nan, sine(t)))
    assert (found.smooth == ~none).all()
    assert (np.isinf(noise.size) == none).all()
    assert (np.abs(found.value - COSINE) <= found.error)[~none].all()
    assert found.error[~none].max() < 1e-6


def most_steps(most: int) -> tuple[Slopes, Noise, list[float]]:
    return measured(lambda t: np.tanh(C * t + D), most)


@pytest.mark.parametrize("size", [1e-12, 1e-9, 1e-6])
def test_noise_is_measured_as_it_is(size: float) -> None:
    rng = np.random.default_rng(3)
    f = lambda t: sine(t) + size * rng.standard_normal(N)  # noqa: E731
    found, noise, _ = measured(f)
    assert 1.2 * size < np.sqrt(np.mean(noise.size**2)) < 1.6 * size
    assert (noise.size > 1.3 * size * noise.usual).all()  # though the jumps of some are small by chance
    assert found.smooth.all()
    assert (np.abs(found.value - COSINE) <= found.error).mean() > 0.99


def test_rounding_is_no_less_than_it_can_be() -> None:
    unit = np.finfo(float).eps
    lost = Noise.measured(lambda t: np.log(1 + 1e-17 * np.exp(t)) * np.ones(3), [np.array([1, -2, np.nan]), np.ones(2)])
    assert (lost.size == unit * np.array([1, 2, 0])).all()
    assert (lost.usual == [1, 2, 0]).all()
    with np.errstate(invalid="ignore"):
        still = Noise.measured(lambda t: np.array([-3.0, np.inf, np.nan if t > 0 else 1]))
    assert still.size[0] == 6 * unit
    assert np.isinf(still.size[1:]).all()
    single = Noise.measured(lambda t: np.array([np.float32(1) + np.float32(t)], np.float32))
    assert unit * 1e8 < single.size[0] < unit * 1e10
