"""What every kernel takes of every architecture: registers, shared memory, spills, and the occupancy that follows.

The compiler alone says it; no GPU is needed. `python -m tinyresnet_kernels.cuda.nvrtc` prints the table.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from . import budgets, nvrtc, source
from .launch import THREADS
from .occupancy import LIMITS, Occupancy, occupancy

ARCHITECTURES = ("sm_75", "sm_80", "sm_90", "sm_120")  # Turing, Ampere, Hopper, Blackwell
DTYPES = {"float": "float32", "double": "float64"}  # by the kernels' name for a number


class Row(NamedTuple):
    """One kernel on one architecture in "float" or "double"; `dynamic_shared` is the most that its launcher asks for, in bytes."""

    file: str
    kernel: str
    arch: str
    real: str
    threads: int
    usage: nvrtc.Usage
    dynamic_shared: int
    occupancy: Occupancy

    @property
    def fault(self) -> str:
        """What is wrong with it: local memory, or less occupancy than its budget says; empty if nothing."""
        least = budgets.least_share(self.kernel, self.real)
        if self.usage.spill or self.usage.stack:
            return f"{self.usage.spill} bytes spilled, {self.usage.stack} bytes of stack"
        if self.occupancy.share < least:
            return f"{self.occupancy.share:.0%} of the warps, by {self.occupancy.bound}: the budget is {least:.0%}"
        return ""


def compile_module(file: str, arch: str, real: str) -> nvrtc.Compiled:
    """One kernel file for one architecture and number type."""
    return nvrtc.compile(source.text(file), arch, source.options(DTYPES[real]), f"{file}.cu")


def rows(architectures: Iterable[str] = ARCHITECTURES, reals: Iterable[str] = tuple(DTYPES)) -> list[Row]:
    """The whole table, compiled on all processors at once. Raises CompileError, and OSError where there is no NVRTC."""
    jobs = list(itertools.product(source.files(), architectures, reals))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # NVRTC works without the interpreter's lock
        compiled = pool.map(lambda job: compile_module(*job), jobs)
        return [row for job, module in zip(jobs, compiled, strict=True) for row in module_rows(*job, module)]


def module_rows(file: str, arch: str, real: str, module: nvrtc.Compiled) -> list[Row]:
    """The rows of a compiled file, one a kernel."""
    found = []
    for kernel, usage in module.kernels.items():
        threads, dynamic = usage.threads or THREADS, budgets.dynamic_shared(kernel)
        fits = occupancy(arch, threads, usage.registers, usage.static_shared + dynamic)
        found.append(Row(file, kernel, arch, real, threads, usage, dynamic, fits))
    return found


def table(found: Sequence[Row]) -> str:
    """The rows as text: a line a kernel, a column an architecture, and what is wrong below."""
    architectures = list(dict.fromkeys(row.arch for row in found))
    cells = {(row.kernel, row.real, row.arch): row for row in found}
    lines = [("kernel", "numbers", "threads", "shared", *architectures)]
    for kernel, real in dict.fromkeys((row.kernel, row.real) for row in found):
        of_kernel = [cells[kernel, real, arch] for arch in architectures]
        first = of_kernel[0]
        shared = str(first.usage.static_shared) + (f" + {first.dynamic_shared}" if first.dynamic_shared else "")
        lines.append((kernel, real, str(first.threads), shared, *map(_cell, of_kernel)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    faults = [f"{row.kernel}, {row.real}, {row.arch}: {row.fault}" for row in found if row.fault]
    return "\n".join([*text, "", *(faults or ["Nothing spills, and every kernel keeps its budget."])])


def _cell(row: Row) -> str:
    """Registers a thread, blocks on an SM and their share of its warps."""
    local = f" +{row.usage.spill + row.usage.stack} B" if row.usage.spill or row.usage.stack else ""
    return f"{row.usage.registers}{local}, {row.occupancy.blocks} x, {row.occupancy.share:.0%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code: 1 if something is wrong in it, 2 if it cannot be made."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyresnet_kernels.cuda.nvrtc",
        description="Registers a thread, blocks on an SM at once and their share of its warps, for every CUDA kernel; no GPU is needed. "
        "`shared`: bytes of shared memory a block, static + dynamic.",
    )
    parser.add_argument("--arch", action="append", choices=LIMITS, help="only this architecture (may be repeated)")
    parser.add_argument("--dtype", choices=DTYPES.values(), help="only this dtype")
    chosen = parser.parse_args(arguments)
    reals = [real for real, dtype in DTYPES.items() if chosen.dtype in (None, dtype)]
    try:
        found = rows(chosen.arch or ARCHITECTURES, reals)
    except (nvrtc.CompileError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print("NVRTC {}.{}\n\n{}".format(*nvrtc.version(), table(found)))
    return 1 if any(row.fault for row in found) else 0
