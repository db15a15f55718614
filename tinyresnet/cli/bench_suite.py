"""`tinyresnet bench SUITE`: timing, on the CPU or on an NVIDIA GPU."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import console
from .bench_tables import show

if TYPE_CHECKING:
    from ..bench.ceilings import Ceilings
    from ..bench.device import Device
    from ..bench.measure import Options, Row
    from ..bench.work import Case


def run(args: argparse.Namespace) -> int:
    """Measure; exit code 1 if a kernel differs from the readable form."""
    from ..bench import device
    from ..bench.measure import Options
    from ..bench.suites import cases
    from ..bench.threads import checked_threads
    from ..bench.work import import_torch

    _check(args)
    where = device.find(args.device)
    chosen = cases(args.suite, version=args.version, fused=not args.unfused, device=args.device)
    threads = checked_threads(args.threads)
    torch = import_torch(args.device) if args.vs == "torch" else None
    options = Options(threads, args.repeat, args.seconds, torch, args.compile, where)
    found: dict[str, Any] = {"suite": args.suite, **_about(where, torch)}
    rows: list[Row] = []
    try:
        ceilings = _measure(chosen, options, rows, found)
        _children(args, threads, found)
    except KeyboardInterrupt:
        found["interrupted"] = True
    if "ceilings" not in found:
        raise KeyboardInterrupt
    show(found, rows, as_json=args.json)
    if found["interrupted"]:
        raise KeyboardInterrupt
    if args.plot:
        from ..bench.roofline import roofline
        from ..plots import save_png

        save_png(roofline(rows, ceilings, f"tinyresnet bench {args.suite}"), args.plot)
        print(f"roofline: {args.plot}", file=sys.stderr)
    wrong = [row for row in rows if not row.right]
    for row in wrong:
        by = "is not finite" if row.difference is None else f"is {row.difference:.3g} times what is allowed"
        print(f"WRONG: {row.name}, {row.kind}: the difference from the readable form {by}", file=sys.stderr)
    return 1 if wrong else 0


def _check(args: argparse.Namespace) -> None:
    """Raise InputError on arguments that do not go together."""
    from ..bench.suites import NETWORKS

    if args.compile and not args.vs:
        raise InputError("--compile is PyTorch's: give --vs torch too")
    if args.version and args.suite != "ladder":
        raise InputError(f"--version is for the suite ladder, not {args.suite}")
    for option in ("memory", "cold", "unfused"):
        if getattr(args, option) and args.suite not in NETWORKS:
            raise InputError(f"--{option} is for whole networks: {' or '.join(NETWORKS)}, not {args.suite}")
        if getattr(args, option) and option != "unfused" and args.device != "cpu":
            raise InputError(f"--{option} is for --device cpu, not {args.device}")
    if args.plot and not Path(args.plot).parent.is_dir():
        raise InputError(f"--plot {args.plot}: there is no folder {Path(args.plot).parent}")


def _about(where: Device, torch: Any) -> dict[str, Any]:
    """The machine and the versions, and the keys that are filled later."""
    import platform

    import numpy as np

    from tinyresnet_kernels import available

    from ..bench.threads import load, usable_processors

    versions = {"python": platform.python_version(), "numpy": np.__version__}
    machine: dict[str, Any] = {"architecture": platform.machine(), "processors": usable_processors(), "load": load()}
    if (machine["load"] or 0) > machine["processors"] / 2:
        print(
            f"this machine is busy (load {machine['load']}): its figures will be worse than it can do", file=sys.stderr
        )
    if where.name == "cuda":
        from ..bench import cuda

        versions["cupy"] = where.xp.__version__
        machine |= cuda.about(where)
    elif "cpu" in available():
        import numba

        from tinyresnet_kernels.cpu import host

        versions["numba"] = numba.__version__
        machine |= {"vector_bytes": host.register_bytes(), "vector_registers": host.registers()}
    else:
        print("no Numba here: what is measured are the readable forms (pip install numba)", file=sys.stderr)
    if torch is not None:
        versions["torch"] = str(torch.__version__)
    return {"machine": machine, "versions": versions, "interrupted": False, "memory": None, "cold": None}


def _measure(chosen: list[Case], options: Options, rows: list[Row], found: dict[str, Any]) -> Ceilings:
    """Measure the ceilings, then fill the rows one by one."""
    from ..bench.ceilings import measure_ceilings
    from ..bench.measure import measure
    from ..bench.threads import using_threads

    with using_threads(options.threads, options.torch):
        ceilings = measure_ceilings(options.threads, seconds=options.seconds, device=options.device)
    found["ceilings"] = asdict(ceilings)
    with console.progress(len(chosen), "measuring", unit="rows") as bar:
        for row in measure(chosen, ceilings, options):
            rows.append(row)
            bar.update(1, last=f"{row.name} {row.kind}")
    return ceilings


def _children(args: argparse.Namespace, threads: int, found: dict[str, Any]) -> None:
    """Peak memory and first steps, each in processes of their own."""
    import tempfile

    from ..bench.child import live
    from ..bench.suites import NETWORKS

    if args.memory:
        suite, sides = NETWORKS[args.suite], ("ours", "torch") if args.vs else ("ours",)
        lives = {side: live(side, suite.name, suite.batch, threads, fused=not args.unfused) for side in sides}
        found["memory"] = {side: {"before": life.before, "peak": life.peak} for side, life in lives.items()}
    if args.cold:
        suite = NETWORKS[args.suite]
        with tempfile.TemporaryDirectory() as folder:
            found["cold"] = {
                state: live(
                    "ours", suite.name, suite.batch, threads, fused=not args.unfused, cache=Path(folder)
                )._asdict()
                for state in ("empty_cache", "warm_cache")
            }
