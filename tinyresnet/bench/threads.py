"""The same number of threads for everyone: the kernels, NumPy's matrix products and PyTorch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from tinyresnet_kernels import available

from ..errors import InputError
from ..threads import using_blas_threads


def usable_processors() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float | None:
    """Programs that wanted a processor, on average over the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def checked_threads(count: int | None) -> int:
    """`count`, by default all processors. Raises InputError above their number: threads that wait in line measure nothing."""
    most = usable_processors()
    if count is not None and count > most:
        raise InputError(f"--threads is {count}: this process may use {most} processors, so 1 to {most} is wanted")
    return count or most


@contextlib.contextmanager
def using_threads(count: int, torch: Any = None, *, kernels: bool = True) -> Iterator[None]:
    """Within the block, `count` threads everywhere; without `kernels` they are not even loaded."""
    with contextlib.ExitStack() as after, using_blas_threads(count):
        if kernels and "cpu" in available():
            from tinyresnet_kernels.cpu.threads import set_threads, threads

            after.callback(set_threads, threads())
            set_threads(count)
        if torch is not None:
            after.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(count)
        yield
