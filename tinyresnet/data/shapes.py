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
from .outlines import OUTLINES, Plane

CLASSES = tuple(OUTLINES)
MEAN, STD = (0.497, 0.499, 0.495), (0.257, 0.257, 0.257)  # of 10,000 pictures, between those of 16 x 16 and 32 x 32
TEST_START = 2**40  # test pictures are numbered from here on, so training never reaches them
CHUNK = 128  # pictures drawn at a time: bounds the memory, about 20 MB at 32 x 32
TURNS = np.exp(2j * np.pi * np.arange(4096) / 4096).round(9)  # a table: the same bits for any array and machine
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
    x, y = np.broadcast_arrays(line[None, None, :], line[None, :, None])  # pixel centres, the picture is 1 wide

    back = random.uniform(0.05, 0.95, 3)
    canvas = _textured(random, x, y, back)
    for _ in range(STROKES):
        _paint(canvas, _stroke(random, x, y), random.uniform(0, 1, 3))
    for _ in range(BLOBS):
        _paint(canvas, _blob(random, x, y), random.uniform(0, 1, 3))

    y_labels = labels(indices)
    distance = _object(random, x, y, y_labels)
    cover = np.clip(np.float32(0.5) - distance * np.float32(size), 0, 1)  # the edge is one pixel wide
    _paint(canvas, cover, _textured(random, x, y, _contrasting(random, back, HUES[y_labels])))

    strength = random.uniform(0.02, 0.10)[:, None, None, None]
    grain = random.bits(size, size).view(np.uint8).reshape(-1, size, size, 8)[..., :6].astype(np.float32)
    grain = np.moveaxis(grain[..., :3] - grain[..., 3:], 3, 1)  # two uniform bytes make a triangular distribution
    canvas += strength * np.float32(1 / 255) * grain
    masks: NDArray[np.bool_] = np.less_equal(distance, 0)
    pixels = (np.clip(canvas, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return Drawn(pixels, y_labels, _boxes(masks), masks)


def _object(random: CounterRandom, x: Plane, y: Plane, y_labels: NDArray[np.int64]) -> Plane:
    """Signed distance to the edge of an object of each picture's class, wholly inside the picture: (n, S, S)."""
    radius = random.uniform(0.24, 0.44)
    cx, cy = (radius + (1 - 2 * radius) * random.uniform(0, 1) for _ in range(2))
    u, v = _turned(random, x - cx[:, None, None], y - cy[:, None, None])
    radius = radius[:, None, None]
    u, v = u / radius, v / radius
    distance = np.empty_like(u)
    for label, outline in enumerate(OUTLINES.values()):
        rows = np.flatnonzero(y_labels == label)
        distance[rows] = outline(u[rows], v[rows])
    distance *= radius
    return distance


def _turned(random: CounterRandom, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """The coordinates seen from a frame turned by a random angle."""
    turn = TURNS[random.integers(len(TURNS))][:, None, None]
    cos, sin = turn.real.astype(np.float32), turn.imag.astype(np.float32)
    u: Plane = cos * x + sin * y
    v: Plane = cos * y - sin * x
    return u, v


def _textured(random: CounterRandom, x: Plane, y: Plane, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """`colour` (n, 3) with a plain, striped, checked or graded texture over it: (n, 3, S, S)."""
    kind, period = random.integers(4), random.uniform(0.14, 0.30)[:, None, None]
    contrast = random.uniform(-0.22, 0.22, 3)[:, :, None, None]
    u, v = _turned(random, x - np.float32(0.5), y - np.float32(0.5))
    level = np.zeros_like(u)
    stripes, checks, graded = (np.flatnonzero(kind == k) for k in (1, 2, 3))
    level[stripes] = _wave(u[stripes] / period[stripes])
    level[checks] = _wave(u[checks] / period[checks]) * _wave(v[checks] / period[checks])
    level[graded] = u[graded] * np.float32(2)
    level = level[:, None] * contrast
    level += colour[:, :, None, None]
    return level


def _wave(t: Plane) -> Plane:
    """A wave of period 1 between -1 and 1 with short ramps."""
    wave: Plane = np.clip(np.float32(10) * np.abs(t - np.floor(t + np.float32(0.5))) - np.float32(2.5), -1, 1)
    return wave


def _contrasting(random: CounterRandom, back: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of four random colours, each leaning to `own` (n, 3) by a random share, the one farthest from `back`: (n, 3)."""
    share = random.uniform(0, LEANING, 4, 1)
    colours = share * own[:, None] + (1 - share) * random.uniform(0.05, 0.95, 4, 3)
    r, g, b = np.moveaxis(colours - back[:, None], 2, 0)
    farthest: NDArray[np.float32] = colours[np.arange(len(back)), np.argmax(r * r + g * g + b * b, axis=1)]
    return farthest


def _stroke(random: CounterRandom, x: Plane, y: Plane) -> Plane:
    """How much of each pixel a thin straight line covers: (n, S, S)."""
    ax, ay = (random.uniform(0, 1)[:, None, None] for _ in range(2))
    half_length, half_width = random.uniform(0.1, 0.3)[:, None, None], random.uniform(0.010, 0.030)[:, None, None]
    u, v = _turned(random, x - ax, y - ay)
    u = np.maximum(np.abs(u) - half_length, 0)
    cover: Plane = np.clip(np.float32(0.5) + (half_width - np.sqrt(u * u + v * v)) * np.float32(x.shape[-1]), 0, 1)
    return cover


def _blob(random: CounterRandom, x: Plane, y: Plane) -> Plane:
    """How much of each pixel a small soft oval covers: (n, S, S)."""
    ax, ay = (random.uniform(0, 1)[:, None, None] for _ in range(2))
    width, ratio = random.uniform(0.06, 0.12)[:, None, None], random.uniform(1.5, 3)[:, None, None]
    u, v = _turned(random, x - ax, y - ay)
    u, v = u / (width * ratio), v / width
    cover: Plane = np.clip(np.float32(1.2) - u * u - v * v, 0, 1)
    return cover


def _paint(canvas: NDArray[np.float32], cover: Plane, colour: NDArray[np.float32]) -> None:
    """Lay `colour` (n, 3) or (n, 3, S, S) over the canvas (n, 3, S, S) where `cover` (n, S, S) says, in place."""
    colour = colour if colour.ndim == 4 else colour[:, :, None, None]
    canvas += cover[:, None] * (colour - canvas)


def _boxes(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The tightest box around each mask: (n, 4) float32, x0 y0 x1 y1, the far edges just behind the last pixel."""
    size = masks.shape[-1]
    columns, rows = np.any(masks, axis=1), np.any(masks, axis=2)
    near = [line.argmax(axis=1) for line in (columns, rows)]
    far = [size - line[:, ::-1].argmax(axis=1) for line in (columns, rows)]
    return np.stack([*near, *far], axis=1).astype(np.float32)


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
