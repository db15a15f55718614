"""Lesson 08: SGD with momentum and weight decay."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...optim import sgd_update
from .model import Exercise, Function, Rng
from .museum import slips
from .words import hints

SETTINGS = (
    {"momentum": 0.9, "decay": 0.1},
    {"momentum": 0.0, "decay": 0.0},
    {"momentum": 0.9, "decay": 0.0},
    {"momentum": 0.0, "decay": 0.1},
)


def step(param: Any, grad: Any, velocity: Any, lr: float, momentum: float, weight_decay: float) -> Any:
    """The new param and velocity."""
    new, speed = param.copy(), velocity.copy()
    sgd_update(new, grad, speed, lr, weight_decay, momentum, False)
    return new, speed


def run(param: Any, grads: Any, lr: float, momentum: float, weight_decay: float) -> Any:
    """param after all steps."""
    velocity = np.zeros_like(param)
    for grad in grads:
        param, velocity = step(param, grad, velocity, lr, momentum, weight_decay)
    return param


def draw_step(rng: Rng, momentum: float, decay: float) -> tuple[Any, ...]:
    """param, grad, velocity, lr, momentum, weight_decay."""
    shape = tuple(rng.integers(2, 6, rng.integers(1, 4)))
    return *(rng.standard_normal(shape) for _ in range(3)), float(rng.uniform(0.05, 0.5)), momentum, decay


def draw_run(rng: Rng, momentum: float, decay: float) -> tuple[Any, ...]:
    """param, grads, lr, momentum, weight_decay."""
    param, _, _, *numbers = draw_step(rng, momentum, decay)
    return param, rng.standard_normal((int(rng.integers(2, 6)), *param.shape)), *numbers


def nesterov(p: Any, g: Any, v: Any, lr: float, m: float, d: float) -> Any:
    """The step looks ahead."""
    new, speed = p.copy(), v.copy()
    sgd_update(new, g, speed, lr, d, m, True)
    return new, speed


def _with(change: Any) -> Any:
    return lambda p, g, v, lr, m, d: change(p, g, v, lr, m, d)


SLIPS = slips(
    (
        "sgd: uphill",
        "sign",
        _with(lambda p, g, v, lr, m, d: (2 * p - step(p, g, v, lr, m, d)[0], step(p, g, v, lr, m, d)[1])),
    ),
    ("sgd: old velocity", "stale", _with(lambda p, g, v, lr, m, d: (p - lr * v, step(p, g, v, lr, m, d)[1]))),
    ("sgd: decay subtracted", "sign", _with(lambda p, g, v, lr, m, d: step(p, g, v, lr, m, -d))),
    (
        "sgd: decay outside the velocity",
        "other",
        _with(lambda p, g, v, lr, m, d: (step(p, g, v, lr, m, 0)[0] - lr * d * p, step(p, g, v, lr, m, 0)[1])),
    ),
    (
        "sgd: running average",
        "scale",
        _with(lambda p, g, v, lr, m, d: (p - lr * (m * v + (1 - m) * (g + d * p)), m * v + (1 - m) * (g + d * p))),
    ),
    (
        "sgd: learning rate in the velocity",
        "scale",
        _with(lambda p, g, v, lr, m, d: (p - (m * v + lr * (g + d * p)), m * v + lr * (g + d * p))),
    ),
    ("sgd: Nesterov", "other", nesterov),
    ("sgd: decay forgotten", "missing term", _with(lambda p, g, v, lr, m, d: step(p, g, v, lr, m, 0))),
)


def _fresh(p: Any, grads: Any, lr: float, m: float, d: float) -> Any:
    for g in grads:
        p = step(p, g, np.zeros_like(p), lr, m, d)[0]
    return p


SGD = Exercise(
    "sgd",
    8,
    "SGD with momentum and weight decay",
    (
        Function(
            "sgd_step",
            2,
            draw_step,
            step,
            ("new_param", "new_velocity"),
            SETTINGS,
            hints=hints("sgd_step"),
            slips=SLIPS,
        ),
        Function(
            "sgd_run",
            2,
            draw_run,
            run,
            ("param",),
            SETTINGS,
            hints=hints("sgd_run"),
            slips=slips(
                ("sgd: velocity set back", "stale", _fresh),
                ("sgd: decay forgotten", "missing term", lambda p, gs, lr, m, d: run(p, gs, lr, m, 0)),
            ),
        ),
    ),
)
