"""What was handed in: a file, a student's folder, or a class folder with a folder or some files for each student."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError
from .. import cuts
from .faults import plain

MOST_FILES = 20_000
START = 400  # bytes in which the first line of the instructions stands


class Submission(NamedTuple):
    """One file of one student. `path` is None where it was not handed in."""

    student: str
    exercise: str
    path: Path | None
    by_hand: bool = False  # rung a: numbers
    note: str = ""


def submissions(
    place: Path, exercises: Mapping[str, str], only: tuple[str, ...] = (), *, one_student: bool = False
) -> list[Submission]:
    """All files to grade in a place, by student; `exercises` maps names to file names, `only` are those to grade.

    With `one_student` all files are one student's, whatever their names say. A missing exercise of `only`, or one that another student of
    the class handed in, is there without a path. Raises InputError.
    """
    if not place.exists():
        raise InputError(f"there is no {place}")
    if not place.is_dir():
        exercise, by_hand, _ = _exercise(place, exercises, only)
        if exercise is None:
            raise InputError(f"{place} names no exercise: give --exercise, one of {', '.join(sorted(exercises))}")
        return [Submission(plain(place.stem), exercise, place, by_hand)]
    found: dict[str, dict[tuple[str, bool], Submission]] = {}
    for student, path in _files(place, exercises):
        exercise, by_hand, rest = _exercise(path, exercises, only)
        if exercise is None or (only and exercise not in only):
            continue
        name = plain(("" if one_student else student or rest) or place.resolve().name)
        before = found.setdefault(name, {}).get((exercise, by_hand))
        note = f"handed in more than once: {path.name} counts" if before else ""
        found[name][exercise, by_hand] = Submission(name, exercise, path, by_hand, note)
    if place.is_dir() and only and not found:
        found[place.resolve().name] = {}
    if not found:
        raise InputError(f"{place} holds no file of an exercise: names like conv.py or ana_conv.py are wanted")
    return _completed(found, only)


def _completed(found: dict[str, dict[tuple[str, bool], Submission]], only: tuple[str, ...]) -> list[Submission]:
    wanted = {(name, False) for name in only} or {key for files in found.values() for key in files}
    listed = []
    for student in sorted(found, key=str.casefold):
        files = found[student]
        numbers = {name for name, by_hand in files if by_hand}
        for name, by_hand in sorted(wanted | files.keys()):
            if (name, by_hand) in files:
                listed.append(files[name, by_hand])
            elif by_hand or name not in numbers or not only:
                listed.append(Submission(student, name, None, by_hand))
    return listed


def _files(place: Path, exercises: Mapping[str, str]) -> list[tuple[str, Path]]:
    """(student, file) for each file that may be one; links are not followed. The student is "" where the file's name says who."""
    folders = [path for path in sorted(place.iterdir()) if path.is_dir() and not path.is_symlink()]
    alone = [path for path in sorted(place.iterdir()) if _is_code(path)]
    found = [("", path) for path in alone]
    for folder in folders:
        if not folder.name.startswith((".", "__")):
            found += [(folder.name, path) for path in sorted(folder.rglob("*")) if _is_code(path)]
        if len(found) > MOST_FILES:
            raise InputError(f"{place} holds more than {MOST_FILES:,} files: that is no class")
    return found


def _is_code(path: Path) -> bool:
    """Whether it may be a submission; hidden files, as archives of macOS hold, are none."""
    return path.suffix in (".py", ".cu") and not path.name.startswith(".") and path.is_file() and not path.is_symlink()


def _exercise(path: Path, exercises: Mapping[str, str], only: tuple[str, ...]) -> tuple[str | None, bool, str]:
    """(exercise, whether it is rung a, what else is in the name), by the end of the file's name, else by its instructions."""
    for name in sorted(exercises, key=len, reverse=True):
        shape = rf"(?P<rest>.*?)(?:^|[ ._-]){name}(?P<numbers>_numbers)?(?:[ _-]?\(?\d+\)?)?"
        if path.suffix == Path(exercises[name]).suffix and (found := re.fullmatch(shape, path.stem, re.IGNORECASE)):
            return name, bool(found["numbers"]), found["rest"].strip(" ._-")
    try:
        with path.open("rb") as file:
            head = cuts.header(file.read(START * 10).decode("utf-8", "replace"))
    except OSError:
        head = None
    if head is not None and head[0] in exercises:
        return head[0], head[1] == "a", path.stem
    return (only[0], False, path.stem) if len(only) == 1 else (None, False, "")
