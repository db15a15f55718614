"""Ops that copy, drop, gate and join numbers: ReLU, dropout, identity, flatten, fork, add, shortcut A."""

from __future__ import annotations

import numpy as np

from .terms import Index, Rule, Tensors, Term


def relu_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y = mask × x; the mask itself is 1 where x > 0."""
    if name == "mask":
        return Rule("1 if x > 0, else 0", [Term((t.factor("x", index),))], "> 0")
    return Rule("mask × x", [Term((t.factor("mask", index), t.factor("x", index)))])


def relu_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = mask × dy, the mask of the forward pass."""
    return Rule("mask × dy", [Term((t.factor("mask", index), t.factor("dy", index)))])


def dropout_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y = scale × x, the scale drawn by chance; y = x in evaluation."""
    kept = (t.factor("scale", index),) if "scale" in t else ()
    return Rule("scale × x" if kept else "x", [Term((*kept, t.factor("x", index)))])


def dropout_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = scale × dy."""
    kept = (t.factor("scale", index),) if "scale" in t else ()
    return Rule("scale × dy" if kept else "dy", [Term((*kept, t.factor("dy", index)))])


def identity_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y = x."""
    return Rule("the same number", [Term((t.factor("x", index),))])


def identity_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = dy."""
    return Rule("the same number", [Term((t.factor("dy", index),))])


def flatten_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y[n, i]: the i-th number of picture n."""
    shape = t["x"].shape
    place = np.unravel_index(index[1], shape[1:])
    return Rule("the same number", [Term((t.factor("x", (index[0], *map(int, place))),))])


def flatten_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx[n, c, h, w]: the number of dy at this place."""
    place = int(np.ravel_multi_index(index[1:], t["dx"].shape[1:]))
    return Rule("the same number", [Term((t.factor("dy", (index[0], place)),))])


def fork_forward(t: Tensors, name: str, index: Index) -> Rule:
    """a = x and b = x."""
    return Rule("x, for both ways", [Term((t.factor("x", index),))])


def fork_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx = da + db: x reached the loss by two ways."""
    return Rule("da + db", [Term((t.factor("da", index),), "branch"), Term((t.factor("db", index),), "shortcut")])


def add_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y = a + b."""
    return Rule("a + b", [Term((t.factor("a", index),), "branch"), Term((t.factor("b", index),), "shortcut")])


def add_backward(t: Tensors, name: str, index: Index) -> Rule:
    """da = dy and db = dy."""
    return Rule("dy, for both ways", [Term((t.factor("dy", index),))])


def shortcut_a_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y: the pixel that was kept, or nothing in a channel of zeros."""
    n, c, oh, ow = index
    channel, stride = c - t.settings["front"], t.settings["stride"]
    if not 0 <= channel < t["x"].shape[1]:
        return Rule("a channel of zeros", [])
    return Rule("every stride-th pixel", [Term((t.factor("x", (n, channel, oh * stride, ow * stride)),))])


def shortcut_a_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx: dy where the pixel was kept, nothing where it was skipped."""
    n, c, h, w = index
    stride = t.settings["stride"]
    if h % stride or w % stride:
        return Rule("skipped by the stride: nothing comes back", [])
    return Rule(
        "dy of the kept pixel", [Term((t.factor("dy", (n, c + t.settings["front"], h // stride, w // stride)),))]
    )
