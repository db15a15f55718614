"""`tinyresnet bench`: how fast the kernels are here, beside what the machine can do, and beside PyTorch."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import arguments, console

if TYPE_CHECKING:
    from ..bench.ceilings import Ceilings
    from ..bench.measure import Options, Row
    from ..bench.work import Case

HELP = "compare kernels with the readable form, then time them: GFLOP/s, share of the machine's peak"
EXAMPLE = """\
suites:
  resnet20   a training step at batch 128, inference, and each convolution of the network, forward and both gradients
  resnet18   the same at batch 8, 224 x 224
  op:conv2d  convolutions of all kinds, odd ones too; op:batch_norm, op:relu ... for the other ops
  ladder     the versions that teach, from six loops to the shipped kernel

examples:
  tinyresnet bench resnet20
  tinyresnet bench resnet20 --vs torch --plot roofline.png
  tinyresnet bench ladder --version registers
  tinyresnet bench resnet18 --vs torch --compile --memory --json

Whoever is measured is given the same number of threads, its turn, and a rest before: the threads of OpenMP and of some
BLAS spin on for milliseconds after their work and would take a processor from the next. Ctrl-C shows what is measured so far.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("suite", metavar="SUITE", help="resnet20, resnet18, op:NAME or ladder")
    parser.add_argument("--vs", choices=("torch",), help="time PyTorch on the same work, in turn, in its better format")
    parser.add_argument("--compile", action="store_true", help="with --vs torch: torch.compile of whole networks too")
    parser.add_argument("--threads", type=arguments.positive, metavar="N", help="default: all processors")
    parser.add_argument(
        "--repeat", type=arguments.positive, default=21, metavar="N", help="rounds of a row at most (default: 21)"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=1.5, metavar="S", help="for a row, about; networks get more (default: 1.5)"
    )
    parser.add_argument("--version", metavar="NAME", help="ladder: this version alone")
    parser.add_argument("--unfused", action="store_true", help="networks layer by layer, without fused blocks")
    parser.add_argument("--memory", action="store_true", help="networks: peak memory of the training step too")
    parser.add_argument(
        "--cold", action="store_true", help="networks: the first step with and without compiled kernels"
    )
    parser.add_argument("--plot", type=arguments.png, metavar="FILE.png", help="draw the roofline")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def _seconds(text: str) -> float:
    """A time of more than 0, for argparse."""
    with contextlib.suppress(ValueError):
        if math.isfinite(float(text)) and float(text) > 0:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")


def run(args: argparse.Namespace) -> int:
    """Measure; exit code 1 if a kernel differs from the readable form."""
    from ..bench.measure import Options
    from ..bench.suites import cases
    from ..bench.threads import checked_threads
    from ..bench.work import import_torch

    _check(args)
    chosen = cases(args.suite, version=args.version, fused=not args.unfused)
    threads = checked_threads(args.threads)
    torch = import_torch() if args.vs == "torch" else None
    options = Options(threads, args.repeat, args.seconds, torch, args.compile)
    found: dict[str, Any] = {"suite": args.suite, **_about(torch)}
    rows: list[Row] = []
    try:
        ceilings = _measure(chosen, options, rows, found)
        _children(args, threads, found)
    except KeyboardInterrupt:
        found["interrupted"] = True
    if "ceilings" not in found:
        raise KeyboardInterrupt
    _show(args, found, rows)
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
    if args.plot and not Path(args.plot).parent.is_dir():
        raise InputError(f"--plot {args.plot}: there is no folder {Path(args.plot).parent}")


def _about(torch: Any) -> dict[str, Any]:
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
    if "cpu" in available():
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
        ceilings = measure_ceilings(options.threads, seconds=options.seconds)
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


def _show(args: argparse.Namespace, found: dict[str, Any], rows: list[Row]) -> None:
    """Everything found, as JSON or as tables."""
    if args.json:
        console.print_json(found | {"rows": [row.as_dict() for row in rows]})
        return
    ceilings, machine = found["ceilings"], found["machine"]
    rates = [
        ("multiply-adds from registers, 1 thread", _giga(ceilings["multiply_adds_one_thread"]), "GFLOP/s"),
        ("multiply-adds from registers", _giga(ceilings["multiply_adds"]), "GFLOP/s"),
        ("NumPy matrix product", _giga(ceilings["matrix_product"]), "GFLOP/s"),
        ("copy, reads and writes", _giga(ceilings["copy"]), "GB/s"),
    ]
    vectors = f", vectors of {machine['vector_bytes']} bytes" if "vector_bytes" in machine else ""
    threads = f"{ceilings['threads']} thread{'s' if ceilings['threads'] > 1 else ''}"
    console.table(f"what this machine can do: {machine['architecture']}, {threads}{vectors}", ("", "", ""), rates)
    console.table(f"tinyresnet bench {args.suite}", *_columns(rows))
    if found["memory"]:
        table = [(side, _mega(life["before"]), _mega(life["peak"])) for side, life in found["memory"].items()]
        console.table("memory of a training process, MB", ("", "before the first step", "peak"), table)
    if found["cold"]:
        table = [
            (s.replace("_", " "), f"{c['first_seconds']:.2f}", f"{c['second_seconds']:.2f}")
            for s, c in found["cold"].items()
        ]
        console.table("seconds of the first steps of a process", ("kernels", "first step", "second"), table)


def _columns(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the table of rows; PyTorch's columns only where it was asked."""
    heads = ["work", "", "times", "ms", "GFLOP/s", "GB/s", "share", "x readable"]
    torch = any(row.torch_seconds for row in rows)
    compiled = any(row.compiled_seconds for row in rows)
    heads += ["torch ms", "x torch", "its format"] * torch + ["compiled ms", "x compiled"] * compiled
    cells = []
    for row in rows:
        if row.seconds is None:
            cells.append([row.name, row.kind, str(row.count), "WRONG", *["-"] * (len(heads) - 4)])
            continue
        byte_rate = _giga(row.bytes_per_second) if row.kind == "elementwise" else "-"
        speedup = f"{row.readable_seconds / row.seconds:.3g}"
        cell = [row.name, row.kind, str(row.count), _milli(row.seconds), _giga(row.operations_per_second), byte_rate]
        cell += [f"{100 * (row.share or 0):.2g} %", speedup]
        if torch:
            cell += [_milli(row.torch_seconds), _ratio(row.torch_ratio), row.torch_format or "-"]
        if compiled:
            cell += [_milli(row.compiled_seconds), _ratio(row.compiled_ratio)]
        cells.append(cell)
    return heads, cells


def _giga(rate: float | None) -> str:
    return "-" if rate is None else f"{rate / 1e9:.3g}" if rate < 1e10 else f"{rate / 1e9:.0f}"


def _mega(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:,.0f}"


def _milli(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.3g}" if seconds < 0.1 else f"{1000 * seconds:,.0f}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"
