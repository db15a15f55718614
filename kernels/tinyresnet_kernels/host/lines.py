"""What a compiled module tells of its source: the line of an instruction, and the shared arrays of a kernel."""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import build

UNKNOWN = ("unknown file", 0)


def line_of(library: Path, instruction: int | None) -> tuple[str, int]:
    """(file, line) of the call that returns to this address; the kernel file's own line where it was in an inlined helper's.

    ("unknown file", 0) where the tool that knows (addr2line of the GNU binutils, atos on macOS) is missing.
    """
    if not instruction:
        return UNKNOWN
    runtime = build.runtime()
    runtime.host_library_base.restype = ctypes.c_void_p
    base = runtime.host_library_base(ctypes.c_void_p(instruction))
    return _line(library, instruction - 1 - (base or 0))


@functools.cache
def _line(library: Path, offset: int) -> tuple[str, int]:
    tool = shutil.which("atos" if sys.platform == "darwin" else "addr2line")
    if tool is None:
        return UNKNOWN
    arguments = (
        ["-o", str(library), "-l", "0", "-i", hex(offset)]
        if sys.platform == "darwin"
        else ["-i", "-e", str(library), hex(offset)]
    )
    told = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False).stdout
    frames = [(name, int(line)) for name, line in re.findall(r"([\w.]+\.(?:cuh?|hpp|cpp)):(\d+)", told)]
    kernels = [frame for frame in frames if frame[0].endswith(".cu")]
    return next(iter([*kernels, *frames]), UNKNOWN)


@functools.cache
def shared_arrays(library: Path) -> dict[str, list[tuple[str, int, int]]]:
    """For each kernel its static shared arrays: name, offset in the section of shared memory, bytes. Empty where nm does not tell sizes."""
    tool = shutil.which("nm")
    if tool is None or sys.platform == "darwin":
        return {}
    told = subprocess.run([tool, "-S", str(library)], capture_output=True, text=True, check=False).stdout
    start = re.search(r"^(\w+) \w __start_cuda_shared$", told, re.MULTILINE)
    found: dict[str, list[tuple[str, int, int]]] = {}
    for address, size, name in re.findall(r"^(\w+) (\w+) [dDbB] _ZZ(\w+)$", told, re.MULTILINE):
        kernel, variable = _names(name)  # a local of a function that is not mangled, as extern "C" has it: 6matmulE2sA
        if start:
            found.setdefault(kernel, []).append((variable, int(address, 16) - int(start[1], 16), int(size, 16)))
    return found


def _names(mangled: str) -> tuple[str, str]:
    """(function, local variable) of "6matmulE2sA"."""
    parts = []
    for _ in range(2):
        length = re.match(r"E?(\d+)", mangled)
        if length is None:
            return ("", mangled)
        rest = mangled[length.end() :]
        parts.append(rest[: int(length[1])])
        mangled = rest[int(length[1]) :]
    return (parts[0], parts[1])
