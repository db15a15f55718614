"""Batches of scenes for training and evaluation, reproducible from any step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .batches import batch_indices, normalize
from .scene_augment import Moved, SceneAugment
from .scene_paste import paste
from .scene_set import SceneSet


class SceneTargets(NamedTuple):
    """x (n, 3, S, S) float32, normalised, and what is in the pictures, as in a SceneBatch.

    `step` counts from 0 over the whole run.
    """

    x: NDArray[np.float32]
    boxes: tuple[NDArray[np.float32], ...]  # n arrays (B_i, 4)
    labels: tuple[NDArray[np.int64], ...]  # n arrays (B_i,)
    crowd: tuple[NDArray[np.bool_], ...]  # n arrays (B_i,)
    masks: NDArray[np.uint8]  # (n, S, S)
    epoch: int
    step: int


def scene_batches(
    data: SceneSet,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    stop_step: int,
    augment: SceneAugment | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Iterator[SceneTargets]:
    """The batches of steps start_step <= s < stop_step, the same whatever start_step is.

    They have the pictures that `batch_indices` gives; step s draws its augmentation from default_rng((seed, 1, s)).
    `mean` and `std` default to the data's. Raises InputError.
    """
    taken = batch_indices(data, batch_size=batch_size, seed=seed, start_step=start_step, stop_step=stop_step)
    augment = augment or SceneAugment()
    if augment.paste and not data.has_masks:
        raise InputError(f"{data.name} has no masks here: objects cannot be cut out and pasted")

    def batches() -> Iterator[SceneTargets]:
        for step, (epoch, indices) in enumerate(taken, start_step):
            rng = np.random.default_rng((seed, 1, step))
            scenes = data.read(indices)
            for _ in range(augment.paste):
                scenes = paste(scenes, data.read(rng.integers(len(data), size=len(indices))))
            unit = augment.colour(scenes.x.astype(np.float32) / np.float32(255), rng)
            x = normalize(unit, mean or data.mean, std or data.std)
            yield SceneTargets(*augment.change(Moved(x, *scenes[1:]), rng), epoch, step)

    return batches()


def scene_eval_batches(
    data: SceneSet, batch_size: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Iterator[SceneTargets]:
    """All scenes once, in order; the last batch may be short. Of an endless set, its nominal epoch."""
    if batch_size < 1:
        raise InputError(f"batch size must be 1 or more, got {batch_size}")
    for step, start in enumerate(range(0, len(data), batch_size)):
        scenes = data.read(np.arange(start, min(start + batch_size, len(data))))
        yield SceneTargets(normalize(scenes.x, mean or data.mean, std or data.std), *scenes[1:], 0, step)
