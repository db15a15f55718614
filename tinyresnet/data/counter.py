"""Counter-based random numbers: the j-th number of the i-th stream is a hash of (seed, i, j), so no state is shared.

Any set of streams can be drawn together or alone, in any order, and gives the same bits. The hash is the output
function of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

GAMMA = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio, odd: multiples of it never meet before 2^64 steps


def scramble(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's mixing of each 64-bit number: one to one, and every input bit reaches every output bit."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


class CounterRandom:
    """Draws for n streams at once, numbered by `indices` (n,) >= 0. Each call takes the next numbers of every stream.

    Streams of one seed never share a key, because index -> key is one to one.
    """

    def __init__(self, seed: int, indices: NDArray[np.int64]) -> None:
        start = scramble(np.array([seed % 2**64], np.uint64))
        self.keys = scramble(start + indices.astype(np.uint64) * np.uint64(GAMMA))
        self.drawn = 0

    def bits(self, *shape: int) -> NDArray[np.uint64]:
        """64 random bits a number: (n, *shape)."""
        count = math.prod(shape)
        counters = np.arange(self.drawn + 1, self.drawn + 1 + count, dtype=np.uint64) * np.uint64(GAMMA)
        self.drawn += count
        return scramble(self.keys[:, None] + counters).reshape(-1, *shape)

    def uniform(self, low: float, high: float, *shape: int) -> NDArray[np.float32]:
        """Uniform in [low, high]: (n, *shape) float32."""
        unit = (self.bits(*shape) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
        return np.float32(low) + unit * np.float32(high - low)

    def integers(self, options: int, *shape: int) -> NDArray[np.int64]:
        """Uniform over 0 .. options-1: (n, *shape)."""
        return ((self.bits(*shape) >> np.uint64(32)) * np.uint64(options) >> np.uint64(32)).astype(np.int64)
