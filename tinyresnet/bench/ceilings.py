"""What this machine can do at most, measured right before everything else: multiply-adds, matrix product, copy."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np

from tinyresnet_kernels import available

from .device import CPU, Device
from .work import Run

MATRIX = 1536
COPY_BYTES = 1 << 27  # far more than any cache


@dataclass(frozen=True)
class Ceilings:
    """Operations and bytes a second, in float32, on `threads` threads unless the name says otherwise; None: not measurable here."""

    threads: int
    multiply_adds_one_thread: float | None
    multiply_adds: float | None
    matrix_product: float
    copy: float

    @property
    def arithmetic(self) -> float:
        """What operations are measured against: multiply-adds from registers, or without Numba the matrix product."""
        return self.multiply_adds or self.matrix_product


def measure_ceilings(threads: int, *, seconds: float = 1.5, device: Device = CPU) -> Ceilings:
    """Measure them with the number of threads that `using_threads` has set, for about this long each."""
    if device is not CPU:
        from . import cuda

        return Ceilings(threads, None, None, cuda.matrix_product(device, seconds), cuda.copy(device, seconds))
    one = many = None
    if "cpu" in available():
        import numba

        from tinyresnet_kernels.cpu.threads import set_threads

        if not numba.config.DISABLE_JIT:
            from .peak import multiply_add_run

            run, operations = multiply_add_run()
            many = threads * operations / _best(run, seconds)
            set_threads(1)
            try:
                one = operations / _best(run, seconds)
            finally:
                set_threads(threads)
    return Ceilings(threads, one, many, _matrix_product(seconds), _copy(threads, seconds))


def _matrix_product(seconds: float) -> float:
    x = np.random.default_rng(0).standard_normal((MATRIX, MATRIX), np.float32)
    return 2.0 * MATRIX**3 / _best(lambda: x @ x, seconds)


def _copy(threads: int, seconds: float) -> float:
    """Bytes read plus bytes written a second, every thread copying its share."""
    x = np.ones(COPY_BYTES // 4, np.float32)
    y = np.zeros_like(x)
    shares = list(zip(np.array_split(x, threads), np.array_split(y, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        return (
            2.0 * x.nbytes / _best(lambda: wait([pool.submit(np.copyto, to, share) for share, to in shares]), seconds)
        )


def _best(function: Run, seconds: float) -> float:
    """The least time of a call: a ceiling is what is possible."""
    function()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)
