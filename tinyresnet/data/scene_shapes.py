"""`shapes` scenes: up to six drawn objects of ten classes over a textured background with clutter, endless and seeded.

An object is 6 to 40 pixels long, uniformly, at any picture size; its class, place, turn and texture are random. Later
objects cover earlier ones, and leave each at least half of its pixels. Strokes and soft blobs behind them belong to no
class, and all pixels have noise. The colour of an object is a mix of its class's hue, by a share drawn uniformly from
[0.45, 0.95], and of a random colour: six pixels are too few to tell an outline, and there the colour has to.
One picture in thirty has no object. Scene `index` of `seed` depends on these two alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .counter import CounterRandom
from .paint import blob, boxes_around, developed, paint, stroke, textured
from .scene_objects import TRIES, Objects, draw_objects
from .scene_set import SceneBatch, SceneSet, joined, remembered
from .shapes import CLASSES, TEST_START

MEAN, STD = (0.502, 0.503, 0.495), (0.200, 0.200, 0.202)  # of 4,000 pictures of 96 x 96
OBJECTS = 6  # in a picture at most
VISIBLE = 0.5  # the part of its pixels that each object keeps
STROKES, BLOBS = 4, 3
STREAMS = 8  # of random numbers for a picture: its own, and one for each object
CHUNK_PIXELS = 32 * 96 * 96  # drawn at a time: few enough for the cache


def draw_scenes(indices: NDArray[np.int64], *, seed: int, size: int) -> SceneBatch:
    """Draw the scenes `indices` (n,) of `seed`, `size` pixels wide and high."""
    indices = np.asarray(indices, np.int64)
    if indices.size and not 0 <= indices.min() <= indices.max() < 2**60:
        raise InputError(f"scenes are numbered from 0 to 2^60 - 1, got {indices.min()} to {indices.max()}")
    chunk = max(1, CHUNK_PIXELS // size**2)
    return joined([_draw(indices[i : i + chunk], seed, size) for i in range(0, max(len(indices), 1), chunk)])


def _draw(indices: NDArray[np.int64], seed: int, size: int) -> SceneBatch:
    random = CounterRandom(seed, indices * STREAMS)
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)
    x, y = line[None, None, :], line[None, :, None]  # pixel centres, the picture is 1 wide
    back = _muted(random)
    canvas = textured(random, x, y, back)
    for _ in range(STROKES):
        paint(canvas, stroke(random, x, y), _muted(random))
    for _ in range(BLOBS):
        paint(canvas, blob(random, x, y), _muted(random))

    count = np.where(random.integers(30) == 0, 0, 1 + random.integers(OBJECTS))
    picture, slot = np.nonzero(np.arange(OBJECTS) < count[:, None])
    objects = draw_objects(seed, indices[picture] * STREAMS + 1 + slot, back[picture], size)
    owner = _place(canvas, objects, picture, slot)

    labels = np.zeros((len(indices), 1 + OBJECTS), np.int64)
    labels[picture, 1 + slot] = objects.labels
    classes = np.where(np.arange(1 + OBJECTS) > 0, 1 + labels, 0).astype(np.uint8)
    masks = classes[np.arange(len(indices))[:, None, None], owner]
    own = [owner == 1 + k for k in range(OBJECTS)]
    boxes = np.stack([boxes_around(mask) for mask in own], axis=1)
    there = np.stack([mask.any(axis=(1, 2)) for mask in own], axis=1)
    return SceneBatch(
        developed(random, canvas),
        tuple(some[found] for some, found in zip(boxes, there, strict=True)),
        tuple(some[found] for some, found in zip(labels[:, 1:], there, strict=True)),
        tuple(np.zeros(count, bool) for count in there.sum(axis=1)),
        masks,
    )


def _muted(random: CounterRandom) -> NDArray[np.float32]:
    """A colour half way to grey, so that less of what belongs to no class has the hue of one: (n, 3)."""
    return np.float32(0.5) * (random.uniform(0.05, 0.95, 1) + random.uniform(0.05, 0.95, 3))


def _place(
    canvas: NDArray[np.float32], objects: Objects, picture: NDArray[np.int64], slot: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Paint the objects (M,) over the canvas, in place; object m is number `slot[m]` of `picture[m]`.

    Each is put on the first of its places where it leaves all before it at least half of their pixels, and is left out
    if there is none. Gives the owner of each pixel, 0 or 1 + slot: (n, S, S).
    """
    n, size = len(canvas), canvas.shape[-1]
    owner = np.zeros((n, size, size), np.uint8)
    whole, visible = (np.zeros((n, 1 + OBJECTS), np.int64) for _ in range(2))  # pixels of each owner

    def covered(here: NDArray[np.int64], row: NDArray[np.int64], column: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of these pixels each owner has: (n, 1 + OBJECTS)."""
        owners = here * (1 + OBJECTS) + owner[here, row, column]
        return np.bincount(owners, minlength=whole.size).reshape(whole.shape)

    for k in range(OBJECTS):  # one object of every picture at a time
        pixels = np.flatnonzero(slot[objects.owner] == k)
        m, inside = objects.owner[pixels], objects.inside[pixels]
        here = picture[m]
        rows = objects.row[pixels, None] + objects.top[m]
        columns = objects.column[pixels, None] + objects.left[m]
        left_over = [visible - covered(here[inside], rows[inside, t], columns[inside, t]) for t in range(TRIES)]
        fits: NDArray[np.bool_] = np.asarray(
            (np.stack(left_over) >= VISIBLE * whole)[..., 1:].all(axis=2)
        )  # (TRIES, n)
        choice = fits.argmax(axis=0)[here]
        row, column = (np.take_along_axis(values, choice[:, None], axis=1)[:, 0] for values in (rows, columns))
        there = fits[choice, here] & (row >= 0) & (row < size) & (column >= 0) & (column < size)

        place = here[there], row[there], column[there]
        cover, colour = objects.cover[pixels[there], None], objects.colour[pixels[there]]
        under = canvas[place[0], :, place[1], place[2]]
        canvas[place[0], :, place[1], place[2]] = under + cover * (colour - under)
        place = tuple(values[inside[there]] for values in place)
        visible -= covered(*place)
        visible[:, 1 + k] = whole[:, 1 + k] = np.bincount(place[0], minlength=n)
        owner[place] = 1 + k
    return owner


class ShapeScenes:
    """The scenes `start`, `start + 1`, ... of `seed`, drawn when asked for; `count` is the nominal epoch."""

    def __init__(self, count: int, *, seed: int, size: int, start: int = 0) -> None:
        self.shape = (count, 3, size, size)
        self.seed, self.start = seed, start

    def read(self, indices: NDArray[np.int64]) -> SceneBatch:
        """The scenes `indices` (n,)."""
        return draw_scenes(self.start + np.asarray(indices, np.int64), seed=self.seed, size=self.shape[2])


def load_shape_scenes(
    train_size: int, test_size: int, *, size: int, seed: int, endless: bool
) -> tuple[SceneSet, SceneSet]:
    """Training and test set. Only the training set is ever endless. Raises InputError for a size it cannot draw."""
    if not 48 <= size <= 512:
        raise InputError(f"scenes of shapes are drawn 48 to 512 pixels wide, got {size}")
    if min(train_size, test_size) < 1:
        raise InputError(f"a data set needs pictures, got train size {train_size} and test size {test_size}")

    def scene_set(count: int, start: int, endless: bool) -> SceneSet:
        source = ShapeScenes(count, seed=seed, size=size, start=start)
        return SceneSet("shapes", source if endless else remembered(source), CLASSES, MEAN, STD, endless)

    return scene_set(train_size, 0, endless), scene_set(test_size, TEST_START, endless=False)
