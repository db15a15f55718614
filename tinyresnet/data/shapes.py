"""`shapes`: drawn objects of ten classes in colour, built in, endless and seeded.

Each picture shows one object of random place, size, turn, colours and texture, over a textured background with
strokes and soft blobs that belong to no class, and noise. Each class leans to a colour of its own, as things in
photographs do: that takes a linear model to about a third, and gives a network its first hold; for the rest the outline
has to be seen. Picture `index` of `seed` depends on these two alone.
"""

from __future__ import annotations

import colorsys
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .counter import CounterRandom
from .dataset import Dataset, Pictures, Remembered
from .outlines import OUTLINES, Plane, outline_distance
from .paint import blob, boxes_around, contrasting, developed, paint, stroke, textured, turned

CLASSES = tuple(OUTLINES)
MEAN, STD = (0.497, 0.499, 0.495), (0.257, 0.257, 0.257)  # of 10,000 pictures, between those of 16 x 16 and 32 x 32
TEST_START = 2**40  # test pictures are numbered from here on, so training never reaches them
CHUNK = 128  # pictures drawn at a time: bounds the memory, about 20 MB at 32 x 32
STROKES, BLOBS = 3, 2
HUES = np.array([colorsys.hsv_to_rgb(k / len(CLASSES), 0.8, 0.8) for k in range(len(CLASSES))], np.float32)
LEANING = 0.9  # the largest share of a class's own colour in an object's


class Drawn(NamedTuple):
    """x (n, 3, S, S) uint8, y (n,) int64; boxes (n, 4) float32 x0 y0 x1 y1 in pixels; masks (n, S, S) bool."""

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    boxes: NDArray[np.float32]
    masks: NDArray[np.bool_]


def draw(indices: NDArray[np.int64], *, seed: int, size: int) -> Drawn:
    """Draw the pictures `indices` (n,) of `seed`, `size` pixels wide and high, with their object's box and mask."""
    indices = np.asarray(indices, np.int64)
    if indices.size and indices.min() < 0:
        raise InputError(f"pictures are numbered from 0, got {indices.min()}")
    parts = [_draw(indices[i : i + CHUNK], seed, size) for i in range(0, max(len(indices), 1), CHUNK)]
    return Drawn(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def labels(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """The classes of pictures `indices`: they take turns, so any run of ten pictures has each class once."""
    return np.asarray(indices, np.int64) % len(CLASSES)


def _draw(indices: NDArray[np.int64], seed: int, size: int) -> Drawn:
    random = CounterRandom(seed, indices)
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = line[None, None, :], line[None, :, None]  # pixel centres, the picture is 1 wide

    back = random.uniform(0.05, 0.95, 3)
    canvas = textured(random, x, y, back)
    for _ in range(STROKES):
        paint(canvas, stroke(random, x, y), random.uniform(0, 1, 3))
    for _ in range(BLOBS):
        paint(canvas, blob(random, x, y), random.uniform(0, 1, 3))

    y_labels = labels(indices)
    distance = _object(random, x, y, y_labels)
    cover = np.clip(np.float32(0.5) - distance * np.float32(size), 0, 1)  # the edge is one pixel wide
    share = random.uniform(0, LEANING, 4, 1)
    paint(canvas, cover, textured(random, x, y, contrasting(random, back, HUES[y_labels], share)))

    masks: NDArray[np.bool_] = np.less_equal(distance, 0)
    return Drawn(developed(random, canvas), y_labels, boxes_around(masks), masks)


def _object(random: CounterRandom, x: Plane, y: Plane, y_labels: NDArray[np.int64]) -> Plane:
    """Signed distance to the edge of an object of each picture's class, wholly inside the picture: (n, S, S)."""
    radius = random.uniform(0.24, 0.44)
    cx, cy = (radius + (1 - 2 * radius) * random.uniform(0, 1) for _ in range(2))
    u, v = turned(random, x - cx[:, None, None], y - cy[:, None, None])
    radius = radius[:, None, None]
    distance = outline_distance(y_labels, u / radius, v / radius)
    distance *= radius
    return distance


class Shapes:
    """The pictures `start`, `start + 1`, ... of `seed`, drawn on access; `count` is the nominal epoch."""

    def __init__(self, count: int, *, seed: int, size: int, start: int = 0) -> None:
        self.shape = (count, 3, size, size)
        self.seed, self.start = seed, start

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        return draw(self.start + np.asarray(indices), seed=self.seed, size=self.shape[2]).x


class Labels:
    """The labels of endless pictures, computed on access."""

    def __init__(self, count: int) -> None:
        self.shape = (count,)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return labels(indices)


def load_shapes(train_size: int, test_size: int, *, size: int, seed: int, endless: bool) -> tuple[Dataset, Dataset]:
    """Training and test set. Only the training set is ever endless. Raises InputError for a size it cannot draw."""
    if not 12 <= size <= 512:
        raise InputError(f"shapes are drawn 12 to 512 pixels wide, got {size}")
    if min(train_size, test_size) < 1:
        raise InputError(f"a data set needs pictures, got train size {train_size} and test size {test_size}")

    def dataset(count: int, start: int, endless: bool) -> Dataset:
        source: Pictures = Shapes(count, seed=seed, size=size, start=start)
        x = source if endless else Remembered(source)
        y = cast("NDArray[np.int64]", Labels(count)) if endless else labels(start + np.arange(count))
        return Dataset("shapes", x, y, CLASSES, MEAN, STD, endless)

    return dataset(train_size, 0, endless), dataset(test_size, TEST_START, endless=False)
