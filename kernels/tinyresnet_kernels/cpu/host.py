"""What this machine's processor has: the width and the number of its vector registers. Never the name of a chip."""

from __future__ import annotations

import functools


@functools.cache
def features() -> frozenset[str]:
    """The processor's features as LLVM names them."""
    import llvmlite.binding as llvm

    return frozenset(name for name, here in llvm.get_host_cpu_features().items() if here)


@functools.cache
def register_bytes() -> int:
    """Bytes in one vector register: 64 with AVX-512, 32 with AVX2 and fused multiply-add, else 16 (NEON, SSE)."""
    if {"avx512f", "avx512vl"} <= features():
        return 64
    return 32 if {"avx2", "fma"} <= features() else 16


@functools.cache
def registers() -> int:
    """Number of vector registers: 32 with AVX-512 and on 64-bit ARM, else 16."""
    return 32 if register_bytes() == 64 or "neon" in features() else 16


def lanes(itemsize: int) -> int:
    """Numbers of this many bytes in one register."""
    return register_bytes() // itemsize
