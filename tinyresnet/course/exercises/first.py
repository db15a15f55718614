"""Lesson 01: ReLU and softmax cross-entropy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...gradcheck.museum.relu import _Remembered
from ...gradcheck.shipped import CrossEntropy
from ...layers import ReLU
from ...layers.relu import ReluCache, relu_backward, relu_forward
from ...loss import CrossEntropyCache, softmax_cross_entropy_backward, softmax_cross_entropy_forward
from .model import Exercise, Function, Rng
from .museum import pieces, slips
from .words import hints


def relu(x: Any) -> Any:
    """y, cache = x."""
    return relu_forward(x)[0], x


def relu_back(dy: Any, x: Any) -> Any:
    """dx."""
    return relu_backward(dy, relu_forward(x)[1])


def draw_relu(rng: Rng, zeros: bool = False, wide: float = 1) -> tuple[Any, ...]:
    """x (N, C, H, W), with some zeros or wide numbers."""
    x = wide * rng.standard_normal(tuple(rng.integers(2, 6, 4)))
    x[rng.random(x.shape) < 0.1] *= 0 if zeros else 0.01
    return (x,)


def _museum_relu(bug: Any, dy: Any, x: Any) -> Any:
    _, cache = relu_forward(x)
    return ReLU(), dy, _Remembered(ReluCache(cache.mask, cache.x), x)


RELU = Exercise(
    "relu",
    1,
    "ReLU, both ways",
    (
        Function(
            "relu_forward",
            1,
            draw_relu,
            relu,
            ("y", "cache"),
            ({}, {"zeros": True}),
            hints=hints("relu_forward"),
            slips=slips(
                ("relu: absolute value", "mask", lambda x: (np.abs(x), x)),
                ("relu: minimum", "mask", lambda x: (np.minimum(x, 0), x)),
            ),
        ),
        Function(
            "relu_backward",
            2,
            draw_relu,
            relu_back,
            ("dx",),
            ({}, {"zeros": True}, {"wide": 8}),
            relu,
            hints("relu_backward"),
            pieces("relu", _museum_relu),
        ),
    ),
)


def loss(logits: Any, labels: Any) -> Any:
    """loss, cache = (p, labels)."""
    value, cache = softmax_cross_entropy_forward(logits, labels)
    return value, (cache.p, labels)


def loss_back(dloss: Any, cache: Any) -> Any:
    """dlogits."""
    p, labels = cache
    return softmax_cross_entropy_backward(np.asarray(dloss), _loss_cache(p, labels))


def draw_loss(rng: Rng, size: float = 2, offset: float = 0) -> tuple[Any, ...]:
    """logits (N, K), which may lie far from 0, and labels (N,)."""
    N, K = rng.integers(3, 8, 2)
    return size * rng.standard_normal((N, K)) + offset, rng.integers(0, K, N)


def _loss_cache(p: Any, labels: Any) -> CrossEntropyCache:
    return CrossEntropyCache(p, (labels[:, None] == np.arange(p.shape[1])).astype(p.dtype), len(p))


def _museum_loss(bug: Any, dloss: Any, cache: Any) -> Any:
    return CrossEntropy(cache[1], 0.0), np.asarray(dloss), _loss_cache(*cache)


def _wrong_axis(logits: Any, labels: Any) -> Any:
    powers = np.exp(logits - logits.max())
    p = powers / powers.sum(axis=0)
    return -np.log(p[np.arange(len(p)), labels]).mean(), (p, labels)


LOSS = Exercise(
    "loss",
    1,
    "Softmax cross-entropy, both ways",
    (
        Function(
            "softmax_loss_forward",
            2,
            draw_loss,
            loss,
            ("loss", "cache"),
            ({}, {"offset": 1000}),
            hints=hints("softmax_loss_forward"),
            slips=slips(
                ("loss: sum over the rows", "mean for sum", lambda x, k: (loss(x, k)[0] * len(x), loss(x, k)[1])),
                ("loss: softmax over the rows", "other", _wrong_axis),
                ("loss: minus forgotten", "sign", lambda x, k: (-loss(x, k)[0], loss(x, k)[1])),
            ),
        ),
        Function(
            "softmax_loss_backward",
            3,
            draw_loss,
            loss_back,
            ("dlogits",),
            ({}, {"size": 8}),
            loss,
            hints("softmax_loss_backward"),
            pieces("cross_entropy", _museum_loss),
        ),
    ),
)
