"""The focal loss, cell by cell: each probability, how far it is from its target, the two factors of its loss; back by the product rule."""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array

from ..trace import Step
from .terms import MINUS, Factor, Index, Rule, Tensors, Term, constant

IGNORED, HIT = "this number does not count", "p hits the target"
POWERS = (1, 2, 3, 4)  # written as products; other powers go by exp and log


def derived(step: Step) -> dict[str, Array]:
    """Forward: log p, log(1 - p), the distance from the target, each number's loss. Backward: the modulating factor's slope."""
    t, gamma = step.tensors, step.settings["gamma"]
    difference = t["difference"]
    hits = difference == 0
    if step.direction == "backward":
        inverse = np.where(hits, 0, 1 / np.where(hits, 1, difference))
        return {"inverse_difference": inverse, "slope": gamma * t["modulating"] * inverse * t["p"] * t["q"]}
    x, miss = t["x"], np.abs(difference)
    rest = np.log1p(np.exp(-np.abs(x)))
    found = {"log_p": np.minimum(x, 0) - rest, "log_q": -np.maximum(x, 0) - rest, "miss": miss}
    if gamma not in (0, *POWERS):
        found["log_miss"] = np.log(np.where(hits, 1, miss))
    return found | {"losses": np.where(t["weights"] > 0, t["weights"] * t["modulating"] * t["bce"], 0)}


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """Any number on the way from the logits x to the loss y."""
    if name == "y":
        count = _over_count(t)
        places = np.ndindex(t["x"].shape)
        return Rule("sum of losses / count", [Term((t.factor("losses", place), count)) for place in places])
    x = t.factor("x", index)
    if name == "p":
        return Rule("1 / (1 + exp(−x))", [Term((x,))], "sigmoid")
    if name == "q":
        return Rule("1 − p = 1 / (1 + exp(x))", [Term((MINUS, x))], "sigmoid")
    if name == "log_p":
        return Rule("log(p)", [Term((x,))], "log sigmoid")
    if name == "log_q":
        return Rule("log(1 − p)", [Term((MINUS, x))], "log sigmoid")
    target = t["targets"][index]
    if name == "difference":
        minus = [Term((MINUS, t.factor("targets", index)))] if target > 0 else []
        return Rule("p − target", [Term((t.factor("p", index),)), *minus])
    if name == "miss":
        return Rule("|p − target|", [Term((t.factor("difference", index),))], "abs")
    if name == "log_miss":
        return Rule("log(miss)", [Term((t.factor("miss", index),))], "log") if t["miss"][index] else Rule(HIT, [])
    if name == "modulating":
        return _power(t, index)
    if name == "bce":
        return _bce(t, index)
    if target < 0:
        return Rule(IGNORED, [])
    if name == "weights":
        return _weight(t, index)
    factors = (t.factor("weights", index), t.factor("modulating", index), t.factor("bce", index))
    return Rule("weight × modulating × bce", [Term(factors)])


def _over_count(t: Tensors) -> Factor:
    """What the sum is divided by, as a factor."""
    return constant("1/count", 1 / t.settings["counted"])


def _power(t: Tensors, index: Index) -> Rule:
    """miss^gamma."""
    gamma, text = t.settings["gamma"], "miss^gamma"
    if gamma == 0:
        return Rule(text, [Term((constant("1", 1.0),))])
    if gamma in POWERS:
        return Rule(text, [Term((t.factor("miss", index),) * int(gamma))])
    if not t["miss"][index]:
        return Rule(HIT, [])
    return Rule(text, [Term((constant("gamma", gamma), t.factor("log_miss", index)))], "exp")


def _bce(t: Tensors, index: Index) -> Rule:
    """-target log p - (1 - target) log(1 - p); for targets 1 and 0 one of the two."""
    target, log_p, log_q = max(t["targets"][index], 0), t.factor("log_p", index), t.factor("log_q", index)
    if target in (0, 1):
        return Rule("− log(p)" if target else "− log(1 − p)", [Term((MINUS, log_p if target else log_q))])
    factor = t.factor("targets", index)
    rest = [Term((MINUS, log_q)), Term((factor, log_q))]
    return Rule("− target × log(p) − (1 − target) × log(1 − p)", [Term((MINUS, factor, log_p)), *rest])


def _weight(t: Tensors, index: Index) -> Rule:
    """alpha target + (1 - alpha) (1 - target)."""
    if "alpha" not in t.settings:
        return Rule("without alpha every number weighs 1", [Term((constant("1", 1.0),))])
    alpha = t.settings["alpha"]
    terms = [Term((constant("1 − alpha", 1 - alpha),))]
    if t["targets"][index] > 0:
        terms.append(Term((constant("2 alpha − 1", 2 * alpha - 1), t.factor("targets", index))))
    return Rule("alpha × target + (1 − alpha) × (1 − target)", terms)


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = dy / count × weight × (slope × bce + modulating × difference): the product rule."""
    difference, modulating = t.factor("difference", index), t.factor("modulating", index)
    if name == "inverse_difference":
        return Rule("1 / difference", [Term((difference,))], "1/") if difference.value else Rule(HIT, [])
    if name == "slope":
        factors = (modulating, t.factor("inverse_difference", index), t.factor("p", index), t.factor("q", index))
        return Rule(
            "gamma × modulating / difference × p × (1 − p)", [Term((constant("gamma", t.settings["gamma"]), *factors))]
        )
    if not t["weights"][index]:
        return Rule(IGNORED, [])
    scale = (t.factor("dy", ()), _over_count(t), t.factor("weights", index))
    terms = [
        Term((*scale, t.factor("slope", index), t.factor("bce", index)), "modulating"),
        Term((*scale, modulating, difference), "bce"),
    ]
    return Rule("dy × weight / count × (slope × bce + modulating × difference)", terms)
