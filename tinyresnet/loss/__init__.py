"""The losses: one a file, its backward right below its forward. `cross_entropy.py` is the classifier's; read it first."""

from .cross_entropy import (
    CrossEntropyCache,
    cross_entropy_gradient_rows,
    cross_entropy_rows,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
)

__all__ = [
    "CrossEntropyCache",
    "cross_entropy_gradient_rows",
    "cross_entropy_rows",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
]
