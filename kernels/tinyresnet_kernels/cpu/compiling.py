"""Compiling once: kernels are kept on disk, in a folder named after the sources they come from.

Numba's own cache looks at a kernel's file alone and keeps a stale kernel when a helper in another file changes; this one
looks at all files.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

FLAGS = {"contract", "nsz", "arcp"}  # never nnan or ninf: a NaN must pass through
_told = [False]


@functools.cache
def sources_hash() -> str:
    """A hash of all kernel sources, of Numba's version and of this machine's vector registers."""
    from . import host

    digest = hashlib.sha256(f"{numba.__version__} {host.register_bytes()} {host.registers()}".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path | None:
    """Where compiled kernels are kept: in the user's cache; None where that cannot be written, and every process compiles for itself."""
    home = Path.home()
    base = {
        "win32": Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")),
        "darwin": home / "Library" / "Caches",
    }.get(sys.platform, Path(os.environ.get("XDG_CACHE_HOME", home / ".cache")))
    folder = base / "tinyresnet" / f"kernels-{sources_hash()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


class _Locator(_CacheLocator):
    """Tells Numba where a kernel's files are and what they depend on."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return sources_hash()

    def get_disambiguator(self) -> str:
        return self.function.__module__.rpartition(".")[2]

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Locator | None:
        return cls(function) if cache_folder() else None


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _Cache(FunctionCache):
    """Numba's cache in our folder, which says what takes long."""

    _impl_class = _CacheImpl

    def save_overload(self, signature: Any, data: Any) -> None:
        super().save_overload(signature, data)

    def load_overload(self, signature: Any, target: Any) -> Any:
        found = super().load_overload(signature, target)
        if found is None:
            _tell(self._name)
        return found


def _tell(name: str) -> None:
    """One line, the first time that a kernel must be compiled; on a terminal it goes on to say which."""
    if sys.stderr.isatty():
        print(
            f"\rcompiling kernels for this machine, once: {name.rpartition('.')[2]:<28}",
            end="",
            file=sys.stderr,
            flush=True,
        )
    elif not _told[0]:
        print("compiling kernels for this machine, once", file=sys.stderr, flush=True)
    _told[0] = True


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` for the types it is called with, without Python's lock, and keep the result on disk."""
    compiled = numba.njit(nogil=True, fastmath=FLAGS, error_model="numpy")(function)
    if not numba.config.DISABLE_JIT and cache_folder():
        compiled._cache = _Cache(function)
    return compiled


inline = numba.njit(nogil=True, fastmath=FLAGS, error_model="numpy")  # for functions that only kernels call
