"""What each kernel may take: the least share of an SM's warps that it leaves room for, which bounds its registers and shared memory.

Half of the warps hide the wait for memory well; 256 threads of 64 registers leave room for as many on every architecture. Kernels that
hold a large tile of sums in registers are the exception: the sums are independent, so each thread has work while it waits
(V. Volkov, Better performance at lower occupancy, GTC 2010).
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple, TypeVar

from . import patches

T = TypeVar("T")


class Budget(NamedTuple):
    """The least share of an SM's warps, for float and for double."""

    single: float
    double: float


USUAL = Budget(0.5, 0.5)

# By kernels' names, * for any characters; the first that fits counts.
BUDGETS = {
    "matmul_v3": Budget(0.5, 0.375),
    "matmul_v4": Budget(0.25, 0.25),
    "implicit_gemm_weight_v3_64": Budget(0.375, 0.375),
    "implicit_gemm*_v3_64": Budget(0.5, 0.375),
    # Where the shape asks for all shared memory that there is without asking twice, one block of 4 (12) warps fits beside another.
    "implicit_gemm_v4_*": Budget(0.125, 0.125),
    "implicit_gemm_weight_v4_*": Budget(0.1875, 0.1875),
}

# Bytes of dynamic shared memory that a kernel's launcher asks for at most, by names as above; other kernels have none.
DYNAMIC_SHARED = {"implicit_gemm_v4_*": patches.SHARED_BYTES, "implicit_gemm_weight_v4_*": patches.SHARED_BYTES}


def least_share(kernel: str, real: str) -> float:
    """The least share of an SM's warps for a kernel in "float" or "double"."""
    budget = _first(BUDGETS, kernel) or USUAL
    return budget.single if real == "float" else budget.double


def dynamic_shared(kernel: str) -> int:
    """Bytes of dynamic shared memory that the kernel's launcher asks for at most."""
    return _first(DYNAMIC_SHARED, kernel) or 0


def _first(table: Mapping[str, T], kernel: str) -> T | None:
    return next((table[name] for name in table if fnmatchcase(kernel, name)), None)
