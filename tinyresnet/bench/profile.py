"""A profiler that needs no GPU: a CUDA kernel runs on the CPU, every access to memory is counted, and a model says what that would cost.

The counts are exact: of what the threads of the unchanged kernel do. What caches make of them is modelled, and so is time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from tinyresnet_kernels import Array, use
from tinyresnet_kernels.cuda import source, versions
from tinyresnet_kernels.host import Counts, Launch, Site, compiler, watching
from tinyresnet_kernels.host.cards import CARDS, Card, modelled_seconds

from ..errors import InputError
from .subjects import Problem, Subject
from .work import relative

SECTOR = 32  # bytes
BOUNDS = {"dram": "DRAM", "l2": "L2", "shared": "L1", "flops": "FLOP"}
SAME, SAME_INEXACT = (
    1e-4,
    1e-2,
)  # relative difference of norms from the readable form: float32, and factors of TF32 or float16


class Traffic(NamedTuple):
    """What the model of a card must know of a launch."""

    flops: int
    itemsize: int
    dram_bytes: int
    l2_bytes: int
    shared_wavefronts: int


class Model(NamedTuple):
    """All launches on a card, one after the other: seconds by the model, and what most of them go for."""

    seconds: float
    bound: str


@dataclass(frozen=True)
class Profile:
    """What a run did. `minimum`: bytes that must move, every input read once and every result written once."""

    subject: Subject
    problem: str
    launches: tuple[Launch, ...]
    minimum: int
    difference: float  # from the readable form, of the norms; NaN where there is one

    @property
    def right(self) -> bool:
        """Whether the result is the readable form's."""
        return self.difference < (SAME_INEXACT if self.subject.name in versions.INEXACT else SAME)

    @property
    def counts(self) -> Counts:
        """Of all launches."""
        return sum((launch.counts for launch in self.launches), Counts())

    @property
    def requested(self) -> float:
        """Bytes of the sectors that warps asked for, in units of the minimum."""
        return SECTOR * (self.counts.load_sectors + self.counts.store_sectors) / self.minimum

    @property
    def dram(self) -> float:
        """Bytes to and from DRAM behind the modelled caches, in units of the minimum."""
        return self.counts.dram_bytes / self.minimum

    @property
    def sites(self) -> list[Site]:
        """The lines of all launches, those first that move most beyond what they must."""
        sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for site in (site for launch in self.launches for site in launch.sites):
            where = (site.file, site.line, site.memory, site.write, site.size)
            numbers = (site.requests, site.bytes, site.moved, site.ideal)
            sums[where] = [a + b for a, b in zip(sums[where], numbers, strict=True)]
        sites = [Site(*where, *numbers) for where, numbers in sums.items()]
        return sorted(sites, key=lambda site: (site.ideal - site.moved, -site.moved))

    def model(self, card: Card) -> Model:
        """How long the launches take on a card at best."""
        parts: dict[str, float] = defaultdict(float)
        for launch in self.launches:
            line = modelled_seconds(traffic(launch), card)
            parts[BOUNDS[line.bound]] += line.seconds
        return Model(sum(parts.values()), max(parts, key=lambda name: parts[name], default="-"))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.subject.name,
            "op": self.subject.op,
            "problem": self.problem,
            "right": self.right,
            "difference": self.difference if np.isfinite(self.difference) else None,
            "minimum_bytes": self.minimum,
            "requested": self.requested,
            "dram": self.dram,
            "launches": [
                {**asdict(launch), **_rates(launch.counts), "sites": [asdict(site) for site in launch.sites]}
                for launch in self.launches
            ],
            "modelled": {name: self.model(card)._asdict() for name, card in CARDS.items()},
        }


def traffic(launch: Launch) -> Traffic:
    """What the model wants to know. Since Volta, shared memory and the first cache are one, and what goes to global memory takes the same
    path of 128 bytes, four sectors, a clock; a request takes a clock at least.
    """
    c = launch.counts
    loads, stores = max(c.load_requests, c.load_sectors // 4), max(c.store_requests, c.store_sectors // 4)
    return Traffic(c.flops, launch.itemsize, c.dram_bytes, c.l2_bytes, c.shared_wavefronts + loads + stores)


def _rates(counts: Counts) -> dict[str, Any]:
    return {"coalescing": counts.coalescing, "bank_conflicts": counts.bank_conflicts, "dram_bytes": counts.dram_bytes}


def check_compiler() -> None:
    """Raise InputError where there is no C++ compiler."""
    if compiler() is None:
        raise InputError(
            "--device cuda-host compiles the CUDA kernels with a C++ compiler, and there is none: see `tinyresnet doctor`"
        )


def profiles(subject: Subject, batch: int) -> Iterator[Profile]:
    """The subject on each of its problems, as soon as it is run. Raises KernelError on what no kernel may do."""
    for problem in subject.problems(batch):
        yield profile(subject, problem)


def profile(subject: Subject, problem: Problem) -> Profile:
    """Run it, count, and compare with the readable form."""
    wanted = _results(problem, problem.reference)
    with use("cuda-host"), subject.chosen(), watching(check=False) as watcher:
        got = _results(problem, problem.function)
    moved = [*problem.read, *problem.changed, *(got if not problem.changed else problem.changed)]
    difference = max((relative(a, b) for a, b in zip(got, wanted, strict=True)), default=0.0)
    return Profile(subject, problem.says, tuple(watcher.launches), sum(a.nbytes for a in moved), difference)


def _results(problem: Problem, function: Any) -> list[Array]:
    """The arrays that it gives; of a function that works in place, what it makes of copies."""
    copies = {id(array): array.copy() for array in problem.changed}
    result = function(*(copies.get(id(arg), arg) for arg in problem.args))
    return list(copies.values()) if copies else _arrays(result)


def _arrays(result: Any) -> list[Array]:
    return [array for part in result for array in _arrays(part)] if isinstance(result, tuple) else [np.asarray(result)]


def code(site: Site) -> str:
    """The line as it stands in its file; empty if it is not known."""
    path = source.FOLDER / site.file
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return lines[site.line - 1].strip() if 0 < site.line <= len(lines) else ""
