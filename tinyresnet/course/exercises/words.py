"""The sentences of the exercises, in `words.json`: hints on each function, from far to near, and what a known mistake is about."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any


@functools.cache
def words() -> dict[str, Any]:
    """{"hints": {function: [...]}, "mistakes": {name: sentence}}."""
    return json.loads((Path(__file__).parent / "words.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def hints(function: str) -> tuple[str, ...]:
    """On this function."""
    return tuple(words()["hints"][function])
