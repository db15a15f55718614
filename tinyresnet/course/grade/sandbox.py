"""The outer wall: how a student's process is cut off from files, network and other processes, and how it is started.

With bubblewrap it sees the standard library, NumPy and system libraries, to read; no home, no file to write, no network, no other
process. Without, it is an ordinary process with limits: that is said, and has to be asked for.
"""

from __future__ import annotations

import functools
import itertools
import os
import secrets
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CHILD = Path(__file__).resolve().parent / "inside" / "__main__.py"
PYTHON = Path(
    getattr(sys, "_base_executable", "") or sys.executable
).resolve()  # not a virtual environment's: those hold packages
PACKAGES = Path(np.__file__).resolve().parents[1]
USERS = itertools.count(2**30 + secrets.randbelow(2**20) * 512)  # user numbers that nobody has
TRIAL = 20.0  # seconds


@dataclass(frozen=True)
class Limits:
    """What a student's process may take. A call lasts `seconds` at most, all of a submission `seconds_in_all`; sizes are bytes."""

    seconds: float = 5.0
    seconds_in_all: float = 60.0
    memory: int = 1 << 30
    answer: int = 32 << 20
    printed: int = 4 << 20


@dataclass(frozen=True)
class Wall:
    """`isolated`: files and network are cut off. `why`: what keeps them open, if they are not."""

    isolated: bool
    why: str = ""

    def command(self, limits: Limits) -> list[str]:
        """The command line of a student's process."""
        user = next(USERS) if _is_root() and (self.isolated or _others_may_read()) else -1
        seconds = int(limits.seconds_in_all) + 5
        child = [str(PYTHON), "-I", "-S", "-B", "-X", "utf8", str(CHILD), str(PACKAGES)]
        child += [str(limits.memory), str(seconds), str(user)]
        return [*bubblewrap(), *child] if self.isolated else child


def environment() -> dict[str, str]:
    """All environment variables of a student's process; BLAS on one thread, so that no thread has to be allowed."""
    known = {"LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return known | ({"SYSTEMROOT": os.environ["SYSTEMROOT"]} if "SYSTEMROOT" in os.environ else {})


@functools.cache
def find() -> Wall:
    """The best wall of this machine: bubblewrap if it works here, by trial."""
    if sys.platform != "linux":
        return Wall(False, "bubblewrap is for Linux only")
    if shutil.which("bwrap") is None:
        return Wall(False, "bubblewrap is not installed (package bubblewrap)")
    wall = Wall(True)
    try:
        done = subprocess.run(
            wall.command(Limits()), input=b"", capture_output=True, env=environment(), timeout=TRIAL, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Wall(False, f"bubblewrap does not work here: {error}")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        return Wall(False, f"bubblewrap does not work here: {said[-1][:200]}")
    return wall


def bubblewrap() -> list[str]:
    """bwrap and its options, before the command that is to run within."""
    options = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--die-with-parent"]
    options += ["--new-session", "--chdir", "/", "--hostname", "judge", "--cap-drop", "ALL"]
    if _is_root():  # the child becomes a user without rights: limits on processes do not hold for root
        options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        options += ["--unshare-user"]
    shown = _without_nested([path for path in (*_libraries(), *_python()) if path.exists()])
    packages = [path for name in ("numpy", "numpy.libs") if (path := PACKAGES / name).is_dir()] + [CHILD.parent]
    for path in _parents([*shown, *packages]):
        options += ["--perms", "0755", "--dir", str(path)]
    for path in shown:
        options += ["--ro-bind", str(path), str(path)]
    for path in _package_folders(shown):  # all packages vanish, the library among them; NumPy comes back
        options += ["--perms", "0755", "--tmpfs", str(path)]
    for path in packages:
        options += ["--ro-bind", str(path), str(path)]
    for path in _package_folders(shown):
        options += ["--remount-ro", str(path)]
    return [*options, "--remount-ro", "/", "--"]


def _libraries() -> list[Path]:
    """The system's shared libraries: the folder of this kind of machine where there is one, for others hold programs too."""
    roots = [Path(path) for path in ("/lib", "/usr/lib")]
    kind = sysconfig.get_config_var("MULTIARCH") or ""
    own = [root / kind for root in roots if kind and (root / kind).is_dir()]
    return [*(own or roots), Path("/lib64"), Path("/usr/lib64")]


def _python() -> list[Path]:
    """The program and the standard library; of a Python that is not the system's own also the libraries beside it."""
    library = [Path(sysconfig.get_path(name, vars=_base())) for name in ("stdlib", "platstdlib")]
    return [PYTHON, *library, *([Path(sys.base_prefix) / "lib"] if sys.base_prefix != "/usr" else [])]


def _base() -> dict[str, str]:
    return {"base": sys.base_prefix, "platbase": sys.base_exec_prefix, "installed_base": sys.base_prefix}


def _package_folders(shown: list[Path]) -> list[Path]:
    """Where packages are installed below the folders that are shown."""
    found: set[Path] = set()
    for root in shown:
        for name in ("site-packages", "dist-packages"):
            for pattern in (name, f"python3*/{name}", f"lib/python3*/{name}"):
                found |= {path for path in root.glob(pattern) if path.is_dir() and not path.is_symlink()}
    return _without_nested(sorted(found))


def _without_nested(paths: list[Path]) -> list[Path]:
    """The paths, each once, without those that are within another one (by their real places)."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return kept


def _parents(paths: list[Path]) -> list[Path]:
    """All folders above the paths, the upper ones first. bubblewrap would make them for root alone."""
    found = {parent for path in paths for parent in path.parents if parent != Path("/")}
    real = {parent for parent in found if not any(parent.is_relative_to(path) for path in paths)}
    return sorted(real, key=lambda path: len(path.parts))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


@functools.cache
def _others_may_read() -> bool:
    """Whether a user without rights could read Python and NumPy where they are."""
    paths = [PYTHON, PACKAGES / "numpy", Path(sysconfig.get_path("stdlib", vars=_base()))]
    return all(parent.stat().st_mode & 0o005 == 0o005 for path in paths for parent in (path, *path.parents))
