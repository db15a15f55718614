"""`tinyresnet data`: which data sets there are, what is in one, and fetching one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import arguments, console

if TYPE_CHECKING:
    from ..data import Dataset

HELP = "list the data sets, look into one, or download one"
EXAMPLE = """\
examples:
  tinyresnet data
  tinyresnet data show shapes --out sheet.png
  tinyresnet data show shapes --task detect --out scenes.png
  tinyresnet data get cifar10
"""
SHOWN = 1000  # scenes of which the objects are counted
DRAWN = 12  # scenes in a sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", help="show or get (default: list them)")
    show = actions.add_parser(
        "show",
        help="count the pictures of each class and draw some",
        epilog="example:\n  tinyresnet data show shapes --out sheet.png\n  tinyresnet data show pictures/ --split test --json",
    )
    show.add_argument("spec", metavar="DATA", help="shapes, digits, cifar10, cifar100, or a path")
    show.add_argument(
        "--task", choices=arguments.TASKS, default="classify", help="detect, segment: scenes (default: classify)"
    )
    show.add_argument(
        "--out", type=arguments.png, metavar="SHEET.png", help="draw eight pictures of each class, or twelve scenes"
    )
    show.add_argument("--skip-bad", action="store_true", help="scenes: leave bad records out and count them")
    show.add_argument("--split", choices=("train", "test"), default="train", help="which part to draw (default: train)")
    show.add_argument("--picture-size", type=arguments.positive, metavar="N", help="bring pictures to N x N pixels")
    show.add_argument("--seed", type=int, default=0, help="draws shapes, and splits a folder without test (default: 0)")
    show.add_argument("--json", action="store_true", help="print the figures as JSON")
    get = actions.add_parser(
        "get",
        help="download a data set into the cache",
        epilog="example:\n  tinyresnet data get cifar10\n  tinyresnet data get cifar100 --cache downloads",
    )
    get.add_argument("name", metavar="NAME", help="cifar10 or cifar100")
    get.add_argument("--cache", type=Path, metavar="FOLDER", help="where to keep it (default: the user's cache)")


def run(args: argparse.Namespace) -> int:
    """List, show or get; the exit code."""
    actions = {None: _list, "show": _show, "get": _get}
    actions[args.action](args)
    return 0


def _list(args: argparse.Namespace) -> None:
    from ..data import SCENE_SOURCES, SOURCES

    if args.json:
        console.print_json({**SOURCES, "scenes": SCENE_SOURCES})
        return
    console.table("data sets, as --data names them", ("name", "what it is"), list(SOURCES.items()))
    console.table("with --task detect or segment", ("name", "what it is"), list(SCENE_SOURCES.items()))


def _show(args: argparse.Namespace) -> None:
    from .. import data

    if args.task != "classify":
        _show_scenes(args)
        return
    train, test = data.load(
        args.spec, picture_size=args.picture_size, seed=args.seed, progress=console.is_terminal(sys.stderr)
    )
    about = {"train": _about(train), "test": _about(test)}
    counts = list(zip(train.classes, about["train"]["per_class"], about["test"]["per_class"], strict=True))
    if args.out:  # first, as it reads pictures: a damaged one stops it before anything is printed
        data.contact_sheet(train if args.split == "train" else test, args.out)
        print(f"contact sheet: {args.out}", file=sys.stderr)
    if args.json:
        statistics = {"mean": [round(v, 6) for v in train.mean], "std": [round(v, 6) for v in train.std]}
        console.print_json({"name": train.name, "classes": train.classes, **statistics, **about})
        return
    rows = [(part, f"{values['count']:,}", " x ".join(map(str, values["shape"]))) for part, values in about.items()]
    console.table(train.name, ("part", "pictures", "shape"), rows)
    channels = [(i, f"{m:.4f}", f"{s:.4f}") for i, (m, s) in enumerate(zip(train.mean, train.std, strict=True))]
    console.table("pixels in 0..1", ("channel", "mean", "std"), channels)
    console.table("pictures of every class", ("class", "train", "test"), counts)


def _show_scenes(args: argparse.Namespace) -> None:
    """The same for scenes: the objects of each class in the first thousand, or the share of the pixels."""
    import numpy as np

    from ..data import IGNORED, load_scenes
    from ..files import replacing
    from ..tasks.sheet import scene_sheet

    parts = dict(
        zip(
            ("train", "test"),
            load_scenes(
                args.spec,
                task=args.task,
                picture_size=args.picture_size,
                seed=args.seed,
                skip_bad=args.skip_bad,
                progress=console.is_terminal(sys.stderr),
            ),
            strict=True,
        )
    )
    about: dict[str, Any] = {}
    for part, scenes in parts.items():
        count, K = min(SHOWN, len(scenes)), len(scenes.classes)
        read = scenes.read(np.arange(count))
        objects = np.bincount(np.concatenate([np.zeros(0, np.int64), *read.labels]), minlength=K)
        pixels = np.bincount(read.masks.ravel(), minlength=256)[1 : K + 1] / max(1, int((read.masks != IGNORED).sum()))
        about[part] = {"count": len(scenes), "shape": scenes.shape[1:], "skipped": scenes.skipped, "looked_at": count}
        about[part] |= {"objects": objects.tolist(), "share_of_pixels": [round(float(share), 4) for share in pixels]}
    if args.out:
        with replacing(args.out) as beside:
            scene_sheet(parts[args.split], np.arange(min(DRAWN, len(parts[args.split]))), args.task).save(
                beside, format="PNG"
            )
        print(f"scenes: {args.out}", file=sys.stderr)
    train = parts["train"]
    if args.json:
        console.print_json({"name": train.name, "task": args.task, "classes": train.classes, **about})
        return
    rows = [(part, f"{v['count']:,}", " x ".join(map(str, v["shape"]))) for part, v in about.items()]
    console.table(train.name, ("part", "scenes", "shape"), rows)
    figure, what = ("objects", "objects") if args.task == "detect" else ("share_of_pixels", "share of the pixels")
    counts = zip(train.classes, about["train"][figure], about["test"][figure], strict=True)
    looked = " and ".join(f"{values['looked_at']:,} {part}" for part, values in about.items())
    console.table(f"{what} of every class in the first {looked} scenes", ("class", "train", "test"), list(counts))
    for part, values in about.items():
        for reason, count in values["skipped"].items():
            print(f"left out of {part}: {count} x {reason}")


def _about(data: Dataset) -> dict[str, Any]:
    import numpy as np

    counts = np.bincount(data.y[np.arange(len(data))], minlength=len(data.classes))
    return {"count": len(data), "shape": data.x.shape[1:], "per_class": counts.tolist()}


def _get(args: argparse.Namespace) -> None:
    from .. import data
    from ..data.cifar import ARCHIVES

    if args.name not in ARCHIVES:
        known = " or ".join(ARCHIVES)
        raise InputError(f"{args.name!r} cannot be downloaded: {known} can, other data sets are here or yours already")
    train, test = data.load(args.name, cache=args.cache, progress=console.is_terminal(sys.stderr))
    print(f"{args.name} is here: {len(train):,} + {len(test):,} pictures of {len(train.classes)} classes")
