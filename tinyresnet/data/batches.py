"""Batches for training and evaluation, reproducible from any step, and a thread that prepares them ahead."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import array_module

from ..errors import InputError
from .augment import Augment
from .dataset import Dataset
from .scene_set import SceneSet

T = TypeVar("T")


class Batch(NamedTuple):
    """x (n, C, H, W) float32, normalised; labels (n,) int64, or (n, K) float32 distributions under mixup.

    `step` counts from 0 over the whole run.
    """

    x: NDArray[np.float32]
    labels: NDArray[Any]
    epoch: int
    step: int


def normalize(x: NDArray[Any], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """(x - mean) / std per channel, for x (n, C, H, W) in [0, 1], or uint8 in 0..255, which is divided by 255 first.

    A single mean and std serve all channels. Raises InputError if their number fits neither.
    """
    if not {len(mean), len(std)} <= {1, x.shape[1]}:
        raise InputError(f"pictures have {x.shape[1]} channels, but mean is {tuple(mean)} and std {tuple(std)}")
    xp = array_module(x)
    shift, scale = (xp.asarray(values, np.float32)[:, None, None] for values in (mean, std))
    unit = x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x
    normalized: NDArray[np.float32] = ((unit - shift) / scale).astype(np.float32, copy=False)
    return normalized


def steps_per_epoch(data: Dataset | SceneSet, batch_size: int) -> int:
    """Whole batches in one epoch; the rest is left out. Raises InputError if there is not one."""
    if not 1 <= batch_size <= len(data):
        raise InputError(f"{data.name} has {len(data)} training pictures: cannot make batches of {batch_size}")
    return len(data) // batch_size


def batch_indices(
    data: Dataset | SceneSet, *, batch_size: int, seed: int, start_step: int, stop_step: int
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The epoch and the pictures (batch_size,) of steps start_step <= s < stop_step, the same whatever start_step is.

    Epoch e takes the pictures in the order default_rng((seed, 0, e)).permutation(N), and leaves out its last
    incomplete batch. An endless set gives the pictures s * batch_size and on, each once. Raises InputError at once.
    """
    steps = steps_per_epoch(data, batch_size)
    if seed < 0 or start_step < 0:
        raise InputError(f"seed and start step must be 0 or more, got {seed} and {start_step}")

    def taken() -> Iterator[tuple[int, NDArray[np.int64]]]:
        ordered, order = -1, np.arange(0)
        for step in range(start_step, stop_step):
            epoch, place = divmod(step, steps)
            if data.endless:
                yield epoch, step * batch_size + np.arange(batch_size)
                continue
            if epoch != ordered:
                ordered, order = epoch, np.random.default_rng((seed, 0, epoch)).permutation(len(data))
            yield epoch, order[place * batch_size : (place + 1) * batch_size]

    return taken()


def train_batches(
    data: Dataset,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    stop_step: int,
    augment: Augment | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Iterator[Batch]:
    """The batches of steps start_step <= s < stop_step, the same whatever start_step is.

    They have the pictures that `batch_indices` gives; step s draws its augmentation from default_rng((seed, 1, s)).
    `mean` and `std` default to the data's. Raises InputError.
    """
    taken = batch_indices(data, batch_size=batch_size, seed=seed, start_step=start_step, stop_step=stop_step)
    augment = augment or Augment()
    mean, std = mean or data.mean, std or data.std

    def batches() -> Iterator[Batch]:
        for step, (epoch, indices) in enumerate(taken, start_step):
            rng = np.random.default_rng((seed, 1, step))
            unit = data.x[indices].astype(np.float32) / np.float32(255)
            x = normalize(augment.colour(unit, rng), mean, std)
            yield Batch(*augment.change(x, data.y[indices], len(data.classes), rng), epoch, step)

    return batches()


def eval_batches(
    data: Dataset, *, batch_size: int, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> Iterator[Batch]:
    """All pictures once, in order; the last batch may be short. Of an endless set, its nominal epoch."""
    if batch_size < 1:
        raise InputError(f"batch size must be 1 or more, got {batch_size}")
    for step, start in enumerate(range(0, len(data), batch_size)):
        indices = np.arange(start, min(start + batch_size, len(data)))
        yield Batch(normalize(data.x[indices], mean or data.mean, std or data.std), data.y[indices], 0, step)


def prefetch(items: Iterator[T], depth: int = 2) -> Generator[T, None, None]:
    """The same items, prepared up to `depth` ahead by a background thread; inline where no thread can start.

    An exception in `items` is raised here in its turn. Closing this generator ends the thread.
    """
    ready: queue.Queue[list[T] | BaseException] = queue.Queue(depth)  # [item], [] at the end, or what was raised
    closing = threading.Event()

    def work() -> None:
        try:
            for item in items:
                ready.put([item])
                if closing.is_set():
                    return
            ready.put([])
        except BaseException as error:
            ready.put(error)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        yield from items
        return
    try:
        while taken := ready.get():
            if isinstance(taken, BaseException):
                raise taken
            yield from taken
    finally:
        closing.set()
        while not ready.empty():  # makes room: the thread may be waiting to put one more item
            ready.get()
        if not sys.is_finalizing():  # at the very end of the interpreter, Python 3.14 refuses to join a daemon
            thread.join()
