"""Kernels for tinyresnet: fast functions that take the place of the readable ones, and the two moves between pictures and columns."""

from .arrays import (
    Array,
    Form,
    array_module,
    empty_memory,
    fetch,
    form,
    is_channels_last,
    like_memory,
    on_host,
    same_kind,
)
from .dispatch import accelerated, available, replaces, use
from .im2col import Pair, col2im, im2col, output_size, pair
from .layout import preferred_memory

__all__ = [
    "Array",
    "Form",
    "Pair",
    "accelerated",
    "array_module",
    "available",
    "col2im",
    "empty_memory",
    "fetch",
    "form",
    "im2col",
    "is_channels_last",
    "like_memory",
    "on_host",
    "output_size",
    "pair",
    "preferred_memory",
    "replaces",
    "same_kind",
    "use",
]
