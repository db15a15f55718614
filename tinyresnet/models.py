"""From a configuration to the network that it describes: a classifier, a detector or a segmenter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, overload

import numpy as np

from .detect import Detector, DetectorConfig
from .errors import InputError, unknown
from .resnet import Config, ResNet, build
from .segment import Segmenter, SegmenterConfig

AnyConfig: TypeAlias = Config | DetectorConfig | SegmenterConfig
Model: TypeAlias = ResNet | Detector | Segmenter
TASKS = ("classify", "detect", "segment")


@overload
def make(config: Config, rng: np.random.Generator) -> ResNet: ...
@overload
def make(config: DetectorConfig | SegmenterConfig, rng: np.random.Generator) -> Detector | Segmenter: ...
def make(config: AnyConfig, rng: np.random.Generator) -> Model:
    """The network of this configuration, in float32."""
    if isinstance(config, DetectorConfig):
        return Detector(config, rng=rng)
    if isinstance(config, SegmenterConfig):
        return Segmenter(config, rng=rng)
    return build(**config.as_dict(), rng=rng)


def config_from(about: Mapping[str, Any]) -> AnyConfig:
    """What `as_dict` made, made again. Raises InputError on an unknown task, TypeError on unknown settings."""
    settings = dict(about)
    task = settings.pop("task", "classify")
    if task not in TASKS:
        raise unknown("task", str(task), TASKS)
    if task == "classify":
        return Config(**settings)
    settings["backbone"] = Config(**settings["backbone"])
    return DetectorConfig(**settings) if task == "detect" else SegmenterConfig(**settings)


def load_backbone(model: Detector | Segmenter, arrays: Mapping[str, Any]) -> int:
    """Copy a classifier's parameters and buffers into the model's backbone; how many numbers they are.

    Its last layer is left out. Raises InputError that says what does not fit.
    """
    own = model.backbone.state_dict()
    taken = {name: arrays[name] for name in own if name in arrays}
    if not any(name.startswith("layer") for name in taken):
        raise InputError("these are no weights of a ResNet: none of its layers' names is among them")
    model.backbone.load_state_dict(taken)
    return sum(int(array.size) for array in taken.values())
