"""The ladders of the CUDA kernels as cases: the three products of a convolution, every rung on the work of `ladder.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from tinyresnet_kernels.cuda import versions

from ..errors import unknown
from . import convolution
from .convolution import PRODUCTS
from .device import Device
from .ladder import SHAPE
from .work import Case, Comparison, Kind, Work

RUNGS: dict[str, Kind] = {
    rung: kind for kind, product in PRODUCTS.items() for rung in versions.DESCRIPTIONS[product.reference.__name__]
}


def cases(name: str | None = None) -> list[Case]:
    """All rungs, or the one of this name. Raises InputError."""
    if name is not None and name not in RUNGS:
        raise unknown("version", name, RUNGS)
    operations = 2.0 * SHAPE.multiply_adds
    return [
        Case(rung, kind, partial(_work, rung, kind), operations, SHAPE.moved)
        for rung, kind in RUNGS.items()
        if name in (None, rung)
    ]


def _work(rung: str, kind: Kind, device: Device) -> Work:
    work = convolution.work(SHAPE, kind, 0, device)
    compare: Callable[[], Comparison] = _by(rung, work.compare)
    if rung in versions.INEXACT:
        compare = partial(_coarsely, compare)
    return replace(work, ours=_by(rung, work.ours), compare=compare)


def _coarsely(compare: Callable[[], Comparison]) -> Comparison:
    """Of factors that are rounded to the 11 bits of TF32 and float16, where float32 has 24."""
    found = compare()
    return found._replace(worst=found.worst / 2**13)


def _by(rung: str, run: Callable[[], Any]) -> Callable[[], Any]:
    """`run` with this rung in the op's place."""

    def chosen() -> Any:
        with versions.version(rung):
            return run()

    return chosen
