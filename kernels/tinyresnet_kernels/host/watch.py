"""Watching kernels: within `watching`, every access to memory is checked and counted; what a kernel may not do raises KernelError."""

from __future__ import annotations

import collections
import contextlib
import contextvars
import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import memory
from . import build
from .lines import line_of, shared_arrays

if TYPE_CHECKING:
    from .module import RawKernel

SECTOR = 32  # bytes
UNWRITTEN = 0xA5  # fills fresh memory: a number of such bytes is one that nobody has written (watch.cpp)
_watcher: contextvars.ContextVar[Watcher | None] = contextvars.ContextVar("tinyresnet_cuda_watcher", default=None)


@dataclass
class Counts:
    """What a launch did, as in watch.hpp. A request is one instruction of one warp; a sector has 32 bytes."""

    load_requests: int = 0
    store_requests: int = 0
    load_bytes: int = 0
    store_bytes: int = 0
    load_sectors: int = 0
    store_sectors: int = 0
    l2_load_sectors: int = 0
    dram_load_sectors: int = 0
    dram_store_sectors: int = 0
    shared_requests: int = 0
    shared_wavefronts: int = 0
    shared_ideal: int = 0
    atomics: int = 0
    barriers: int = 0
    operations: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))

    @property
    def flops(self) -> int:
        """Operations on numbers of the module's type; a multiply-add is two."""
        return self.operations

    @property
    def l2_bytes(self) -> int:
        """What went between the two caches: loads that the first (16 KiB a block, modelled) did not have, and all stores."""
        return SECTOR * (self.l2_load_sectors + self.store_sectors)

    @property
    def dram_bytes(self) -> int:
        """What went to and from memory behind a second cache of 4 MiB (modelled)."""
        return SECTOR * (self.dram_load_sectors + self.dram_store_sectors)

    @property
    def coalescing(self) -> float:
        """Bytes that threads asked for, of each 32-byte sector that was moved for them; above 32 where lanes share a number."""
        sectors = self.load_sectors + self.store_sectors
        return (self.load_bytes + self.store_bytes) / sectors if sectors else float(SECTOR)

    @property
    def bank_conflicts(self) -> int:
        """Passes over shared memory that would not be needed if every lane's bank were its own."""
        return self.shared_wavefronts - self.shared_ideal


@dataclass(frozen=True)
class Site:
    """The accesses of one line of a kernel file: `moved` sectors (or, in shared memory, wavefronts) where `ideal` ones could do."""

    file: str
    line: int
    memory: str  # "global" or "shared"
    write: bool
    size: int  # bytes of one thread's access
    requests: int
    bytes: int
    moved: int
    ideal: int


@dataclass(frozen=True)
class Launch:
    """One launch, and what it did."""

    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared_mem: int
    itemsize: int  # of the numbers of its module
    counts: Counts
    sites: tuple[Site, ...]


@dataclass
class Watcher:
    """The launches within a `watching` block, in turn."""

    check: bool = True
    count: bool = True
    launches: list[Launch] = field(default_factory=list)

    @property
    def counts(self) -> Counts:
        """The sums over all launches."""
        return sum((launch.counts for launch in self.launches), Counts())

    @contextlib.contextmanager
    def launch(
        self,
        kernel: RawKernel,
        sizes: tuple[Sequence[int], Sequence[int], int],
        args: Sequence[Any],
        arguments: list[Any],
    ) -> Iterator[None]:
        """Within the block, the runtime watches; `arguments` then point to the watcher's copies of the arrays."""
        names = kernel.module.parameters[kernel.name]
        regions = _regions(names, args)
        runtime, table = build.runtime(), (_Region * max(1, len(regions)))(*regions)
        library = kernel.module.watched
        variables = shared_arrays(library.path).get(kernel.name, [])
        shared = [_Shared(library.shared[0] + at, size, name.encode()[:31]) for name, at, size in variables]
        runtime.host_watch_begin(
            table, len(regions), (_Shared * max(1, len(shared)))(*shared), len(shared), int(self.check), int(self.count)
        )
        for value, argument in zip(args, arguments, strict=True):
            if isinstance(value, np.ndarray) and value.size:
                home = next(r for r in table if r.data <= value.ctypes.data < r.data + r.bytes)
                argument.value = home.placed + value.ctypes.data - home.data
        raw = _Counts()
        try:
            yield
        finally:
            runtime.host_watch_end(ctypes.byref(raw))
        counts = Counts(*(getattr(raw, f.name) for f in fields(Counts)))
        itemsize = 8 if "-DREAL=double" in kernel.module.options else 4
        grid, block, shared_mem = tuple(sizes[0]), tuple(sizes[1]), sizes[2]
        self.launches.append(Launch(kernel.name, grid, block, shared_mem, itemsize, counts, _sites(kernel)))


def current() -> Watcher | None:
    """The watcher of the `watching` block that this is in."""
    return _watcher.get()


@contextlib.contextmanager
def watching(*, check: bool = True, count: bool = True) -> Iterator[Watcher]:
    """Within the block, kernels run in the build that calls the watcher at every access to memory.

    It always looks for accesses outside the arrays; with `check` also for races and for numbers that nobody has written, and with `count`
    it counts. Fresh memory comes filled with a mark, so it is not for two threads at once.
    """
    watcher = Watcher(check, count)
    token, pool = _watcher.set(watcher), memory.pool
    memory.pool = _MarkedMemory()  # type: ignore[assignment]
    try:
        yield watcher
    finally:
        memory.pool = pool
        _watcher.reset(token)


class _MarkedMemory:
    """Stands for the pool: every array is fresh, and marked as unwritten."""

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        array = np.empty(shape, dtype)
        array.reshape(-1).view(np.uint8)[:] = UNWRITTEN
        return array


class _Region(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("bytes", ctypes.c_uint64),
        ("cell", ctypes.c_uint32),
        ("writable", ctypes.c_uint32),
        ("offset", ctypes.c_uint64),
        ("placed", ctypes.c_void_p),
        ("name", ctypes.c_char * 64),
    ]


class _Shared(ctypes.Structure):
    _fields_ = [("begin", ctypes.c_void_p), ("bytes", ctypes.c_uint64), ("name", ctypes.c_char * 32)]


class _Counts(ctypes.Structure):
    _fields_ = [(f.name, ctypes.c_uint64) for f in fields(Counts)]


class _Site(ctypes.Structure):
    _fields_ = [
        ("instruction", ctypes.c_void_p),
        ("file", ctypes.c_char_p),
        *((name, ctypes.c_uint32) for name in ("line", "shared", "write", "size")),
        *((name, ctypes.c_uint64) for name in ("requests", "bytes", "moved", "ideal")),
    ]


def _regions(names: Sequence[str], args: Sequence[Any]) -> list[_Region]:
    """The memory of all arrays; arrays that share some are one region."""
    arrays = [(name, a) for name, a in zip(names, args, strict=True) if isinstance(a, np.ndarray) and a.size]
    joined: list[_Region] = []
    for name, array in sorted(arrays, key=lambda pair: pair[1].ctypes.data):
        begin, end = array.ctypes.data, array.ctypes.data + array.nbytes
        if joined and begin < joined[-1].data + joined[-1].bytes:
            last = joined[-1]
            last.bytes, last.cell = max(last.data + last.bytes, end) - last.data, min(last.cell, array.itemsize)
            last.writable &= array.flags.writeable
            last.name = f"{last.name.decode()}, {name}".encode()[:63]
        else:
            offset = begin - _owner(array).ctypes.data
            joined.append(
                _Region(begin, end - begin, array.itemsize, array.flags.writeable, offset, None, name.encode()[:63])
            )
    return joined


def _owner(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array whose memory a view looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _sites(kernel: RawKernel) -> tuple[Site, ...]:
    """Where the accesses were made, line by line."""
    runtime, count = build.runtime(), ctypes.c_uint32()
    runtime.host_watch_sites.restype = ctypes.POINTER(_Site)
    raw = runtime.host_watch_sites(ctypes.byref(count))
    lines: dict[tuple[Any, ...], list[int]] = collections.defaultdict(lambda: [0, 0, 0, 0])
    for i in range(count.value):
        site = raw[i]
        place = (
            (Path(site.file.decode()).name, site.line)
            if site.file
            else line_of(kernel.module.watched.path, site.instruction)
        )
        where = (*place, "shared" if site.shared else "global", bool(site.write), site.size)
        lines[where] = [
            a + b for a, b in zip(lines[where], (site.requests, site.bytes, site.moved, site.ideal), strict=True)
        ]
    return tuple(Site(*where, *sums) for where, sums in sorted(lines.items()))
