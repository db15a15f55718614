"""The two register tiles in which all convolution time is spent.

Both keep a block of sums in registers and feed it from tables of offsets, so that one tile serves any stride, padding, dilation, group and
border: what differs is only the tables (`geometry.py`).

    product tile: sums[p][v] += x[pixels[p] + tap + t] * w[...]      one row a pixel, one column a vector of output channels
    outer tile:   sums[r][v] += x[pixels[p] + tap + r] * dy[...]     one row an input channel (of a kernel row), summed over pixels

Shape: as many rows x columns of sums as the registers hold, less one for each vector of weights and one for the number that is
spread over its lanes.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import host, vector
from .vector import INT


def columns(vectors: int) -> int:
    """Columns of a tile, for this many vectors of output channels: 2 where there are 2 or more, for then each spread number works twice."""
    return min(2, vectors)


def tallest(columns: int) -> int:
    """Rows of the tallest tile with this many columns: what fits the registers, at most 24."""
    return min((host.registers() - columns - 1) // columns, 24)


def heights(columns: int) -> tuple[int, ...]:
    """The tile heights there are, tallest first; the short ones take what the tall ones leave."""
    top = tallest(columns)
    return (top, *(height for height in (8, 4, 2, 1) if height < top))


def constant(value: int) -> ir.Constant:
    """LLVM: an integer."""
    return ir.Constant(INT, value)


class Sums:
    """LLVM: rows x columns vectors of sums; LLVM keeps them in registers, for their addresses never leave."""

    def __init__(self, builder: Any, rows: int, columns: int, dtype: Any) -> None:
        self.builder, self.rows, self.columns, self.dtype = builder, rows, columns, dtype
        nothing = vector.zeros(dtype)
        self.places = [[cgutils.alloca_once_value(builder, nothing) for _ in range(columns)] for _ in range(rows)]
        for row in self.places:
            for place in row:
                builder.store(nothing, place)

    def add_outer(self, numbers: list[Any], vectors: list[Any]) -> None:
        """sums[r][v] += numbers[r] * vectors[v]; each number is loaded from its place and spread just before its use."""
        for row, place in zip(self.places, numbers, strict=True):
            spread = vector.splat(self.builder, self.builder.load(place), self.dtype)
            for target, value in zip(row, vectors, strict=True):
                total = vector.fused_multiply_add(self.builder, spread, value, self.builder.load(target), self.dtype)
                self.builder.store(total, target)


@functools.cache
def product_tile(rows: int, columns: int) -> Any:
    """tile(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid): a product tile of `rows` pixels and `columns` vectors.

    y[places[p + i] + yi + j] = sum over k < len(taps), t < run of
        x[pixels[p + i] + base + taps[k] + t] * w[wi + (k * run + t) * lanes * columns + j]
    for j < valid: the last vector is stored only as far as there are output channels.
    """

    def tile(
        context: Any,
        x: Any,
        pixels: Any,
        p: Any,
        base: Any,
        taps: Any,
        run: Any,
        w: Any,
        wi: Any,
        y: Any,
        places: Any,
        yi: Any,
        valid: Any,
    ) -> Any:
        signature = types.void(
            x, pixels, types.int64, types.int64, taps, types.int64, w, types.int64, y, places, types.int64, types.int64
        )

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            dtype, lanes = x.dtype, vector.llvm_vector(x.dtype).count
            x_, pixels_, taps_, w_, y_, places_ = (
                vector.address(context, builder, signature.args[i], args[i]) for i in (0, 1, 4, 6, 8, 9)
            )
            p_, base_, run_, wi_, yi_, valid_ = (args[i] for i in (2, 3, 5, 7, 10, 11))
            count = context.make_array(signature.args[4])(context, builder, args[4]).nitems
            sums = Sums(builder, rows, columns, dtype)
            at = [builder.add(p_, constant(i)) for i in range(rows)]
            starts = [builder.add(builder.load(builder.gep(pixels_, [i])), base_) for i in at]
            weights = cgutils.alloca_once_value(builder, wi_)
            builder.store(wi_, weights)
            with cgutils.for_range(builder, count) as over_taps:
                tap = builder.load(builder.gep(taps_, [over_taps.index]))
                rows_of_x = [builder.gep(x_, [builder.add(start, tap)]) for start in starts]
                with cgutils.for_range(builder, run_) as along_run:
                    place = builder.load(weights)
                    vectors = [
                        vector.load_at(builder, w_, builder.add(place, constant(v * lanes)), dtype)
                        for v in range(columns)
                    ]
                    builder.store(builder.add(place, constant(columns * lanes)), weights)
                    sums.add_outer([builder.gep(row, [along_run.index]) for row in rows_of_x], vectors)
            full = builder.icmp_signed(">=", valid_, constant(columns * lanes))
            outs = [builder.add(builder.load(builder.gep(places_, [i])), yi_) for i in at]
            with builder.if_else(full) as (whole, partial):
                with whole:
                    _store(builder, y_, outs, sums, None)
                with partial:
                    _store(builder, y_, outs, sums, valid_)
            return context.get_dummy_value()

        return signature, generate

    return _twin_product(rows, columns) if numba.config.DISABLE_JIT else intrinsic(tile)


def _store(builder: Any, y: Any, outs: list[Any], sums: Sums, valid: Any) -> None:
    """LLVM: store the sums, the last column only as far as `valid` output channels reach."""
    lanes = vector.llvm_vector(sums.dtype).count
    for out, row in zip(outs, sums.places, strict=True):
        for v, place in enumerate(row):
            index, value = builder.add(out, constant(v * lanes)), builder.load(place)
            if valid is None:
                vector.store_at(builder, y, index, value, sums.dtype)
            else:
                left = builder.sub(valid, constant(v * lanes))
                vector.store_first_at(builder, y, index, value, left, sums.dtype)


@functools.cache
def outer_tile(rows: int, columns: int) -> Any:
    """tile(x, pixels, count, base, dy, places, d, dw, wi): an outer tile of `rows` input channels and `columns` vectors.

    dw[wi + r * lanes * columns + j] += sum over p < count of x[pixels[p] + base + r] * dy[places[p] + d + j], j < lanes * columns.
    """

    def tile(
        context: Any,
        x: Any,
        pixels: Any,
        count: Any,
        base: Any,
        dy: Any,
        places: Any,
        d: Any,
        dw: Any,
        wi: Any,
    ) -> Any:
        signature = types.void(x, pixels, types.int64, types.int64, dy, places, types.int64, dw, types.int64)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            dtype, lanes = x.dtype, vector.llvm_vector(x.dtype).count
            x_, pixels_, dy_, places_, dw_ = (
                vector.address(context, builder, signature.args[i], args[i]) for i in (0, 1, 4, 5, 7)
            )
            count_, base_, d_, wi_ = (args[i] for i in (2, 3, 6, 8))
            sums = Sums(builder, rows, columns, dtype)
            with cgutils.for_range(builder, count_) as over_pixels:
                start = builder.add(builder.load(builder.gep(pixels_, [over_pixels.index])), base_)
                out = builder.add(builder.load(builder.gep(places_, [over_pixels.index])), d_)
                numbers = builder.gep(x_, [start])
                vectors = [
                    vector.load_at(builder, dy_, builder.add(out, constant(v * lanes)), dtype) for v in range(columns)
                ]
                sums.add_outer([builder.gep(numbers, [constant(r)]) for r in range(rows)], vectors)
            for r, places_of_row in enumerate(sums.places):
                for v, place in enumerate(places_of_row):
                    index = builder.add(wi_, constant((r * columns + v) * lanes))
                    before = vector.load_at(builder, dw_, index, dtype)
                    vector.store_at(builder, dw_, index, builder.fadd(before, builder.load(place)), dtype)
            return context.get_dummy_value()

        return signature, generate

    return _twin_outer(rows, columns) if numba.config.DISABLE_JIT else intrinsic(tile)


def _twin_product(rows: int, columns: int) -> Any:
    """The product tile in NumPy."""

    def tile(x, pixels, p, base, taps, run, w, wi, y, places, yi, valid):
        width = columns * host.lanes(x.itemsize)
        weights = w[wi : wi + len(taps) * run * width].reshape(len(taps), run, width)
        for i in range(p, p + rows):
            at = pixels[i] + base + taps[:, None] + np.arange(run)
            assert at.size == 0 or 0 <= at.min() <= at.max() < x.size, "read outside x"
            total = np.einsum("kt,ktj->j", x[at], weights)
            out = places[i] + yi
            assert 0 <= out <= y.size - min(valid, width), "write outside y"
            y[out : out + min(valid, width)] = total[:valid]

    return tile


def _twin_outer(rows: int, columns: int) -> Any:
    """The outer tile in NumPy."""

    def tile(x, pixels, count, base, dy, places, d, dw, wi):
        width = columns * host.lanes(x.itemsize)
        at, to = pixels[:count, None] + base + np.arange(rows), places[:count, None] + d + np.arange(width)
        assert count == 0 or (0 <= at.min() <= at.max() < x.size and 0 <= to.min() <= to.max() < dy.size), (
            "read outside"
        )
        total = x[at].T @ dy[to]
        for r in range(rows):
            dw[wi + r * width : wi + (r + 1) * width] += total[r]

    return tile
