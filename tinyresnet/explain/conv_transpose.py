"""Transposed convolution, cell by cell: which inputs reach a pixel of y, and the outputs that an input has reached."""

from __future__ import annotations

from collections.abc import Iterator

from .conv import bias_gradient
from .terms import Index, Rule, Tensors, Term

Axis = Iterator[tuple[int, int]]


def forward(t: Tensors, name: str, index: Index) -> Rule:
    """y[n,o,oh,ow]: one term for each input that reaches this pixel, in each channel; there may be none, in the gaps of a large stride."""
    n, o, oh, ow = index
    terms = [
        Term((t.factor("weight", (c, o, i, j)), t.factor("x", (n, c, h, w))))
        for c in range(t["weight"].shape[0])
        for h, i in reaching(t, 0, oh)
        for w, j in reaching(t, 1, ow)
    ]
    if "bias" in t:
        terms.append(Term((t.factor("bias", (o,)),), "bias"))
    return Rule("sum of weight × x over the inputs that reach this pixel" + (" + bias" if "bias" in t else ""), terms)


def backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx, dweight or dbias."""
    return {"dx": input_gradient, "dweight": weight_gradient, "dbias": bias_gradient}[name](t, index)


def input_gradient(t: Tensors, index: Index) -> Rule:
    """dx[n,c,h,w]: the convolution of dy, one term a weight; what was cut off by the padding is left out."""
    n, c, h, w = index
    _, O, KH, KW = t["weight"].shape
    terms = [
        Term((t.factor("weight", (c, o, i, j)), t.factor("dy", (n, o, oh, ow))))
        for o in range(O)
        for i, oh in laid(t, 0, h)
        for j, ow in laid(t, 1, w)
    ]
    return Rule("sum of weight × dy under the kernel", terms, padding=O * KH * KW - len(terms))


def weight_gradient(t: Tensors, index: Index) -> Rule:
    """dweight[c,o,i,j] = sum over all pictures and inputs of x × the dy of the pixel onto which this weight laid it."""
    c, o, i, j = index
    (N, _, H, W), (_, _, OH, OW) = t["x"].shape, t["dy"].shape
    terms = [
        Term((t.factor("x", (n, c, h, w)), t.factor("dy", (n, o, oh, ow))))
        for n in range(N)
        for h in range(H)
        for w in range(W)
        for oh, ow in [(place(t, 0, h, i), place(t, 1, w, j))]
        if 0 <= oh < OH and 0 <= ow < OW
    ]
    return Rule("sum over pictures and inputs of x × dy under this weight", terms, padding=N * H * W - len(terms))


def place(t: Tensors, axis: int, pixel: int, k: int) -> int:
    """The row (axis 0) or column (axis 1) of y onto which kernel row or column k lays the input at `pixel`."""
    return int(pixel * t.settings["stride"][axis] + k - t.settings["pad"][axis])


def reaching(t: Tensors, axis: int, out: int) -> Axis:
    """(pixel, k): the rows or columns of x that reach row or column `out` of y, and the kernel's through which they do."""
    for k in range(t["weight"].shape[2 + axis]):
        pixel, rest = divmod(out + t.settings["pad"][axis] - k, t.settings["stride"][axis])
        if rest == 0 and 0 <= pixel < t["x"].shape[2 + axis]:
            yield pixel, k


def laid(t: Tensors, axis: int, pixel: int) -> Axis:
    """(k, out): the kernel's rows or columns, and y's onto which they lay this input, without those that were cut off."""
    for k in range(t["weight"].shape[2 + axis]):
        if 0 <= place(t, axis, pixel, k) < t["dy"].shape[2 + axis]:
            yield k, place(t, axis, pixel, k)
