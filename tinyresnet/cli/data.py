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
  tinyresnet data get cifar10
"""


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
    show.add_argument("--out", type=arguments.png, metavar="SHEET.png", help="draw eight pictures of each class")
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
    from ..data import SOURCES

    if args.json:
        console.print_json(SOURCES)
    else:
        console.table("data sets, as --data names them", ("name", "what it is"), list(SOURCES.items()))


def _show(args: argparse.Namespace) -> None:
    from .. import data

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
