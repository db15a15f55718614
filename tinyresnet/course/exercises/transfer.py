"""Transfer variants: exercises whose answers are not in the library, nor in the wheel. They are in `lessons/instructor/answers/`."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..places import folder
from .model import Exercise

ENTRIES = "entries.py"


def answers_folder() -> Path | None:
    """Where the instructor's answers are, if they are here."""
    place = folder() / "instructor" / "answers"
    return place if (place / ENTRIES).is_file() else None


def transfer_exercises(*, needed: bool = True) -> dict[str, Exercise]:
    """The transfer variants by name. Raises InputError where they are `needed` and only a wheel is installed."""
    place = answers_folder()
    if place is None:
        if needed:
            raise InputError(
                "the transfer variants are not in the installed package, so that nobody finds their answers there: "
                "they come with the instructor's checkout (lessons/instructor/answers)"
            )
        return {}
    return _loaded(place)


@functools.cache
def _loaded(place: Path) -> dict[str, Exercise]:
    spec = importlib.util.spec_from_file_location("tinyresnet_transfer_entries", place / ENTRIES)
    if spec is None or spec.loader is None:
        raise InputError(f"{place / ENTRIES} is no Python file")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {one.name: one for one in module.EXERCISES}
