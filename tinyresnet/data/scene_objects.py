"""The objects of drawn scenes, from 6 to 40 pixels long: each drawn in a small frame of its own, before it is placed."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .counter import CounterRandom
from .outlines import OUTLINES, outline_distance
from .paint import TURNS, contrasting, textured, turned_by
from .shapes import CLASSES, HUES

SHORTEST, LONGEST = 6, 40  # pixels: the longer side of an object's box
LEANING = (0.45, 0.95)  # the share of a class's own hue in an object's colour
TRIES = 4  # places for an object to try
DIRECTIONS = 256  # in which objects are turned
FRAMES = (8, 16, 24, 32, 40)  # pixels: the longest objects drawn together, on frames of one size
GRAIN = 40  # pixels: the unit of the objects' textures


class Objects(NamedTuple):
    """M drawn objects, not yet placed, and all their Q pixels in one list."""

    labels: NDArray[np.int64]  # (M,)
    left: NDArray[np.int64]  # (M, TRIES): places to try
    top: NDArray[np.int64]  # (M, TRIES)
    owner: NDArray[np.int64]  # (Q,): which object the pixel belongs to
    column: NDArray[np.int64]  # (Q,): from the object's left
    row: NDArray[np.int64]  # (Q,): from its top
    cover: NDArray[np.float32]  # (Q,): how much of the pixel the object covers
    inside: NDArray[np.bool_]  # (Q,): whether the middle of the pixel is inside the outline
    colour: NDArray[np.float32]  # (Q, 3)


def draw_objects(seed: int, streams: NDArray[np.int64], back: NDArray[np.float32], size: int) -> Objects:
    """Draw an object for each of `streams` (M,), in contrast to `back` (M, 3), for pictures `size` wide and high."""
    frame = np.searchsorted(FRAMES, _side(CounterRandom(seed, streams)))
    labels, places, pixels = np.empty(len(streams), np.int64), np.empty((2, len(streams), TRIES), np.int64), []
    for k, longest in enumerate(FRAMES):
        rows = np.flatnonzero(frame == k)
        part = _draw_in_frames(CounterRandom(seed, streams[rows]), back[rows], longest, size)
        labels[rows], places[0, rows], places[1, rows] = part[:3]
        pixels.append((rows[part.owner], *part[4:]))
    return Objects(labels, *places, *(np.concatenate(values) for values in zip(*pixels, strict=True)))


def _side(random: CounterRandom) -> NDArray[np.float32]:
    """The longer side of each object's box in pixels: (M,). It is the first number of an object's stream."""
    return random.uniform(SHORTEST, LONGEST)


def _draw_in_frames(random: CounterRandom, back: NDArray[np.float32], longest: int, size: int) -> Objects:
    """Objects of at most `longest` pixels, on frames just large enough."""
    side, labels, direction = _side(random), random.integers(len(CLASSES)), random.integers(DIRECTIONS)
    west, north, east, south = (_reach()[labels, (direction + turn) % DIRECTIONS] for turn in (128, 64, 0, -64))
    radius = side / np.maximum(west + east, north + south)
    left, x = _placed(random, radius * west, radius * east, longest, size)
    top, y = _placed(random, radius * north, radius * south, longest, size)
    x, y = x[:, None, :], y[:, :, None]  # pixels from the object's centre: (M, 1, P) and (M, P, 1)

    turns = TURNS[direction * (len(TURNS) // DIRECTIONS)]
    u, v = turned_by(turns, x, y)
    distance = outline_distance(labels, u / radius[:, None, None], v / radius[:, None, None]) * radius[:, None, None]
    cover = np.clip(np.float32(0.5) - distance, 0, 1)  # the edge is one pixel wide
    colour = contrasting(random, back, HUES[labels], random.uniform(*LEANING, 1, 1))
    colours = textured(random, x / np.float32(GRAIN), y / np.float32(GRAIN), colour)
    owner, row, column = touched = np.nonzero(cover)
    inside = np.less_equal(distance[touched], 0)
    return Objects(
        labels, left, top, owner, column - 1, row - 1, cover[touched], inside, colours[owner, :, row, column]
    )


def _placed(
    random: CounterRandom, before: NDArray[np.float32], behind: NDArray[np.float32], longest: int, size: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Along one axis: first pixels to try (M, TRIES), and how far from the object's centre the frame's pixels are (M, P).

    `before` and `behind` (M,) are the parts of the object's box on the two sides of its centre. A frame has one pixel
    before the box and one behind it, for soft edges.
    """
    into = random.uniform(0, 1)  # how far into its first pixel the box begins
    options = np.floor(size + 1 - (into + before + behind))[:, None]
    places = np.minimum(np.floor(random.uniform(0, 1, TRIES) * options), options - 1)
    middles = np.arange(longest + 3, dtype=np.float32) - np.float32(0.5)
    return places.astype(np.int64), middles - (into + before)[:, None]


@lru_cache(maxsize=1)
def _reach() -> NDArray[np.float32]:
    """How far each outline reaches in each direction, of the circle of radius 1 around it: (K, DIRECTIONS)."""
    line = np.linspace(-1, 1, 201, dtype=np.float32)
    x, y = np.broadcast_arrays(line[None, None, :], line[None, :, None])
    turns = TURNS[:: len(TURNS) // DIRECTIONS].astype(np.complex64)
    reach = []
    for outline in OUTLINES.values():
        distance = outline(x, y)
        edge = (distance <= 0) & (distance > -0.02)
        reach.append((np.outer(turns.real, x[edge]) - np.outer(turns.imag, y[edge])).max(axis=1))
    return np.array(reach, np.float32)
