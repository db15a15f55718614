"""Compiling the runtime and kernel modules with the C++ compiler that is here, once: results are kept on disk."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
RUNTIME = (
    "runtime.cpp",
    "watch.cpp",
    "traffic.cpp",
)  # compiled apart from kernels, for the watcher must not watch itself
COMMON = (
    "-std=c++17",
    "-fPIC",
    "-march=native",
    "-ffp-contract=off",
    "-fno-threadsafe-statics",
    "-Wno-unknown-pragmas",
)
# Kernels keep their names to themselves: one that is called as a function of the C library is not to be mistaken for it.
LINK = ("-shared", "-undefined", "dynamic_lookup") if sys.platform == "darwin" else ("-shared", "-Wl,-Bsymbolic")
PLAIN = ("-O2",)
# Without optimisation register arrays would count as memory; vectorised code would have other accesses than a thread of a GPU has.
WATCHED = ("-O1", "-fno-tree-vectorize", "-fsanitize=thread", "-DTINYRESNET_WATCH")
DYNAMIC = re.compile(r"extern\s+(__shared__\s+(?:__align__\(\d+\)\s+)?)(\w+)\s+(\w+)\[\];")


class BuildError(RuntimeError):
    """There is no C++ compiler here, or it refuses the text; the message says what it said first."""


@functools.cache
def compiler() -> str | None:
    """The C++ compiler's path: g++, clang++ or c++; None where there is none, and on Windows, whose compilers are not served."""
    if sys.platform == "win32":
        return None
    return next((path for name in ("g++", "clang++", "c++") if (path := shutil.which(name))), None)


@functools.cache
def runtime() -> ctypes.CDLL:
    """The runtime, loaded so that kernel modules find its functions. Raises BuildError."""
    code = "".join(f'#include "{name}"\n' for name in RUNTIME)
    depends_on = "".join((HERE / name).read_text(encoding="utf-8") for name in RUNTIME)
    return ctypes.CDLL(str(_built("runtime", code, PLAIN, depends_on)), mode=ctypes.RTLD_GLOBAL)


def module(text: str, options: Sequence[str], kernels: Sequence[str], *, watch: bool) -> Path:
    """The library of a kernel module, compiled from CUDA C++; `watch`: with a call of the watcher at every access to memory."""
    runtime()
    code = DYNAMIC.sub(r"\2* const \3 = static_cast<\2*>(host_dynamic_shared());", text)
    exports = "".join(f"TINYRESNET_EXPORT({name})\n" for name in kernels)
    flags = ("-gdwarf-4", "-g1", *options, *(WATCHED if watch else PLAIN))
    return _built("watched" if watch else "module", f'#include "kernel_side.hpp"\n{code}\n{exports}', flags)


def _built(name: str, code: str, flags: Sequence[str], depends_on: str = "") -> Path:
    """The library that the compiler makes of this code, from the cache if it has been made before."""
    path = compiler()
    if path is None:
        raise BuildError(
            "the CUDA kernels need a C++ compiler to run on the CPU, and there is none here: see `tinyresnet doctor`"
        )
    stamp = repr([code, depends_on, _headers(), COMMON, LINK, flags, _machine()])
    target = cache_folder() / f"{name}-{hashlib.sha256(stamp.encode()).hexdigest()[:20]}.so"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        source, made_object, made = (Path(folder) / f"source.{ending}" for ending in ("cpp", "o", "so"))
        source.write_text(code, encoding="utf-8")
        _run([path, *COMMON, *flags, "-I", str(HERE), "-c", str(source), "-o", str(made_object)])
        # A step of its own, without the flags: asked to link, the compiler would bring the sanitizer's own runtime along.
        _run([path, *LINK, str(made_object), "-o", str(made)])
        made.replace(target)  # when it is whole: other processes may be at the same
    return target


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines() or ["no message"]
        raise BuildError(f"the C++ compiler refuses it: {next((line for line in lines if 'error' in line), lines[0])}")


@functools.cache
def cache_folder() -> Path:
    """Where compiled modules are kept: in the user's cache, else in this process's own folder."""
    home = Path.home()
    default = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    folder = Path(os.environ.get("XDG_CACHE_HOME", default)) / "tinyresnet" / "cuda-host"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="tinyresnet-cuda-host-"))


@functools.cache
def _headers() -> str:
    return "".join(path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.hpp")))


@functools.cache
def _machine() -> str:
    """What the compiled code depends on: the compiler's version, and what this processor can do."""
    version = subprocess.run([str(compiler()), "--version"], capture_output=True, text=True, check=False).stdout
    try:
        flags = next(
            line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(("flags", "Features"))
        )
    except (OSError, StopIteration):
        flags = platform.processor()
    return f"{platform.platform()} {version} {flags}"
