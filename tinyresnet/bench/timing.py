"""Seconds of several functions, taken in turn, so that a busy moment of the machine meets them all alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from statistics import median

from .work import Run

Clock = Callable[[Run, int], float]  # seconds a call of a function that is called so often

PAUSE = 0.02
"""Seconds of sleep before each timed piece. PyTorch's OpenMP threads, and those of some BLAS, spin on for several milliseconds after
their work, in wait for more, and take a core from whoever runs next."""
PIECE = 0.01  # seconds that a timed piece lasts at least: short functions are called several times
LEAST_ROUNDS = 3


def piece(function: Run, calls: int) -> float:
    """Seconds a call. Short functions run once before, so that threads, caches and clock are awake as in the midst of work."""
    time.sleep(PAUSE)
    if calls > 1:
        function()
    began = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - began) / calls


def calls_in_piece(function: Run, clock: Clock = piece) -> int:
    """How many calls make a piece, from one call."""
    return max(1, math.ceil(PIECE / max(clock(function, 1), 1e-7)))


def in_turn(
    functions: Mapping[str, Run], *, repeat: int, seconds: float, clock: Clock = piece
) -> dict[str, list[float]]:
    """Seconds a call of every function, a piece each per round, the order reversed from round to round. Each has run before.

    It ends after `repeat` rounds, or, after three, when `seconds` have passed.
    """
    calls = {name: calls_in_piece(function, clock) for name, function in functions.items()}
    times: dict[str, list[float]] = {name: [] for name in functions}
    names, began = list(functions), time.perf_counter()
    for round_ in range(repeat):
        if round_ >= LEAST_ROUNDS and time.perf_counter() - began > seconds:
            break
        for name in names:
            times[name].append(clock(functions[name], calls[name]))
        names.reverse()
    return times


def median_ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median of the ratios of pairs from the same round: what slows a whole round does not count."""
    return median(n / d for n, d in zip(numerator, denominator, strict=True))
