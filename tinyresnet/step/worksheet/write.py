"""Worksheets on paper: problems from a hand-number trace, and apart from them an answer key; for one reader or for a class."""

from __future__ import annotations

import html
import string
from functools import partial
from importlib import resources
from pathlib import Path
from typing import IO, Any

from ...errors import InputError
from ...files import write
from ..session import Session, hand_session
from ..words import in_language
from .answer_key import answers
from .problem_sheet import network, questions
from .problems import Problem, problems
from .roster import file_name, read_roster, student_seed


def write_worksheets(path: Path, *, count: int, seed: int, roster: Path | None, language: str = "en") -> list[Path]:
    """Write sheets of `count` problems and their key; the files written, sheets first.

    Without a roster: sheet.html and sheet-key.html if path is sheet.html; else path is a folder, for sheet.html and key.html.
    With one: path is a folder, for one sheet a student, each with numbers of its own, and one key.html for all.
    Raises InputError on a count, seed, language or roster that will not do, and on a folder that is not empty.
    """
    words = words_of(language)
    if seed < 0:
        raise InputError(f"seed {seed} cannot be had: a whole number from 0 on is wanted")
    is_file = path.suffix.lower() in (".html", ".htm")
    _check(path, is_file, roster)
    students = [("", seed)] if roster is None else [(name, student_seed(seed, name)) for name in read_roster(roster)]
    sheets = [(name, session, problems(session, count)) for name, of in students for session in [hand_session(of)]]
    if is_file:
        files = [path, path.with_name(f"{path.stem}-key{path.suffix}")]
    elif roster is None:
        files = [path / "sheet.html", path / "key.html"]
    else:
        files = [path / file_name(number, name) for number, (name, _) in enumerate(students, 1)] + [path / "key.html"]
    pages = [_sheet(session, asked, name, words) for name, session, asked in sheets] + [_key(sheets, seed, words)]
    for file, page in zip(files, pages, strict=True):
        write(file, partial(_fill, page))
    return files


def _check(path: Path, is_file: bool, roster: Path | None) -> None:
    """Raise InputError if the pages cannot go there."""
    if is_file and roster is not None:
        raise InputError(
            f"sheets for a class go into a folder, and {path} is the name of a file: one like sheets is wanted"
        )
    if is_file and path.is_dir():
        raise InputError(f"{path} is a folder: a file like sheet.html is wanted")
    if not is_file and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} is not an empty folder: a new one, an empty one, or a file like sheet.html is wanted")


def _fill(page: str, out: IO[str]) -> None:
    out.write(page)


def _sheet(session: Session, asked: list[Problem], student: str, words: dict[str, Any]) -> str:
    """The page of one reader."""
    seed = words["seed"].format(seed=session.seed)
    again = words["again" if words["language"] == "en" else "again_language"]
    body = f"""<header>
<h1>{words["title"]}</h1>
<p class="seed">{seed}</p>
<p class="fill"><span>{words["name"]}</span><b>{html.escape(student)}</b><span>{words["date"]}</span><i></i></p>
</header>
<p>{words["subtitle"]}</p>
<p class="small">{words["reading"]}</p>
<p class="small">{words["network"]}{words["colon"]}{html.escape(network(session.trace))}</p>
{questions(session, asked, words)}
<p class="small">{html.escape(again.format(count=len(asked), seed=session.seed, language=words["language"]))}</p>"""
    return _page(f"{words['title']}: {seed}", seed, f"<article>{body}</article>", words["language"])


def _key(sheets: list[tuple[str, Session, list[Problem]]], seed: int, words: dict[str, Any]) -> str:
    """The page with the answers of one sheet or of a whole class."""
    articles = []
    for student, session, asked in sheets:
        heading = html.escape(student or words["title"])
        articles.append(
            f"""<article><header><h1>{words["key"]}{words["colon"]}{heading}</h1>
<p class="seed">{words["seed"].format(seed=session.seed)}</p></header>
<p class="small">{words["key_reading"]}</p>
{answers(session, asked, words)}</article>"""
        )
    named = words["class_again"].format(students=len(sheets), seed=seed) if sheets[0][0] else ""
    opening = f'<p class="small">{named}</p>' if named else ""
    return _page(f"{words['title']}: {words['key']}", words["key"], opening + "".join(articles), words["language"])


def _page(title: str, footer: str, body: str, language: str) -> str:
    template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    lang = {"zh": "zh-Hans"}.get(language, language)
    return string.Template(template).substitute(lang=lang, title=html.escape(title), footer=footer, body=body)


def words_of(language: str) -> dict[str, Any]:
    """The sheets' words in one language. Raises InputError on an unknown one."""
    return in_language(language, __package__)
