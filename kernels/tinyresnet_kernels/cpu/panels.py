"""Matrix products of panels: both factors lie in memory just as the register tiles read them, so no table of offsets is needed.

A panel of x holds, for each vector of channels, all its rows: number (c, t) is at x[(c // lanes) * stride + t * lanes + c % lanes], so
the rows of a tile are a fixed distance apart. A panel of weights or results is row-major, `lanes * columns` numbers wide.

    panel tile: y[t, v] = sum over c of x[c, t] * w[c, v]       one row a t
    gram tile:  dw[c, v] += sum over t of x[c, t] * dy[t, v]    one row a c

The sweeps over whole panels are for float32 alone.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import host, vector
from .compiling import inline
from .host import lanes
from .tiles import Sums, constant, heights

L = lanes(4)


@functools.cache
def panel_tile(rows: int, columns: int) -> Any:
    """tile(x, xi, vectors, stride, w, wi, y, yi): `rows` rows from x[xi] on, over so many vectors of channels, to y[yi], ..."""

    def tile(context: Any, x: Any, xi: Any, vectors: Any, stride: Any, w: Any, wi: Any, y: Any, yi: Any) -> Any:
        signature = types.void(x, types.int64, types.int64, types.int64, w, types.int64, y, types.int64)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            dtype, lanes = x.dtype, vector.llvm_vector(x.dtype).count
            x_, w_, y_ = (vector.address(context, builder, signature.args[i], args[i]) for i in (0, 4, 6))
            xi_, vectors_, stride_, wi_, yi_ = (args[i] for i in (1, 2, 3, 5, 7))
            sums = Sums(builder, rows, columns, dtype)
            with cgutils.for_range(builder, vectors_) as over_vectors:
                numbers = builder.gep(x_, [builder.add(xi_, builder.mul(over_vectors.index, stride_))])
                size = constant(lanes * lanes * columns)
                weights = builder.gep(w_, [builder.add(wi_, builder.mul(over_vectors.index, size))])
                with cgutils.for_range(builder, constant(lanes)) as over_lanes:
                    here = builder.gep(numbers, [over_lanes.index])
                    line = builder.mul(over_lanes.index, constant(lanes * columns))
                    found = [
                        vector.load_at(builder, weights, builder.add(line, constant(v * lanes)), dtype)
                        for v in range(columns)
                    ]
                    sums.add_outer([builder.gep(here, [constant(r * lanes)]) for r in range(rows)], found)
            out = builder.gep(y_, [yi_])
            for i, place in enumerate(place for row in sums.places for place in row):
                vector.store_at(builder, out, constant(i * lanes), builder.load(place), dtype)
            return context.get_dummy_value()

        return signature, generate

    return _twin_panel(rows, columns) if numba.config.DISABLE_JIT else intrinsic(tile)


@functools.cache
def gram_tile(rows: int, columns: int) -> Any:
    """tile(x, xi, count, dy, di, dw, wi): `rows` channels from x[xi] on, over `count` rows of x and of dy[di], added to dw[wi], ..."""

    def tile(context: Any, x: Any, xi: Any, count: Any, dy: Any, di: Any, dw: Any, wi: Any) -> Any:
        signature = types.void(x, types.int64, types.int64, dy, types.int64, dw, types.int64)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            dtype, lanes = x.dtype, vector.llvm_vector(x.dtype).count
            x_, dy_, dw_ = (vector.address(context, builder, signature.args[i], args[i]) for i in (0, 3, 5))
            xi_, count_, di_, wi_ = (args[i] for i in (1, 2, 4, 6))
            sums = Sums(builder, rows, columns, dtype)
            numbers, upstream, out = (builder.gep(a, [i]) for a, i in ((x_, xi_), (dy_, di_), (dw_, wi_)))
            with cgutils.for_range(builder, count_) as over_rows:
                here = builder.gep(numbers, [builder.mul(over_rows.index, constant(lanes))])
                line = builder.mul(over_rows.index, constant(lanes * columns))
                found = [
                    vector.load_at(builder, upstream, builder.add(line, constant(v * lanes)), dtype)
                    for v in range(columns)
                ]
                sums.add_outer([builder.gep(here, [constant(r)]) for r in range(rows)], found)
            for i, place in enumerate(place for row in sums.places for place in row):
                index = constant(i * lanes)
                total = builder.fadd(vector.load_at(builder, out, index, dtype), builder.load(place))
                vector.store_at(builder, out, index, total, dtype)
            return context.get_dummy_value()

        return signature, generate

    return _twin_gram(rows, columns) if numba.config.DISABLE_JIT else intrinsic(tile)


def _twin_panel(rows: int, columns: int) -> Any:
    """The panel tile in NumPy."""

    def tile(x, xi, vectors, stride, w, wi, y, yi):
        L = host.lanes(x.itemsize)
        at = xi + np.arange(vectors)[:, None, None] * stride + np.arange(L)[:, None] + np.arange(rows) * L
        assert 0 <= at.min() <= at.max() < x.size, "read outside x"
        assert 0 <= yi <= y.size - rows * columns * L, "write outside y"
        weights = w[wi : wi + vectors * L * columns * L].reshape(vectors * L, columns * L)
        y[yi : yi + rows * columns * L] = (x[at].reshape(-1, rows).T @ weights).ravel()

    return tile


def _twin_gram(rows: int, columns: int) -> Any:
    """The gram tile in NumPy."""

    def tile(x, xi, count, dy, di, dw, wi):
        L = host.lanes(x.itemsize)
        at = xi + np.arange(count)[:, None] * L + np.arange(rows)
        assert 0 <= at.min() <= at.max() < x.size, "read outside x"
        upstream = dy[di : di + count * columns * L].reshape(count, columns * L)
        dw[wi : wi + rows * columns * L] += (x[at].T @ upstream).ravel()

    return tile


TALL1, TALL2 = heights(1)[0], heights(2)[0]
panel1_tall, panel1_8, panel1_4, panel1_2, panel1_1 = (panel_tile(rows, 1) for rows in (TALL1, 8, 4, 2, 1))
panel2_tall, panel2_8, panel2_4, panel2_2, panel2_1 = (panel_tile(rows, 2) for rows in (TALL2, 8, 4, 2, 1))


@inline
def panel1(x, xi, count, vectors, stride, w, wi, y, yi):
    """y (count, lanes) = x (channels, count) times w (channels, lanes): the tallest tiles first."""
    t = 0
    while t + TALL1 <= count:
        panel1_tall(x, xi + t * L, vectors, stride, w, wi, y, yi + t * L)
        t += TALL1
    while t + 8 <= count:
        panel1_8(x, xi + t * L, vectors, stride, w, wi, y, yi + t * L)
        t += 8
    if t + 4 <= count:
        panel1_4(x, xi + t * L, vectors, stride, w, wi, y, yi + t * L)
        t += 4
    if t + 2 <= count:
        panel1_2(x, xi + t * L, vectors, stride, w, wi, y, yi + t * L)
        t += 2
    if t < count:
        panel1_1(x, xi + t * L, vectors, stride, w, wi, y, yi + t * L)


@inline
def panel2(x, xi, count, vectors, stride, w, wi, y, yi):
    """The same with two vectors of output channels."""
    t = 0
    while t + TALL2 <= count:
        panel2_tall(x, xi + t * L, vectors, stride, w, wi, y, yi + 2 * t * L)
        t += TALL2
    while t + 8 <= count:
        panel2_8(x, xi + t * L, vectors, stride, w, wi, y, yi + 2 * t * L)
        t += 8
    if t + 4 <= count:
        panel2_4(x, xi + t * L, vectors, stride, w, wi, y, yi + 2 * t * L)
        t += 4
    if t + 2 <= count:
        panel2_2(x, xi + t * L, vectors, stride, w, wi, y, yi + 2 * t * L)
        t += 2
    if t < count:
        panel2_1(x, xi + t * L, vectors, stride, w, wi, y, yi + 2 * t * L)


G1, G2 = (max(r for r in (16, 8, 4, 2) if r <= min(L, heights(columns)[0])) for columns in (1, 2))
# rows of a gram tile: a divisor of the lanes, as tall as the registers allow
gram1_tall, gram2_tall = gram_tile(G1, 1), gram_tile(G2, 2)


@inline
def gram1(x, xi, count, vectors, stride, dy, di, dw, wi):
    """dw (channels, lanes) += x (channels, count) times dy (count, lanes)."""
    for k in range(vectors):
        for r in range(0, L, G1):
            gram1_tall(x, xi + k * stride + r, count, dy, di, dw, wi + (k * L + r) * L)


@inline
def gram2(x, xi, count, vectors, stride, dy, di, dw, wi):
    """The same with two vectors of output channels."""
    for k in range(vectors):
        for r in range(0, L, G2):
            gram2_tall(x, xi + k * stride + r, count, dy, di, dw, wi + (k * L + r) * 2 * L)
