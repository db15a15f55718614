"""The transfer variants as exercises: how their arguments are drawn, and hints. The answers beside this file are the references."""

from pathlib import Path

import numpy as np

from tinyresnet.course.cuts import solution
from tinyresnet.course.exercises.model import Exercise, Function

HERE = Path(__file__).parent


def answers(name):
    """What the answer's file defines."""
    return solution(HERE / f"{name}.py").module()


def circular(rng):
    """x and weight."""
    (N, C, O), (H, W), (KH, KW) = rng.integers(2, 4, 3), rng.integers(4, 7, 2), rng.integers(2, 4, 2)
    return rng.standard_normal((N, C, H, W)), rng.standard_normal((O, C, KH, KW))


def rows(rng, eps=1e-3):
    """x, weight, bias, eps."""
    N, D = rng.integers(3, 7, 2)
    return 2 * rng.standard_normal((N, D)) + 1, rng.standard_normal(D), rng.standard_normal(D), eps


def gated(rng, a=None):
    """x, w and the gate."""
    N, D = rng.integers(3, 6, 2)
    return (
        rng.standard_normal((N, D)),
        rng.standard_normal((D, D)) / 2,
        np.asarray(rng.standard_normal() if a is None else a),
    )


def windows(rng, kernel, r):
    """x, kernel, r."""
    return rng.standard_normal((2, 3, kernel * int(rng.integers(2, 4)), kernel * int(rng.integers(2, 4)))), kernel, r


CIRCULAR, LAYER_NORM, GATED, LSE = map(answers, ("circular_conv", "layer_norm", "gated_shortcut", "lse_pool"))
POOLS = ({"kernel": 2, "r": 1.0}, {"kernel": 3, "r": 0.2}, {"kernel": 2, "r": 800.0})

EXERCISES = (
    Exercise(
        "circular_conv", 3, "Transfer: convolution with circular padding",
        (
            Function("circular_forward", 3, circular, CIRCULAR["circular_forward"], ("y", "cache"), hints=("Which pixel meets weight[.., 0, 0] at the upper left output? Go up and left around the edge.",)),
            Function("circular_backward", 5, circular, CIRCULAR["circular_backward"], ("dx", "dweight"), ({},), CIRCULAR["circular_forward"], ("Every pixel is in KH*KW windows now, also at the edge.", "What np.roll moved there, np.roll moves back.")),
        ),
        place=HERE, variant_of="conv",
    ),
    Exercise(
        "lse_pool", 3, "Transfer: log-sum-exp pooling",
        (
            Function("lse_pool_forward", 3, windows, LSE["lse_pool_forward"], ("y", "cache"), POOLS, hints=("exp(r x) overflows for r x = 1000: take the window's largest out first.", "The mean over the window, not the sum.")),
            Function("lse_pool_backward", 4, windows, LSE["lse_pool_backward"], ("dx",), POOLS, LSE["lse_pool_forward"], ("The shares of one window sum to 1.", "r in front and 1/r behind cancel.")),
        ),
        place=HERE, variant_of="pool",
    ),
    Exercise(
        "layer_norm", 4, "Transfer: layer norm",
        (
            Function("layer_norm_forward", 2, rows, LAYER_NORM["layer_norm_forward"], ("y", "cache"), ({}, {"eps": 0.5}), hints=("Each row has its own mean and variance.",)),
            Function("layer_norm_backward", 5, rows, LAYER_NORM["layer_norm_backward"], ("dx", "dweight", "dbias"), ({}, {"eps": 0.5}), LAYER_NORM["layer_norm_forward"], ("The weight differs within a row: it goes inside both means.", "Parameters are shared by rows: sum over axis 0. Statistics run along a row: axis 1.")),
        ),
        place=HERE, variant_of="batch_norm",
    ),
    Exercise(
        "gated_shortcut", 6, "Transfer: a gated shortcut",
        (
            Function("gated_forward", 1, gated, GATED["gated_forward"], ("y", "cache"), ({}, {"a": 0.0}), hints=("The gate stands before the branch alone.",)),
            Function("gated_backward", 4, gated, GATED["gated_backward"], ("dx", "dw", "da"), ({}, {"a": 0.0}), GATED["gated_forward"], ("a is one number, used N*D times: its gradient is a sum.", "The shortcut's gradient does not meet the gate.")),
        ),
        place=HERE, variant_of="residual",
    ),
)  # fmt: skip
