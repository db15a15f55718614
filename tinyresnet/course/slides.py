"""A lesson's slides: one Markdown file, slides apart by `---`, made one page that needs no network.

Two kinds of fenced blocks mean something else than code: `notes` is for the speaker, `figure NAME` and `table NAME` are what NAME of
`slide_parts.py` draws, from the lessons' own data where there are data, so that a slide's numbers are those of its lesson.
"""

from __future__ import annotations

import html
import string
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown
from .places import folder, lesson


def sources() -> dict[int, Path]:
    """The slides' files by lesson. Raises InputError where only a wheel is installed."""
    place = folder() / "instructor" / "slides"
    found = {int(path.name[:2]): path for path in sorted(place.glob("[0-9][0-9]_*.md"))}
    if not found:
        raise InputError(
            "the slides are not in the installed package: they come with the instructor's checkout (lessons/instructor/slides)"
        )
    return found


def slides_page(number: int) -> str:
    """The page of a lesson's slides. Raises InputError where there are none."""
    known = sources()
    title = f"{number:02} · {lesson(number).title}"
    if number not in known:
        raise InputError(f"lesson {number:02} has no slides: lessons {', '.join(f'{one:02}' for one in known)} have")
    return page(title, known[number].read_text(encoding="utf-8"))


def page(title: str, text: str) -> str:
    """The page of a Markdown text."""
    slides = split(text)
    sections = "\n".join(
        f"<section>\n{slide}<footer><span>{html.escape(title)}</span><span>{at} / {len(slides)}</span></footer>\n</section>"
        for at, slide in enumerate(slides, 1)
    )
    template = resources.files(__package__).joinpath("slides.html").read_text(encoding="utf-8")
    return string.Template(template).substitute(title=html.escape(title), slides=sections)


def split(text: str) -> list[str]:
    """The HTML of each slide."""
    markdown = _markdown()
    slides: list[list[Any]] = [[]]
    for token in markdown.parse(text):
        if token.type == "hr" and token.level == 0:
            slides.append([])
        else:
            slides[-1].append(token)
    return [markdown.renderer.render(tokens, markdown.options, {}) for tokens in slides]


def _markdown() -> Any:
    from markdown_it import MarkdownIt  # `rich` depends on it too

    markdown = (
        MarkdownIt("commonmark", {"html": False}).enable("table").disable("lheading")
    )  # `---` under text is a new slide
    plain = markdown.renderer.rules["fence"]  # type: ignore[attr-defined]

    def fence(tokens: Sequence[Any], at: int, options: Any, env: Any) -> str:
        kind, _, name = tokens[at].info.strip().partition(" ")
        if kind == "notes":
            return f"<aside>{markdown.render(tokens[at].content)}</aside>\n"
        if kind in ("figure", "table"):
            return drawn(name)
        return str(plain(tokens, at, options, env))

    markdown.renderer.rules["fence"] = fence  # type: ignore[attr-defined]
    return markdown


def drawn(name: str) -> str:
    """The HTML of a part. Raises InputError on an unknown one."""
    from .slide_parts import PARTS

    if name not in PARTS:
        raise unknown("part of a slide", name, PARTS)
    return PARTS[name]()
