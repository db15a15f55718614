"""A pool of large arrays: memory that was used once is used again, for the system takes long to hand out fresh pages.

Every array from here has a `Lease` for its base, and so has every view of it. When the last of them is gone, so is the lease, which
gives its block back. Nothing is reissued before: two forward passes before one backward pass have memory of their own.
"""

from __future__ import annotations

import collections
import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_BYTES = 1 << 18  # of an array that is worth a place here
GRAIN = 1 << 16  # block sizes are multiples of it, so that nearly equal arrays share blocks
ALIGNMENT = 64  # bytes: a cache line, and the widest register there is
MOST_IDLE_BYTES = 1 << 30  # in blocks that no array uses
PATIENCE = 4096  # a block that this many requests did not want is dropped: several training steps of a deep network


class Block:
    """Some bytes, and the number of the request before which they were last given back."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes, self.idle_since = nbytes, 0
        self.memory = np.empty(nbytes + ALIGNMENT, np.uint8)
        self.address = -(-self.memory.ctypes.data // ALIGNMENT) * ALIGNMENT


class Lease:
    """What the arrays on a block refer to. The block goes back when this is deleted."""

    def __init__(
        self, block: Block, returned: collections.deque[Block], shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.block, self.returned = block, returned
        data = (block.address, False)  # False: it may be written to
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": dtype.str, "data": data}

    def __del__(self) -> None:
        self.returned.append(self.block)  # this may run at any moment, even amid `empty`: an append is all that is safe


class Pool:
    """Blocks that wait for their next use, the longest idle first. `made` counts the fresh ones that were needed."""

    def __init__(self) -> None:
        self.returned: collections.deque[Block] = collections.deque()
        self.idle: list[Block] = []
        self.idle_bytes = self.requests = self.made = 0
        self.lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array of this shape and dtype, C-contiguous, not filled; a large one on a block that is free, else on a fresh one."""
        dtype = np.dtype(dtype)
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes < LEAST_BYTES:
            return np.empty(shape, dtype)
        size = -(-nbytes // GRAIN) * GRAIN
        with self.lock:
            block = self._free_block(size)
            self.made += block is None
        return np.asarray(Lease(block or Block(size), self.returned, shape, dtype))

    def _free_block(self, size: int) -> Block | None:
        """The free block of this size that was given back last, for it may still be in cache. Drops what nobody wants."""
        self.requests += 1
        while self.returned:
            block = self.returned.popleft()
            block.idle_since = self.requests
            self.idle.append(block)
            self.idle_bytes += block.nbytes
        while self.idle and (self.idle_bytes > MOST_IDLE_BYTES or self.requests - self.idle[0].idle_since > PATIENCE):
            self._take(0)
        for place in range(len(self.idle) - 1, -1, -1):
            if self.idle[place].nbytes == size:
                return self._take(place)
        return None

    def _take(self, place: int) -> Block:
        block = self.idle.pop(place)
        self.idle_bytes -= block.nbytes
        return block


pool = Pool()
