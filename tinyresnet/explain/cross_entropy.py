"""Softmax cross-entropy, cell by cell: from the logits over the probabilities to the loss, and dlogits = p − target."""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array

from ..trace import Step
from .terms import MINUS, Index, Rule, Tensors, Term, share


def derived(step: Step) -> dict[str, Array]:
    """What the loss computes on its way: the largest logit, shifted logits, their exp, its total and log, log_p, each row's loss."""
    if step.direction == "backward":
        return {}
    logits, target = step.tensors["x"], step.tensors["target"]
    largest = logits.max(axis=1)
    shifted = logits - largest[:, None]
    total = np.exp(shifted).sum(axis=1)
    log_p = shifted - np.log(total)[:, None]
    losses = -(target * log_p).sum(axis=1)
    found = {"largest": largest, "shifted": shifted, "exp": np.exp(shifted), "total": total, "inverse_total": 1 / total}
    return found | {"log_total": np.log(total), "log_p": log_p, "losses": losses}


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """Any number on the way from the logits x to the loss y."""
    n, K = index[:1], t["x"].shape[1]
    row = [(index[0], k) for k in range(K)] if index else []
    if name == "largest":
        winner = (index[0], int(t["x"][index[0]].argmax()))
        return Rule("the largest logit of the row", [Term((t.factor("x", winner),))])
    if name == "shifted":
        return Rule("x − largest", [Term((t.factor("x", index),)), Term((MINUS, t.factor("largest", n)))])
    if name == "exp":
        return Rule("exp(shifted)", [Term((t.factor("shifted", index),))], "exp")
    if name == "total":
        return Rule("sum of exp over the classes", [Term((t.factor("exp", place),)) for place in row])
    if name == "inverse_total":
        return Rule("1 / total", [Term((t.factor("total", index),))], "1/")
    if name == "p":
        return Rule("exp / total", [Term((t.factor("exp", index), t.factor("inverse_total", n)))])
    if name == "log_total":
        return Rule("log(total)", [Term((t.factor("total", index),))], "log")
    if name == "log_p":
        return Rule(
            "shifted − log_total", [Term((t.factor("shifted", index),)), Term((MINUS, t.factor("log_total", n)))]
        )
    if name == "losses":
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
