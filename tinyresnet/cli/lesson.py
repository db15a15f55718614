"""`tinyresnet lesson`: the course. List, open and export its lessons; start, check and grade its exercises; teach it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import cast

from ..errors import InputError
from . import console

HELP = "the course: open its lessons, do its exercises, grade them"
EXAMPLE = """\
Lessons need the extra `lessons`: pip install 'tinyresnet[lessons]'.

examples:
  tinyresnet lesson list
  tinyresnet lesson open 6
  tinyresnet lesson start 3
  tinyresnet lesson check conv.py
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's actions; each sets `action`, a function of the arguments that gives the exit code."""
    from . import lesson_exercises, lesson_grade, lesson_instructor, lesson_open

    actions = parser.add_subparsers(dest="name", metavar="ACTION", required=True)
    listed = actions.add_parser(
        "list",
        help="list the lessons",
        epilog="examples:\n  tinyresnet lesson list\n  tinyresnet lesson list --language zh --json",
    )
    listed.add_argument("--language", default="en", metavar="en|zh", help="English or Chinese (default: en)")
    listed.add_argument("--json", action="store_true", help="print the list as JSON")
    listed.set_defaults(action=_list)
    for part in (lesson_open, lesson_exercises, lesson_grade, lesson_instructor):
        part.add_parser(actions)


def run(args: argparse.Namespace) -> int:
    """Do the action; the exit code."""
    return cast(Callable[[argparse.Namespace], int], args.action)(args)


def _list(args: argparse.Namespace) -> int:
    from ..course.places import lesson_files

    lessons = lesson_files(args.language).values()
    if not lessons:
        raise InputError("there are no lessons")
    if args.json:
        about = [{"number": k.number, "title": k.title, "minutes": k.minutes, "needs": k.needs} for k in lessons]
        console.print_json({"lessons": about})
        return 0
    rows = [(f"{k.number:02}", k.title, k.minutes, " ".join(f"{n:02}" for n in k.needs) or "-") for k in lessons]
    console.table("lessons", ("lesson", "title", "minutes", "needs"), rows)
    print("open one: tinyresnet lesson open 6", file=sys.stderr)
    return 0
