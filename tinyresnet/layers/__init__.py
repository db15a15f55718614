"""The layers: one op a file, its backward right below its forward. Read `base.py` first, then `residual.py`."""

from .base import Chain, Identity, Layer, Param
from .conv import Conv2d
from .dropout import Dropout
from .flatten import Flatten
from .linear import Linear
from .norm import BatchNorm2d
from .pool import AvgPool2d, GlobalAvgPool, MaxPool2d
from .relu import ReLU
from .residual import Add, Fork, Residual
from .shortcut import ShortcutA

__all__ = [
    "Add",
    "AvgPool2d",
    "BatchNorm2d",
    "Chain",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Fork",
    "GlobalAvgPool",
    "Identity",
    "Layer",
    "Linear",
    "MaxPool2d",
    "Param",
    "ReLU",
    "Residual",
    "ShortcutA",
]
