"""Cross-entropy at every pixel, cell by cell: a softmax at each pixel, what each counts, the weighted mean; and dlogits."""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array

from ..trace import Step
from . import softmax
from .terms import MINUS, Index, Rule, Tensors, Term, constant

IGNORED = "this pixel does not count"


def derived(step: Step) -> dict[str, Array]:
    """Forward: the parts of the softmax and its log, each pixel's loss. Both ways: 1 over the sum of the weights."""
    t = step.tensors
    inverse = {"inverse_weight_sum": np.asarray(1 / t["weight_sum"])}
    if step.direction == "backward":
        return inverse
    found = softmax.derived(t["x"])
    target = t["target"][:, None].astype(np.intp)
    at_target = np.take_along_axis(found["log_p"], target, axis=1)[:, 0]
    return found | {"losses": np.where(t["weights"] > 0, -t["weights"] * at_target, 0)} | inverse


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """Any number on the way from the logits x to the loss y."""
    if name in softmax.PARTS:
        return softmax.rule(t, name, index, "pixel")
    pixels = list(np.ndindex(t["weights"].shape))
    if name == "weight_sum":
        return Rule("sum of the pixels' weights", [Term((t.factor("weights", place),)) for place in pixels])
    if name == "inverse_weight_sum":
        return Rule("1 / weight_sum", [Term((t.factor("weight_sum", ()),))], "1/")
    if name == "y":
        over = t.factor("inverse_weight_sum", ())
        terms = [Term((t.factor("losses", place), over)) for place in pixels]
        return Rule("the weighted mean: sum of losses / weight_sum", terms)
    if t["weights"][index] == 0:
        return Rule(IGNORED, [])
    wanted = int(t["target"][index])
    if name == "weights":
        has_table = "class_weights" in t
        weight = t.factor("class_weights", (wanted,)) if has_table else constant("1", 1.0)
        return Rule(
            "the weight of the wanted class" if has_table else "every pixel that counts weighs 1", [Term((weight,))]
        )
    log_p = t.factor("log_p", (index[0], wanted, *index[1:]))
    return Rule("− weight × log_p of the wanted class", [Term((MINUS, t.factor("weights", index), log_p))])


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = dy weights / weight_sum (p − 1 at the wanted class, p at the others); 0 at pixels that do not count."""
    pixel = index[:1] + index[2:]
    if t["weights"][pixel] == 0:
        return Rule(IGNORED, [])
    scale = (t.factor("dy", ()), t.factor("weights", pixel), t.factor("inverse_weight_sum", ()))
    terms = [Term((*scale, t.factor("p", index)), "p")]
    if t["target"][pixel] == index[1]:
        return Rule("dy × weight / weight_sum × (p − 1): the wanted class", [*terms, Term((MINUS, *scale), "target")])
    return Rule("dy × weight / weight_sum × p: another class", terms)
