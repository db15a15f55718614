"""Sweeps of register tiles over all pixels of a unit and over all numbers of a run: tall tiles first, short ones for what is left."""

from __future__ import annotations

from .compiling import inline
from .host import lanes
from .tiles import heights, outer_tile, product_tile

LANES4, LANES8 = lanes(4), lanes(8)
TALL1, TALL2 = heights(1)[0], heights(2)[0]
product1_tall, product1_8, product1_4, product1_2, product1_1 = (product_tile(rows, 1) for rows in (TALL1, 8, 4, 2, 1))
product2_tall, product2_8, product2_4, product2_2, product2_1 = (product_tile(rows, 2) for rows in (TALL2, 8, 4, 2, 1))
outer1_tall, outer1_8, outer1_4, outer1_2, outer1_1 = (outer_tile(rows, 1) for rows in (TALL1, 8, 4, 2, 1))
outer2_tall, outer2_8, outer2_4, outer2_2, outer2_1 = (outer_tile(rows, 2) for rows in (TALL2, 8, 4, 2, 1))


@inline
def sweep1(x, pixels, lo, hi, base, taps, run, w, wi, y, places, yi, valid):
    """Product tiles of one vector of output channels over pixels lo..hi-1, the tallest first."""
    p = lo
    while p + TALL1 <= hi:
        product1_tall(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += TALL1
    while p + 8 <= hi:
        product1_8(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 8
    if p + 4 <= hi:
        product1_4(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 4
    if p + 2 <= hi:
        product1_2(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 2
    if p < hi:
        product1_1(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)


@inline
def sweep2(x, pixels, lo, hi, base, taps, run, w, wi, y, places, yi, valid):
    """The same with two vectors of output channels."""
    p = lo
    while p + TALL2 <= hi:
        product2_tall(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += TALL2
    while p + 8 <= hi:
        product2_8(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 8
    if p + 4 <= hi:
        product2_4(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 4
    if p + 2 <= hi:
        product2_2(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)
        p += 2
    if p < hi:
        product2_1(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid)


@inline
def outer_rows1(x, pixels, count, base, run, dy, places, d, dw, wi):
    """Outer tiles of one vector of output channels over all numbers of a run, the tallest first."""
    L, t = LANES4 if x.itemsize == 4 else LANES8, 0
    while t + TALL1 <= run:
        outer1_tall(x, pixels, count, base + t, dy, places, d, dw, wi + t * L)
        t += TALL1
    while t + 8 <= run:
        outer1_8(x, pixels, count, base + t, dy, places, d, dw, wi + t * L)
        t += 8
    if t + 4 <= run:
        outer1_4(x, pixels, count, base + t, dy, places, d, dw, wi + t * L)
        t += 4
    if t + 2 <= run:
        outer1_2(x, pixels, count, base + t, dy, places, d, dw, wi + t * L)
        t += 2
    if t < run:
        outer1_1(x, pixels, count, base + t, dy, places, d, dw, wi + t * L)


@inline
def outer_rows2(x, pixels, count, base, run, dy, places, d, dw, wi):
    """The same with two vectors of output channels."""
    L, t = LANES4 if x.itemsize == 4 else LANES8, 0
    while t + TALL2 <= run:
        outer2_tall(x, pixels, count, base + t, dy, places, d, dw, wi + t * 2 * L)
        t += TALL2
    while t + 8 <= run:
        outer2_8(x, pixels, count, base + t, dy, places, d, dw, wi + t * 2 * L)
        t += 8
    if t + 4 <= run:
        outer2_4(x, pixels, count, base + t, dy, places, d, dw, wi + t * 2 * L)
        t += 4
    if t + 2 <= run:
        outer2_2(x, pixels, count, base + t, dy, places, d, dw, wi + t * 2 * L)
        t += 2
    if t < run:
        outer2_1(x, pixels, count, base + t, dy, places, d, dw, wi + t * 2 * L)
