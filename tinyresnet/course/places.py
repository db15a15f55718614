"""Where the lessons are: in the checkout `lessons/`, in an installed wheel `tinyresnet/_lessons/`.

A lesson is a marimo notebook `NN_name.py` whose docstring begins with its title, its minutes and what should be read before it:

    \"\"\"The residual add

    45 minutes. Needs lesson 01.
    \"\"\"
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown

LANGUAGES = ("en", "zh")
PACKAGE = Path(__file__).resolve().parents[1]
FILE = re.compile(r"(\d\d)_\w+\.py")
DOCSTRING = re.compile(r'\s*"""(.+?)"""', re.DOTALL)


@dataclass(frozen=True)
class Lesson:
    """One lesson; minutes of reading, and the numbers of the lessons that it needs, are what its docstring says."""

    number: int
    title: str
    path: Path
    minutes: int
    needs: tuple[int, ...]


def folder() -> Path:
    """The folder of the lessons. Raises InputError if it is in neither place."""
    for place in (PACKAGE / "_lessons", PACKAGE.parent / "lessons"):
        if place.is_dir():
            return place
    raise InputError(
        f"the lessons are missing: neither {PACKAGE / '_lessons'} nor {PACKAGE.parent / 'lessons'} is there"
    )


def lesson_files(language: str = "en") -> dict[int, Lesson]:
    """All lessons in a language, by number. Raises InputError on an unknown language."""
    if language not in LANGUAGES:
        raise unknown("language", language, LANGUAGES)
    place = folder() if language == "en" else folder() / language
    return {int(path.name[:2]): _lesson(path) for path in sorted(place.glob("*.py")) if FILE.fullmatch(path.name)}


def lesson(number: int, language: str = "en") -> Lesson:
    """The lesson of this number. Raises InputError that says which there are."""
    lessons = lesson_files(language)
    if number not in lessons:
        there = ", ".join(f"{known:02}" for known in lessons)
        where = f" in {language!r}" if language != "en" else ""
        raise InputError(f"there is no lesson {number:02}{where}: there are {there}")
    return lessons[number]


def data(name: str) -> Any:
    """What `lessons/data/NAME.json` holds: {"command", "seed", "made_with", "results"}. Raises InputError if it is not there."""
    place = folder() / "data"
    known = sorted(path.stem for path in place.glob("*.json"))
    if name not in known:
        raise unknown("lesson data", name, known)
    return json.loads((place / f"{name}.json").read_text(encoding="utf-8"))


def _lesson(path: Path) -> Lesson:
    found = DOCSTRING.match(path.read_text(encoding="utf-8"))
    title, *rest = found[1].splitlines() if found else [path.stem[3:].replace("_", " ")]
    about = " ".join(rest)
    minutes = re.search(r"(\d+)\s*(?:minutes|分钟)", about)
    needs = re.search(r"(?:Needs lessons?|先修)\s*((?:\d\d[ ,、]*)+)", about)
    return Lesson(
        int(path.name[:2]),
        title.rstrip(".").strip(),
        path,
        int(minutes[1]) if minutes else 0,
        tuple(map(int, re.findall(r"\d\d", needs[1]))) if needs else (),
    )
