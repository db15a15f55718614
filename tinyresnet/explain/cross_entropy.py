"""Softmax cross-entropy, cell by cell: from the logits over the probabilities to the loss, and dlogits = p − target."""

from __future__ import annotations

from tinyresnet_kernels import Array

from ..trace import Step
from . import softmax
from .terms import MINUS, Index, Rule, Tensors, Term, share


def derived(step: Step) -> dict[str, Array]:
    """What the loss computes on its way: the parts of the softmax and its log, each row's loss."""
    if step.direction == "backward":
        return {}
    found = softmax.derived(step.tensors["x"])
    return found | {"losses": -(step.tensors["target"] * found["log_p"]).sum(axis=1)}


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """Any number on the way from the logits x to the loss y."""
    if name in softmax.PARTS:
        return softmax.rule(t, name, index)
    if name == "losses":
        row = softmax.classes(t["x"].shape[1], index)
        terms = [Term((MINUS, t.factor("target", place), t.factor("log_p", place))) for place in row]
        return Rule("− sum of target × log_p", terms)
    counted = share(t.settings["counted"])
    losses = [Term((t.factor("losses", (i,)), counted)) for i in range(len(t["x"]))]
    return Rule("the mean of the rows' losses", losses)


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = dy (p − target) / counted; 0 in rows that do not count."""
    if not t["target"][index[0]].any():
        return Rule("this row does not count", [])
    scale = (t.factor("dy", ()), share(t.settings["counted"]))
    terms = [Term((*scale, t.factor("p", index)), "p"), Term((MINUS, *scale, t.factor("target", index)), "target")]
    return Rule("dy × (p − target) / rows", terms)
