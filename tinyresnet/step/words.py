"""What the stepper says of a step, in the reader's language; the page says the same sentences."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from ..errors import unknown
from ..trace import Step, Trace


@cache
def words(package: str = __package__) -> dict[str, Any]:
    """All sentences by language: those of the steps, or those that another face keeps in a words.json of its own."""
    return json.loads((resources.files(package) / "words.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def in_language(language: str, package: str = __package__) -> dict[str, Any]:
    """The sentences in one language. Raises InputError on an unknown one."""
    if language not in words(package):
        raise unknown("language", language, words(package))
    return words(package)[language]  # type: ignore[no-any-return]


def sentence(trace: Trace, step: Step, language: str = "en") -> str:
    """ "Step 14 of 48: the gradient reaches the add. Both branches get the same 8 numbers." Raises InputError on an unknown language."""
    of_language = in_language(language)
    known = of_language[step.direction]
    cells = next(step.tensors[name].size for name in ("dy", "x", "a", "da", "x0") if name in step.tensors)
    name = step.kind if step.train or f"{step.kind} eval" not in known else f"{step.kind} eval"
    text = known.get(name, known["other"]).format(cells=cells, kind=step.kind)
    return str(of_language["step"].format(number=step.index + 1, count=len(trace), sentence=text))
