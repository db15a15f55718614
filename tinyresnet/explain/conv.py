"""Convolution, cell by cell: y, dx as seen from the pixel, dweight, dbias."""

from __future__ import annotations

from collections.abc import Iterator

from .terms import Index, Rule, Tensors, Term

Axis = Iterator[tuple[int, int]]


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """y[n,o,oh,ow]: the window under the kernel, one term a weight; terms in the padding are zero and left out."""
    n, o, oh, ow = index
    weight = t["weight"]
    channels, size = first_channel(t, o), weight.shape[1] * weight.shape[2] * weight.shape[3]
    terms = [
        Term((t.factor("weight", (o, c, i, j)), t.factor("x", (n, channels + c, h, w))))
        for c in range(weight.shape[1])
        for i, h in inside(t, 0, oh)
        for j, w in inside(t, 1, ow)
    ]
    padding = size - len(terms)
    if "bias" in t:
        terms.append(Term((t.factor("bias", (o,)),), "bias"))
    return Rule("sum of weight × x under the kernel" + (" + bias" if "bias" in t else ""), terms, padding=padding)


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx, dweight or dbias."""
    return {"dx": input_gradient, "dweight": weight_gradient, "dbias": bias_gradient}[name](t, index)


def input_gradient(t: Tensors, index: Index) -> Rule:
    """dx[n,c,h,w] = sum over the outputs that saw this pixel of dy × the weight through which they saw it (col2im from the pixel)."""
    n, c, h, w = index
    O, CG, KH, KW = t["weight"].shape
    outputs = O // t.settings["groups"]
    group = c // CG
    terms = [
        Term((t.factor("dy", (n, o, oh, ow)), t.factor("weight", (o, c - group * CG, i, j))))
        for o in range(group * outputs, (group + 1) * outputs)
        for oh, i in seen_by(t, 0, h, KH)
        for ow, j in seen_by(t, 1, w, KW)
    ]
    return Rule("sum over the outputs that saw this pixel of dy × weight", terms)


def weight_gradient(t: Tensors, index: Index) -> Rule:
    """dweight[o,c,i,j] = sum over all pictures and places of dy × the pixel that this weight met there."""
    o, c, i, j = index
    N, _, OH, OW = t["dy"].shape
    channel = first_channel(t, o) + c
    terms = [
        Term((t.factor("dy", (n, o, oh, ow)), t.factor("x", (n, channel, h, w))))
        for n in range(N)
        for oh in range(OH)
        for ow in range(OW)
        for h, w in [(place(t, 0, oh, i), place(t, 1, ow, j))]
        if 0 <= h < t["x"].shape[2] and 0 <= w < t["x"].shape[3]
    ]
    return Rule("sum over pictures and places of dy × x under this weight", terms, padding=N * OH * OW - len(terms))


def bias_gradient(t: Tensors, index: Index) -> Rule:
    """dbias[o] = sum of dy over pictures and places."""
    (o,) = index
    N, _, OH, OW = t["dy"].shape
    places = [(n, o, oh, ow) for n in range(N) for oh in range(OH) for ow in range(OW)]
    return Rule("sum of dy over pictures and places", [Term((t.factor("dy", place),)) for place in places])


def first_channel(t: Tensors, o: int) -> int:
    """The first input channel that output channel o sees: the beginning of its group."""
    O, CG = t["weight"].shape[:2]
    return int(o // (O // t.settings["groups"]) * CG)


def place(t: Tensors, axis: int, out: int, k: int) -> int:
    """The row (axis 0) or column (axis 1) of x that kernel row or column k meets at output row or column `out`."""
    s = t.settings
    return int(out * s["stride"][axis] + k * s["dilation"][axis] - s["pad"][axis])


def inside(t: Tensors, axis: int, out: int) -> Axis:
    """(k, place) of the kernel rows or columns that lie inside the picture at output `out`."""
    for k in range(t["weight"].shape[2 + axis]):
        if 0 <= place(t, axis, out, k) < t["x"].shape[2 + axis]:
            yield k, place(t, axis, out, k)


def seen_by(t: Tensors, axis: int, pixel: int, kernel: int) -> Axis:
    """(out, k): the outputs whose window holds this pixel, and the kernel row or column that lies on it there."""
    s = t.settings
    for k in range(kernel):
        out, rest = divmod(pixel + s["pad"][axis] - k * s["dilation"][axis], s["stride"][axis])
        if rest == 0 and 0 <= out < t["dy"].shape[2 + axis]:
            yield out, k
