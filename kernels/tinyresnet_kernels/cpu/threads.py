"""Work shared out among threads: fixed chunks, chosen by the data alone, so that sums come out the same for any number of threads.

Plain Python threads serve: a kernel releases the interpreter's lock while it runs. One of Numba's own threading layers is not safe to call
from two threads at once, and its parallel kernels take far longer to compile.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

CHUNKS = 16  # pieces of a batch: enough for any machine this library is meant for, few enough to add up quickly
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


@functools.cache
def _workers(count: int, process: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="tinyresnet")


def in_chunks(work: Callable[[int, int], object], total: int) -> None:
    """Call work(first, last) for ranges that cover 0..total-1, on all threads; returns when all is done.

    Which thread has which range is left to chance: `work` must write, for each number in its range, to places of that number alone.
    """
    workers = min(threads(), total)
    if workers < 2:
        work(0, total)
        return
    pieces = min(4 * workers, total)  # a few each, so that a thread that was held up does not keep the others waiting
    ranges = iter([(piece * total // pieces, (piece + 1) * total // pieces) for piece in range(pieces)])
    lock = threading.Lock()

    def drain() -> None:
        while True:
            with lock:
                piece = next(ranges, None)
            if piece is None:
                return
            work(*piece)

    others = [_workers(workers - 1, os.getpid()).submit(drain) for _ in range(workers - 1)]
    try:
        drain()
    finally:
        wait(others)
    for other in others:
        other.result()
