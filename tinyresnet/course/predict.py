"""Predict, then see: a question whose answer is shown once the reader has chosen.

asked = ask("What leaves the fork?", ["the sum", "the mean"])     # a cell of its own: marimo runs the readers of its value again
reveal(asked, "the sum", "The *sum*: x reaches the loss by two ways.")

Where nobody can choose (a page that was exported, Jupyter) the answer is folded, and a click unfolds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InputError

WORDS = {
    "en": {"fold": "The answer (choose first)", True: "Right.", False: "Not so: it is “{right}”."},
    "zh": {"fold": "答案（请先选）", True: "对。", False: "不对，应该是“{right}”。"},
}


def ask(question: str, options: Sequence[str]) -> Any:
    """A marimo radio with nothing chosen."""
    import marimo as mo

    return mo.ui.radio(options=list(options), label=question)


def reveal(asked: Any, right: str, said: str, *, language: str = "en") -> Any:
    """What the measurement `said` (Markdown), and whether the choice was the `right` option. Raises InputError if that is no option."""
    import marimo as mo

    if right not in asked.options:
        raise InputError(f"the right answer is {right!r}: one of {list(asked.options)} is wanted")
    words = WORDS[language]
    if asked.value is None:
        return mo.Html(f"<details><summary>{words['fold']}</summary>{mo.md(said).text}</details>")
    hit = asked.value == right
    return mo.callout(mo.md(f"**{words[hit].format(right=right)}** {said}"), kind="success" if hit else "warn")
