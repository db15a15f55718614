"""Boxes of points, cell by cell: a raw number becomes a distance, the distance an edge, and dx is dy times the distance."""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array

from ..trace import Step
from .terms import MINUS, Index, Rule, Tensors, Term, constant


def derived(step: Step) -> dict[str, Array]:
    """What the layer computes on its way: x as it was clipped, and exp of it."""
    if step.direction == "backward":
        return {}
    clipped = np.minimum(step.tensors["x"], step.settings["limit"])
    return {"clipped": clipped, "exp": np.exp(clipped)}


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """Any number on the way from x to the box's edges y."""
    limit, stride = constant("limit", t.settings["limit"]), constant("stride", float(t.settings["stride"]))
    here = Term((t.factor("x", index),))
    if name == "mask":
        return Rule("1 if x < limit, else 0", [Term((limit,)), Term((MINUS, t.factor("x", index)))], "> 0")
    if name == "clipped":
        return Rule("x, at most the limit", [here if t["x"][index] < limit.value else Term((limit,))])
    if name == "exp":
        return Rule("exp(clipped)", [Term((t.factor("clipped", index),))], "exp")
    if name == "ltrb":
        return Rule("stride × exp", [Term((stride, t.factor("exp", index)))])
    _, side, row, column = index
    point = Term((constant("row + ½", row + 0.5) if side % 2 else constant("column + ½", column + 0.5), stride))
    reach = (t.factor("ltrb", index),) if side > 1 else (MINUS, t.factor("ltrb", index))
    return Rule("the point + distance" if side > 1 else "the point − distance", [point, Term(reach)])


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = ± mask × dy × ltrb: exp is its own derivative."""
    factors = t.factor("mask", index), t.factor("dy", index), t.factor("ltrb", index)
    if index[1] > 1:
        return Rule("mask × dy × distance", [Term(factors)])
    return Rule("− mask × dy × distance", [Term((MINUS, *factors))])
