"""Detection: focal loss and GIoU loss of assigned places; AP50 tells the best weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyresnet_kernels import array_module

from ..assign import assign, detection_loss, places_of
from ..average_precision import DetectionEvaluation, DetectionMetrics
from ..data.scene_batches import SceneTargets, scene_eval_batches
from ..data.scene_set import SceneSet
from ..detect import Detector, Outputs, detections
from ..device import beside
from ..layers import Layer
from .task import Learned, SceneTask

COCO_SIDE = 640  # pixels, the longer side of most of its pictures


class Detect(SceneTask):
    """Boxes with classes."""

    name, best = "detect", "ap50"

    def __init__(self, model: Detector) -> None:
        self.strides = model.strides

    def learn(self, y: Outputs, batch: SceneTargets) -> Learned:
        """The detection loss against the batch's boxes."""
        places = places_of(batch.x.shape[2:], self.strides)
        loss, gradient = detection_loss(y, assign(places, batch.boxes, batch.labels, batch.crowd))
        xp, dtype = array_module(y.logits), y.logits.dtype
        parts = [xp.asarray(np.asarray(value, dtype)) for value in (loss.class_loss, loss.box_loss)]
        return Learned(xp.asarray(np.asarray(loss.loss, dtype)), gradient, tuple(parts))

    def figures(self, batch: SceneTargets, seen: list[NDArray[Any]]) -> dict[str, float]:
        """The loss's two parts."""
        return {"class_loss": float(seen[0]), "box_loss": float(seen[1])}

    def measure(
        self, network: Layer, data: SceneSet, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> dict[str, Any]:
        """AP, AP50 and AP75 of all scenes."""
        found = evaluate_detector(network, scene_eval_batches(data, batch_size=32, mean=mean, std=std), data)
        return {"ap": found.ap, "ap50": found.ap50, "ap75": found.ap75}


def evaluate_detector(
    network: Layer,
    batches: Iterable[SceneTargets],
    data: SceneSet,
    progress: Callable[[int], object] = lambda count: None,
) -> DetectionEvaluation:
    """How good a detector is on batches of scenes of `data`."""
    metrics = DetectionMetrics(data.classes, area_limits=area_limits(data))
    for batch in batches:
        y, _ = network.forward(beside(network, batch.x), train=False)
        for n, found in enumerate(detections(y, batch.x.shape[2:])):
            metrics.add(*found, batch.boxes[n], batch.labels[n], batch.crowd[n])
        progress(len(batch.x))
    return metrics.summary()


def area_limits(data: SceneSet) -> tuple[float, float]:
    """From which area on, in square pixels, an object is medium and large: 12 and 24 pixels a side in drawn scenes; else COCO's 32 and 96,

    in proportion to the pictures.
    """
    small, large = (12.0, 24.0) if data.name == "shapes" else (side * data.shape[2] / COCO_SIDE for side in (32, 96))
    return small**2, large**2
