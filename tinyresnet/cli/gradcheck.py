"""`tinyresnet gradcheck`: is this gradient right, and if not, where and why."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import arguments, console

if TYPE_CHECKING:
    from ..gradcheck import Report

HELP = "check hand-written gradients: right, wrong (where, and why), or inconclusive"
EXAMPLE = """\
what to check:
  all, or the beginning of a layer's name      conv2d, batch norm, residual
  a network                                    resnet20, plain56, preact_resnet20: layer by layer
  your own code                                mine.py:MyLayer   mine.py:MyLayer(3, 4)   mine.py:my_forward

A class of your own has forward(x) -> y, or (y, cache), and backward(dy), or backward(dy, cache) -> dx; its parameters
are attributes with a gradient beside them (weight with dweight, grad_weight or weight_grad), or dicts params and
grads. A function my_forward(x, ...) -> y, cache goes with my_backward(dy, cache) -> gradients of its inputs.
The file is run as your own code.

examples:
  tinyresnet gradcheck all
  tinyresnet gradcheck conv2d --json
  tinyresnet gradcheck mine.py:MyLayer --shape 2,3,8,8
  tinyresnet gradcheck "mine.py:Dense(5, 4)" --html report.html
  tinyresnet gradcheck --selftest --verdicts
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("what", nargs="*", metavar="WHAT", help="what to check; see below")
    parser.add_argument(
        "--shape",
        action="append",
        type=shape,
        metavar="N,C,H,W",
        help="the input's shape; once for each input (default: the first usual one that fits)",
    )
    parser.add_argument("--float32", action="store_true", help="check your own code in single precision")
    parser.add_argument("--eval", action="store_true", help="in evaluation mode, not in training mode")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
    parser.add_argument("--selftest", action="store_true", help="let the checker prove itself on the bug museum")
    parser.add_argument(
        "--seeds", type=arguments.positive, default=1, metavar="N", help="selftest: try each bug N times (default: 1)"
    )
    parser.add_argument(
        "--right",
        type=arguments.positive,
        default=500,
        metavar="N",
        help="selftest: and N right layers drawn by chance (default: 500)",
    )
    parser.add_argument(
        "--verdicts", action="store_true", help="selftest: verdicts alone, no diagnoses: some ten times faster"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="draw the gradients, and where they are wrong")
    parser.add_argument("--json", action="store_true", help="print the reports as JSON")


def shape(text: str) -> tuple[int, ...]:
    """Numbers between commas, for argparse."""
    try:
        sizes = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no shape: numbers of 1 or more are wanted, like 2,3,8,8")
    return sizes


def run(args: argparse.Namespace) -> int:
    """Check; the exit code: 1 if a gradient is wrong or nothing can be said."""
    if args.selftest:
        return _selftest(args)
    if not args.what:
        raise InputError("what shall be checked? `tinyresnet gradcheck all`, or see --help")
    if args.what == ["all"] and not args.html and not args.json:
        return _table(args)
    texts: list[str] = []
    reports: list[Report] = []
    for word in args.what:
        text, found = _checked(word, args)
        texts.append(text)
        reports += found
    if args.json:
        from ..gradcheck.report import as_dict

        verdict = _verdict([report.verdict for report in reports])
        console.print_json({"verdict": verdict, "reports": [as_dict(report) for report in reports]})
    else:
        print("\n\n".join(texts))
    if args.html:
        from ..gradcheck.page import write_page

        write_page(args.html, reports)
        print(f"drawn: {args.html}", file=sys.stderr)
    return 0 if all(report.verdict == "correct" for report in reports) else 1


def _checked(word: str, args: argparse.Namespace) -> tuple[str, list[Report]]:
    """What is said of one thing, and the reports behind it."""
    from ..gradcheck import check_model, check_subject
    from ..gradcheck.network import count_layers
    from ..resnet import ARCHITECTURES

    if word in ARCHITECTURES:
        model, x, labels = _network(word, args)
        settings = {"train": not args.eval, "seed": args.seed, "name": word}
        with console.progress(count_layers(model) + 1, f"checking {word}", unit="layers", quiet=args.json) as bar:
            found = check_model(model, x, labels, progress=bar.update, **settings)
        return str(found), list(found.reports.values())
    reports = [check_subject(subject, seed=args.seed) for subject in _subjects(word, args)]
    return "\n\n".join(map(str, reports)), reports


def _subjects(word: str, args: argparse.Namespace) -> list[Any]:
    from ..gradcheck.target import own, shipped, shipped_subject

    if ".py" in word:
        shapes = tuple(args.shape) if args.shape else None
        dtype = "float32" if args.float32 else "float64"
        return [own(word, shapes, dtype=dtype, train=not args.eval, seed=args.seed)]
    return [shipped_subject(one, seed=args.seed) for one in shipped([word])]


def _network(name: str, args: argparse.Namespace) -> tuple[Any, Any, Any]:
    """A network and two small pictures of random numbers."""
    import numpy as np

    from ..resnet import build

    rng = np.random.default_rng(args.seed)
    model = build(name, rng=rng)
    sizes = args.shape[0] if args.shape else (2, 3, *(2 * (min(model.picture_size, 64),)))
    x = rng.standard_normal(sizes).astype(np.float32)
    return model, x, rng.integers(0, model.config.num_classes, len(x))


def _table(args: argparse.Namespace) -> int:
    """Every shipped layer, a line each."""
    from ..gradcheck import check_subject
    from ..gradcheck.target import shipped, shipped_subject

    began, verdicts, wrong = time.perf_counter(), [], []
    with console.live_table("layer", "gradients", "largest error", "would show", "verdict") as add_row:
        for one in shipped(["all"]):
            subject = shipped_subject(one, seed=args.seed)
            report = check_subject(subject, seed=args.seed)
            verdicts.append(report.verdict)
            verdict = report.verdict if report.verdict == "correct" else report.verdict.upper()
            row = one.name, str(len(subject.inputs)), f"{report.error:.1e}", f"{report.limit:.1e}", verdict
            add_row(*row)
            wrong += [report] if report.verdict != "correct" else []
    print(f"\n{len(verdicts)} layers in {time.perf_counter() - began:.1f} s: {_verdict(verdicts)}.")
    for report in wrong:
        print(f"\n{report}")
    return 1 if wrong else 0


def _verdict(verdicts: list[str]) -> str:
    return next((verdict for verdict in ("wrong", "inconclusive") if verdict in verdicts), "correct")


def _selftest(args: argparse.Namespace) -> int:
    from ..gradcheck.museum import MUSEUM
    from ..gradcheck.selftest import prove

    with console.progress(len(MUSEUM) * args.seeds + args.right, "proving", unit="checks", quiet=args.json) as bar:
        found = prove(seeds=args.seeds, right=args.right, seed=args.seed, diagnoses=not args.verdicts, progress=bar)
    if args.json:
        console.print_json(found.as_dict())
    else:
        console.table("the checker on its own machine", ("", ""), found.rows())
        for line in found.missed:
            print(f"  {line}")
    return 0 if found.good else 1
