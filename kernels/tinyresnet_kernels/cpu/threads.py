"""Work shared out among threads: fixed chunks, chosen by the data alone, so that sums come out the same for any number of threads.

Plain Python threads serve: a kernel releases the interpreter's lock while it runs. One of Numba's own threading layers is not safe to call
from two threads at once, and its parallel kernels take far longer to compile.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

CHUNKS = 16  # pieces of a batch: enough for any machine this library is meant for, few enough to add up quickly
WORTH_A_THREAD = 1 << 24  # multiply-adds, or so
SMALLEST = 16  # the smallest range of work that a thread takes is this part of its share
_count = [0]


def threads() -> int:
    """Threads that kernels use: what `set_threads` said, else the processors this process may run on."""
    if not _count[0]:
        _count[0] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _count[0]


def set_threads(count: int) -> None:
    """Let kernels use `count` threads from now on, in the whole process. Raises ValueError below 1."""
    if count < 1:
        raise ValueError(f"kernels cannot use {count} threads: at least 1 is wanted")
    _count[0] = count


def _find_processor() -> Callable[[], int] | None:
    """The function that tells on which processor the calling thread runs, where the system has one and can bind threads."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        return ctypes.CDLL(None).sched_getcpu
    except (AttributeError, OSError):
        return None


_processor = _find_processor()


class _Helpers:
    """Threads that wait for jobs: as many as were ever wanted at once. They end with the process."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.lock = threading.Lock()
        self.caller_on = -1  # the processor of the thread that called last

    def call(self, job: Callable[[], None], count: int) -> None:
        """Let `count` helpers run the job, each as soon as it is free."""
        with self.lock:
            while len(self.threads) < count:
                helper = threading.Thread(target=self._work, name=f"tinyresnet-{len(self.threads)}", daemon=True)
                helper.start()
                self.threads.append(helper)
                self.caller_on = -1
            if _processor is not None:
                self._make_way(_processor())
        for _ in range(count):
            self.jobs.put(job)

    def _make_way(self, here: int) -> None:
        """Keep the helpers off the caller's processor.

        Linux likes to wake a thread where the one runs that wakes it, and lets them share that processor for milliseconds.
        """
        if here == self.caller_on:
            return
        self.caller_on = here
        others = os.sched_getaffinity(0) - {here}
        for helper in self.threads if others else []:
            with contextlib.suppress(OSError):  # where that is not allowed, the system decides
                os.sched_setaffinity(helper.native_id or 0, others)

    def _work(self) -> None:
        while True:
            self.jobs.get()()


@functools.cache
def _helpers(process: int) -> _Helpers:
    return _Helpers()


def ranges(total: int, workers: int) -> Iterator[tuple[int, int]]:
    """0..total-1 in shrinking ranges: half of each thread's share of what is left, so that all of them end at nearly the same time."""
    first, least = 0, -(-total // (SMALLEST * workers))
    while first < total:
        last = min(total, first + max(least, (total - first) // (2 * workers)))
        yield first, last
        first = last


def in_chunks(work: Callable[[int, int], object], total: int, operations: float = math.inf) -> None:
    """Call work(first, last) for ranges that cover 0..total-1, on all threads; returns when all is done.

    Fewer `operations` in all than are worth a thread are done on this one: waking another takes as long.

    Which thread has which range is left to chance: `work` must write, for each number in its range, to places of that number alone.
    A helper that wakes up late finds nothing left to do, and nobody waits for it.
    """
    workers = min(threads(), total)
    if workers < 2 or operations < WORTH_A_THREAD:
        work(0, total)
        return
    left = ranges(total, workers)
    works = [work]  # taken out in the end, so that a job which still waits for its helper holds no arrays
    lock, joined, ended = threading.Lock(), [0], SimpleQueue[BaseException | None]()

    def take() -> tuple[int, int] | None:
        with lock:
            return next(left, None)

    def drain(piece: tuple[int, int] | None) -> None:
        while piece is not None:
            works[0](*piece)
            piece = take()

    def help_out() -> None:
        with lock:
            piece = next(left, None)
            joined[0] += piece is not None
        if piece is not None:
            error = None
            try:
                drain(piece)
            except BaseException as caught:
                error = caught
            ended.put(error)

    _helpers(os.getpid()).call(help_out, workers - 1)
    try:
        drain(take())
    finally:
        with lock:
            for _ in left:  # after an error: nobody shall begin another piece
                pass
        errors = [ended.get() for _ in range(joined[0])]
        works.clear()
    for error in errors:
        if error is not None:
            raise error
