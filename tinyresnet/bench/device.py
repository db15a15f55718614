"""Where work is measured: whose arrays it gets, and by which clock."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array, is_channels_last

from .timing import Clock, piece


class Device(NamedTuple):
    """An array library and two clocks: `clock` counts the device's own time, `wall` the time that the caller waits."""

    name: str  # as `tinyresnet.device` knows it
    xp: Any
    clock: Clock
    wall: Clock

    def carry(self, array: Array) -> Array:
        """NumPy's array as one of this device's, in the same memory layout, C-contiguous or channels-last."""
        if self.xp is np:
            return array
        if is_channels_last(array):
            return self.xp.asarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)  # type: ignore[no-any-return]
        return self.xp.asarray(array)  # type: ignore[no-any-return]


CPU = Device("cpu", np, piece, piece)


def find(name: str) -> Device:
    """The device "cpu" or "cuda". Raises InputError where it, or what it needs, is missing."""
    if name == "cpu":
        return CPU
    from . import cuda

    return cuda.device()
