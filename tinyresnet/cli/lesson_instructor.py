"""`tinyresnet lesson slides`, `exam` and `viva`: what an instructor prints, shows and asks."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, unknown
from . import console
from .lesson_open import _number

if TYPE_CHECKING:
    from ..course.viva import VivaQuestion

SLIDES = """\
The page needs no network. Arrow keys, Page Up and Page Down walk; n shows the notes; printed, each slide is a page.
The slides' text comes with the instructor's checkout (lessons/instructor/slides), not with the installed package.

examples:
  tinyresnet lesson slides 6
  tinyresnet lesson slides 6 --out slides.html
"""
EXAM = """\
The answers are computed by the library from the seed. The sheet does not show the seed, the key does: whoever knows it can
make the key, so take one that nobody guesses, or give none.

examples:
  tinyresnet lesson exam
  tinyresnet lesson exam --seed 3 --out exam.html --key key.html
  tinyresnet lesson exam --lesson 6 --lesson 7
"""
VIVA = """\
The files run as `lesson grade` runs them: behind bubblewrap where it works, else --trust is wanted.

examples:
  tinyresnet lesson viva conv.py --seed 3
  tinyresnet lesson viva class/ --exercise conv --seed 3 --out viva.html
"""


def add_parser(actions: Any) -> None:
    """Declare the three actions and their arguments."""
    slides = actions.add_parser("slides", help="write a lesson's slides as one page", epilog=SLIDES)
    slides.add_argument("number", type=_number, metavar="N", help="the lesson's number, as in `tinyresnet lesson list`")
    slides.add_argument("--out", type=Path, metavar="FILE", help="the page (default: slides_NN.html)")
    slides.set_defaults(action=run_slides)

    exam = actions.add_parser("exam", help="write a sample exam, and its key", epilog=EXAM)
    exam.add_argument(
        "--seed", type=_number, metavar="N", help="of all numbers (default: a new one, which the key names)"
    )
    exam.add_argument(
        "--lesson", type=_number, action="append", default=[], metavar="N", help="only on this one; may come again"
    )
    exam.add_argument(
        "--out", type=Path, default=Path("exam.html"), metavar="FILE", help="the sheet (default: exam.html)"
    )
    exam.add_argument("--key", type=Path, metavar="FILE", help="the key (default: beside the sheet, NAME-key.html)")
    exam.set_defaults(action=run_exam)

    viva = actions.add_parser(
        "viva", help="ask about a student's own numbers, with answers for the examiner", epilog=VIVA
    )
    viva.add_argument(
        "place", type=Path, metavar="DIR|FILE", help="a file; a student's folder, or a class, as for `lesson grade`"
    )
    viva.add_argument("--exercise", action="append", default=[], metavar="NAME", help="only this one; may come again")
    viva.add_argument(
        "--seed", type=_number, metavar="N", help="of the questions (default: a new one, which is printed)"
    )
    viva.add_argument("--out", type=Path, metavar="FILE", help="write a page to print, in place of text")
    viva.add_argument("--trust", action="store_true", help="run files also where files and network cannot be cut off")
    viva.add_argument("--json", action="store_true", help="print questions and answers as JSON")
    viva.set_defaults(action=run_viva)


def run_slides(args: argparse.Namespace) -> int:
    """Write the page."""
    from ..course.slides import slides_page

    _write(args.out or Path(f"slides_{args.number:02}.html"), slides_page(args.number))
    return 0


def run_exam(args: argparse.Namespace) -> int:
    """Write the sheet and its key."""
    from ..course.exam import exam
    from ..course.paper import exam_page

    seed = secrets.randbelow(2**31) if args.seed is None else args.seed
    key = args.key or args.out.with_name(f"{args.out.stem}-key{args.out.suffix}")
    if key == args.out:
        raise InputError("the sheet and its key are to be two files")
    questions = exam(seed, args.lesson)
    again = " ".join(["tinyresnet lesson exam", f"--seed {seed}", *(f"--lesson {number}" for number in args.lesson)])
    title = "Residual networks: exam"
    _write(args.out, exam_page(title, questions))
    _write(key, exam_page(f"{title}, key", questions, key=f"Seed {seed}; made by: {again}"))
    return 0


def run_viva(args: argparse.Namespace) -> int:
    """Ask; 1 if there is nothing to ask some student."""
    from ..course.exercises import EXERCISES, transfer_exercises
    from ..course.grade.judge import wall
    from ..course.grade.submissions import submissions
    from ..course.viva import viva

    known = {one.name: one for one in EXERCISES} | transfer_exercises(needed=False)
    for name in args.exercise:
        if name not in known:
            raise unknown("exercise", name, known)
    wall(args.trust)
    seed = secrets.randbelow(2**31) if args.seed is None else args.seed
    files = {name: exercise.file or f"{name}.py" for name, exercise in known.items()}
    asked: list[tuple[str, str, list[VivaQuestion]]] = []
    silent: list[str] = []
    for one in submissions(args.place, files, tuple(args.exercise)):
        if one.path is None or one.by_hand:
            continue
        try:
            asked.append(
                (
                    one.student,
                    one.exercise,
                    viva(known[one.exercise], one.path, seed=seed, student=one.student, trust=args.trust),
                )
            )
        except InputError as error:
            silent.append(f"{one.student}: {error}")
    if asked or args.json:
        _tell(args, asked, seed)
    for line in silent:
        print(f"nothing to ask {line}", file=sys.stderr)
    return 1 if silent or not asked else 0


def _tell(args: argparse.Namespace, asked: list[tuple[str, str, list[VivaQuestion]]], seed: int) -> None:
    from ..course import paper

    if args.json:
        students = [
            {"student": who, "exercise": what, "questions": [_plain(one) for one in them]} for who, what, them in asked
        ]
        console.print_json({"seed": seed, "students": students})
    elif args.out:
        _write(args.out, paper.viva_page(asked, seed))
    else:
        for who, what, questions in asked:
            print(paper.viva_text(who, what, questions))
        print(f"seed {seed}: --seed {seed} asks the same again")


def _write(path: Path, page: str) -> None:
    from ..files import write

    write(path, lambda file: file.write(page))
    print(f"written: {path}", file=sys.stderr)


def _plain(question: VivaQuestion) -> dict[str, Any]:
    """A question as JSON."""
    given = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in question.given.items()}
    return question._asdict() | {"given": given}
