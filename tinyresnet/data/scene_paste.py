"""Copy-paste: the objects of other scenes laid over a scene, where they were there (Ghiasi et al. 2021, "Simple copy-paste")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .paint import boxes_around
from .scene_set import IGNORED, SceneBatch

KEPT = 0.35  # an object stays if at least this part of its pixels is still seen


def paste(scenes: SceneBatch, others: SceneBatch) -> SceneBatch:
    """n scenes, each with the objects of another of `others` in front: their pixels, by the mask, and their boxes.

    The boxes of what is partly covered shrink to what is seen of it, as far as a mask of classes tells objects apart.
    """
    over = (others.masks > 0) & (others.masks != IGNORED)
    boxes, stays = _seen(scenes, over)
    ends = np.cumsum([len(labels) for labels in scenes.labels])[:-1]

    def both(mine: Sequence[NDArray[Any]], theirs: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        kept = zip(mine, np.split(stays, ends), theirs, strict=True)
        return tuple(np.concatenate([values[seen], more]) for values, seen, more in kept)

    return SceneBatch(
        np.where(over[:, None], others.x, scenes.x),
        both(np.split(boxes, ends), others.boxes),
        both(scenes.labels, others.labels),
        both(scenes.crowd, others.crowd),
        np.where(over, others.masks, scenes.masks),
    )


def _seen(scenes: SceneBatch, over: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Of all M objects of the scenes: their boxes (M, 4) and whether they stay (M,) when the pixels `over` (n, H, W) are covered."""
    boxes, labels = np.concatenate(scenes.boxes), np.concatenate(scenes.labels)
    crowd = np.concatenate(scenes.crowd)
    picture = np.repeat(np.arange(len(over)), [len(values) for values in scenes.labels])
    column, row = (np.arange(size) + np.float32(0.5) for size in (over.shape[2], over.shape[1]))
    x0, y0, x1, y1 = boxes.T[:, :, None]
    across, down = (x0 < column) & (column < x1), (y0 < row) & (row < y1)
    own = (scenes.masks[picture] == 1 + labels[:, None, None]) & down[:, :, None] & across[:, None, :]
    left = own & ~over[picture]
    before, after = own.sum(axis=(1, 2)), left.sum(axis=(1, 2))
    changed = (after > 0) & (after < before) & ~crowd
    return np.where(changed[:, None], boxes_around(left), boxes), crowd | (after >= KEPT * before)
