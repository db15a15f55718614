"""The softmax over the classes (axis 1) and its log, cell by cell: of a row of logits (N, K), and of each pixel's (N, K, H, W)."""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array

from .terms import MINUS, Index, Rule, Tensors, Term

PARTS = ("largest", "shifted", "exp", "total", "inverse_total", "p", "log_total", "log_p")  # as they are computed


def derived(logits: Array) -> dict[str, Array]:
    """The parts that the loss does not keep. Without a class axis: the largest logit, the total of the exps, its inverse and its log."""
    largest = logits.max(axis=1)
    shifted = logits - largest[:, None]
    exp = np.exp(shifted)
    total = exp.sum(axis=1)
    log_total = np.log(total)
    found = {"largest": largest, "shifted": shifted, "exp": exp, "total": total, "inverse_total": 1 / total}
    return found | {"log_total": log_total, "log_p": shifted - log_total[:, None]}


def rule(t: Tensors, name: str, index: Index, row: str = "row") -> Rule:
    """Any of PARTS. `row` is what the logits of one softmax are called."""
    if name == "largest":
        winner = int(t["x"][index[0]][(slice(None), *index[1:])].argmax())
        return Rule(f"the largest logit of the {row}", [Term((t.factor("x", (index[0], winner, *index[1:])),))])
    if name == "total":
        return Rule(
            "sum of exp over the classes",
            [Term((t.factor("exp", place),)) for place in classes(t["x"].shape[1], index)],
        )
    if name == "inverse_total":
        return Rule("1 / total", [Term((t.factor("total", index),))], "1/")
    if name == "log_total":
        return Rule("log(total)", [Term((t.factor("total", index),))], "log")
    here = index[:1] + index[2:]
    if name == "shifted":
        return Rule("x − largest", [Term((t.factor("x", index),)), Term((MINUS, t.factor("largest", here)))])
    if name == "exp":
        return Rule("exp(shifted)", [Term((t.factor("shifted", index),))], "exp")
    if name == "p":
        return Rule("exp / total", [Term((t.factor("exp", index), t.factor("inverse_total", here)))])
    return Rule(
        "shifted − log_total", [Term((t.factor("shifted", index),)), Term((MINUS, t.factor("log_total", here)))]
    )


def classes(K: int, index: Index) -> list[Index]:
    """The places of all classes at one row (n,) or pixel (n, h, w)."""
    return [(index[0], k, *index[1:]) for k in range(K)]
