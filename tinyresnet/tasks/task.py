"""What training asks of a task: batches, the loss with its gradient, and how good the network is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from numpy.typing import NDArray

from tinyresnet_kernels import Array

from ..data.scene_batches import SceneTargets, scene_batches
from ..data.scene_set import SceneSet
from ..layers import Layer

if TYPE_CHECKING:
    from ..train import Settings


class Learned(NamedTuple):
    """The loss (a number, shape ()), its gradient at the network's output, and arrays that `figures` wants to see."""

    loss: Array
    gradient: Any
    seen: tuple[Array, ...] = ()


class Task(Protocol):
    """A task on its data."""

    @property
    def name(self) -> str:
        """What it is called: "classify"."""

    @property
    def best(self) -> str:
        """Which figure of `measure` tells the best weights: the larger the better."""

    def batches(self, data: Any, settings: Settings, start: int, stop: int) -> Iterator[Any]:
        """The batches of steps start <= s < stop, each with `x` (n, C, H, W) float32 and `epoch`; they depend on (seed, s) alone."""

    def learn(self, y: Any, batch: Any) -> Learned:
        """The loss of the network's output y and its gradient."""

    def figures(self, batch: Any, seen: list[NDArray[Any]]) -> dict[str, float]:
        """Figures of a step's batch, as a mean over its pictures; `seen` is what `learn` gave, on the host and in float64."""

    def measure(self, network: Layer, data: Any, mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Any]:
        """Figures of the network on a data set: "loss" where there is one, and `best`."""


class SceneTask:
    """What the tasks on scenes share."""

    def batches(self, data: SceneSet, settings: Settings, start: int, stop: int) -> Iterator[SceneTargets]:
        """Shuffled and augmented scenes with their boxes and masks."""
        return scene_batches(
            data,
            batch_size=settings.batch_size,
            seed=settings.seed,
            start_step=start,
            stop_step=stop,
            augment=settings.scene_augment,
        )


def task_of(model: Layer, settings: Settings) -> Task:
    """The task that a model is made for."""
    from ..detect import Detector
    from ..segment import Segmenter
    from .classify import Classify
    from .detect import Detect
    from .segment import Segment

    if isinstance(model, Detector):
        return Detect(model)
    return Segment() if isinstance(model, Segmenter) else Classify(settings.label_smoothing)
