"""What the terminal says beside the sentences of `words.py`, in the reader's language; and how it says it where there is ASCII alone."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from ...errors import unknown

PLAINER = str.maketrans({"×": "*", "−": "-", "²": "^2", "…": "~"})


@cache
def _all() -> dict[str, Any]:
    return json.loads((resources.files(__package__) / "words.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def phrases(language: str) -> dict[str, Any]:
    """The terminal's words. Raises InputError on an unknown language."""
    if language not in _all():
        raise unknown("language", language, _all())
    return _all()[language]  # type: ignore[no-any-return]


def writable(text: str, encoding: str | None) -> str:
    """The text as it is, or with plainer signs where the encoding lacks ×, − and their like."""
    try:
        "".join(map(chr, PLAINER)).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return text.translate(PLAINER)
    return text
