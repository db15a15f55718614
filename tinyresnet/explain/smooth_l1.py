"""Smooth L1, cell by cell: from the error over its slope to the loss, and back along the slope."""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array

from ..trace import Step
from .terms import MINUS, Index, Rule, Tensors, Term, constant

ONE = constant("1", 1.0)


def derived(step: Step) -> dict[str, Array]:
    """What the loss computes on its way: each number's error and its loss."""
    if step.direction == "backward":
        return {}
    error, slope = step.tensors["x"] - step.tensors["target"], step.tensors["slope"]
    return {"error": error, "losses": slope * (error - step.settings["beta"] / 2 * slope)}


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """Any number on the way from x to the loss y."""
    beta = t.settings["beta"]
    if name == "error":
        return Rule("x − target", [Term((t.factor("x", index),)), Term((MINUS, t.factor("target", index)))])
    if name == "slope":
        error = t.factor("error", index)
        if abs(error.value) >= beta:
            return Rule("the sign of the error, which is large", [Term((ONE if error.value > 0 else MINUS,))])
        return Rule("error / beta", [Term((error, constant("1/beta", 1 / beta)))])
    if name == "losses":
        slope = t.factor("slope", index)
        square = Term((MINUS, constant("beta/2", beta / 2), slope, slope))
        return Rule("slope × error − beta/2 × slope²", [Term((slope, t.factor("error", index))), square])
    count = constant("1/count", 1 / t.settings["counted"])
    places = map(tuple, np.ndindex(t["x"].shape))
    return Rule("the sum of the losses / count", [Term((t.factor("losses", place), count)) for place in places])


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = dy × slope / count."""
    factors = t.factor("dy", ()), t.factor("slope", index), constant("1/count", 1 / t.settings["counted"])
    return Rule("dy × slope / count", [Term(factors)])
