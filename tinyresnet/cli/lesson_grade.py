"""`tinyresnet lesson grade`: points for submissions, each run in a process of its own behind a wall."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, unknown
from . import arguments, console

if TYPE_CHECKING:
    from ..course.grade.score import Score

EXAMPLE = """\
what to grade:
  a file         conv.py, or ana_conv.py
  a folder       a student's files; or a class, with a folder or some files for each student
  a table        with --worksheet 8: a CSV file with the columns name, 1, 2 ... 8, the typed answers of sheets on paper

Submissions run behind bubblewrap where it works: no files, no network, limits on time and memory. Elsewhere the command
says "not isolated" and wants --trust. The numbers they are judged by come from a new seed each time, which is printed.

examples:
  tinyresnet lesson grade conv.py
  tinyresnet lesson grade class/ --csv scores.csv
  tinyresnet lesson grade class/ --exercise conv --exercise batch_norm --seed 7
  tinyresnet lesson grade answers.csv --worksheet 8 --seed 3
  tinyresnet lesson grade --autograder autograder.zip --exercise conv
"""


def add_parser(actions: Any) -> None:
    """Declare the action and its arguments."""
    parser = actions.add_parser("grade", help="grade a file, a folder or a class", epilog=EXAMPLE)
    parser.add_argument("place", nargs="?", type=Path, metavar="DIR|FILE", help="what to grade; see below")
    parser.add_argument(
        "--exercise",
        action="append",
        default=[],
        metavar="NAME",
        help="grade this one; may come again (default: all that are found)",
    )
    parser.add_argument(
        "--seed",
        type=arguments.positive,
        metavar="N",
        help="of the judge's numbers (default: a new one); of a worksheet",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the points as a table, a row a student")
    parser.add_argument(
        "--gradescope", type=Path, metavar="FILE", help="write results.json for Gradescope (one student)"
    )
    parser.add_argument(
        "--autograder", type=Path, metavar="FILE", help="write autograder.zip for Gradescope; grades nothing"
    )
    parser.add_argument(
        "--worksheet", type=arguments.positive, metavar="N", help="a table of typed worksheets of N problems"
    )
    parser.add_argument("--own-numbers", action="store_true", help="worksheets: they were made with --roster, by name")
    parser.add_argument(
        "--jobs", type=arguments.positive, metavar="N", help="files at a time (default: one a processor)"
    )
    parser.add_argument("--trust", action="store_true", help="run them also where files and network cannot be cut off")
    parser.add_argument("--json", action="store_true", help="print the points and remarks as JSON")
    parser.set_defaults(action=run)


def run(args: argparse.Namespace) -> int:
    """Grade; the exit code."""
    from ..course.exercises import EXERCISES, transfer_exercises
    from ..course.grade import gradescope, table

    known = {exercise.name: exercise for exercise in EXERCISES} | transfer_exercises(needed=False)
    for name in args.exercise:
        if name not in known:
            raise unknown("exercise", name, known)
    seed = args.seed or 1 + secrets.randbelow(2**31 - 1)
    if args.autograder:
        if args.place or not args.exercise:
            raise InputError("--autograder wants --exercise, once or more, and nothing to grade")
        gradescope.write_autograder(args.autograder, args.exercise, seed)
        print(f"written: {args.autograder} (seed {seed})", file=sys.stderr)
        return 0
    if args.place is None:
        raise InputError("what shall be graded? A file or a folder, or see --help")
    began = time.perf_counter()
    scores = _worksheets(args) if args.worksheet else _submissions(args, known, seed)
    words = _words(args, seed)
    if args.gradescope:
        gradescope.write_results(args.gradescope, scores, time.perf_counter() - began, words)
    if args.csv:
        table.write_csv(args.csv, scores)
    if args.json:
        console.print_json(
            {
                "seed": args.seed if args.worksheet else seed,
                "isolated": _isolated(),
                "scores": [as_dict(one) for one in scores],
            }
        )
    else:
        _tables(scores, words)
    return 0


def _worksheets(args: argparse.Namespace) -> list[Score]:
    from ..course.grade.numbers import worksheets

    if args.seed is None:
        raise InputError("a worksheet's answers depend on its seed: give --seed")
    return worksheets(args.place, count=args.worksheet, seed=args.seed, own_numbers=args.own_numbers)


def _submissions(args: argparse.Namespace, known: dict[str, Any], seed: int) -> list[Score]:
    from ..course.grade import numbers
    from ..course.grade.judge import wall
    from ..course.grade.score import Paper
    from ..course.grade.submissions import Submission, submissions

    wall(args.trust)
    files = {name: exercise.file or f"{name}.py" for name, exercise in known.items()}
    found = submissions(args.place, files, tuple(args.exercise), one_student=args.gradescope is not None)
    papers = {name: Paper(known[name], seed) for name in {one.exercise for one in found}}

    def graded(one: Submission) -> Score:
        score = judged(one)
        return replace(score, note="; ".join(filter(None, (score.note, one.note))))

    def judged(one: Submission) -> Score:
        paper = papers[one.exercise]
        nothing = partial(numbers.nothing, paper.exercise) if one.by_hand else paper.nothing
        try:
            if one.path is None:
                return nothing(one.student, "not handed in")
            if one.by_hand:
                return numbers.numbers(paper.exercise, one.path, student=one.student, trust=args.trust)
            return paper.grade(one.path, student=one.student, trust=args.trust)
        except Exception as error:  # one submission must not end a class's run
            return nothing(one.student, f"could not be graded: {error}")

    scores = []
    with (
        ThreadPoolExecutor(args.jobs or os.cpu_count() or 1) as pool,
        console.progress(len(found), "grading", unit="submissions", quiet=args.json) as bar,
    ):
        try:
            for score in pool.map(graded, found):
                scores.append(score)
                bar.update(1)
        except BaseException:  # Ctrl-C must not wait for the rest of the class
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return scores


def _isolated() -> bool:
    from ..course.grade import sandbox

    return sandbox.find().isolated


def _words(args: argparse.Namespace, seed: int) -> str:
    """What is said of the whole run."""
    if args.worksheet:
        return f"worksheets of {args.worksheet} problems, seed {args.seed}"
    from ..course.grade import sandbox

    found = sandbox.find()
    how = "isolated by bubblewrap" if found.isolated else f"not isolated ({found.why})"
    return f"{how}; seed {seed}: --seed {seed} grades again by the same numbers"


def as_dict(score: Score) -> dict[str, Any]:
    """A score as JSON."""
    return asdict(score) | {"points": score.points, "most": score.most}


def _tables(scores: list[Score], words: str) -> None:
    students = {score.student for score in scores}
    if len(students) == 1:
        for score in scores:
            rows = [(part.name, f"{part.points:g}", f"{part.most:g}", part.said) for part in score.parts]
            console.table(f"{score.student}: {score.exercise}", ("function", "points", "of", "remark"), rows)
            _tried(score)
    else:
        console.table("the class", ("student", "exercise", "points", "of", "remark"), [_row(score) for score in scores])
    points, most = (sum(numbers) / len(students) for numbers in zip(*((s.points, s.most) for s in scores), strict=True))
    mean = f"{len(students)} students, {points:.1f} of {most:g} points each on average"
    print(f"{mean if len(students) > 1 else f'{points:g} of {most:g} points'}; {words}")


def _row(score: Score) -> tuple[str, ...]:
    faults = [part for part in score.parts if part.kind != "right"]
    if not faults:
        remark = "right"
    elif len({part.said for part in score.parts}) == 1:
        remark = faults[0].said
    else:
        remark = f"{faults[0].name}: {faults[0].said}"
    remark = f"{remark} ({score.note})" if score.note else remark
    return score.student, score.exercise, f"{score.points:g}", f"{score.most:g}", remark


def _tried(score: Score) -> None:
    if score.note:
        print(f"  {score.note}")
    for one in score.tried:
        print(f"  refused: it tried to {one}")
