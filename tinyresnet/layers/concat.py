"""Concatenation: the channels of several pictures side by side. Where an add sums two ways, this keeps them apart (DenseNet, U-Net).

x0  C0 channels --+                            dy[:, :C0]         --> dx0
x1  C1 channels --+--> y  C0 + C1 channels     dy[:, C0 : C0+C1]  --> dx1
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from tinyresnet_kernels import Array, Form, array_module, form, like_memory

from ..errors import InputError
from . import checks
from .base import Layer


class ConcatCache(NamedTuple):
    """What backward needs: where to cut."""

    xs: tuple[Form, ...]


def concat_forward(xs: tuple[Array, ...]) -> tuple[Array, ConcatCache]:
    """y (N, C0 + C1 + ..., H, W): the channels of every x (N, Ci, H, W), in their order; channels-last in memory if any of them is.

    Raises InputError if there are fewer than two, or if they differ in anything but their channels.
    """
    if not isinstance(xs, tuple) or len(xs) < 2:
        came = f"a tuple of {len(xs)}" if isinstance(xs, tuple) else f"a {type(xs).__name__}"
        raise InputError(f"concat: xs is {came}: a tuple of two arrays or more is wanted")
    for i, x in enumerate(xs):
        checks.array("concat", f"x{i}", x, "N C H W")
        checks.same_precision("concat", f"x{i}", x, xs[0])
        if _without_channels(x) != _without_channels(xs[0]):
            raise InputError(f"concat: x{i} has shape {x.shape}: one N, H and W is wanted, and x0 has {xs[0].shape}")
    forms = tuple(map(form, xs))
    y = array_module(xs[0]).concatenate(xs, axis=1)
    return like_memory(y, max(forms, key=lambda one: one.channels_last)), ConcatCache(forms)


def concat_backward(dy: Array, cache: ConcatCache) -> tuple[Array, ...]:
    """dx0, dx1, ...: dy (N, C0 + C1 + ..., H, W) cut apart again; each number went to one place, so nothing is summed."""
    N, _, H, W = cache.xs[0].shape
    ends = list(accumulate((x.shape[1] for x in cache.xs), initial=0))
    checks.upstream("concat_backward", dy, (N, ends[-1], H, W), cache.xs[0])
    return tuple(like_memory(dy[:, a:b], x) for a, b, x in zip(ends, ends[1:], cache.xs, strict=False))


def _without_channels(x: Array) -> tuple[int, ...]:
    return (x.shape[0], *x.shape[2:])


class Concat(Layer):
    """(x0, x1, ...) -> their channels side by side."""

    def forward(self, x: tuple[Array, ...], *, train: bool) -> tuple[Array, ConcatCache]:
        return concat_forward(x)

    def backward(self, dy: Array, cache: ConcatCache) -> tuple[Array, ...]:
        return concat_backward(dy, cache)
