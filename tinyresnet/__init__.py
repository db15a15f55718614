"""tinyresnet: residual networks from scratch in NumPy, every forward and backward pass written by hand.

One legend of sizes for the whole library:
    N pictures in a batch    C channels    H, W height and width of an input
    O output channels        KH, KW kernel height and width    OH, OW height and width of an output
    K classes                M = N*H*W, the values that one channel's batch statistics run over
"""

import importlib

from tinyresnet_kernels import Array, array_module

from . import layers
from .errors import InputError
from .explain import explain
from .fuse import fuse
from .layers import Chain, Layer, Param, Residual
from .loss import softmax_cross_entropy
from .observe import observe
from .optim import SGD, AdamW, clip_grad_norm
from .resnet import ARCHITECTURES, MAKERS, Config, ResNet, build
from .trace import trace
from .weights import Header, load, load_model, save

__version__ = "0.1.0"

plain8, plain20, plain32, plain44, plain56, plain110 = (MAKERS[f"plain{depth}"] for depth in (8, 20, 32, 44, 56, 110))
resnet8, resnet20, resnet32, resnet44, resnet56, resnet110 = (
    MAKERS[f"resnet{depth}"] for depth in (8, 20, 32, 44, 56, 110)
)
preact_resnet8, preact_resnet20, preact_resnet32, preact_resnet44, preact_resnet56, preact_resnet110 = (
    MAKERS[f"preact_resnet{depth}"] for depth in (8, 20, 32, 44, 56, 110)
)
resnet18, resnet34, resnet50, resnet101, resnet152 = (MAKERS[f"resnet{depth}"] for depth in (18, 34, 50, 101, 152))

__all__ = [
    "ARCHITECTURES",
    "SGD",
    "AdamW",
    "Array",
    "Chain",
    "Config",
    "Header",
    "InputError",
    "Layer",
    "Param",
    "ResNet",
    "Residual",
    "array_module",
    "build",
    "clip_grad_norm",
    "explain",
    "fuse",
    "layers",
    "load",
    "load_model",
    "observe",
    "save",
    "softmax_cross_entropy",
    "trace",
    *MAKERS,
]


def __getattr__(name: str) -> object:
    """`tr.gradcheck`, which is imported where it is first used."""
    if name == "gradcheck":
        return importlib.import_module(".gradcheck", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
