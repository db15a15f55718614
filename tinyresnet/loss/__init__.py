"""The losses: one a file, its backward right below its forward. `cross_entropy.py` is the classifier's; read it first."""

from collections.abc import Callable
from typing import Any

from tinyresnet_kernels import Array

from .cross_entropy import (
    CrossEntropyCache,
    cross_entropy_gradient_rows,
    cross_entropy_rows,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
)
from .focal import FocalCache, sigmoid_focal_loss, sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from .giou import GIoUCache, giou_loss_backward, giou_loss_forward
from .pixel_cross_entropy import (
    PixelCrossEntropyCache,
    pixel_cross_entropy,
    pixel_cross_entropy_backward,
    pixel_cross_entropy_forward,
)
from .smooth_l1 import SmoothL1Cache, smooth_l1_backward, smooth_l1_forward

# a loss by its kind, as a trace calls it: forward(x, ..., **settings) -> (loss, cache), and backward(dloss, cache) -> dx
LOSSES: dict[str, tuple[Callable[..., tuple[Array, Any]], Callable[[Array, Any], Array]]] = {
    "CrossEntropy": (softmax_cross_entropy_forward, softmax_cross_entropy_backward),
    "PixelCrossEntropy": (pixel_cross_entropy_forward, pixel_cross_entropy_backward),
    "FocalLoss": (sigmoid_focal_loss_forward, sigmoid_focal_loss_backward),
    "SmoothL1": (smooth_l1_forward, smooth_l1_backward),
    "GIoU": (giou_loss_forward, giou_loss_backward),
}

__all__ = [
    "LOSSES",
    "CrossEntropyCache",
    "FocalCache",
    "GIoUCache",
    "PixelCrossEntropyCache",
    "SmoothL1Cache",
    "cross_entropy_gradient_rows",
    "cross_entropy_rows",
    "giou_loss_backward",
    "giou_loss_forward",
    "pixel_cross_entropy",
    "pixel_cross_entropy_backward",
    "pixel_cross_entropy_forward",
    "sigmoid_focal_loss",
    "sigmoid_focal_loss_backward",
    "sigmoid_focal_loss_forward",
    "smooth_l1_backward",
    "smooth_l1_forward",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
]
