"""Pooling, cell by cell: who won a window, and what a pixel gets back from the windows that it won or shared."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

from .terms import Index, Rule, Tensors, Term, constant, share

PADDING = constant("padding", -math.inf)


def max_forward(t: Tensors, name: str, index: Index) -> Rule:
    """winner: the place of the largest in the window, counted row by row; y: its number."""
    n, c = index[:2]
    if name == "winner":
        H, W = t["x"].shape[2:]
        places = [place(t, index, k) for k in range(math.prod(t.settings["kernel"]))]
        inside = [0 <= h < H and 0 <= w < W for h, w in places]
        candidates = [t.factor("x", (n, c, h, w)) if i else PADDING for (h, w), i in zip(places, inside, strict=True)]
        return Rule("place of the largest x", [Term((one,)) for one in candidates], "place of the largest")
    return Rule(
        "the largest x of the window", [Term((t.factor("x", (n, c, *place(t, index, int(t["winner"][index])))),))]
    )


def max_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx: the dy of each window that this pixel won; none, if it won nowhere."""
    n, c, h, w = index
    windows = [(n, c, oh, ow) for oh, ow in windows_of(t, h, w)]
    won = [window for window in windows if place(t, window, int(t["winner"][window])) == (h, w)]
    return Rule("the dy of each window that this pixel won", [Term((t.factor("dy", window),)) for window in won])


def average_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y: the mean over the window; padding counts as zeros."""
    n, c = index[:2]
    KH, KW = t.settings["kernel"]
    H, W = t["x"].shape[2:]
    places = [place(t, index, k) for k in range(KH * KW)]
    terms = [Term((t.factor("x", (n, c, h, w)), share(KH * KW))) for h, w in places if 0 <= h < H and 0 <= w < W]
    return Rule("the mean of x over the window", terms, padding=KH * KW - len(terms))


def average_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx: from each window that held this pixel, its share of the window's dy."""
    n, c, h, w = index
    KH, KW = t.settings["kernel"]
    terms = [Term((t.factor("dy", (n, c, oh, ow)), share(KH * KW))) for oh, ow in windows_of(t, h, w)]
    return Rule("the sum of dy / (KH KW) over the windows that held this pixel", terms)


def global_forward(t: Tensors, name: str, index: Index) -> Rule:
    """y[n,c,0,0]: the mean over the picture."""
    n, c = index[:2]
    H, W = t["x"].shape[2:]
    places = [(n, c, h, w) for h, w in product(range(H), range(W))]
    return Rule("the mean of x over the picture", [Term((t.factor("x", p), share(H * W))) for p in places])


def global_backward(t: Tensors, name: str, index: Index) -> Rule:
    """dx: every pixel gets its share of dy."""
    H, W = t.settings["x_shape"][2:]
    return Rule("dy / (H W)", [Term((t.factor("dy", (*index[:2], 0, 0)), share(H * W)))])


def place(t: Tensors, window: Index, k: int) -> tuple[int, int]:
    """Row and column of x at place k of this window (n, c, oh, ow), which is counted row by row."""
    s = t.settings
    i, j = divmod(k, s["kernel"][1])
    return window[2] * s["stride"][0] + i - s["pad"][0], window[3] * s["stride"][1] + j - s["pad"][1]


def windows_of(t: Tensors, h: int, w: int) -> Iterator[tuple[int, int]]:
    """(oh, ow) of the windows that hold this pixel."""
    s, sizes = t.settings, t["dy"].shape[2:]
    ranges = []
    for axis, pixel in enumerate((h, w)):
        kernel, stride, pad = (s[name][axis] for name in ("kernel", "stride", "pad"))
        first = max(0, -(-(pixel + pad - kernel + 1) // stride))
        ranges.append(range(first, min(sizes[axis], (pixel + pad) // stride + 1)))
    return product(ranges[0], ranges[1])
