"""`tinyresnet lesson start` writes exercises, `tinyresnet lesson check` says how a solution is getting on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, unknown
from . import arguments, console

if TYPE_CHECKING:
    from ..course.exercises import Exercise

START = """\
Each exercise has three rungs: a, predict numbers on paper; b, fill one to three gaps a function; c, write it all.
With --transfer, WHAT is a variant whose answer is in no library; these come with the instructor's checkout.

examples:
  tinyresnet lesson start 03
  tinyresnet lesson start 03 --rung a
  tinyresnet lesson start conv --rung c --to week2
"""
CHECK = """\
examples:
  tinyresnet lesson check conv.py
  tinyresnet lesson check conv.py --hint 2
  tinyresnet lesson check conv.py --json
"""


def add_parser(actions: Any) -> None:
    """Declare the two actions and their arguments."""
    start = actions.add_parser("start", help="write a lesson's exercises", epilog=START)
    start.add_argument("what", metavar="WHAT", help="a lesson's number, or the name of an exercise")
    start.add_argument("--rung", default="b", metavar="a|b|c", help="how much is left to do (default: b)")
    start.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the numbers of rung a, and of planted bugs (default: 0)"
    )
    start.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)")
    start.add_argument("--force", action="store_true", help="overwrite what is there")
    start.add_argument("--transfer", action="store_true", help="a transfer variant, from an instructor's checkout")
    start.set_defaults(action=run_start)
    check = actions.add_parser("check", help="say what is right in a solution, and what is not yet", epilog=CHECK)
    check.add_argument("file", type=Path, metavar="FILE", help="a file that `lesson start` wrote")
    check.add_argument(
        "--hint", type=arguments.positive, default=1, metavar="N", help="the N-th hint (default: the first)"
    )
    check.add_argument("--exercise", metavar="NAME", help="which exercise it is, where the file does not say")
    check.add_argument("--json", action="store_true", help="print what was found as JSON")
    check.set_defaults(action=run_check)


def run_start(args: argparse.Namespace) -> int:
    """Write the files; nothing that is there is overwritten."""
    from ..course.cuts import RUNGS, generate

    if args.rung not in RUNGS:
        raise unknown("rung", args.rung, RUNGS)
    if args.seed < 0:
        raise InputError(f"--seed is {args.seed}: 0 or more is wanted")
    wanted = _wanted(args.what, transfer=args.transfer)
    files = {args.to / _file(one, args.rung): one for one in wanted}
    if there := [path for path in files if path.exists() and not args.force]:
        raise InputError(
            f"{there[0]} is there already, and may hold your work: --force overwrites it, --to DIR writes elsewhere"
        )
    args.to.mkdir(parents=True, exist_ok=True)
    for path, one in files.items():
        path.write_text(generate(one.source, args.rung, args.seed), encoding="utf-8")
        print(f"written: {path}  {one.title}")
    first = next(iter(files))
    print(f"\nOpen {first}, {DO[args.rung]}, then: tinyresnet lesson check {first}")
    return 0


DO = {
    "a": "work the numbers out on paper and type them in",
    "b": "fill the gaps",
    "c": "write the functions",
}


def run_check(args: argparse.Namespace) -> int:
    """Print the review; 1 while something is wrong or not written yet."""
    from ..course.assistant import review

    found = review(args.file, name=args.exercise, hint=args.hint)
    if args.json:
        console.print_json(found.as_dict())
    else:
        print(found)
    return 0 if found.right else 1


def _wanted(what: str, *, transfer: bool) -> list[Exercise]:
    """The exercises that a number or a name stands for. Raises InputError."""
    from ..course.exercises import EXERCISES, transfer_exercises

    known = list(transfer_exercises().values()) if transfer else list(EXERCISES)
    if what.isdecimal():
        found = [one for one in known if one.lesson == int(what)]
        if not found:
            kind = "transfer variant" if transfer else "exercise file"
            lessons = ", ".join(f"{number:02}" for number in sorted({one.lesson for one in known}))
            raise InputError(f"lesson {int(what):02} has no {kind}: lessons {lessons} have")
        return found
    found = [one for one in known if what in (one.name, one.variant_of)]
    if not found:
        raise unknown("transfer variant" if transfer else "exercise", what, [one.name for one in known])
    return found


def _file(exercise: Exercise, rung: str) -> str:
    """The file's name: on rung a another one, so that a rung does not overwrite the one before."""
    if rung == "a" and exercise.name != "bugs":
        return f"{exercise.name}_numbers.py"
    return exercise.source.name if exercise.name != "bugs" or rung != "a" else "bugs_lines.py"
