"""Weights as the kernels read them: blocks of as many output channels as a tile is wide, each in one straight line; and back."""

from __future__ import annotations

from .compiling import kernel
from .vector import add, load, store
from .ways import LANES4, LANES8, scratch


@kernel
def pack_weight(weight, starts, places, column, groups, OG, width, packed, first, last):
    """Of every walk the blocks first..last-1, numbers (taps * run, width): output channels side by side, filled up with zeros."""
    blocks, at = (OG + width - 1) // width, 0
    for k in range(len(starts)):
        rows = starts[k, 4] * starts[k, 5]
        for number in range(first, last):
            g, block = number // blocks, number % blocks
            base, valid = g * (len(weight) // groups) + block * width * column, min(width, OG - block * width)
            o = starts[k, 6] + number * rows * width
            for i in range(at, at + rows):
                w = base + places[i]
                for j in range(valid):
                    packed[o + j] = weight[w + j * column]
                for j in range(valid, width):
                    packed[o + j] = 0
                o += width
        at += rows


@kernel
def unpack_gradient(parts, count, places, column, groups, OG, width, dweight, first, last):
    """dweight of the blocks first..last-1, from `count` packed gradients in a row, which are added up in this order."""
    L = LANES4 if parts.itemsize == 4 else LANES8
    blocks, rows, size = (OG + width - 1) // width, len(places), len(parts) // count
    line = scratch(width, parts)
    for number in range(first, last):
        g, block = number // blocks, number % blocks
        base, valid = g * (len(dweight) // groups) + block * width * column, min(width, OG - block * width)
        for i in range(rows):
            at = (number * rows + i) * width
            for v in range(0, width, L):
                total = load(parts, at + v)
                for part in range(1, count):
                    total = add(total, load(parts, part * size + at + v))
                store(line, v, total)
            for j in range(valid):
                dweight[base + places[i] + j * column] = line[j]
