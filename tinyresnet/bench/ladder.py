"""The versions that teach: one convolution, from six loops to the shipped kernel, each faster for one reason; see kernels/README.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tinyresnet_kernels import Array, available

from ..errors import InputError, unknown
from ..layers.conv import correlate
from ..layers.conv_loops import conv2d_forward_loops
from . import network
from .convolution import Shape, compare, theirs
from .device import Device
from .work import Case, Work, draw

SHAPE = Shape(128, 16, 32, 32, 16)  # six of ResNet-20's convolutions, a third of its arithmetic
TINY = Shape(1, 16, 6, 6, 16)  # the same for six loops, which need seconds for a picture: their rate is what counts

Version = Callable[[Array, Array, Shape], Array]


@dataclass(frozen=True)
class Rung:
    """A version by name, and what is new in it."""

    name: str
    says: str
    run: Version
    numba: bool = True
    shape: Shape = SHAPE
    all_threads: bool = False


def loops(x: Array, weight: Array, shape: Shape) -> Array:
    """The definition, in Python."""
    return conv2d_forward_loops(x, weight, stride=shape.stride, pad=shape.pad)[0]


def im2col(x: Array, weight: Array, shape: Shape) -> Array:
    """The readable form: windows as columns of a matrix, written out, and one matrix product a picture."""
    return correlate.reference(x, weight, *shape.settings)


def compiled(x: Array, weight: Array, shape: Shape) -> Array:
    """The definition, compiled: the loops over channels innermost, for they are neighbours in memory."""
    from .ladder_kernels import six_loops

    return _nchw(six_loops(_bordered(x, shape), _channels_last(weight)))


def vector(x: Array, weight: Array, shape: Shape) -> Array:
    """One vector of output channels a pixel, summed in one register."""
    from .ladder_kernels import tiles

    return _nchw(tiles(_bordered(x, shape), _channels_last(weight), tall=False))


def register_tile(x: Array, weight: Array, shape: Shape) -> Array:
    """Many pixels at once, so that each vector of weights that was loaded works for all of them."""
    from .ladder_kernels import tiles

    return _nchw(tiles(_bordered(x, shape), _channels_last(weight), tall=True))


def implicit(x: Array, weight: Array, shape: Shape) -> Array:
    """The same tile, but each picture gets its border in a scratch that stays in the cache."""
    from tinyresnet_kernels.cpu.conv import direct

    with direct():
        return correlate(x, weight, *shape.settings)


def winograd(x: Array, weight: Array, shape: Shape) -> Array:
    """The shipped kernel: 2x2 outputs at a time from sums of their inputs, with 16 products instead of 36."""
    return correlate(x, weight, *shape.settings)


def _bordered(x: Array, shape: Shape) -> Array:
    """(N, H + 2 pad, W + 2 pad, C), all pictures copied at once."""
    (top, left), last = shape.pad, x.transpose(0, 2, 3, 1)
    return np.pad(last, ((0, 0), (top, top), (left, left), (0, 0)))


def _channels_last(weight: Array) -> Array:
    """(KH, KW, C, O)."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0))


def _nchw(y: Array) -> Array:
    return y.transpose(0, 3, 1, 2)


NETWORKS = {"layers": False, "fused": True}  # ResNet-20's training step layer by layer, and its blocks as units
RUNGS = {
    rung.name: rung
    for rung in (
        Rung("loops", "six loops in Python", loops, numba=False, shape=TINY),
        Rung("im2col", "columns and a matrix product", im2col, numba=False),
        Rung("compiled", "six loops, compiled", compiled),
        Rung("vector", "a vector of output channels", vector),
        Rung("registers", "a tile of pixels in registers", register_tile),
        Rung("implicit", "a picture at a time in the cache", implicit),
        Rung("winograd", "16 products instead of 36", winograd),
        Rung("threads", "the same on all threads", winograd, all_threads=True),
    )
}


LADDER = (*RUNGS, *NETWORKS)


def cases(name: str | None = None) -> list[Case]:
    """The versions that can run here, or the one of this name; convolutions on one thread but the last. Raises InputError."""
    if name is not None and name not in LADDER:
        raise unknown("version", name, LADDER)
    rungs = [rung for rung in RUNGS.values() if name in (None, rung.name)]
    if "cpu" not in available():
        rungs = [rung for rung in rungs if not rung.numba]
    found = [_case(rung) for rung in rungs]
    for version, fused in NETWORKS.items():
        if name in (None, version) and "cpu" in available():
            step = network.cases("resnet20", 128, (), fused=fused)[0]
            found.append(replace(step, name=f"{version}: {step.name}"))
    if not found:
        raise InputError(f"--version {name}: it needs Numba, which is not installed: pip install numba")
    return found


def _case(rung: Rung) -> Case:
    operations, threads = 2.0 * rung.shape.multiply_adds, None if rung.all_threads else 1
    make = partial(_work, rung)
    return Case(f"{rung.name}: {rung.says}", "forward", make, operations, rung.shape.moved, threads=threads)


def _work(rung: Rung, _: Device) -> Work:
    rng, shape = np.random.default_rng(0), rung.shape
    x, weight, dy = draw(rng, *shape.x), rng.standard_normal(shape.weight, np.float32), draw(rng, *shape.y)
    plain = np.ascontiguousarray(x)
    run = partial(rung.run, x if rung.numba else plain, weight, shape)
    pytorch = None if rung.shape is TINY else partial(theirs, shape, "forward", x, weight, dy)
    return Work(
        run,
        partial(im2col, plain, weight, shape),
        partial(compare, correlate, run, [plain, weight], shape, "forward"),
        pytorch,
    )
