"""GIoU loss, cell by cell: from the corners over four areas to the loss, and back by the three areas that an edge moves."""

from __future__ import annotations

import numpy as np

from tinyresnet_kernels import Array

from ..trace import Step
from .terms import MINUS, Factor, Index, Rule, Tensors, Term, constant

ONE, HALF = constant("1", 1.0), constant("½", 0.5)


def derived(step: Step) -> dict[str, Array]:
    """What the loss computes on its way: corners, areas and ratios; what backward does: the gradients of GIoU and of the areas."""
    return _on_the_way_back(step) if step.direction == "backward" else _on_the_way(step)


def _on_the_way(step: Step) -> dict[str, Array]:
    t = step.tensors
    smaller, larger = np.minimum(t["x"], t["target"]), np.maximum(t["x"], t["target"])
    target_size = t["target"][:, 2:] - t["target"][:, :2]
    iou, enclosing = t["intersection"] * t["inverse_union"], np.prod(t["outer"], axis=1)
    giou = iou - (enclosing - t["union"]) * t["inverse_enclosing"]
    found = {
        "inner_edges": np.concatenate([larger[:, :2], smaller[:, 2:]], axis=1),
        "outer_edges": np.concatenate([smaller[:, :2], larger[:, 2:]], axis=1),
        "target_size": target_size,
        "area": np.prod(t["size"], axis=1),
        "target_area": np.prod(target_size, axis=1),
        "enclosing": enclosing,
        "iou": iou,
        "giou": giou,
    }
    return found | {"losses": (1 - giou) * t.get("weight", 1)}


def _on_the_way_back(step: Step) -> dict[str, Array]:
    t = step.tensors
    dgiou = -t["dy"] / step.settings["counted"] * t.get("weight", np.ones_like(t["union"]))
    dunion = dgiou * (t["inverse_enclosing"] - t["intersection"] * t["inverse_union"] ** 2)
    dintersection = dgiou * t["inverse_union"] - dunion
    denclosing = -dgiou * t["union"] * t["inverse_enclosing"] ** 2
    return {"dgiou": dgiou, "dunion": dunion, "dintersection": dintersection, "denclosing": denclosing}


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """Any number on the way from the boxes x to the loss y."""
    return _edges(t, name, index) if name in EDGES else _areas(t, name, index)


EDGES = ("inside", "inner_edges", "outer_edges", "size", "target_size", "meets", "overlap", "outer")


def _edges(t: Tensors, name: str, index: Index) -> Rule:
    """Of one edge (m, 0 to 3), or of one side (m, 0 or 1)."""
    near = index[1] < 2
    if name in ("inside", "inner_edges", "outer_edges"):
        box, target = t.factor("x", index), t.factor("target", index)
        if name == "inside":
            if box.value == target.value:
                return Rule("½: the edges coincide", [Term((HALF,))])
            inner, outer = (box, target) if near else (target, box)
            return Rule("1 if the edge lies inside the target's, else 0", [Term((inner,)), Term((MINUS, outer))], "> 0")
        largest = near == (name == "inner_edges")
        winner = box if (box.value > target.value) == largest else target
        return Rule("the larger of the two edges" if largest else "the smaller of the two edges", [Term((winner,))])
    corners = {"size": "x", "target_size": "target", "outer": "outer_edges"}.get(name, "inner_edges")
    m, axis = index
    near_edge, far_edge = t.factor(corners, index), t.factor(corners, (m, axis + 2))
    side = [Term((far_edge,)), Term((MINUS, near_edge))]
    if name == "meets":
        if far_edge.value == near_edge.value:
            return Rule("½: the boxes touch", [Term((HALF,))])
        return Rule("1 if the boxes overlap along this axis, else 0", side, "> 0")
    if name == "overlap" and far_edge.value <= near_edge.value:
        return Rule("no overlap", [])
    return Rule("far edge − near edge", side)


def _areas(t: Tensors, name: str, index: Index) -> Rule:
    """Of one pair (m,), or the loss."""
    areas = {"intersection": "overlap", "enclosing": "outer", "area": "size", "target_area": "target_size"}
    if name in areas:
        return Rule("width × height", [Term((t.factor(areas[name], (*index, 0)), t.factor(areas[name], (*index, 1))))])
    if name == "union":
        terms = [Term((t.factor("area", index),)), Term((t.factor("target_area", index),))]
        return Rule("area + target_area − intersection", [*terms, Term((MINUS, t.factor("intersection", index)))])
    if name in ("inverse_union", "inverse_enclosing"):
        area = t.factor(name.removeprefix("inverse_"), index)
        if area.value == 0:
            return Rule("0, for there is no area", [])
        return Rule(f"1 / {name.removeprefix('inverse_')}", [Term((area,))], "1/")
    if name == "iou":
        return Rule("intersection / union", [Term((t.factor("intersection", index), t.factor("inverse_union", index)))])
    if name == "giou":
        inverse = t.factor("inverse_enclosing", index)
        terms = [Term((MINUS, t.factor("enclosing", index), inverse)), Term((t.factor("union", index), inverse))]
        return Rule("iou − (enclosing − union) / enclosing", [Term((t.factor("iou", index),)), *terms])
    if name == "losses":
        weight = _weight(t, index)
        text = "weight × (1 − giou)" if weight else "1 − giou"
        return Rule(text, [Term((ONE, *weight)), Term((MINUS, *weight, t.factor("giou", index)))])
    count = constant("1/count", 1 / t.settings["counted"])
    return Rule("the sum of the losses / count", [Term((t.factor("losses", (m,)), count)) for m in range(len(t["x"]))])


def _weight(t: Tensors, index: Index) -> tuple[Factor, ...]:
    return (t.factor("weight", index),) if "weight" in t else ()


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dgiou, the areas' gradients made of it, or dx: the sum of the ways by which an edge moves the areas."""
    if name == "dx":
        return _box_gradient(t, index)
    if name == "dgiou":
        count = constant("1/count", 1 / t.settings["counted"])
        factors = (MINUS, t.factor("dy", ()), *_weight(t, index), count)
        return Rule("− dy × weight / count" if "weight" in t else "− dy / count", [Term(factors)])
    dgiou, dunion = t.factor("dgiou", index), t.factor("dunion", index)
    union, enclosing = t.factor("inverse_union", index), t.factor("inverse_enclosing", index)
    if name == "dunion":
        ratio = Term((MINUS, dgiou, t.factor("intersection", index), union, union))
        return Rule("dgiou × (1 / enclosing − intersection / union²)", [Term((dgiou, enclosing)), ratio])
    if name == "dintersection":
        return Rule("dgiou / union − dunion", [Term((dgiou, union)), Term((MINUS, dunion))])
    return Rule("− dgiou × union / enclosing²", [Term((MINUS, dgiou, t.factor("union", index), enclosing, enclosing))])


def _box_gradient(t: Tensors, index: Index) -> Rule:
    """An area grows with one side by the other; near edges shorten their side."""
    m, edge = index
    axis, sign = edge % 2, (MINUS,) if edge < 2 else ()
    inside, other = t.factor("inside", index), (m, 1 - axis)
    terms = [Term((*sign, t.factor("dunion", (m,)), t.factor("size", other)), "own area")]
    if inside.value and t["meets"][m, axis]:
        shares = inside, t.factor("meets", (m, axis))
        terms.append(
            Term((*sign, *shares, t.factor("dintersection", (m,)), t.factor("overlap", other)), "intersection")
        )
    if inside.value < 1:
        outside = constant("1 − inside", 1 - inside.value)
        terms.append(Term((*sign, outside, t.factor("denclosing", (m,)), t.factor("outer", other)), "enclosing"))
    return Rule("± the other side × each area's gradient", terms)
