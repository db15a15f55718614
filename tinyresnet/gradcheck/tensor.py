"""One claimed gradient against the slopes of the function, along a few random directions.

With a random upstream r the function is <r, y>; backward claims its gradient g, so along v its slope is <g, v>, whatever the number of
elements. The slope of every output along v is measured on its own, with its own error; r is random and knows nothing of these errors, so
<r, slope> is off by about sqrt(sum of (r error)^2). A gradient is wrong when it differs by more than the errors of both sides explain.

A random r matters: summing the output instead (r = 1) hides every mistake in batch norm's x, whose true gradient is then 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinyresnet_kernels import Array

from .probe import Probe
from .slopes import Noise, Slopes, measure

SIGMAS = 6  # errors of this many standard deviations are believed in
WRONG = 10  # a difference of so many error bars is a mistake: the bars are estimates
ALONE = 3  # outputs with a kink that are looked at one by one, in each direction
LEVELS = 5  # steps; with a far narrower one, and what tells noise and linear functions, that makes 33 forward passes
FINER = 2  # times that a smaller scale is tried
ROUNDED = 32  # times the outputs' own rounding a claim may be off against a complex step's slopes
COMPLEX = 1e-7  # how far a complex step's slopes may differ from those by differences, of the largest
CLEAR = 1e-6  # a slope that is known to this part of the usual one is clear enough
CANCELLED = 1e-4  # a gradient that is smaller than this part of what its terms may have been counts as if it were not
SEEN = 1e-2  # a check that would miss a relative error of this size in an element says nothing


@dataclass(frozen=True)
class Comparison:
    """Along one direction: what backward claims, between what and what the slope lies, and how far off the two may be together."""

    claimed: float
    low: float
    high: float
    bar: float
    size: float  # of the terms that the claim sums: the root of their squares' sum
    method: str
    kinks: int = 0  # of the outputs that take part

    @property
    def away(self) -> float:
        """How far the claim lies outside."""
        return max(self.low - self.claimed, self.claimed - self.high, 0.0)

    @property
    def off(self) -> float:
        """By how many error bars the claim lies outside."""
        if not math.isfinite(self.claimed):
            return math.inf
        return self.away / self.bar if self.bar > 0 else (math.inf if self.away > 0 else 0.0)


@dataclass(frozen=True)
class TensorCheck:
    """What was found of one input's or parameter's gradient."""

    name: str
    shape: tuple[int, ...]
    comparisons: tuple[Comparison, ...]
    limit: (
        float  # an error of this size in one element, relative to the gradient's root mean square, would have been seen
    )
    forwards: int
    point: str = "as given"  # or at which other numbers it was checked

    @property
    def verdict(self) -> str:
        """correct, wrong or inconclusive."""
        if any(c.off > WRONG for c in self.comparisons):
            return "wrong"
        if not self.comparisons or not self.limit < SEEN:
            return "inconclusive"
        return "correct"

    @property
    def on_kinks(self) -> bool:
        """Whether there is nothing against it, but most outputs stand on kinks, so that little can be said for it."""
        kinks = any(c.method == "one-sided" for c in self.comparisons)
        return self.verdict == "inconclusive" and kinks and math.isinf(self.limit)

    @property
    def worst(self) -> Comparison:
        """The comparison that differs most."""
        return max(self.comparisons, key=lambda c: c.off)


def check_tensor(
    probe: Probe,
    rng: np.random.Generator,
    *,
    levels: int = LEVELS,
    noise: Noise | None = None,
    positive: bool = True,
    straight: bool = True,
    patient: bool = True,
) -> TensorCheck:
    """Compare along a positive direction, if wanted, and along a normal one.

    Along the positive one no element counts less than half, so that the detection limit holds for each; and all that a maximum chooses
    between grows: a gradient that goes to several winners is then too large.
    `noise`, where it is known already, saves measuring it; so does not `straight`: not to try whether the function is linear.
    `patient`: look again more closely where most outputs seem to stand on kinks; an input may do so exactly, and then that is in vain.
    """
    name = probe.name
    if probe.point.size == 0 or probe.here.size == 0:
        return TensorCheck(name, probe.point.shape, (), 0.0, 0)

    def directions() -> tuple[list[Comparison], float]:
        known, found, limits = noise or probe.noise(rng), [], []
        draws = [rng.uniform(0.5, 1.5, probe.point.shape)] if positive else []
        linear = straight
        for v in [*draws, rng.standard_normal(probe.point.shape)]:
            comparisons, limit = compare(probe, v, known, levels, rng, straight=linear)
            linear = linear and comparisons[:1] != [] and comparisons[0].method == "adjoint"
            found += comparisons
            limits.append(limit)
        # along a normal direction an element may count little: less than a twentieth of what it does on average in 4 % of the cases
        return found, min([*limits[: len(draws)], 20 * limits[-1]])

    with np.errstate(all="ignore"):
        comparisons, limit = directions()
        for _ in range(FINER):
            kinked = any(2 * c.kinks > probe.here.size for c in comparisons)
            if (kinked and not patient) or limit < SEEN or any(c.off > WRONG for c in comparisons):
                break
            probe.scale /= 64  # the function bends more sharply than its input's size would tell
            comparisons, limit = min((comparisons, limit), directions(), key=lambda found: found[1])
    return TensorCheck(name, probe.point.shape, tuple(comparisons), limit, probe.forwards)


def compare(
    probe: Probe, v: Array, noise: Noise, levels: int, rng: np.random.Generator, *, straight: bool = True
) -> tuple[list[Comparison], float]:
    """Along v: all smooth outputs together; all kinked ones together, and a few of these alone. And the detection limit.

    `straight`: it is tried whether the function is linear, and whether a complex step gives its slopes more exactly.
    """
    slopes, method = _slopes(probe.along(v), probe.here, noise, levels, straight)
    smooth = slopes.smooth & ~_vague(slopes)
    r = rng.standard_normal(len(probe.here))
    found, limit = [], math.inf
    if smooth.any():
        upstream = np.where(smooth, r, 0)
        g, rounding = _claimed(probe, upstream, v)
        value, error = slopes.value, slopes.error
        if straight and method == "differences" and (exact := probe.complex_slopes(v)) is not None:
            size = float(np.abs(value[smooth]).max())
            if (np.abs(exact - value)[smooth] <= 4 * error[smooth] + COMPLEX * size).all():
                method, value, error = "complex step", exact, ROUNDED * noise.size
        best = _compared(g, rounding, v, upstream, value, value, error, method)
        found.append(best)
        if 2 * smooth.sum() >= len(smooth):  # of fewer outputs it would say little
            usual = float(np.linalg.norm(upstream * noise.usual))
            size = max(float(np.linalg.norm(g)), CANCELLED * usual) / math.sqrt(g.size)
            limit = 2 * WRONG * best.bar / size if size > 0 else 0.0
    rest = np.flatnonzero(~smooth)
    if rest.size:
        low, high, error = _sides(slopes)
        jumps = rest[np.argsort((low - high)[rest])]
        alone = [np.array([i]) for i in jumps[:ALONE] if rest.size > 1 and slopes.kinked[i]]
        for group in [rest, *alone]:
            upstream = np.zeros_like(r)
            upstream[group] = r[group]
            g, rounding = _claimed(probe, upstream, v)
            kinks = int(slopes.kinked[group].sum())
            one = _compared(g, rounding, v, upstream, low, high, error, "one-sided", kinks)
            found += [one] if all(map(math.isfinite, (one.low, one.high, one.bar))) else []
    return found, limit


def _compared(
    g: Array,
    rounding: float,
    v: Array,
    upstream: Array,
    low: Array,
    high: Array,
    error: Array,
    method: str,
    kinks: int = 0,
) -> Comparison:
    """The claim <g, v> with the slopes of the outputs that have an upstream, which lie between `low` and `high`, give or take `error`."""
    terms, part = (g * v).ravel(), np.flatnonzero(upstream)
    r = upstream[part]
    ends = r * low[part], r * high[part]
    bar = SIGMAS * float(np.linalg.norm(r * error[part])) + rounding
    bounds = math.fsum(np.minimum(*ends)), math.fsum(np.maximum(*ends))
    return Comparison(math.fsum(terms), *bounds, bar, float(np.linalg.norm(terms)), method, kinks)


def _slopes(f: Callable[[float], Array], here: Array, noise: Noise, levels: int, straight: bool) -> tuple[Slopes, str]:
    """The slopes: by one full step where the function is linear, which is tried if `straight`; else by differences."""
    if straight:
        ahead, behind, far = f(1.0), f(-1.0), f(2.0)
        unit = float(np.finfo(here.dtype).eps)
        rounding = 8 * noise.size + 8 * unit * (np.abs(ahead) + np.abs(behind) + np.abs(far))
        bends = np.maximum(np.abs(ahead + behind - 2 * here), np.abs(far - 2 * ahead + here))
        if (bends <= rounding).all():
            nothing = np.zeros_like(here)
            slope = (ahead - behind) / 2
            return Slopes(slope, rounding / 4, nothing.astype(bool), slope, slope, nothing), "adjoint"
    return measure(f, here, noise, levels), "differences"


def _vague(slopes: Slopes) -> Array:
    """The few outputs whose slope is known far less well than that of the others: a kink is nearer than the smallest step."""
    known = slopes.smooth
    if not known.any():
        return ~known
    size = float(np.sqrt(np.mean(slopes.value[known] ** 2)))
    vague: Array = slopes.error > max(CLEAR * size, 30 * float(np.median(slopes.error[known])))
    return vague


def _sides(slopes: Slopes) -> tuple[Array, Array, Array]:
    """Between what and what each output's slope may lie, on either side of its kink, and how far off these may be."""
    kinked = slopes.kinked
    low = np.where(kinked, np.minimum(slopes.left, slopes.right), slopes.value)
    high = np.where(kinked, np.maximum(slopes.left, slopes.right), slopes.value)
    return low, high, np.where(kinked, slopes.side_error, slopes.error)


def _claimed(probe: Probe, upstream: Array, v: Array) -> tuple[Array, float]:
    """The claimed gradient, and how far rounding may put its slope along v off.

    A third of the upstream gives a third of the gradient, but rounds otherwise.
    """
    g = probe.claim(upstream)
    rounding = np.abs(g - 3 * probe.claim(upstream / 3))
    unit = float(np.finfo(probe.here.dtype).eps)
    off = SIGMAS * float(np.linalg.norm(rounding * v)) + 4 * unit * float(np.linalg.norm(g * v))
    return g, off
