"""One case after another: compare, then time, beside PyTorch if asked for. A row a case."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from .ceilings import Ceilings
from .device import CPU, Device
from .threads import using_threads
from .timing import Clock, in_turn, median_ratio
from .work import FORMATS, Case, Run, Torch, Work, arrays, relative

WHOLE = ("training step", "inference")  # networks, which on a GPU are timed with the host's time
SAME = 1e-2  # relative difference from PyTorch up to which it is the same work, for float32 in another order
TRIALS = 3  # rounds to find PyTorch's better memory format


@dataclass(frozen=True)
class Options:
    """How long to measure, beside what, and where."""

    threads: int
    repeat: int = 21
    seconds: float = 1.5
    torch: Any = None
    compiled: bool = False
    device: Device = CPU


@dataclass
class Row:
    """What was found out about a case. Rates are a second; ratios are PyTorch's time over ours, the median over pairs."""

    name: str
    kind: str
    count: int
    right: bool
    difference: float | None  # from the readable form, in units of what is allowed; None: not finite
    operations: float
    moved: float
    threads: int
    readable_seconds: float  # where ours is; one run if it takes long, else the median like the others
    seconds: float | None = None
    rounds: int = 0
    operations_per_second: float | None = None
    bytes_per_second: float | None = None
    share: float | None = None  # of the ceiling: multiply-adds, for elementwise work copy
    torch_seconds: float | None = None
    torch_format: str | None = None
    torch_ratio: float | None = None
    compiled_seconds: float | None = None
    compiled_ratio: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(cases: Iterable[Case], ceilings: Ceilings, options: Options) -> Iterator[Row]:
    """A row for each case, as soon as it is measured; a case that differs from the readable form is not timed."""
    for case in cases:
        threads = case.threads or options.threads
        with using_threads(threads, options.torch):
            yield _row(case, threads, ceilings, options)


def _row(case: Case, threads: int, ceilings: Ceilings, options: Options) -> Row:
    work, device = case.make(options.device), options.device
    clock = device.wall if case.kind in WHOLE else device.clock
    worst, readable_seconds = work.compare()
    row = Row(
        case.name,
        case.kind,
        case.count,
        worst <= 1,
        worst if np.isfinite(worst) else None,
        case.operations,
        case.moved,
        threads,
        readable_seconds,
    )
    if not row.right:
        return row
    functions: dict[str, Run] = {"ours": work.ours}
    first = arrays(work.ours())
    if options.torch is not None and work.theirs is not None:
        torches = {format_: Torch(options.torch, format_, device=device.name) for format_ in FORMATS}
        row.torch_format, functions["torch"] = _better_format(case, work, first, torches, clock)
        if options.compiled and case.kind in WHOLE:
            functions |= _compiled(case, partial(work.theirs, torches[row.torch_format]._replace(compiled=True)))
    if readable_seconds < options.seconds / 10 or device is not CPU:  # on a GPU its first run compiles
        functions["readable"] = work.readable
    times = in_turn(functions, repeat=options.repeat, seconds=options.seconds * case.patience, clock=clock)
    ours = times["ours"]
    row.seconds, row.rounds = median(ours), len(ours)
    row.operations_per_second = case.operations / row.seconds
    if case.moved:
        row.bytes_per_second = case.moved / row.seconds
    row.share = _share(row, ceilings)
    if "readable" in times:
        row.readable_seconds = median(times["readable"])
    if "torch" in times:
        row.torch_seconds, row.torch_ratio = median(times["torch"]), median_ratio(times["torch"], ours)
    if "compiled" in times:
        row.compiled_seconds, row.compiled_ratio = median(times["compiled"]), median_ratio(times["compiled"], ours)
    return row


def _share(row: Row, ceilings: Ceilings) -> float | None:
    if row.kind == "elementwise":
        return (row.bytes_per_second or 0) / ceilings.copy
    ceiling = ceilings.arithmetic
    if row.threads < ceilings.threads:
        ceiling = (ceilings.multiply_adds_one_thread if row.threads == 1 else None) or ceiling
    return (row.operations_per_second or 0) / ceiling


def _better_format(
    case: Case, work: Work, first: list[Array], torches: dict[str, Torch], clock: Clock
) -> tuple[str, Run]:
    """The memory format in which PyTorch is faster, and its function. Raises RuntimeError if its numbers are not our `first` ones."""
    assert work.theirs is not None
    functions = {format_: work.theirs(torch) for format_, torch in torches.items()}
    for format_, function in functions.items():
        for one, other in zip(first, arrays(function()), strict=True):
            if not relative(one, other.reshape(one.shape)) < SAME:
                raise RuntimeError(
                    f"{case.name}, {case.kind}: PyTorch ({format_}) gives other numbers: not the same work"
                )
    times = in_turn(functions, repeat=TRIALS, seconds=0.0, clock=clock)
    best = min(FORMATS, key=lambda format_: median(times[format_]))
    return best, functions[best]


def _compiled(case: Case, make: Callable[[], Run]) -> dict[str, Run]:
    """PyTorch's compiled function, if it compiles here: it needs a C++ compiler."""
    try:
        function = make()
        function()
    except Exception as error:  # whatever its compiler raises
        reason = str(error).strip().splitlines() or [type(error).__name__]
        print(f"{case.name}: torch.compile failed (it needs a C++ compiler): {reason[0][:200]}", file=sys.stderr)
        return {}
    return {"compiled": function}
