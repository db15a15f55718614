"""Reads chosen members of a tar archive in memory; nothing is ever extracted to disk."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Set
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from ..errors import InputError

MAX_BYTES = 512 << 20  # of the archive, decompressed: the official ones have 185 MB, pickled anew up to 280


def read_archive(path: Path, wanted: Set[str]) -> dict[str, bytes]:
    """Contents of the regular files in a .tar or .tar.gz whose bare name is in `wanted`, by that name.

    Raises InputError for a damaged archive, a name that comes twice, and one that decompresses to more than 512 MiB.
    """
    found: dict[str, bytes] = {}
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            source = cast("IO[bytes]", gzip.GzipFile(fileobj=raw) if packed else raw)
            # As a stream: members are read in their order, so no header can send the reader back or in circles.
            bounded = Bounded(source, path)
            with tarfile.open(fileobj=cast("Any", bounded), mode="r|") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if name not in wanted or member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                        continue
                    if member.issparse() or member.size > MAX_BYTES:  # what a header promises costs memory
                        raise InputError(
                            f"{path} is no CIFAR archive: {name} has holes, or too many bytes ({member.size})"
                        )
                    file = archive.extractfile(member)
                    data = file.read() if file else b""
                    if name in found or len(data) != member.size:
                        raise InputError(f"{path} is damaged: {name} comes twice or is cut short")
                    found[name] = data
            while bounded.read(1 << 20):  # to the very end, where gzip's checksum is
                pass
    except InputError:
        raise
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, ArithmeticError, MemoryError) as error:
        raise InputError(f"cannot read the archive {path}: {error}") from error
    return found


class Bounded:
    """Reads from `source` until it has given more than an honest archive holds."""

    def __init__(self, source: IO[bytes], path: Path) -> None:
        self.source, self.path = source, path
        self.left = MAX_BYTES

    def read(self, size: int) -> bytes:
        """Up to `size` bytes."""
        data = self.source.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise InputError(f"{self.path} holds more than {MAX_BYTES} bytes: it is no CIFAR archive")
        return data
