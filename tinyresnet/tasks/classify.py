"""Classification: softmax cross-entropy; top-1 tells the best weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tinyresnet_kernels import Array, array_module

from ..data import Dataset
from ..data.batches import Batch, eval_batches, train_batches
from ..evaluate import evaluate
from ..layers import Layer
from ..loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from .task import Learned

if TYPE_CHECKING:
    from ..train import Settings


@dataclass(frozen=True)
class Classify:
    """One class a picture."""

    label_smoothing: float = 0.0
    name: str = "classify"
    best: str = "top1"

    def batches(self, data: Dataset, settings: Settings, start: int, stop: int) -> Iterator[Batch]:
        """Shuffled and augmented pictures with their labels."""
        return train_batches(
            data,
            batch_size=settings.batch_size,
            seed=settings.seed,
            start_step=start,
            stop_step=stop,
            augment=settings.augment,
        )

    def learn(self, y: Array, batch: Batch) -> Learned:
        """The mean cross-entropy of logits y (N, K)."""
        loss, cache = softmax_cross_entropy_forward(y, batch.labels, label_smoothing=self.label_smoothing)
        gradient = softmax_cross_entropy_backward(array_module(y).ones_like(loss), cache)
        return Learned(loss, gradient, (y.argmax(axis=1),))

    def figures(self, batch: Batch, seen: list[NDArray[Any]]) -> dict[str, float]:
        """The part of the batch that was right."""
        labels = batch.labels if batch.labels.ndim == 1 else batch.labels.argmax(axis=1)
        return {"top1": int((seen[0] == labels).sum()) / len(labels)}

    def measure(self, network: Layer, data: Dataset, mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Any]:
        """Loss and top-1 of all pictures."""
        found = evaluate(network, eval_batches(data, batch_size=256, mean=mean, std=std), data.classes)
        return {"loss": found.loss, "top1": found.top1}
