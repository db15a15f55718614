"""Compares kernels with their readable forms on a machine that lacks some of this one's vector features; a program of its own.

    python other_machine.py CALLS DTYPES [FEATURE ...]      e.g. 100 float32,float64 avx512: features by the start of their name

With NUMBA_DISABLE_JIT=1 the kernels run as plain Python, so that any machine can be played on any other.
"""

from __future__ import annotations

import sys
import warnings

import llvmlite.binding as llvm

real = llvm.get_host_cpu_features


def some_features() -> llvm.FeatureMap:
    """This machine's features without those that are to be missing; Numba asks too, and so compiles for that machine."""
    features = real()
    for name in features:
        if name.startswith(tuple(sys.argv[3:])):
            features[name] = False
    return features


def main(calls: int, dtypes: list[str]) -> None:
    """So many small calls of each kernel; prints the bytes of a register."""
    warnings.simplefilter("ignore", RuntimeWarning)  # where kernels are plain Python, NumPy sees their infinities
    llvm.get_host_cpu_features = some_features
    from kernel_checks import compare, random_call, scratch_of
    from kernel_table import KERNELS
    from tinyresnet_kernels.cpu.host import register_bytes

    for name, kernel in KERNELS.items():
        for seed in range(calls):
            dtype, kind = dtypes[seed % len(dtypes)], kernel.kinds[seed // 2 % len(kernel.kinds)]
            call = random_call(name, dtype, kind, seed, small=True)
            with scratch_of((1 << 18, 1 << 11, 1 << 10)[seed % 3]):
                try:
                    compare(name, call)
                except AssertionError as error:
                    raise AssertionError(f"{name}, seed {seed}: {call}\n{error}") from error
    print(register_bytes())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2].split(","))
