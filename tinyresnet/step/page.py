"""The page: one HTML file with the trace, its style and one ES module inside; it asks the network for nothing.

The modules of `web/` are joined into one, whose default export is a notebook widget (`render`, as anywidget calls it). In the page the
same module stands inline, followed by `startPage()`, which reads the payload from its script element. A server passes its own payload
as `data`, with "server": its address, below which `tensors/<number>` gives a tensor's bytes and `nudge?name=&at=&by=` {"loss": ...}.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import InputError, unknown
from ..files import write
from .payload import payload
from .session import Session
from .words import words

ENTRY = "start.js"
STYLES = ("theme", "frame", "river", "panels", "grid", "predict", "arithmetic", "moments", "stages", "narrow")
LARGEST = 3_000_000  # bytes of a page
IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([\w.]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:function\*?|class|const|let) (\w+))", re.MULTILINE)
TAGS = {"en": "en", "zh": "zh-Hans"}  # what an HTML document calls its language


@cache
def module_source() -> str:
    """All modules of the page as one ES module, without imports; it exports `startPage` and, by default, {render} for anywidget."""
    names = _ordered(ENTRY, [])
    parts = [_enclosed(name) for name in names]
    return "\n".join(
        [*parts, f"export const {{ startPage, render }} = {_variable(ENTRY)};", "export default { render };\n"]
    )


def style_source() -> str:
    """The page's style sheet; a widget needs it too."""
    return "\n".join(_web(f"{name}.css") for name in STYLES)


def page_source(session: Session, *, language: str = "en", data: Mapping[str, Any] | None = None) -> str:
    """The page of a session; `data` is the payload, by default all of it. Raises InputError on an unknown language."""
    if language not in words():
        raise unknown("language", language, words())
    data = payload(session) if data is None else data
    script = f"\n{module_source()}\nstartPage();\n"
    parts = {
        "lang": TAGS.get(language, language),
        "language": language,
        "title": html.escape(f"tinyresnet step: {session.title}"),
        "policy": _policy(script, server="server" in data),
        "style": style_source(),
        "script": script,
        "payload": json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _web("page.html"))


def write_page(path: Path, session: Session, *, language: str = "en") -> None:
    """Write the page of a session to `path`. Raises InputError if it would be over 3 MB, or cannot be written."""
    text = page_source(session, language=language)
    size = len(text.encode())
    if size > LARGEST:
        raise InputError(
            f"{path}: the page would be {size / 1e6:.1f} MB, more than {LARGEST / 1e6:.0f} MB: "
            "a network as large as this opens with --serve, which loads numbers when they are looked at"
        )
    write(path, lambda file: file.write(text))


def _policy(script: str, *, server: bool) -> str:
    """The page may run its own script, and ask its own server if it has one; nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    connect = "'self'" if server else "'none'"
    rules = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; connect-src {connect}"
    return f"{rules}; base-uri 'none'; form-action 'none'"


def _ordered(name: str, before: list[str]) -> list[str]:
    """The modules that `name` needs and then itself, each once."""
    for _, needed in IMPORT.findall(_web(name)):
        if needed not in before:
            _ordered(needed, before)
    before.append(name)
    return before


def _enclosed(name: str) -> str:
    """A module as a constant: what it exports; its other names stay its own."""
    text = IMPORT.sub(lambda found: f"const {found[1].replace(' as ', ': ')} = {_variable(found[2])};\n", _web(name))
    exported = ", ".join(found[1] for found in EXPORT.findall(text))
    body = EXPORT.sub(r"\1", text)
    return f"const {_variable(name)} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"


def _variable(name: str) -> str:
    return f"module_{name.removesuffix('.js')}"


@cache
def _web(name: str) -> str:
    return (resources.files(__package__) / "web" / name).read_text(encoding="utf-8")
