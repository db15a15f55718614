"""A data set: pictures, labels, class names, and the mean and standard deviation to normalise by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError


class Pictures(Protocol):
    """Anything that gives uint8 pictures (n, C, H, W) for n indices. An ndarray is one; lazy sources are too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: NDArray[np.int64], /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures `x` (N, C, H, W) uint8 in 0..255 with labels `y` (N,) int64, each below len(classes).

    `mean` and `std` are per channel, of pixels scaled to [0, 1]. An `endless` set has a picture for any index >= 0;
    its `y` is then computed on access, as `x` is, and len() is only the nominal epoch.
    """

    name: str
    x: Pictures
    y: NDArray[np.int64]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    endless: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return self.x.shape

    def __len__(self) -> int:
        return len(self.x)

    def head(self, count: int) -> Dataset:
        """The first `count` pictures, as a data set that ends. Raises InputError if there are fewer."""
        if not 1 <= count <= len(self):
            raise InputError(f"{self.name} has {len(self)} pictures: cannot take the first {count}")
        x = self.x[:count] if isinstance(self.x, np.ndarray) else First(self.x, count)
        return replace(self, x=x, y=self.y[np.arange(count)], endless=False)


class First:
    """The first `count` pictures of a source."""

    def __init__(self, source: Pictures, count: int) -> None:
        self.source = source
        self.shape = (count, *source.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self.source[np.arange(len(self))[indices]]


class Remembered:
    """Pictures of a slow source, each asked for once and then kept in memory: N * C * H * W bytes."""

    def __init__(self, source: Pictures) -> None:
        self.source = source
        self.shape = source.shape
        self.pixels = np.empty(source.shape, np.uint8)
        self.known = np.zeros(len(source), bool)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        places = np.arange(len(self))[indices]
        missing = np.unique(places[~self.known[places]])
        if missing.size:
            self.pixels[missing] = self.source[missing]
            self.known[missing] = True  # only now: another thread may look at it meanwhile
        return self.pixels[places]


def measure(
    x: Pictures, count: int | None = None, report: Callable[[int], object] | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of the first `count` pictures (default: all), pixels scaled to [0, 1].

    A channel that is the same everywhere gets the standard deviation 1, so that dividing by it stays harmless.
    `report` is called with how many pictures were read since the last call.
    """
    N, C, H, W = x.shape
    count = N if count is None else min(count, N)
    total, squares = np.zeros(C, np.int64), np.zeros(C, np.int64)
    for start in range(0, count, 500):
        part = x[np.arange(start, min(start + 500, count))]
        total += part.sum(axis=(0, 2, 3), dtype=np.int64)
        squares += np.square(part, dtype=np.uint16).sum(axis=(0, 2, 3), dtype=np.int64)
        if report:
            report(len(part))
    mean = total / (count * H * W)
    variance = squares / (count * H * W) - mean**2
    std = np.sqrt(np.where(variance > 1e-9, variance, 255.0**2))
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
