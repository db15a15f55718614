"""What the terminal says beside the sentences of `words.py`, in the reader's language; and how it says it where there is ASCII alone."""

from __future__ import annotations

from typing import Any

from ..words import in_language

PLAINER = str.maketrans({"×": "*", "−": "-", "²": "^2", "…": "~"})


def phrases(language: str) -> dict[str, Any]:
    """The terminal's words. Raises InputError on an unknown language."""
    return in_language(language, __package__)


def writable(text: str, encoding: str | None) -> str:
    """The text as it is, or with plainer signs where the encoding lacks ×, − and their like."""
    try:
        "".join(map(chr, PLAINER)).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return text.translate(PLAINER)
    return text
