"""NVIDIA's run-time compiler (NVRTC) by itself: compiles kernels for any architecture where there is no GPU, no driver and no CuPy.

`python -m tinyresnet_kernels.cuda.nvrtc` prints what every kernel takes of every architecture (see `registers.py`).

The library comes from NVIDIA's wheel, nvidia-cuda-nvrtc-cu12 or nvidia-cuda-nvrtc (CUDA 13 and later), else from an installed toolkit.
The API: https://docs.nvidia.com/cuda/nvrtc/
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LIBRARY = re.compile(r"libnvrtc\.so\.\d\d|nvrtc64_\d\d\d_0\.dll")  # not the alternative build, not the builtins
FOLDERS = ("lib64", "lib", "bin", "bin/x64", "bin/x86_64")
NAMES = ("libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll")
MOST_STATIC_SHARED = 48 * 1024  # bytes; what is beyond must be dynamic

ENTRY = re.compile(r"\.entry (\w+)\([^)]*\)\s*(?:\.maxntid ([\d, ]+))?")  # in PTX; maxntid is __launch_bounds__
COMPILING = re.compile(r"Compiling entry function '(\w+)'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


class CompileError(Exception):
    """NVRTC refused the text. The message is the compiler's first one, with file and line; `log` has them all."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


class Usage(NamedTuple):
    """What a kernel takes: threads a block by its __launch_bounds__ (None: without), registers a thread, bytes of shared memory a block.

    Bytes of local memory a thread, which lies in DRAM: `spill` for registers that did not suffice (loads and stores), `stack` for these
    and for arrays that are indexed by what the compiler does not know.
    """

    threads: int | None
    registers: int
    static_shared: int
    spill: int
    stack: int


class Compiled(NamedTuple):
    """A module for one architecture, what each of its kernels takes, and the compiler's warnings."""

    cubin: bytes
    kernels: dict[str, Usage]
    warnings: tuple[str, ...]


def compile(text: str, arch: str, options: Sequence[str] = (), name: str = "kernels.cu") -> Compiled:
    """Compile a module's text for an architecture ("sm_80"). Raises CompileError, and OSError where there is no NVRTC."""
    nvrtc, program = library(), ctypes.c_void_p()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None))
    try:
        arguments = [option.encode() for option in (f"--gpu-architecture={arch}", "--ptxas-options=-v", *options)]
        status = nvrtc.nvrtcCompileProgram(program, len(arguments), (ctypes.c_char_p * len(arguments))(*arguments))
        log = _read(program, "ProgramLog").decode(errors="replace")
        if status != 0:
            raise CompileError(_first_error(log) or _too_much_shared(log) or f"NVRTC: {_meaning(status)}", log)
        warnings = tuple(line for line in log.splitlines() if re.search(r"\bwarning\b.*:", line))
        ptx = _read(program, "PTX").decode()
        return Compiled(_read(program, "CUBIN", terminated=False), _usage(log, ptx), warnings)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _first_error(log: str) -> str:
    return next((line.strip() for line in log.splitlines() if re.search(r"\berror\b", line)), "")


def _too_much_shared(log: str) -> str:
    """The one reason that the assembler fails for without a word."""
    sizes = {name: usage["static_shared"] for name, usage in _assembled(log).items()}
    too_large = [f"{name} has {size} bytes" for name, size in sizes.items() if size > MOST_STATIC_SHARED]
    return f"error: {too_large[0]} of static shared memory: at most {MOST_STATIC_SHARED}" if too_large else ""


def _usage(log: str, ptx: str) -> dict[str, Usage]:
    """What each kernel takes, in the order of the text."""
    found = _assembled(log)
    threads = {name: math.prod(map(int, bound.split(","))) if bound else None for name, bound in ENTRY.findall(ptx)}
    return {name: Usage(threads[name], **found[name]) for name in threads}


def _assembled(log: str) -> dict[str, dict[str, int]]:
    """What the assembler says of each kernel; a function that it did not inline follows the kernel that calls it, and counts for it."""
    found: dict[str, dict[str, int]] = {}
    for line in log.splitlines():
        if match := COMPILING.search(line):
            found[match[1]] = kernel = {"registers": 0, "static_shared": 0, "spill": 0, "stack": 0}
        elif match := SPILLS.search(line):
            stack, stores, loads = map(int, match.groups())
            kernel["stack"] += stack
            kernel["spill"] += stores + loads
        elif match := USED.search(line):
            kernel["registers"] = int(match[1])
            kernel["static_shared"] = int(match[2] or 0)
    return found


def version() -> tuple[int, int]:
    """The version of CUDA that the library belongs to."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


def architectures() -> tuple[str, ...]:
    """The architectures that this NVRTC compiles for: sm_120 since CUDA 12.8."""
    count = ctypes.c_int()
    _check(library().nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    known = (ctypes.c_int * count.value)()
    _check(library().nvrtcGetSupportedArchs(known))
    return tuple(f"sm_{number}" for number in known)


@functools.cache
def library() -> ctypes.CDLL:
    """NVRTC, loaded once. Raises OSError where there is none."""
    for path in (*wheels(), *_toolkits(), *NAMES):
        with contextlib.suppress(OSError):
            if sys.platform == "win32" and isinstance(path, Path):
                os.add_dll_directory(str(path.parent))  # the library loads its builtins from there
            return ctypes.CDLL(str(path))
    raise OSError("NVRTC is not here: pip install nvidia-cuda-nvrtc-cu12")


def wheels() -> list[Path]:
    """NVRTC's files in installed wheels, CUDA 12's first: it changes no more, and so what kernels take stays as it is."""
    spec = importlib.util.find_spec("nvidia")  # a namespace: one folder for each place where wheels are installed
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    found = [path for root in roots for wheel in root.glob("cu*") for path in _files(wheel)]
    return sorted(found, key=_major)


def _toolkits() -> list[Path]:
    """NVRTC's files of toolkits that an environment variable names, or that stand where NVIDIA's installer puts them."""
    roots = (os.environ.get("CUDA_PATH"), os.environ.get("CUDA_HOME"), "/usr/local/cuda")
    return [path for root in roots if root for path in _files(Path(root))]


def _files(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (path for path in (root / folder).glob("*nvrtc*") if LIBRARY.fullmatch(path.name))


def _major(path: Path) -> int:
    """CUDA's major version: 12 of libnvrtc.so.12 and of nvrtc64_120_0.dll."""
    return int(re.findall(r"\d\d", path.name.removeprefix("nvrtc64_"))[0])


def _read(program: ctypes.c_void_p, what: str, *, terminated: bool = True) -> bytes:
    """One of the program's results: ProgramLog and PTX end with a zero byte, CUBIN does not."""
    size = ctypes.c_size_t()
    _check(getattr(library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _check(getattr(library(), f"nvrtcGet{what}")(program, text))
    return text.value if terminated else text.raw


def _check(status: int) -> None:
    if status != 0:
        raise RuntimeError(f"NVRTC: {_meaning(status)}")


def _meaning(status: int) -> str:
    get = library().nvrtcGetErrorString
    get.restype = ctypes.c_char_p
    return str(get(status).decode())


if __name__ == "__main__":
    from tinyresnet_kernels.cuda.registers import main

    sys.exit(main())
