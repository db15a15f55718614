"""Random changes to training scenes, vectorised over the batch: boxes and masks move with the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .augment import Images, colour_jitter
from .scene_set import IGNORED

KEPT = 0.35  # an object stays if at least this part of its box is still in the picture,
KEPT_SIDE = 2.0  # and both sides of that are at least this many pixels


class Moved(NamedTuple):
    """Normalised pictures x (n, 3, S, S), and what is in them, as in a SceneBatch."""

    x: Images
    boxes: tuple[NDArray[np.float32], ...]
    labels: tuple[NDArray[np.int64], ...]
    crowd: tuple[NDArray[np.bool_], ...]
    masks: NDArray[np.uint8]


@dataclass(frozen=True)
class SceneAugment:
    """What to change, nothing by default. `colour` works on pixels in [0, 1], `change` on normalised pictures.

    flip: left-right with probability 1/2; scale: grow or shrink by a factor between 1 / (1 + scale) and 1 + scale,
    around a random point of the picture; crop: move by up to this many pixels each way; jitter: strength of colour
    changes. What moves in from outside is zero (the mean), and does not count in the mask. paste: lay the objects of
    this many other scenes over each, before all else (`scene_paste.py`).
    """

    flip: bool = False
    scale: float = 0.0
    crop: int = 0
    jitter: float = 0.0
    paste: int = 0

    def __post_init__(self) -> None:
        for name, most in (("scale", 3), ("crop", 4096), ("jitter", 1), ("paste", 100)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise InputError(f"{name} must be between 0 and {most}, got {value}")

    def colour(self, x: Images, rng: np.random.Generator) -> Images:
        """The changes before normalisation: x (n, 3, S, S) in [0, 1]."""
        return colour_jitter(x, self.jitter, rng) if self.jitter else x

    def change(self, scenes: Moved, rng: np.random.Generator) -> Moved:
        """The changes after normalisation."""
        n, _, H, W = scenes.x.shape
        if self.flip:
            scenes = mirror(scenes, np.less(rng.random(n), 0.5))
        if not (self.scale or self.crop):
            return scenes
        factor, start = np.ones((2, n)), np.zeros((2, n))  # x and y of a point become factor * (x, y) + start
        side = np.array([[W], [H]])
        if self.scale:
            zoom = (1 + self.scale) ** rng.uniform(-1, 1, n)
            factor, start = factor * zoom, (1 - zoom) * side * rng.random((2, n))
        if self.crop:
            start = start + rng.integers(-self.crop, self.crop + 1, (2, n))
        return move(scenes, factor, start)


def mirror(scenes: Moved, which: NDArray[np.bool_]) -> Moved:
    """The scenes `which` (n,) with left and right exchanged."""
    W = scenes.x.shape[3]
    boxes = tuple(
        np.stack([W - box[:, 2], box[:, 1], W - box[:, 0], box[:, 3]], axis=1) if mirrored else box
        for box, mirrored in zip(scenes.boxes, which, strict=True)
    )
    x = np.where(which[:, None, None, None], scenes.x[..., ::-1], scenes.x)
    masks = np.where(which[:, None, None], scenes.masks[..., ::-1], scenes.masks)
    return scenes._replace(x=x, boxes=boxes, masks=masks)


def move(scenes: Moved, factor: NDArray[np.float64], start: NDArray[np.float64]) -> Moved:
    """The scenes with every point (x, y) moved to factor * (x, y) + start; both are (2, n).

    Pictures are resampled bilinearly, masks take the nearest pixel. Boxes are cut off at the picture's border, and
    objects of which too little is left are dropped.
    """
    n, _, H, W = scenes.x.shape
    columns, rows = (  # where each pixel of the new pictures was in the old ones: (n, W) and (n, H)
        (np.arange(side) + 0.5 - start[axis, :, None]) / factor[axis, :, None] for axis, side in enumerate((W, H))
    )
    x = _shares(rows, H) @ scenes.x @ _shares(columns, W).swapaxes(2, 3)

    outside = [(at < 0) | (at >= side) for at, side in ((columns, W), (rows, H))]
    column, row = (np.clip(np.floor(at), 0, side - 1).astype(np.int64) for at, side in ((columns, W), (rows, H)))
    masks = scenes.masks[np.arange(n)[:, None, None], row[:, :, None], column[:, None, :]]
    masks[outside[1][:, :, None] | outside[0][:, None, :]] = IGNORED
    return Moved(x.astype(np.float32, copy=False), *_moved_boxes(scenes, factor, start), masks)


def _shares(at: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """What the places `at` (n, new) along an axis take of each pixel (n, 1, new, side): 1 - their distance to its middle, or nothing."""
    distance = abs(at[:, None, :, None] - 0.5 - np.arange(side))
    return np.clip(1 - distance, 0, 1).astype(np.float32)


def _moved_boxes(
    scenes: Moved, factor: NDArray[np.float64], start: NDArray[np.float64]
) -> tuple[tuple[NDArray[np.float32], ...], tuple[NDArray[np.int64], ...], tuple[NDArray[np.bool_], ...]]:
    """Boxes, labels and crowds of what is still in the pictures."""
    n, _, H, W = scenes.x.shape
    labels, crowd = np.concatenate(scenes.labels), np.concatenate(scenes.crowd)
    picture = np.repeat(np.arange(n), [len(boxes) for boxes in scenes.boxes])
    corners = np.concatenate(scenes.boxes).reshape(-1, 2, 2).astype(np.float64)  # (M, near or far, x or y)
    corners = np.sort(corners * factor.T[picture, None] + start.T[picture, None], axis=1)  # mirrored: far is near
    inside = np.clip(corners, 0, (W, H))
    left, whole = (box[:, 1] - box[:, 0] for box in (inside, corners))  # (M, 2)
    enough = left.prod(axis=1) >= KEPT * whole.prod(axis=1)
    enough &= left.min(axis=1) >= np.minimum(KEPT_SIDE, whole.min(axis=1))
    stays = enough | (crowd & (left.min(axis=1) > 0))  # a crowd needs no minimum: it only says where not to look
    ends = np.cumsum(np.bincount(picture[stays], minlength=n))[:-1]
    boxes = inside.reshape(-1, 4)[stays].astype(np.float32)
    return tuple(np.split(boxes, ends)), tuple(np.split(labels[stays], ends)), tuple(np.split(crowd[stays], ends))
