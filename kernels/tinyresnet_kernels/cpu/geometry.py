"""Where the numbers of a convolution lie, as tables of offsets into channels-last memory. NumPy only; made once per shape and kept."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..im2col import Pair, output_size

Offsets = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Walk:
    """One gather: for each output pixel where its window starts, for each tap how far from there, and how many numbers lie in a row."""

    pixels: Offsets  # into the bordered picture
    places: Offsets  # of the same pixels, into the output
    row: int  # pixels in a row of the output
    taps: Offsets  # relative to a pixel
    run: int  # numbers in a row at each tap
    weights: Offsets  # for each tap and number of the run, row-major: its weight's place in the weight (O, C, KH, KW)


@dataclass(frozen=True, eq=False)
class Geometry:
    """A convolution's shape, its bordered picture, and its walks."""

    border: tuple[int, int]  # rows above and columns left of the picture in the bordered one
    bordered: tuple[int, int]  # height and width of the bordered picture
    step: int  # bordered rows from one row of windows to the next
    span: int  # bordered rows that a row of windows sees
    makes: int  # output rows that a row of windows of all walks makes
    column: int  # in the weight, from one output channel to the next
    walks: tuple[Walk, ...]
    winograd: bool = False  # whether a window is a 4x4 tile of Winograd's, which makes 2x2 output pixels


def _grid(rows: Offsets, columns: Offsets, width: int, C: int) -> Offsets:
    """Offsets of all (row, column) into a channels-last picture `width` wide."""
    return ((rows[:, None] * width + columns) * C).ravel().astype(np.int64)


def _taps(
    rows: Offsets, columns: Offsets, width: int, C: int, run: int, places: Offsets, channel: int
) -> tuple[Offsets, int, Offsets]:
    """Taps, run and weights of a window with these row and column offsets; neighbours in memory are joined to one tap.

    `places`: the kernel positions of the taps, in the weight; `channel`: from one input channel to the next there.
    """
    taps = _grid(rows, columns, width, C)
    weights = (places[:, None] + np.arange(run) * channel).ravel()
    joined = len(columns)
    if run == C and joined > 1 and (np.diff(columns) == 1).all():
        return taps[::joined].copy(), run * joined, weights
    return taps, run, weights


@functools.lru_cache(256)
def forward_geometry(
    H: int, W: int, C: int, O: int, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Geometry:
    """Tables of y (OH, OW, O) from x (H, W, C), one picture: every output pixel meets every tap."""
    (KH, KW), CG = kernel, C // groups
    OH, OW = (output_size(*axis) for axis in zip((H, W), kernel, stride, pad, dilation, strict=True))
    bottom = max(0, (OH - 1) * stride[0] + (KH - 1) * dilation[0] + 1 - pad[0] - H)
    right = max(0, (OW - 1) * stride[1] + (KW - 1) * dilation[1] + 1 - pad[1] - W)
    bordered = (pad[0] + H + bottom, pad[1] + W + right)
    pixels = _grid(np.arange(OH) * stride[0], np.arange(OW) * stride[1], bordered[1], C)
    places = _grid(np.arange(OH), np.arange(OW), OW, O)
    rows, columns = np.arange(KH) * dilation[0], np.arange(KW) * dilation[1]
    walk = Walk(pixels, places, OW, *_taps(rows, columns, bordered[1], C, CG, np.arange(KH * KW), KH * KW))
    span = (KH - 1) * dilation[0] + 1
    return Geometry(pad, bordered, stride[0], span, 1, CG * KH * KW, (walk,))


@functools.lru_cache(256)
def input_gradient_geometry(
    H: int, W: int, C: int, O: int, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair, groups: int
) -> Geometry:
    """Tables of dx (H, W, C) from dy (OH, OW, O), one picture: one walk for each pair of parities (h mod stride, w mod stride).

    Pixel h meets tap i when (h + pad - i dilation) is a multiple of the stride, and finds it in row (h + pad - i dilation) / stride
    of dy. All pixels of one parity meet the same taps at the same distances, so no product is with a zero between the pixels.
    """
    OG = O // groups
    size = [output_size(*axis) for axis in zip((H, W), kernel, stride, pad, dilation, strict=True)]
    axes = []  # per axis, per parity: pixels, their rows in dy, the taps and their distances
    for n, K, s, p, d in zip((H, W), kernel, stride, pad, dilation, strict=True):
        parities = []
        for parity in range(min(s, n)):
            pixels = np.arange(parity, n, s)
            taps = np.array([i for i in range(K) if (parity + p - i * d) % s == 0][::-1], np.int64)
            parities.append((pixels, (pixels - parity) // s, taps, (parity + p - taps * d) // s))
        axes.append(parities)
    lows = [min([0, *(int(dist.min()) for _, _, _, dist in axis if len(dist))]) for axis in axes]
    highs = [max([0, *(int(at.max() + dist.max()) for _, at, _, dist in axis if len(dist))]) for axis in axes]
    border = (-lows[0], -lows[1])
    bordered = tuple(max(high + 1, n) - low for high, low, n in zip(highs, lows, size, strict=True))
    walks = []
    for h, at_h, KH, dist_h in axes[0]:
        for w, at_w, KW, dist_w in axes[1]:
            pixels = _grid(at_h, at_w, bordered[1], O)
            places = _grid(h, w, W, C)
            rows, columns, at = dist_h + border[0], dist_w + border[1], (KH[:, None] * kernel[1] + KW).ravel()
            gather = _taps(rows, columns, bordered[1], O, OG, at, C // groups * kernel[0] * kernel[1])
            walks.append(Walk(pixels, places, len(at_w), *gather))
    span = max([1, *(int(dist.max()) + border[0] + 1 for _, _, _, dist in axes[0] if len(dist))])
    return Geometry(border, (bordered[0], bordered[1]), 1, span, len(axes[0]), kernel[0] * kernel[1], tuple(walks))


@functools.lru_cache(256)
def winograd_geometry(H: int, W: int, C: int, O: int, pad: Pair, column: int) -> Geometry:
    """Tables of a 3x3 convolution with stride 1 from (H, W, C) to (OH, OW, O): every 4x4 window makes 2x2 output pixels.

    For the gradient of the input that is the convolution of dy with the weight turned about and C and O exchanged.
    """
    OH, OW = H + 2 * pad[0] - 2, W + 2 * pad[1] - 2
    rows, columns = np.arange(0, OH, 2), np.arange(0, OW, 2)
    bordered = (2 * len(rows) + 2, 2 * len(columns) + 2)
    nothing = np.empty(0, np.int64)
    walk = Walk(_grid(rows, columns, bordered[1], C), _grid(rows, columns, OW, O), len(columns), nothing, C, nothing)
    return Geometry(pad, bordered, 2, 4, 2, column, (walk,), winograd=True)
