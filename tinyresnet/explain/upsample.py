"""Upsampling, cell by cell: which pixels a number of y was made of, and what each of them gets back; and the shares of bilinear."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from tinyresnet_kernels import Array

from .terms import MINUS, Index, Rule, Tensors, Term, constant

ONE = constant("1", 1.0)


def nearest_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y[n, c, i, j] = x[n, c, i // SH, j // SW]."""
    n, c, i, j = index
    SH, SW = t.settings["scale"]
    return Rule("x of the pixel that is repeated here", [Term((t.factor("x", (n, c, i // SH, j // SW)),))])


def nearest_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx: the sum of dy over the pixel's block."""
    n, c, h, w = index
    SH, SW = t.settings["scale"]
    block = [(n, c, h * SH + i, w * SW + j) for i, j in product(range(SH), range(SW))]
    return Rule("sum of dy over the block that repeats this pixel", [Term((t.factor("dy", one),)) for one in block])


def bilinear_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y: the pixels around this place, each times its share along the rows and its share along the columns."""
    if name in ("rows", "columns"):
        return _share(t[name].shape, index)
    n, c, i, j = index
    places = product(_used(t["rows"][i]), _used(t["columns"][j]))
    terms = [
        Term((t.factor("rows", (i, h)), t.factor("columns", (j, w)), t.factor("x", (n, c, h, w)))) for h, w in places
    ]
    return Rule("sum of rows × columns × x over the nearest pixels", terms)


def bilinear_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx: from every number of y that this pixel had a share in, this share of its dy."""
    n, c, h, w = index
    places = product(_used(t["rows"][:, h]), _used(t["columns"][:, w]))
    terms = [
        Term((t.factor("rows", (i, h)), t.factor("columns", (j, w)), t.factor("dy", (n, c, i, j)))) for i, j in places
    ]
    return Rule("sum of rows × columns × dy over the outputs that this pixel has a share in", terms)


def _share(shape: Index, index: Index) -> Rule:
    """1 - the distance, in pixels of x, between the centre of row i of y and that of row h of x; all in parts of 1/(2 scale)."""
    (large, small), (i, h) = shape, index
    scale = large // small
    place = min(max(2 * i + 1 - scale, 0), 2 * scale * (small - 1))
    distance, whole = abs(place - 2 * scale * h), 2 * scale
    if distance >= whole:
        return Rule("a pixel or more away: nothing", [])
    common = math.gcd(distance, whole)
    away = constant(f"{distance // common}/{whole // common}", distance / whole)
    return Rule("1 − the distance in pixels", [Term((ONE,)), *([Term((MINUS, away))] if distance else [])])


def _used(shares: Array) -> list[int]:
    """The places of the shares that are not zero."""
    return list(map(int, np.flatnonzero(shares)))
