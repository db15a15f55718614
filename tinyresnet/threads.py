"""The number of threads that NumPy's matrix products use: sums depend on it to the last bit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


def blas_threads() -> int:
    """Threads of the BLAS that NumPy uses; 1 where it does not say."""
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


@contextlib.contextmanager
def using_blas_threads(count: int) -> Iterator[None]:
    """Within the block, matrix products use `count` threads, in the whole process."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(count, user_api="blas"):
        yield
