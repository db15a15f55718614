"""`tinyresnet bench --device cuda-host`: what the CUDA kernels do, counted on the CPU. No GPU is needed."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import InputError
from . import console
from .bench_profile_tables import show_ladder, show_legend, show_profiles, show_registers

if TYPE_CHECKING:
    from tinyresnet_kernels.cuda.registers import Row
    from tinyresnet_kernels.host import Launch

    from ..bench.profile import Profile
    from ..bench.subjects import Subject

ARCHITECTURES = ("sm_80", "sm_90")  # of the detailed tables; --registers has all


def run(args: argparse.Namespace) -> int:
    """Count; exit code 1 if a kernel differs from the readable form, or takes more than its budget of registers."""
    from ..bench import subjects
    from ..bench.profile import check_compiler

    subject = subjects.find(args.kernel) if args.kernel else None
    if args.registers:
        return _registers(args, subject)
    check_compiler()
    groups = [[subject]] if subject else list(subjects.ladders().values())
    found, wrong = _profiles(groups, args.batch or subjects.BATCH, every_problem=subject is not None)
    if args.json:
        console.print_json({"device": "cuda-host", "profiles": [p.as_dict() for group in found for p in group]})
    elif subject is not None and found[0]:
        show_profiles(found[0], _needs(found[0]))
    elif subject is None:
        for group in filter(None, found):
            show_ladder(group)
        show_legend()
    for line in wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if wrong else 0


def _profiles(
    groups: Sequence[Sequence[Subject]], batch: int, *, every_problem: bool
) -> tuple[list[list[Profile]], list[str]]:
    """Each subject on all of its problems, or on the first; and what is wrong, a sentence each."""
    from tinyresnet_kernels.host import BuildError, KernelError

    from ..bench.profile import profile

    jobs = [
        (i, subject, problem)
        for i, group in enumerate(groups)
        for subject in group
        for problem in subject.problems(batch)[: None if every_problem else 1]
    ]
    found: list[list[Profile]] = [[] for _ in groups]
    wrong = []
    with console.progress(len(jobs), "running CUDA kernels on the CPU", unit="runs") as bar:
        for i, subject, problem in jobs:
            bar.update(0, last=f"{subject.name}, {problem.says}")
            try:
                found[i].append(profile(subject, problem))
                if not found[i][-1].right:
                    by = f"differs by {found[i][-1].difference:.2g} of the norm of the readable form's"
                    wrong.append(f"{subject.name}, {problem.says}: its result {by}")
            except KernelError as error:
                wrong.append(str(error))
            except BuildError as error:
                raise InputError(f"{subject.name}: {error}") from error
            bar.update(1, last=f"{subject.name}, {problem.says}")
    return found, wrong


def _needs(profiles: Sequence[Profile]) -> list[Row]:
    """What each launched kernel takes of a few architectures; empty, with a line on stderr, where there is no NVRTC."""
    from tinyresnet_kernels.cuda import nvrtc, registers, source

    try:
        nvrtc.library()
    except OSError as error:
        print(f"registers and occupancy are left out: {error}", file=sys.stderr)
        return []
    every = [launch for profile in profiles for launch in profile.launches]
    launches = {launch.kernel: launch for launch in sorted(every, key=lambda launch: launch.shared_mem)}
    files = {kernel: file for file in source.files() for kernel in source.kernels(file)}
    reals = {kernel: "float" if launch.itemsize == 4 else "double" for kernel, launch in launches.items()}
    modules = dict.fromkeys((files[kernel], arch, real) for kernel, real in reals.items() for arch in ARCHITECTURES)
    rows = [row for job in modules for row in registers.module_rows(*job, registers.compile_module(*job))]
    return [_launched(row, launches[row.kernel]) for kernel in reals for row in rows if row.kernel == kernel]


def _launched(row: Row, launch: Launch) -> Row:
    """The row with the threads and the dynamic shared memory of this launch, where the table has the most that there can be."""
    from tinyresnet_kernels.cuda.occupancy import occupancy

    threads, shared = math.prod(launch.block), row.usage.static_shared + launch.shared_mem
    fits = occupancy(row.arch, threads, row.usage.registers, shared)
    return row._replace(threads=threads, dynamic_shared=launch.shared_mem, occupancy=fits)


def _registers(args: argparse.Namespace, subject: Subject | None) -> int:
    """The table of all kernels, or of those whose names begin as the given one."""
    from tinyresnet_kernels.cuda import nvrtc, registers, source

    try:
        if subject is None:
            found = registers.rows()
        else:
            nvrtc.library()
            names = args.kernel, subject.name
            files = [file for file in source.files() if any(k.startswith(names) for k in source.kernels(file))]
            jobs = [(f, arch, real) for f in files for arch in registers.ARCHITECTURES for real in registers.DTYPES]
            rows = [row for job in jobs for row in registers.module_rows(*job, registers.compile_module(*job))]
            found = [row for row in rows if row.kernel.startswith(names)]
    except (OSError, nvrtc.CompileError) as error:
        raise InputError(f"--registers: {error}") from error
    if args.json:
        as_dicts = [r._asdict() | {"usage": r.usage._asdict(), "occupancy": r.occupancy._asdict()} for r in found]
        console.print_json({"nvrtc": list(nvrtc.version()), "kernels": as_dicts})
    else:
        show_registers(found)
    return 1 if any(row.fault for row in found) else 0
