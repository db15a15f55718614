"""Pages to print: exams and their keys, questions of a viva. Numbers stand in tables; what comes from a student is escaped."""

from __future__ import annotations

import html
import itertools
import string
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from .exam import Question

if TYPE_CHECKING:
    from .viva import VivaQuestion

Asked = Iterable[tuple[str, str, "list[VivaQuestion]"]]  # student, exercise, questions


def number(value: Any) -> str:
    """A number as people write it: thousands apart, at most four places, a real minus."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    text = f"{float(value):,.4f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "0") else text.replace("-", "−")


def exam_page(title: str, questions: Iterable[Question], *, key: str = "") -> str:
    """The exam as HTML; with `key`, a sentence on where it comes from, its answers."""
    questions = list(questions)
    points = sum(question.points for question in questions)
    head = f"<h1>{html.escape(title)}</h1>"
    if key:
        head += f'<p class="small">{html.escape(key)}</p>'
    else:
        head += '<p class="fill"><span>Name</span><b></b><span>Date</span><i></i></p>'
    head += f"<p>{len(questions)} questions, {points} points. Indices count from 0. "
    head += "Write each number into its box: a fraction, or at least three digits.</p>"
    sections = "".join(_question(at, one, answers=bool(key)) for at, one in enumerate(questions, 1))
    return page(title, f"<article>{head}{sections}</article>")


def _question(at: int, question: Question, *, answers: bool) -> str:
    about = f"lesson {question.lesson:02}, {question.points} points"
    rows = "".join(
        f"<p><span>{html.escape(ask.name)}</span>"
        + (f"<strong>{number(ask.value)}</strong>" if answers else "<i></i>")
        + f"<small>{ask.points} {'point' if ask.points == 1 else 'points'}</small></p>"
        for ask in question.asks
    )
    end = f'<p class="small key">{html.escape(question.working)}</p>' if answers else ""
    room = "" if answers else '<div class="room"></div>'
    return f"""<section><h2>{at}. {html.escape(question.title)}<small>{about}</small></h2>
<p>{html.escape(question.text)}</p>{numbers(question.given)}{room}<div class="asks">{rows}</div>{end}</section>"""


def viva_page(asked: Asked, seed: int) -> str:
    """The questions of a class as HTML: of each student a page to ask from, and a page for the examiner."""
    articles = []
    for who, what, questions in asked:
        for examiner in (False, True):
            head = f"<h1>{html.escape(who)}: {html.escape(what)}{', for the examiner' if examiner else ''}</h1>"
            sections = ""
            for at, one in enumerate(questions, 1):
                body = "" if examiner else numbers(one.given)
                if examiner:
                    body = "".join(f'<p class="key">{html.escape(text)}</p>' for text in (one.answer, one.note) if text)
                sections += (
                    f"<section><h2>{at}. {html.escape(one.function)}</h2><p>{html.escape(one.text)}</p>{body}</section>"
                )
            articles.append(f"<article>{head}{sections}</article>")
    return page(f"Viva, seed {seed}", "".join(articles))


def viva_text(who: str, what: str, questions: Iterable[VivaQuestion]) -> str:
    """The questions of one student as text, answers last."""
    lines, answers = [f"{who}: {what}"], []
    for at, one in enumerate(questions, 1):
        lines += [
            "",
            f"Question {at}, {one.function}. The numbers:",
            *(f"  {name} = {_text(value)}" for name, value in one.given.items()),
        ]
        lines += ["", one.text]
        answers += [f"  {at}. {one.answer}", *([f"     {one.note}"] if one.note else [])]
    return "\n".join([*lines, "", "For the examiner:", *answers, ""])


def _text(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return str(value)
    whole = value.astype(int) if value.dtype.kind == "f" and (value == np.rint(value)).all() else value
    return np.array2string(whole, separator=", ", prefix="     ")


def numbers(given: Mapping[str, Any]) -> str:
    """Named numbers and arrays, side by side."""
    return f'<div class="given">{"".join(f"<div>{html.escape(name)} = {_value(value)}</div>" for name, value in given.items())}</div>'


def _value(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return html.escape(str(value)) if isinstance(value, str | tuple | list) else number(value)
    if value.ndim == 0:
        return number(value)
    if value.ndim <= 2:
        return _table(np.atleast_2d(value))
    places = itertools.product(*map(range, value.shape[:-2]))
    return "".join(
        f"<figure><figcaption>[{', '.join(map(str, at))}]</figcaption>{_table(value[at])}</figure>" for at in places
    )


def _table(values: Any) -> str:
    rows = "".join(f"<tr>{''.join(f'<td>{number(one)}</td>' for one in row)}</tr>" for row in values)
    return f"<table>{rows}</table>"


def page(title: str, body: str) -> str:
    """A page of its own, which asks the network for nothing."""
    template = resources.files(__package__).joinpath("paper.html").read_text(encoding="utf-8")
    return string.Template(template).substitute(title=html.escape(title.replace('"', "'")), body=body)
