"""`tinyresnet bench`: how fast the kernels are here, beside what the machine can do and PyTorch; or what CUDA kernels do, counted."""

from __future__ import annotations

import argparse
import contextlib
import math

from ..errors import InputError
from . import arguments

HELP = "compare kernels with the readable form, then time them: GFLOP/s, share of the machine's peak"
EXAMPLE = """\
suites:
  resnet20   a training step at batch 128, inference, and each convolution of the network, forward and both gradients
  resnet18   the same at batch 8, 224 x 224
  op:conv2d  convolutions of all kinds, odd ones too; op:batch_norm, op:relu ... for the other ops
  ladder     the versions that teach, from the loops of the definition to the shipped kernel

devices:
  cpu        the default
  cuda       an NVIDIA GPU, with CuPy: timed by its own clock, beside CuPy's own functions and PyTorch (cuDNN, in float32)
  cuda-host  no GPU, no suite: the CUDA kernels run on the CPU, and what they do is counted: memory traffic by line of code,
             bank conflicts, operations; registers and occupancy by NVIDIA's compiler; time on named cards by a model

examples:
  tinyresnet bench resnet20
  tinyresnet bench resnet20 --vs torch --plot roofline.png
  tinyresnet bench ladder --version registers
  tinyresnet bench resnet18 --vs torch --compile --memory --json
  tinyresnet bench resnet20 --device cuda --vs torch
  tinyresnet bench --device cuda-host                             # every rung of the CUDA ladders, side by side
  tinyresnet bench --device cuda-host --kernel implicit_gemm_v4   # one of them: launches, worst lines, occupancy
  tinyresnet bench --device cuda-host --registers

Whoever is measured is given the same number of threads, its turn, and a rest before: the threads of OpenMP and of some
BLAS spin on for milliseconds after their work and would take a processor from the next. Ctrl-C shows what is measured so far.
"""
TIMED = ("vs", "compile", "threads", "version", "unfused", "memory", "cold", "plot")  # what only suites have
COUNTED = ("kernel", "registers", "batch")  # what only the profiler has


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "suite", metavar="SUITE", nargs="?", help="resnet20, resnet18, op:NAME or ladder; none with --device cuda-host"
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda", "cuda-host"), default="cpu", help="where kernels run (default: cpu)"
    )
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
    parser.add_argument("--kernel", metavar="NAME", help="cuda-host: this rung, op or kernel alone, in detail")
    parser.add_argument(
        "--registers",
        action="store_true",
        help="cuda-host: what every kernel takes of every architecture (needs NVRTC)",
    )
    parser.add_argument("--batch", type=arguments.positive, metavar="N", help="cuda-host: pictures (default: 2)")
    parser.add_argument("--plot", type=arguments.png, metavar="FILE.png", help="draw the roofline")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def _seconds(text: str) -> float:
    """A time of more than 0, for argparse."""
    with contextlib.suppress(ValueError):
        if math.isfinite(float(text)) and float(text) > 0:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")


def run(args: argparse.Namespace) -> int:
    """Measure or count; exit code 1 if a kernel differs from the readable form."""
    _check(args)
    if args.device == "cuda-host":
        from . import bench_profile

        return bench_profile.run(args)
    from . import bench_suite

    return bench_suite.run(args)


def _check(args: argparse.Namespace) -> None:
    """Raise InputError on arguments of another device."""
    counted = args.device == "cuda-host"
    for option in TIMED if counted else COUNTED:
        if getattr(args, option):
            raise InputError(f"--{option} is {'not ' if counted else ''}for --device cuda-host")
    if counted and args.suite is not None:
        raise InputError(
            f"--device cuda-host takes no SUITE, which would be timed: leave {args.suite} out, or give --kernel NAME"
        )
    if not counted and args.suite is None:
        raise InputError("SUITE is missing: resnet20, resnet18, op:NAME or ladder (see tinyresnet bench --help)")
