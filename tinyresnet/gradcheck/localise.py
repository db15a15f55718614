"""Which elements of a wrong gradient are wrong: by halves, so that one among n is found in about 2 log2 n looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .probe import Probe
from .tensor import WRONG, Comparison, compare

MOST_FOUND = 8  # elements that are looked for one by one
SAMPLED = 24  # elements that are looked at where many are wrong
LOOKS = 120  # at most
LEVELS = 7


@dataclass(frozen=True)
class Element:
    """A wrong element: its index; what backward gives for it, what is right, and how far off that may be, for a random upstream."""

    index: tuple[int, ...]
    got: float
    expected: float
    bar: float


@dataclass(frozen=True)
class Place:
    """Where a gradient is wrong: the elements that were found, and how large a share of all is wrong, as far as was looked."""

    elements: tuple[Element, ...]
    wrong: int
    looked_at: int
    complete: bool  # every wrong element was found

    def __str__(self) -> str:
        if self.complete:
            return f"{self.wrong} element{'s' * (self.wrong != 1)} wrong"
        return f"{self.wrong} of {self.looked_at} elements looked at are wrong"


class _Search:
    def __init__(self, probe: Probe, rng: np.random.Generator) -> None:
        self.probe, self.rng, self.looks = probe, rng, 0
        self.noise = probe.noise(rng)
        self.found: list[Element] = []

    def look(self, places: np.typing.NDArray[np.int64]) -> Comparison | None:
        """The comparison that shows an error among these elements."""
        self.looks += 1
        v = np.zeros(self.probe.point.size)
        v[places] = self.rng.choice([-1.0, 1.0], len(places)) * self.rng.uniform(0.7, 1.4, len(places))
        comparisons, _ = compare(self.probe, v.reshape(self.probe.point.shape), self.noise, LEVELS, self.rng)
        wrong = [c for c in comparisons if c.off > WRONG]
        return max(wrong, key=lambda c: c.off) if wrong else None

    def halves(self, places: np.typing.NDArray[np.int64]) -> bool:
        """Find the wrong ones among these; False if there were too many to find them all."""
        if len(self.found) >= MOST_FOUND or self.looks >= LOOKS:
            return False
        seen = self.look(places)
        if seen is None:
            return True
        if len(places) == 1:
            index = np.unravel_index(int(places[0]), self.probe.point.shape)
            right = min(max(seen.claimed, seen.low), seen.high)
            values = (value / self.probe.scale for value in (seen.claimed, right, seen.bar))
            self.found.append(Element(tuple(int(i) for i in index), *values))
            return True
        middle = len(places) // 2
        return self.halves(places[:middle]) and self.halves(places[middle:])


def wrong_elements(probe: Probe, rng: np.random.Generator) -> Place:
    """Find the wrong elements; where there are many, some of them, and their share among elements drawn by chance."""
    with np.errstate(all="ignore"):
        search = _Search(probe, rng)
        everything = np.arange(probe.point.size)
        complete = search.halves(everything)
        if complete:
            return Place(tuple(search.found), len(search.found), len(everything), True)
        sample = rng.choice(everything, min(SAMPLED, len(everything)), replace=False)
        wrong = sum(search.look(sample[i : i + 1]) is not None for i in range(len(sample)))
    return Place(tuple(search.found), wrong, len(sample), False)
