"""Lesson 04: batch norm in training and in evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...gradcheck.museum.norm import spread
from ...layers import BatchNorm2d
from ...layers.norm import BatchNormCache, batch_norm_backward, batch_norm_forward
from .model import Exercise, Function, Rng
from .museum import first_given, holding, pieces, slips
from .words import hints


def forward(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """y, cache = (x, weight, mean, var, eps)."""
    y, cache = batch_norm_forward(x, weight, bias, eps=eps)
    return y, (x, weight, cache.mean, cache.var, eps)


def backward(dy: Any, cache: Any) -> Any:
    """dx, dweight, dbias."""
    return batch_norm_backward(dy, _cache(cache, train=True))


def _cache(cache: Any, *, train: bool) -> BatchNormCache:
    x, weight, mean, var, eps = cache
    return BatchNormCache(x, weight, mean, var, eps, train)


def eval_forward(x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float) -> Any:
    """y, cache, by running statistics."""
    return batch_norm_forward(x, weight, bias, running=(mean, var), eps=eps)[0], (x, weight, mean, var, eps)


def eval_backward(dy: Any, cache: Any) -> Any:
    """dx, dweight, dbias."""
    return batch_norm_backward(dy, _cache(cache, train=False))


def draw(rng: Rng, square: bool = False, eps: float = 1e-3) -> tuple[Any, ...]:
    """x, weight (some negative), bias, eps; `square`: as many columns as channels."""
    N, C, H, W = (int(n) for n in rng.integers(2, 6, 4))
    x = spread(rng, (N, C, H, C if square else W))
    weight = rng.uniform(0.5, 2, C) * rng.choice([-1.0, 1.0], C)
    return x, weight, rng.standard_normal(C), eps


def draw_eval(rng: Rng, square: bool = False) -> tuple[Any, ...]:
    """x, weight, bias, mean, var, eps."""
    x, weight, bias, eps = draw(rng, square)
    C = len(weight)
    return x, weight, bias, rng.standard_normal(C), rng.uniform(0.5, 2, C), eps


def _museum(train: bool) -> Any:
    def build(bug: Any, dy: Any, cache: Any) -> Any:
        weight = cache[1]
        layer = holding(BatchNorm2d(len(weight), dtype=weight.dtype), weight=weight, bias=np.zeros_like(weight))
        return layer, dy, _cache(cache, train=train)

    return build


def _over(axes: tuple[int, ...], ddof: int = 0) -> Any:
    def wrong(x: Any, weight: Any, bias: Any, eps: float) -> Any:
        mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, ddof=ddof, keepdims=True)
        y = weight[:, None, None] * (x - mean) / np.sqrt(var + eps) + bias[:, None, None]
        return y, (x, weight, mean.squeeze(), var.squeeze(), eps)

    return wrong


def _eps_outside(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    axes = (0, 2, 3)
    xhat = (x - x.mean(axis=axes, keepdims=True)) / (x.std(axis=axes, keepdims=True) + eps)
    return weight[:, None, None] * xhat + bias[:, None, None], forward(x, weight, bias, eps)[1]


SETTINGS: tuple[dict[str, Any], ...] = ({}, {"square": True}, {"eps": 0.5})

BATCH_NORM = Exercise(
    "batch_norm",
    4,
    "Batch norm, in training and in evaluation",
    (
        Function(
            "batch_norm_forward",
            2,
            draw,
            forward,
            ("y", "cache"),
            SETTINGS,
            hints=hints("batch_norm_forward"),
            slips=slips(
                ("batch norm forward: unbiased variance", "other", _over((0, 2, 3), 1)),
                ("batch norm forward: per picture", "other", _over((2, 3))),
                ("batch norm forward: per pixel", "other", _over((0,))),
                ("batch norm forward: eps outside the root", "other", _eps_outside),
            ),
        ),
        Function(
            "batch_norm_backward",
            5,
            draw,
            backward,
            ("dx", "dweight", "dbias"),
            SETTINGS,
            forward,
            hints("batch_norm_backward"),
            pieces("batch_norm", _museum(True), first_given),
        ),
        Function(
            "batch_norm_eval_forward",
            1,
            draw_eval,
            eval_forward,
            ("y", "cache"),
            ({}, {"square": True}),
            hints=hints("batch_norm_eval_forward"),
            slips=slips(
                (
                    "batch norm: evaluation by the batch",
                    "other",
                    lambda x, w, b, m, v, e: (forward(x, w, b, e)[0], (x, w, m, v, e)),
                )
            ),
        ),
        Function(
            "batch_norm_eval_backward",
            2,
            draw_eval,
            eval_backward,
            ("dx", "dweight", "dbias"),
            ({}, {"square": True}),
            eval_forward,
            hints("batch_norm_eval_backward"),
            pieces("batch_norm", _museum(False), first_given),
        ),
    ),
)
