"""Runs kernels on arrays that lie between red zones, and at a protected page; a program of its own, as a stray read may end it.

    python guarded_kernels.py FIRST LAST PLACE         calls FIRST to LAST - 1; PLACE is end, begin or between

Every array that goes to a compiled kernel is moved: with `end` its last number lies right before a page that may not be touched,
with `begin` its first number right behind one; what surrounds it is a red zone of bytes 0xFF (NaN as float32 and float64), checked after
the call. `between` has red zones alone, and compares the result with that of arrays as they come. Each call is named on stdout before it
is made.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from kernel_calls import arrays_of
from kernel_checks import cpu_modules, random_call, run, scratch_of
from kernel_table import KERNELS
from tinyresnet import Array
from tinyresnet_kernels.cpu.threads import set_threads

ROOM, RED = 1 << 22, 1 << 12  # bytes for one array; bytes of a red zone
PAGE = mmap.PAGESIZE


class Place:
    """Memory for one array, with a page before and one behind that may not be touched if `protected`."""

    def __init__(self, protected: bool) -> None:
        memory = mmap.mmap(-1, ROOM + 2 * PAGE)
        self.bytes = np.frombuffer(memory, np.uint8)[PAGE:-PAGE]
        self.bytes[:] = 0xFF
        if protected:
            first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            libc = ctypes.CDLL(None, use_errno=True)
            for address in (first, first + PAGE + ROOM):
                if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), 0):
                    raise OSError(ctypes.get_errno(), "mprotect")

    def put(self, array: Array, where: str) -> Array:
        """A copy of the array here."""
        assert array.flags.c_contiguous, "a kernel gets contiguous arrays"
        assert array.nbytes <= ROOM - 2 * RED
        self.first = {"begin": 0, "between": RED, "end": ROOM - array.nbytes}[where]
        self.last = self.first + array.nbytes
        copy = self.bytes[self.first : self.last].view(array.dtype).reshape(array.shape)
        copy[...] = array
        return copy

    def clear(self) -> bool:
        """Whether the red zones are untouched; the array's own bytes become red again."""
        around = self.bytes[max(self.first - RED, 0) : self.first], self.bytes[self.last : self.last + RED]
        untouched = all((zone == 0xFF).all() for zone in around)
        self.bytes[self.first : self.last] = 0xFF
        return untouched


class Guard:
    """Stands for compiled kernels: moves their arrays, calls them, copies back what they wrote."""

    def __init__(self, where: str) -> None:
        self.where, self.places = where, list[Place]()
        self.calls = 0

    def around(self, kernel: Callable[..., None]) -> Callable[..., None]:
        """The kernel, on moved arrays."""

        def guarded(*arguments: Any) -> None:
            while len(self.places) < len(arguments):
                self.places.append(Place(self.where != "between"))
            moved, taken = [], []
            for place, value in zip(self.places, arguments, strict=False):
                isarray = isinstance(value, np.ndarray)
                moved.append(place.put(value, self.where) if isarray else value)
                taken += [(place, value, moved[-1])] if isarray else []
            kernel(*moved)
            self.calls += 1
            for _, value, copy in taken:
                if value.flags.writeable and value.tobytes() != copy.tobytes():
                    value[...] = copy
            for place, value, _ in taken:
                assert place.clear(), f"a red zone beside an array of {value.shape} was written to"

        return guarded


def install(guard: Guard) -> None:
    """Put the guard around every compiled kernel that Python calls."""
    from tinyresnet_kernels.cpu.compiling import _Cache

    for module in cpu_modules():
        for name, value in list(vars(module).items()):
            if isinstance(getattr(value, "_cache", None), _Cache):
                setattr(module, name, guard.around(value))


def main(first: int, last: int, where: str) -> None:
    """The calls of seeds first..last-1, kernel by kernel in turn."""
    faulthandler.enable()
    set_threads(1)
    names = sorted(KERNELS)
    calls = []
    for seed in range(first, last):
        name = names[seed % len(names)]
        calls.append(
            (name, seed, random_call(name, (np.float32, np.float64)[seed // len(names) % 2], "plain", seed, small=True))
        )
    with scratch_of(1 << 11):
        alone = [arrays_of(run(name, call)) for name, _, call in calls] if where == "between" else []
        guard = Guard(where)
        install(guard)
        for i, (name, seed, call) in enumerate(calls):
            print(name, where, "seed", seed, call, flush=True)
            got = arrays_of(run(name, call))
            if alone:
                for a, b in zip(got, alone[i], strict=True):
                    np.testing.assert_array_equal(a, b)
    print("calls of kernels:", guard.calls)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
