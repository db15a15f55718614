"""How fast every output changes along a direction, measured by finite differences, and how far off that may be.

For steps h, h/8, h/64 ... the central difference (y(h) - y(-h)) / 2h has an error of even powers of h, which Richardson's table
removes one by one. The best line and column are those whose neighbours in the table and whose round-off differ least, for nearly all
outputs: chosen for each output by itself, it would too often be the one that differs little by chance. Only an output that stands out
there, because it has a kink within that step, has a narrower step of its own. So no step and no tolerance is asked of anybody.

The second difference tells whether an output has a kink (of a ReLU, a maximum) where we stand: of a smooth one it vanishes with h, of
a kinked one it stays, and then both one-sided slopes are measured.

Ridders 1982, "Accurate computation of F'(x) and F'(x) F''(x)"; Richardson & Gaunt 1927; the noise as in More & Wild 2011,
"Estimating computational noise", from differences over steps that are far too small to change anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinyresnet_kernels import Array

WIDEST = 1 / 8  # the first step, in units of the direction
RATIO = 8  # from one step to the next
FEWEST = 4  # steps
COLUMNS = 4  # of Richardson's table
NARROW = 5  # steps further on it is looked whether all of that holds there too
CLOSER = 1e-6  # how far such a slope may be off for the bending of the function
SLIGHT = 1e-7  # a difference of both sides, relative to them, that is no kink
SMALL = 1e-6  # a step over which rounding is seen
MANY, NEARLY_ALL = 0.75, 0.9  # parts of all outputs
STANDS_OUT = 30  # times the error of nearly all
GAIN = 0.8  # another step must reduce the error by this much, or there are enough


@dataclass(frozen=True)
class Noise:
    """How far rounding makes each output jump about (n,), and how large each is at other points."""

    size: Array
    usual: Array

    @classmethod
    def measured(cls, f: Callable[[float], Array], others: Sequence[Array] = ()) -> Noise:
        """From steps that are too small to change much else, and from the outputs at other points.

        What is left of a step of three and three steps of one, there and back, is neither slope nor bend nor kink: it is rounding. But a
        value that was lost in a larger one (log(1 + 1e-17)) stands still over all small steps: so no output is believed to be more
        exact than it could be where inputs of this size usually bring it. Nor more exact, for its size, than three of four are: a jump
        may be small by chance.
        """
        here = f(0.0)
        unit = float(np.finfo(here.dtype).eps)
        small = max(SMALL, 64 * unit)
        ahead, behind, far_ahead, far_behind = (f(factor * small) for factor in (1, -1, 3, -3))
        jumps = np.abs(far_ahead - far_behind - 3 * (ahead - behind)) / 4
        usual = np.abs(here)
        for y in others:
            usual = np.fmax(usual, np.abs(y)) if y.shape == here.shape else usual
        shares = jumps[usual > 0] / usual[usual > 0]
        share = float(np.quantile(shares[np.isfinite(shares)], MANY)) if np.isfinite(shares).any() else 0.0
        size = np.maximum(2 * unit * np.abs(here), np.maximum(jumps, max(unit, share) * usual))
        return cls(np.where(np.isfinite(size), size, np.inf), usual)


@dataclass(frozen=True)
class Slopes:
    """Of each output (n,): its slope, what that may be off, and where there is a kink, the slopes to its left and right."""

    value: Array
    error: Array
    kinked: Array
    left: Array
    right: Array
    side_error: Array

    @property
    def smooth(self) -> Array:
        """Which outputs have a slope that could be measured."""
        return ~self.kinked & np.isfinite(self.error)


def measure(f: Callable[[float], Array], here: Array, noise: Noise, most: int) -> Slopes:
    """Slopes of f(t) (n,) at t = 0, where it is `here`, from two calls for each of at most so many steps."""
    table = _Table(here, noise.size)
    with np.errstate(all="ignore"):
        for level in range(most):
            before = table.total
            table.add(f, WIDEST / RATIO**level)
            if level + 1 >= FEWEST and table.total > GAIN * before:
                break
        table.look_closer(f, WIDEST / RATIO**NARROW)
    return table.slopes()


class _Best:
    """Of each output the value (n,) that is known best so far; where a narrower step contradicts, that one is right."""

    def __init__(self, n: int) -> None:
        self.value, self.error = np.zeros(n), np.full(n, np.inf)

    def offer(self, value: Array, error: Array) -> Array:
        """Take the value of a narrower step where it is known better, or where the two contradict; where it was taken."""
        contradicts = np.abs(value - self.value) > 2 * (error + self.error)
        taken: Array = (error < self.error) | contradicts  # False where it is NaN
        self.value[taken], self.error[taken] = value[taken], error[taken]
        return taken


def _of_nearly_all(entry: tuple[Array, Array], but: Array | None = None) -> float:
    """The error below which nearly all outputs lie; that of some counts as infinite."""
    error = entry[1] if but is None else np.where(but, np.inf, entry[1])
    return float(np.quantile(error, NEARLY_ALL, method="lower"))


class _Table:
    """Richardson's table, a line at a time; the best entry of each output so far."""

    def __init__(self, here: Array, noise: Array) -> None:
        self.here, self.noise, n = here, noise, len(here)
        self.h = 1.0  # the last line's step
        self.line: list[Array] = []
        self.sides: tuple[Array, Array] | None = None
        self.jump: Array | None = None
        self.entries: list[tuple[Array, Array]] = []  # of each line the best column for nearly all, and its errors
        self.left, self.right, self.bend = (_Best(n) for _ in range(3))
        self.slope = _Best(n)
        self.bend_least = np.full(n, np.inf)  # a bend below this may be none

    @property
    def total(self) -> float:
        """The size of all errors."""
        known = self.slope.error[np.isfinite(self.slope.error)]
        return float(np.sqrt((known**2).sum())) if known.size else np.inf

    def add(self, f: Callable[[float], Array], h: float) -> None:
        """The line of step h."""
        up, down = f(h), f(-h)
        self.h = h
        right, left = (up - self.here) / h, (self.here - down) / h
        rounding = self.noise / h
        line = [(right + left) / 2]
        for j in range(min(len(self.line), COLUMNS - 1)):
            line.append(line[j] + (line[j] - self.line[j]) / (RATIO ** (2 * j + 2) - 1))
        columns = []
        for j in range(1, len(line)):
            off = np.maximum(np.abs(line[j] - line[j - 1]), np.abs(line[j] - self.line[j - 1])) + 2 * rounding
            columns.append((line[j], np.where(np.isnan(off), np.inf, off)))
        if columns:
            self.entries.append(min(columns, key=_of_nearly_all))
            self.slope = self._chosen()
        self._one_sided(left, right, rounding)
        self.line = line

    def _chosen(self) -> _Best:
        """The best line for nearly all; a narrower one for outputs that stand out there."""
        order = sorted(range(len(self.entries)), key=lambda i: _of_nearly_all(self.entries[i]))
        best = next(
            i for i in order if _of_nearly_all(self.entries[i], but=self._contradicted(i)) < np.inf or i == order[-1]
        )
        chosen = _Best(len(self.here))
        chosen.value, chosen.error = (np.array(part) for part in self.entries[best])
        out = self._contradicted(best) | (chosen.error > STANDS_OUT * _of_nearly_all(self.entries[best]))
        if out.any():
            own = _Best(int(out.sum()))
            for value, error in self.entries[best:]:
                own.offer(value[out], error[out])
            chosen.value[out], chosen.error[out] = own.value, own.error
        return chosen

    def _contradicted(self, i: int) -> Array:
        """Where a narrower line says something else: two outputs that cross may look like one straight line to all wide steps."""
        value, error = self.entries[i]
        others = [np.abs(value - v) > 2 * (error + e) for v, e in self.entries[i + 1 :]]
        return np.any(others, axis=0) if others else np.zeros(len(value), bool)

    def look_closer(self, f: Callable[[float], Array], h: float) -> None:
        """Take the slopes over a far narrower step, and on either side, where they contradict what was found of slope or kink."""
        up, down = f(h), f(-h)
        right, left, rounding = (up - self.here) / h, (self.here - down) / h, self.noise / h
        slope, apart, size = (right + left) / 2, np.abs(right - left), np.abs(right) + np.abs(left)
        wide_left, wide_right = self.sides or (left, right)
        bending = np.abs(wide_right - wide_left) * (h / self.h)  # what a smooth output's difference would be here
        least, bent = 4 * rounding + CLOSER * size, 12 * rounding + SLIGHT * size + 3 * bending
        said = np.abs(slope - self.slope.value) > 3 * self.slope.error + least
        said |= (apart > bent) != self._kinked()
        self.slope.value[said], self.slope.error[said] = slope[said], (least + apart)[said]
        for best, side in ((self.left, left), (self.right, right)):
            best.value[said], best.error[said] = side[said], least[said]
        self.bend.value[said], self.bend_least[said] = apart[said], bent[said]

    def _kinked(self) -> Array:
        bend, size = np.abs(self.bend.value), np.abs(self.left.value) + np.abs(self.right.value)
        kinked: Array = (bend > self.bend_least) & (bend > 1e-7 * size)
        return kinked

    def _one_sided(self, left: Array, right: Array, rounding: Array) -> None:
        """Both slopes with the term in h removed, and how much they differ where h goes to 0."""
        if self.sides is not None:
            better = [now + (now - before) / (RATIO - 1) for now, before in zip((left, right), self.sides, strict=True)]
            for best, slope, now in zip((self.left, self.right), better, (left, right), strict=True):
                best.offer(slope, np.abs(slope - now) + 4 * rounding)
            jump = better[1] - better[0]
            if self.jump is not None:
                # a smooth output's falls to a 512th from step to step; what is left of a kink's stays
                off = np.abs(self.jump - jump)
                taken = self.bend.offer(jump - (self.jump - jump) / (RATIO**3 - 1), off + 12 * rounding)
                self.bend_least[taken] = np.maximum(off / 2, 12 * rounding)[taken]
            self.jump = jump
        self.sides = (left, right)

    def slopes(self) -> Slopes:
        """The best entries."""
        side_error = np.maximum(self.left.error, self.right.error)
        left, right = self.left.value, self.right.value
        return Slopes(self.slope.value, self.slope.error, self._kinked(), left, right, side_error)
