"""The layers: one op a file, its backward right below its forward. Read `base.py` first, then `residual.py`."""

from .base import Chain, Identity, Layer, Param
from .concat import Concat
from .conv import Conv2d
from .conv_transpose import ConvTranspose2d, bilinear_init
from .dropout import Dropout
from .flatten import Flatten
from .linear import Linear
from .norm import BatchNorm2d
from .point_boxes import PointBoxes
from .pool import AvgPool2d, GlobalAvgPool, MaxPool2d
from .relu import ReLU
from .residual import Add, Fork, Residual
from .shortcut import ShortcutA
from .sigmoid import Sigmoid
from .upsample import UpsampleBilinear, UpsampleNearest

__all__ = [
    "Add",
    "AvgPool2d",
    "BatchNorm2d",
    "Chain",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "Fork",
    "GlobalAvgPool",
    "Identity",
    "Layer",
    "Linear",
    "MaxPool2d",
    "Param",
    "PointBoxes",
    "ReLU",
    "Residual",
    "ShortcutA",
    "Sigmoid",
    "UpsampleBilinear",
    "UpsampleNearest",
    "bilinear_init",
]
