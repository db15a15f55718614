"""The text of a kernel module: the prelude and one `.cu` file, for one dtype. The same text for CuPy, NVRTC and the host runtime."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

FOLDER = Path(__file__).parent
PRELUDE = "prelude.cuh"
INCLUDE = re.compile(r'#include "(\w+\.cuh)"')
KERNEL = re.compile(r'extern "C" __global__ void\s*(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(')


@functools.cache
def files() -> tuple[str, ...]:
    """The names of all kernel files, without `.cu`."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.cu")))


@functools.cache
def text(file: str) -> str:
    """Prelude, what the file includes, and the file as one text; a compiler's messages name the file and line where things stand."""
    return _with_includes(PRELUDE) + _with_includes(f"{file}.cu")


def _with_includes(name: str) -> str:
    lines = [f'#line 1 "{name}"']
    for number, line in enumerate((FOLDER / name).read_text(encoding="utf-8").splitlines(), start=1):
        include = INCLUDE.fullmatch(line)
        lines += [_with_includes(include[1]), f'#line {number + 1} "{name}"'] if include else [line]
    return "\n".join(lines) + "\n"


def options(dtype: npt.DTypeLike) -> tuple[str, ...]:
    """How a module for arrays of this dtype is compiled. No flag that assumes that there is no NaN."""
    return ("-std=c++17", f"-DREAL={'float' if np.dtype(dtype) == np.float32 else 'double'}")


@functools.cache
def kernels(file: str) -> tuple[str, ...]:
    """The names of the kernels in a file, in the order in which they stand."""
    return tuple(KERNEL.findall((FOLDER / f"{file}.cu").read_text(encoding="utf-8")))
