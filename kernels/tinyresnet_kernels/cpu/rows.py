"""Channels-last arrays as rows in which every channel has a fixed place, so that one loop over whole vectors serves any number of channels.

With 5 channels and registers of 8 numbers no pixel fills whole vectors, but 16 pixels do: the memory is read as rows of
lcm(5, 2 * 8) = 80 numbers, and the channels' coefficients are repeated until they fill a row too. What is behind the last whole row is
worked on in a copy that zeros fill up to one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from .host import lanes
from .threads import in_chunks

BLOCK = 2  # vectors whose sums a kernel keeps in registers at a time: a row holds a multiple of them
PIECE_BYTES = 1 << 16  # what is read twice stays in the second-level cache in between
LEAST_ROWS = 8  # of a piece, if its rows are long
ALONE_BYTES = 1 << 20  # below this much work, waking another thread costs more than it brings


class Rows(NamedTuple):
    """How a channels-last array is read. Pieces are a number of rows; where they lie depends on shape and dtype alone."""

    channels: int
    length: int  # numbers in a row
    whole: int  # rows
    rest: int  # numbers behind them
    piece: int  # rows in a piece
    nbytes: int

    @property
    def pieces(self) -> int:
        """Number of pieces; the last one may be shorter."""
        return -(-self.whole // self.piece)

    @property
    def body(self) -> int:
        """Numbers in whole rows."""
        return self.whole * self.length

    def table(self, vector: Array) -> Array:
        """One number a channel (C,), repeated to fill a row."""
        return np.tile(vector, self.length // self.channels)

    def filled(self, flat: Array) -> Array:
        """The rest of a flat array as a row, zeros behind it."""
        row = np.zeros(self.length, flat.dtype)
        row[: self.rest] = flat[self.body :]
        return row

    def per_channel(self, parts: Array) -> Array:
        """Numbers for the places of rows (..., length) as (rows of all parts, C) in float64."""
        return parts.reshape(-1, self.channels).astype(np.float64)


def is_flat(x: Array) -> bool:
    """Whether the memory of x runs N, H, W, C (where C or H*W is 1, that of a C-contiguous x does so too)."""
    return bool(x.transpose(0, 2, 3, 1).flags.c_contiguous)


def rows_of(x: Array) -> Rows:
    """The rows of a channels-last x (N, C, H, W)."""
    C = x.shape[1]
    length = math.lcm(C, BLOCK * lanes(x.itemsize))
    whole, rest = divmod(x.size, length)
    return Rows(C, length, whole, rest, max(LEAST_ROWS, PIECE_BYTES // (length * x.itemsize)), x.nbytes)


def share(work: Callable[[int, int], Any], total: int, nbytes: int) -> None:
    """Call work(first, last) for ranges that cover 0..total-1: on all threads if it is about enough bytes."""
    if nbytes < ALONE_BYTES:
        work(0, total)
    else:
        in_chunks(work, total)


def share_numbers(work: Callable[[int, int], Any], size: int, nbytes: int, piece: int = 1 << 14) -> None:
    """The same for a range of numbers, cut at multiples of `piece`."""
    share(lambda first, last: work(first * piece, min(last * piece, size)), -(-size // piece), nbytes)
