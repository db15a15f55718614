"""Measuring on an NVIDIA GPU: its clock, what it can do at most, and what it is. Everything runs in the default queue, PyTorch's too."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from ..device import array_library
from . import timing
from .device import Device
from .work import Run

MOST_CALLS = 100  # of a piece: a queue takes about a thousand launches, then the host waits
FILLER_BYTES = 1 << 28  # far more than any cache
HEADROOM = 1.5
MATRIX = 8192


def device() -> Device:
    """The GPU. Raises InputError where there is none, or no CuPy."""
    cupy = array_library("cuda")

    def wall(function: Run, calls: int) -> float:
        def finished() -> None:
            function()
            cupy.cuda.Device().synchronize()

        return timing.piece(finished, calls)

    return Device("cuda", cupy, EventClock(cupy), wall)


class EventClock:
    """Seconds that the GPU itself works, between two events in its queue.

    To launch a short kernel takes the host longer than the kernel takes the GPU. So the queue first gets so much other work that the host
    is done with its part before the GPU comes to the first event; there the kernels then follow each other without a gap.
    """

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.start, self.end = cupy.cuda.Event(), cupy.cuda.Event()
        self.filler = cupy.empty(FILLER_BYTES // 4, np.float32)
        self.fill_seconds = 0.0
        self.fill_seconds = self(self.fill, MOST_CALLS)

    def __call__(self, function: Run, calls: int) -> float:
        """Seconds a call."""
        synchronize, calls = self.cupy.cuda.Device().synchronize, min(calls, MOST_CALLS)
        synchronize()
        began = time.perf_counter()
        function()
        host_seconds = time.perf_counter() - began
        synchronize()
        if self.fill_seconds:
            for _ in range(math.ceil(HEADROOM * calls * host_seconds / self.fill_seconds)):
                self.fill()
        self.start.record()
        for _ in range(calls):
            function()
        self.end.record()
        self.end.synchronize()
        return float(self.cupy.cuda.get_elapsed_time(self.start, self.end)) / 1000 / calls

    def fill(self) -> None:
        """Work of known length."""
        self.filler.fill(0)


def matrix_product(device: Device, seconds: float) -> float:
    """Operations a second of cuBLAS in float32; CuPy keeps to float32 unless CUPY_TF32 says otherwise."""
    x = device.carry(np.random.default_rng(0).standard_normal((MATRIX, MATRIX), np.float32))
    return 2.0 * MATRIX**3 / _best(device, lambda: x @ x, seconds)


def copy(device: Device, seconds: float) -> float:
    """Bytes read plus bytes written a second, of an array far larger than the caches."""
    x, y = (device.xp.zeros(FILLER_BYTES // 4, np.float32) for _ in range(2))

    def run() -> None:
        y[...] = x

    return 2.0 * x.nbytes / _best(device, run, seconds)  # type: ignore[no-any-return]


def _best(device: Device, run: Run, seconds: float) -> float:
    """The least time of a call: a ceiling is what is possible."""
    began, times = time.perf_counter(), [device.clock(run, 1)]
    while len(times) < 3 or time.perf_counter() - began < seconds:
        times.append(device.clock(run, 1))
    return min(times)


def about(device: Device) -> dict[str, Any]:
    """The card's name, its processors and bytes of memory, and the newest CUDA that its driver runs."""
    runtime = device.xp.cuda.runtime
    card = runtime.getDeviceProperties(device.xp.cuda.Device().id)
    return {
        "gpu": card["name"].decode(),
        "multiprocessors": card["multiProcessorCount"],
        "memory_bytes": card["totalGlobalMem"],
        "driver_cuda": runtime.driverGetVersion(),
    }
