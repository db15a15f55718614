"""`tinyresnet step`: walk through a forward and a backward pass with every number in view."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from . import arguments, console
from .gradcheck import shape

if TYPE_CHECKING:
    from ..step.session import Session

HELP = "walk through backprop, step by step, with every number in view and the arithmetic that made it"
EXAMPLE = """\
On a terminal arrow keys walk, and ? says what the other keys do; in a pipe all steps are listed; --at prints one of them.
Without --real, --model, --weights or --layer it is a network of two residual blocks in numbers for a pencil,
or with --task segment a small segmenter: a class for every pixel.
A layer given as FILE.py:NAME is run as your own code.

examples:
  tinyresnet step
  tinyresnet step --at layer1.conv2 --backward
  tinyresnet step --at layer1.bn1 --backward --tensor dx --cell 0,0,1,2 --json
  tinyresnet step --real --html digits.html
  tinyresnet step --task segment --html segmenter.html
  tinyresnet step --weights runs/resnet20-shapes --image a.png --image b.png --serve
  tinyresnet step --layer "mine.py:MyLayer(3, 4)" --shape 2,3,8,8
  tinyresnet step --worksheet 12 --seed 7 --roster class.csv --out sheets
"""
NEEDS = {  # an option that means nothing without another
    "direction": "at",
    "tensor": "at",
    "cell": "at",
    "port": "serve",
    "roster": "worksheet",
    "out": "worksheet",
}
FACES = ("at", "json", "html", "serve", "worksheet")  # one of them at a time; but --json goes with --at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    what = parser.add_argument_group("what to walk through (default: the small network)")
    what.add_argument(
        "--task", choices=arguments.TASKS, help="classify or segment (default: what the weights are for, or classify)"
    )
    what.add_argument(
        "--head", choices=("fpn", "fcn"), help="of --task segment: feature pyramid (default), or as in FCN"
    )
    what.add_argument(
        "--real",
        action="store_true",
        help="trained weights: the small network with real digits, or the built-in segmenter",
    )
    what.add_argument(
        "--model", metavar="NAME", help="e.g. resnet20; with weights drawn by chance, or those of --weights"
    )
    what.add_argument("--weights", metavar="FILE", help="safetensors file, or the folder of a run")
    what.add_argument(
        "--image", action="append", type=Path, default=[], metavar="FILE", help="a picture; once or twice"
    )
    what.add_argument("--layer", metavar="FILE.py:NAME", help="a layer of your own: mine.py:MyLayer(3, 4)")
    what.add_argument("--shape", type=shape, metavar="N,C,H,W", help="the input's shape, for --layer")
    what.add_argument("--eval", action="store_true", help="in evaluation mode, not in training mode")
    what.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers (default: 0)")

    one = parser.add_argument_group("one step, printed")
    one.add_argument("--at", metavar="PATH", help="the layer: conv1, layer1.bn2, loss")
    direction = one.add_mutually_exclusive_group()
    for name in ("forward", "backward"):
        direction.add_argument(f"--{name}", dest="direction", action="store_const", const=name, help=f"its {name} step")
    one.add_argument(
        "--tensor", metavar="NAME", help="the tensor: y, dx, dweight, mean... (default: the step's result)"
    )
    one.add_argument("--cell", type=cell, metavar="N,C,H,W", help="the cell (default: the largest in magnitude)")
    one.add_argument("--json", action="store_true", help="print the step and its arithmetic, or all steps, as JSON")

    face = parser.add_argument_group("other faces")
    face.add_argument("--html", type=Path, metavar="FILE", help="write a page that needs no network")
    face.add_argument("--serve", action="store_true", help="show the page on this machine, for large networks")
    face.add_argument("--port", type=arguments.positive, metavar="N", help="for --serve (default: a free one)")
    face.add_argument(
        "--worksheet", type=arguments.positive, metavar="N", help="write a sheet of N problems, and its key"
    )
    face.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="worksheet: the folder or file (default: worksheet-SEED.html, or worksheets/ with --roster)",
    )
    face.add_argument("--roster", type=Path, metavar="FILE.csv", help="worksheet: one sheet for each student listed")
    face.add_argument("--language", default="en", metavar="en|zh", help="English or Chinese (default: en)")


def cell(text: str) -> tuple[int, ...]:
    """Numbers of 0 or more between commas, for argparse."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no cell: numbers of 0 or more are wanted, like 0,0,1,2")
    return tuple(map(int, parts))


def run(args: argparse.Namespace) -> int:
    """Walk, print, write or serve; the exit code."""
    from ..step.terminal.phrases import phrases

    _check(args)
    phrases(args.language)
    if args.worksheet:
        return _worksheet(args)
    session = _session(args)
    if args.html:
        from ..step.page import write_page

        write_page(args.html, session, language=args.language)
        print(f"written: {args.html}", file=sys.stderr)
    elif args.serve:
        from ..step.server import serve

        serve(session, port=args.port or 0, language=args.language, opened=_opened)
    elif args.at is not None:
        _one(session, args)
    else:
        _all(session, args)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise InputError for options that do not go together."""
    for option, needed in NEEDS.items():
        if getattr(args, option) is not None and not getattr(args, needed):
            name = args.direction if option == "direction" else option
            raise InputError(f"--{name} goes with --{needed}: give --{needed} too")
    faces = [name for name in FACES if getattr(args, name)]
    if args.worksheet and args.task not in (None, "classify"):
        raise InputError("--worksheet asks about the small classifier: leave --task out")
    if len(faces) > 1 and faces != ["at", "json"]:
        raise InputError(f"--{faces[0]} and --{faces[1]} are two things: give one of them")


def _session(args: argparse.Namespace) -> Session:
    from ..step.sources import open_session

    return open_session(
        task=args.task,
        head=args.head,
        real=args.real,
        model=args.model,
        weights=args.weights,
        images=args.image,
        layer=args.layer,
        shape=args.shape,
        train=not args.eval,
        seed=args.seed,
    )


def _one(session: Session, args: argparse.Namespace) -> None:
    """Print one step."""
    from ..explain import Explainer
    from ..step.terminal import plain

    explainer = Explainer(session.trace)
    place = plain.cell_of(explainer, args.at, args.direction or "forward", args.tensor, args.cell)
    if args.json:
        console.print_json(plain.as_dict(session, explainer, place, args.language))
    else:
        _say(plain.one_step(session, explainer, place, args.language))


def _all(session: Session, args: argparse.Namespace) -> None:
    """Walk where somebody can; else list all steps."""
    from ..step.terminal import interactive, plain

    if args.json:
        console.print_json(
            {"title": session.title, "loss": session.loss, "hand": session.hand, "steps": plain.overview(session)}
        )
    elif interactive.can_walk():
        interactive.walk(session, language=args.language)
    else:
        console.plain_table(plain.title(session), plain.COLUMNS, plain.overview_rows(session))
        _say(plain.last_word(session, args.language))


def _say(text: str) -> None:
    from ..step.terminal.phrases import writable

    print(writable(text, sys.stdout.encoding))


def _opened(address: str) -> None:
    print(f"open {address}   (Ctrl-C ends)", flush=True)


def _worksheet(args: argparse.Namespace) -> int:
    from ..step.worksheet import write_worksheets

    where = args.out or Path("worksheets" if args.roster else f"worksheet-{args.seed}.html")
    written = write_worksheets(where, count=args.worksheet, seed=args.seed, roster=args.roster, language=args.language)
    for path in written:
        print(f"written: {path}", file=sys.stderr)
    return 0
