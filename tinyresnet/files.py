"""Writing files so that a crash, a full disk or Ctrl-C never leaves half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from .errors import InputError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path beside `path` to write to; on leaving, what was written there is flushed to disk and takes `path`'s place.

    If the body raises, the new file is removed and an old `path` stays as it was.
    Raises InputError if the folder cannot be written to or the disk is full.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error
    beside = Path(name)
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.chmod(0o666 & ~_umask())
        beside.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def write(path: str | os.PathLike[str], fill: Callable[[IO[Any]], object], mode: str = "w") -> None:
    """Fill the file at `path` by `fill(file)`, all or nothing (see `replacing`). Raises InputError."""
    with replacing(path) as beside, beside.open(mode, encoding=None if "b" in mode else "utf-8") as file:
        fill(file)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where folders can be opened (not on Windows)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
