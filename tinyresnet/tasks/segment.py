"""Segmentation: cross-entropy of every pixel; the mean IoU tells the best weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import Array, array_module, on_host

from ..data.scene_batches import SceneTargets, scene_eval_batches
from ..data.scene_set import IGNORED, SceneSet
from ..device import beside
from ..layers import Layer
from ..loss import pixel_cross_entropy_backward, pixel_cross_entropy_forward
from ..pixel_metrics import PixelEvaluation, PixelMetrics
from .task import Learned, SceneTask

BACKGROUND = "background"


@dataclass(frozen=True)
class Segment(SceneTask):
    """A class a pixel; 0 is the background."""

    name: str = "segment"
    best: str = "mean_iou"

    def learn(self, y: Array, batch: SceneTargets) -> Learned:
        """The mean cross-entropy of logits y (N, K + 1, H, W) over the pixels that count."""
        loss, cache = pixel_cross_entropy_forward(y, batch.masks, ignore_index=IGNORED)
        gradient = pixel_cross_entropy_backward(array_module(y).ones_like(loss), cache)
        wanted = array_module(y).take_along_axis(cache.p, cache.target[:, None], axis=1)[:, 0]
        right = ((wanted == cache.p.max(axis=1)) & (cache.weights > 0)).sum()
        return Learned(loss, gradient, (right,))

    def figures(self, batch: SceneTargets, seen: list[NDArray[Any]]) -> dict[str, float]:
        """The part of the batch's pixels that was right."""
        return {"pixel_accuracy": float(seen[0]) / max(1, int((batch.masks != IGNORED).sum()))}

    def measure(
        self, network: Layer, data: SceneSet, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> dict[str, Any]:
        """Loss, mean IoU and pixel accuracy of all scenes."""
        found = evaluate_segmenter(network, scene_eval_batches(data, batch_size=32, mean=mean, std=std), data.classes)
        return {"loss": found.loss, "mean_iou": found.mean_iou, "pixel_accuracy": found.pixel_accuracy}


def evaluate_segmenter(
    network: Layer,
    batches: Iterable[SceneTargets],
    classes: tuple[str, ...],
    progress: Callable[[int], object] = lambda count: None,
) -> PixelEvaluation:
    """How good a segmenter is on batches of scenes; `classes` are those of things, without the background."""
    metrics, total, counted = PixelMetrics((BACKGROUND, *classes)), 0.0, 0
    for batch in batches:
        y, _ = network.forward(beside(network, batch.x), train=False)
        pixels = int((batch.masks != IGNORED).sum())
        if pixels:
            total += pixels * float(pixel_cross_entropy_forward(y, batch.masks, ignore_index=IGNORED)[0])
            counted += pixels
        metrics.add(masks_of(y), batch.masks)
        progress(len(batch.x))
    return metrics.summary(loss=total / counted if counted else None)


def masks_of(y: Array) -> NDArray[np.uint8]:
    """The most probable class of each pixel (N, H, W), 0 for the background, of logits y (N, K + 1, H, W)."""
    return on_host(y.argmax(axis=1)).astype(np.uint8)
