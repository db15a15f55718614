"""The inner wall, in the student's process: limits set by the system, and a word on everything that an answer does not need.

The hook makes clear reports ("tried to open a file"), on every system; it is Python and no prison. What shuts files and network away is
the outer wall (`sandbox.py`).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

ANSWERS = """tinyresnet tinyresnet_kernels torch torchvision jax jaxlib flax tensorflow keras cupy numba autograd scipy sklearn
mxnet paddle mlx tinygrad theano chainer onnx onnxruntime pandas"""
FOREIGN = frozenset(ANSWERS.split())  # libraries that hold the answers, or much of them
READS = ("open", "os.listdir", "os.scandir")
REFUSED = {  # by the beginning of the event's name
    "os.fork": "start a process", "os.exec": "start a process", "os.posix_spawn": "start a process",
    "os.spawn": "start a process", "os.system": "start a process", "os.startfile": "start a process",
    "subprocess.": "start a process", "pty.": "start a process",
    "os.kill": "send a signal to a process", "signal.pthread_kill": "send a signal to a thread",
    "socket.": "use the network", "urllib.": "use the network", "http.": "use the network", "ftplib.": "use the network",
    "ctypes.": "reach into memory by ctypes",
    "os.remove": "change files", "os.rename": "change files", "os.mkdir": "change files", "os.rmdir": "change files",
    "os.chmod": "change files", "os.chown": "change files", "os.link": "change files", "os.symlink": "change files",
    "os.truncate": "change files", "os.utime": "change files", "shutil.": "change files", "tempfile.": "write a file",
    "sqlite3.": "open a file", "winreg.": "read the registry",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

refused: list[str] = []  # what was tried since the list was emptied last


def refuse(what: str, error: type[Exception] = PermissionError) -> None:
    """Note what was tried, and raise."""
    if len(refused) < 4 and what not in refused:
        refused.append(what[:200])
    raise error(f"the judge does not let you {what}")


class NoForeign:
    """A finder, before all others, that refuses the libraries which hold the answers."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise ModuleNotFoundError on a refused name; find nothing else."""
        if name.partition(".")[0] in FOREIGN:
            refuse(f"import {name}", ModuleNotFoundError)


def hook(library: Sequence[str], packages: Sequence[str]) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook: files may be read in the standard library and these packages alone, and nothing else be reached."""
    normcase, abspath, fsdecode, separator = os.path.normcase, os.path.abspath, os.fsdecode, os.sep
    exactly = tuple(map(normcase, (*library, *packages)))
    of_library, of_packages = (tuple(normcase(root) + separator for root in roots) for roots in (library, packages))

    def readable(path: Any) -> bool:
        if path is None or isinstance(path, int):  # a descriptor that is open already
            return path is not None
        full = normcase(abspath(fsdecode(path)))
        others = "site-packages" in full or "dist-packages" in full  # which stand below the standard library
        return full.startswith(of_packages) or full in exactly or (full.startswith(of_library) and not others)

    def look(event: str, args: tuple[Any, ...]) -> None:
        if event in READS:
            if event == "open" and not isinstance(args[0], int):
                mode, flags = args[1], args[2]
                writes = any(c in "wax+" for c in mode) if isinstance(mode, str) else bool((flags or 0) & WRITING)
                if writes:
                    refuse(f"write to the file {args[0]!s}")
            if not readable(args[0]):
                refuse(f"read {args[0]!s}")
            return
        for begin, what in REFUSED.items():
            if event.startswith(begin):
                refuse(what)

    return look


def limit(memory: int, seconds: int) -> None:
    """Limits on memory and time; no files written, no processes, no core. What the system lacks is left out."""
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {"AS": memory, "CPU": seconds, "FSIZE": 0, "NPROC": 0, "NOFILE": 64, "CORE": 0}
    for name, value in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is not None:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (value, value))


def become(user: int | None) -> None:
    """Give up all rights: a user that owns nothing and runs nothing else."""
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)


def die_with_parent() -> None:
    """On Linux, end when the judge ends, whatever this process is doing."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)


def lock(library: Sequence[str], packages: Sequence[str]) -> None:
    """Put the hook and the finder in place. Code that means to can get around both: the wall is what holds."""
    sys.meta_path.insert(0, NoForeign())
    sys.addaudithook(hook(tuple(library), packages))
