"""What a student's code does in place of an answer: a class for each, and the sentence that tells it."""

from __future__ import annotations

import re
from typing import Any

from .inside.guard import FOREIGN

SIGNALS = {4: "an illegal instruction", 6: "an abort", 7: "a bus error", 8: "a wrong operation", 9: "being killed",
           11: "a segmentation fault", 24: "using all its time", 25: "writing too large a file"}  # fmt: skip


class StudentError(Exception):
    """What the student's code did in place of an answer; the message is a sentence for the student."""


class TimedOut(StudentError):  # noqa: N818
    """No answer in time."""


class Crashed(StudentError):  # noqa: N818
    """It raised (`type`, `text`, and the student's `line` number and `code`), or its process ended (no `line`)."""

    def __init__(
        self, sentence: str, *, line: int | None = None, code: str = "", type: str = "", text: str = ""
    ) -> None:
        super().__init__(sentence)
        self.line, self.code, self.type, self.text = line, code, type, text


class Unwritten(Crashed):
    """A gap is not filled yet."""


class Missing(StudentError):  # noqa: N818
    """There is no function of this name."""


class Refused(StudentError):  # noqa: N818
    """It calls a library in place of an answer, or reaches for what an answer does not need."""


class BadResult(StudentError):  # noqa: N818
    """What came back is no array, or no answer at all."""


def plain(text: str, most: int = 300) -> str:
    """Text of a student as it may be printed: no control characters, not too long."""
    shown = "".join(c if c.isprintable() or c == "\n" else " " for c in text[: most + 1])
    return shown if len(shown) <= most else shown[:most] + "..."


def ended(code: int | None) -> str:
    """How a process ended, by its exit code."""
    if code is None:
        return "the process closed its line to the judge"
    number = -code if code < 0 else code - 128 if code > 128 else 0  # bubblewrap gives 128 more
    if number:
        return f"the process died of {SIGNALS.get(number, f'signal {number}')}"
    return f"the process ended by itself with exit code {code}"


def raised(error: dict[str, Any], name: str, refused: tuple[str, ...]) -> StudentError:
    """What was raised, as an exception of ours."""
    said = {
        key: plain(one)
        for key in ("kind", "type", "text", "code", "function")
        if isinstance(one := error.get(key), str)
    }
    kind, text = said.get("kind", ""), said.get("text", "")
    line = error.get("line") if type(error.get("line")) is int else None
    place = f", line {line}: {said['code']}" if line and said.get("code") else f", line {line}" if line else ""
    if kind == "missing":
        return Missing(f"there is no {name}")
    if kind == "answer":
        return BadResult(f"what {name} gives {text or 'is too large for the memory'}")
    foreign = next((one for one in refused if re.match(r"import (\w+)", one) and one[7:].split(".")[0] in FOREIGN), "")
    if foreign:
        return Refused(f"calls a library in place of an answer: {foreign}{place}")
    if refused:
        return Refused(f"tries to {refused[-1]}, which no answer needs{place}")
    details: dict[str, Any] = {"line": line, "code": said.get("code", ""), "type": said.get("type", ""), "text": text}
    if kind == "unwritten":
        return Unwritten(f"is not written yet{place}", **details)
    sentences = {
        "memory": "needs more memory than is allowed",
        "exit": "calls sys.exit",
        "recursion": "calls itself without end",
    }
    plainly = f"{details['type'] or 'an exception'}: {text}" if text else details["type"] or "an exception"
    return Crashed(f"{sentences.get(kind, plainly)}{place}", **details)
