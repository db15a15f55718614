"""The multiply-add ceiling: chains of fused multiply-adds that never leave the registers. Needs Numba."""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinyresnet_kernels.cpu import host, vector
from tinyresnet_kernels.cpu.threads import in_chunks, threads

from .threads import usable_processors
from .work import Run

CHAINS = min(host.registers() - 4, 24)  # at least latency times units: 8 to 16 on the machines of today
STEPS = 1 << 19  # some milliseconds


@functools.cache
def _kernel() -> Any:
    def chains(context: Any, a: Any, steps: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            dtype, at = a.dtype, functools.partial(ir.Constant, vector.INT)
            pointer = vector.address(context, builder, signature.args[0], args[0])
            x, y = (vector.load_at(builder, pointer, at(i), dtype) for i in (0, host.lanes(4)))
            sums = [cgutils.alloca_once_value(builder, vector.zeros(dtype)) for _ in range(CHAINS)]
            for place in sums:
                builder.store(y, place)
            with cgutils.for_range(builder, args[1]):
                for place in sums:
                    builder.store(vector.fused_multiply_add(builder, x, y, builder.load(place), dtype), place)
            for i, place in enumerate(sums):
                vector.store_at(builder, pointer, at(i * host.lanes(4)), builder.load(place), dtype)
            return context.get_dummy_value()

        return types.void(a, types.int64), generate

    tile: Any = intrinsic(chains)
    return numba.njit(nogil=True)(lambda a, steps: tile(a, steps))


def multiply_add_run() -> tuple[Run, float]:
    """A function that keeps all threads that kernels use busy for some milliseconds, and the operations it makes on each."""
    chains = _kernel()
    places = [np.ones(CHAINS * host.lanes(4), np.float32) for _ in range(usable_processors())]

    def run() -> None:
        in_chunks(lambda first, last: [chains(a, STEPS) for a in places[first:last]], threads())

    return run, 2.0 * STEPS * CHAINS * host.lanes(4)
