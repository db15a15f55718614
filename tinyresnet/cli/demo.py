"""`tinyresnet demo`: check every gradient, train a plain network and its residual twin, and write a report to open."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import arguments

if TYPE_CHECKING:
    from ..data import Dataset
    from ..gradcheck import Report
    from ..report import Scene
    from ..twins import Twin

HELP = "check every gradient, train a plain and a residual network side by side, write report.html"
EXAMPLE = """\
examples:
  tinyresnet demo                          about a minute; then open report.html
  tinyresnet demo --depth 20 --steps 600   shallower and longer
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE", help="the report (default: report.html)"
    )
    parser.add_argument(
        "--depth", type=int, default=32, metavar="D", help="layers: 8, 20, 32, 44, 56 or 110 (default: 32)"
    )
    parser.add_argument("--width", type=int, default=8, metavar="C", help="channels of the first stage (default: 8)")
    parser.add_argument("--steps", type=int, default=400, metavar="N", help="updates of each network (default: 400)")
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="pictures a step (default: 64)")
    parser.add_argument("--data", default="shapes", metavar="SPEC", help="a source or a path (default: shapes)")
    parser.add_argument(
        "--picture-size", type=int, default=16, metavar="S", help="pictures of S x S pixels (default: 16)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default: 0)")
    arguments.add_device_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the demo; exit code 1 if a gradient is wrong."""
    from ..data import load
    from ..device import array_library

    array_library(args.device)  # complains now rather than after the checks
    started = time.perf_counter()
    if not args.json:
        print("1. Is every hand-written gradient right? (against slopes measured from the forward passes, in float64)")
    checks = check_gradients(args.seed, quiet=args.json)
    wrong = [report for report in checks if report.verdict == "wrong"]
    if wrong:
        print(*wrong, sep="\n\n")
        return 1
    train_size = args.steps * args.batch_size if args.data == "shapes" else None
    data = load(
        args.data, train_size=train_size, test_size=None, picture_size=args.picture_size, seed=args.seed, progress=True
    )
    if not args.json:
        print(
            f"\n2. Two networks, {args.depth} layers deep: a plain one and its residual twin, same first weights, same batches"
        )
    plain, residual = train_both(args, data)
    return report(args, data[1], checks, plain, residual, started)


def find_in_scenes() -> list[Scene]:
    """What the built-in segmenter and detector find in the first test scene that has four things or more."""
    import io

    import numpy as np

    from ..data import load_scenes
    from ..report import Scene
    from ..tasks.sheet import picture_sheet
    from ..trained import TASKS, built_in

    found = []
    for task in reversed(TASKS):
        model, header = built_in(task)
        scenes = load_scenes("shapes", task=task, picture_size=header.picture_size, train_size=1, test_size=30)[1]
        full = next(i for i, boxes in enumerate(scenes.read(np.arange(30)).boxes) if len(boxes) >= 4)
        sheet, words = picture_sheet(model, scenes, np.array([full]), header.mean, header.std)
        out = io.BytesIO()
        sheet.save(out, format="PNG")
        found.append(Scene(out.getvalue(), words))
    return found


def check_gradients(seed: int, *, quiet: bool) -> list[Report]:
    """Check every shipped layer, printing a row for each as it is done."""
    from ..gradcheck import SHIPPED, check_subject
    from ..gradcheck.target import shipped_subject
    from .console import live_table

    reports: list[Report] = []
    with live_table("layer", "gradients", "largest error", "would show", "verdict", quiet=quiet) as add_row:
        for shipped in SHIPPED:
            subject = shipped_subject(shipped, seed=seed)
            report = check_subject(subject, seed=seed)
            reports.append(report)
            verdict = report.verdict if report.verdict == "correct" else report.verdict.upper()
            add_row(shipped.name, str(len(subject.inputs)), f"{report.error:.1e}", f"{report.limit:.1e}", verdict)
    return reports


def train_both(args: argparse.Namespace, data: tuple[Dataset, Dataset]) -> tuple[Twin, Twin]:
    """Train the two in turn, with one progress bar for both."""
    from ..device import move
    from ..train import Settings
    from ..twins import make_twins, train_twins
    from .console import progress

    train_set = data[0]
    twins = make_twins(
        args.depth,
        width=args.width,
        num_classes=len(train_set.classes),
        in_channels=train_set.x.shape[1],
        seed=args.seed,
    )
    for twin in twins:
        move(twin.model, args.device)
    settings = Settings(steps=args.steps, batch_size=args.batch_size, seed=args.seed)
    losses = {}
    with progress(2 * args.steps, "training", quiet=args.json) as bar:
        for twin, record in train_twins(twins, data, settings):
            if record["kind"] == "step":
                losses[twin.kind] = record["loss"]
                bar.update(1, **{f"{kind}_loss": loss for kind, loss in losses.items()})
    return twins


def report(
    args: argparse.Namespace,
    test_set: Dataset,
    checks: list[Report],
    plain: Twin,
    residual: Twin,
    started: float,
) -> int:
    """Measure the residual network on the test set, write the page and say what it says."""
    from .. import __version__
    from ..data import eval_batches
    from ..evaluate import evaluate
    from ..report import Demo, finding, gradient_finding, write_report

    evaluation = evaluate(residual.model, eval_batches(test_set, batch_size=256), test_set.classes)
    seconds = time.perf_counter() - started
    command = (
        f"tinyresnet demo --depth {args.depth} --width {args.width} --steps {args.steps} --batch-size {args.batch_size}"
    )
    command += f" --data {args.data} --picture-size {args.picture_size} --seed {args.seed}"
    command += "" if args.device == "cpu" else f" --device {args.device}"
    made = f"Made by {command} (tinyresnet {__version__}) in {seconds:.0f} s."
    errors = [(report.name, report.error) for report in checks]
    scenes = find_in_scenes()
    demo = Demo(plain, residual, test_set, evaluation, errors, scenes, args.depth, args.batch_size, made)
    write_report(args.out, demo)
    if args.json:
        figures = {
            "plain": {"train_loss": plain.final_loss, "test_top1": plain.top1},
            "residual": {"train_loss": residual.final_loss, "test_top1": residual.top1},
            "largest_gradient_error": max(report.error for report in checks),
            "seconds": seconds,
            "report": str(args.out),
        }
        print(json.dumps(figures))
        return 0
    print(f"\n   training loss: plain {plain.final_loss:.2f}, residual {residual.final_loss:.2f}")
    print(f"   test accuracy: plain {plain.top1:.1%}, residual {residual.top1:.1%}")
    print(f"   {finding(demo)}\n   {gradient_finding(demo)}")
    print(
        "\n3. The same backbone under a segmenter and a detector, which come with the library, on a scene they have not seen"
    )
    for scene in scenes:
        print(f"   {scene.words}")
    print(
        f"\n4. Open {args.out} in a browser: curves, gradients layer by layer, sample answers, what to try next ({seconds:.0f} s)."
    )
    return 0
