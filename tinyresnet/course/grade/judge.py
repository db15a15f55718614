"""One student's file as something to call: arrays go out, arrays come back, and all that can go wrong has a name.

    with Student("conv.py") as student:
        dx, dweight, dbias = student.call("conv2d_backward", dy, (x, weight, bias, 1, 0))

The file runs in a process of its own (`process.py`, `inside/__main__.py`), behind the best wall there is (`sandbox.py`).
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ...errors import InputError
from . import sandbox
from .faults import BadResult, Crashed, Missing, Refused, StudentError, TimedOut, Unwritten, ended, plain, raised
from .inside import wire
from .process import Ended, Process, Silent
from .sandbox import Limits, Wall

__all__ = [
    "Answer", "BadResult", "Crashed", "Missing", "Refused", "Student", "StudentError", "TimedOut", "Unwritten", "read_source", "wall",
]  # fmt: skip

MOST_SOURCE = 1 << 20
START = 20.0  # seconds for Python and NumPy to start on a busy machine
STARTS = 30


class Answer(NamedTuple):
    """What a function gave; which arguments (by number) it changed; what it tried and was refused; what it took."""

    value: Any
    changed: tuple[int, ...]
    refused: tuple[str, ...]
    seconds: float


def read_source(path: Path) -> bytes:
    """The bytes of a submission. Raises InputError on what is no plain file of a sensible size; links are not followed."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path} is no plain file")
    with os.fdopen(handle, "rb") as file:
        source = file.read(MOST_SOURCE + 1)
    if len(source) > MOST_SOURCE:
        raise InputError(f"{path} is larger than {MOST_SOURCE:,} bytes: that is no exercise")
    return source


def wall(trust: bool) -> Wall:
    """The wall to use. Raises InputError where nothing cuts off files and network and nobody said --trust."""
    found = sandbox.find()
    if not found.isolated and not trust:
        raise InputError(
            f"not isolated: {found.why}, so submissions could read files and use the network; "
            "install bubblewrap, or give --trust for code that you trust"
        )
    return found


class Student:
    """A submission. Its process starts with the first question, and again after a crash, so that one costs one function only.

    Use it in one thread: the process ends with the thread that started it.
    """

    def __init__(
        self, path: Path | str, *, trust: bool = False, limits: Limits | None = None, source: bytes | None = None
    ) -> None:
        self.path = Path(path)
        self.limits, self.wall = limits or Limits(), wall(trust)
        self.source = read_source(self.path) if source is None else source
        self.functions: tuple[str, ...] = ()
        self.tried: list[str] = []  # what was refused, ever
        self.left = self.limits.seconds_in_all
        self._process: Process | None = None
        self._broken: StudentError | None = None  # why the file cannot even be loaded
        self._starts = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its process and all that it started."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def call(self, function: str, *args: Any) -> Any:
        """What the function gives for these arrays, numbers and tuples. Raises StudentError."""
        return self.ask(function, *args).value

    def ask(self, function: str, *args: Any) -> Answer:
        """The same, with what is to be known about it. Raises StudentError."""
        return self._request("call", function, tuple(args))

    def look_up(self, name: str) -> Any:
        """A plain value of the file, like a dict of predicted numbers. Raises StudentError."""
        return self._request("look up", name, None).value

    def load(self) -> None:
        """Run the file, if it does not run yet. Raises StudentError if that fails, and does again at the next question."""
        if self._broken is not None:
            raise self._broken
        if self._process is not None:
            return
        if self._starts == STARTS:
            raise Crashed(f"the process ended {STARTS} times: no more is tried")
        self._starts += 1
        self._process = Process(self.wall, self.limits)
        try:
            self._receive(0, START, "start")
            source = np.frombuffer(self.source, np.uint8)
            self.functions = tuple(self._exchange("load", self.path.name, source, "when the file is run").value)
        except StudentError as error:
            self.close()
            self._broken = error
            raise

    def _request(self, do: str, name: str, value: object) -> Answer:
        self.load()
        answer = self._exchange(do, name, value, f"in {name}" if do == "call" else f"at {name}")
        if (other := _other(answer.value)) is not None:
            raise BadResult(f"{name} gives {plain(other)}, where an array or a number is wanted")
        return answer

    def _exchange(self, do: str, name: str, value: object, where: str) -> Answer:
        process = self._process
        assert process is not None
        if not process.is_quiet():
            self.close()
            raise BadResult(f"something answers before it is asked ({where})")
        token = 1 + secrets.randbelow(2**52)  # an answer written in advance cannot know it
        try:
            process.send(wire.pack({"id": token, "do": do, "name": name}, value))
        except wire.WireError as error:
            raise InputError(f"the arguments of {name} cannot be sent: a frame {error}") from error
        seconds = min(self.limits.seconds, self.left)
        began = time.monotonic()
        try:
            header, found = self._receive(token, seconds, where)
        finally:
            self.left -= time.monotonic() - began
        return self._understood(header, found, name)

    def _receive(self, token: int, seconds: float, where: str) -> tuple[dict[str, Any], Any]:
        process = self._process
        assert process is not None
        try:
            header, value = process.receive(seconds)
            if header.get("id") != token:
                raise BadResult(f"something answers that was not asked ({where})")
            return header, value
        except (Silent, Ended, wire.WireError, BadResult) as error:
            printed = process.count
            self.close()
            if printed > self.limits.printed:
                raise Crashed(f"prints without end: more than {self.limits.printed:,} bytes ({where})") from None
            if isinstance(error, Silent):
                raise self._timed_out(seconds, where) from None
            if isinstance(error, Ended):
                raise Crashed(f"{ended(error.code)} ({where})") from None
            if isinstance(error, wire.WireError):
                raise BadResult(f"what comes back {error} ({where})") from None
            raise

    def _timed_out(self, seconds: float, where: str) -> TimedOut:
        if self.left - seconds <= 0:
            return TimedOut(f"all {self.limits.seconds_in_all:g} s of this submission are used up ({where})")
        return TimedOut(f"no answer after {seconds:g} s: a loop without end? ({where})")

    def _understood(self, header: dict[str, Any], value: Any, name: str) -> Answer:
        """The answer in a frame; what is in its header was written by the student's process, and may be anything."""
        tried = header.get("refused")
        refused = tuple(plain(one) for one in tried[:4] if isinstance(one, str)) if isinstance(tried, list) else ()
        self.tried += [one for one in refused if one not in self.tried][: 10 - len(self.tried)]
        error = header.get("error")
        if isinstance(error, dict):
            raise raised(error, name, refused)
        changed = header.get("changed")
        numbers = tuple(i for i in changed[:50] if type(i) is int) if isinstance(changed, list) else ()
        seconds = header.get("seconds")
        return Answer(value, numbers, refused, float(seconds) if isinstance(seconds, float) else 0.0)


def _other(value: Any) -> str | None:
    """What in a value is neither an array nor plain."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return next((found for one in value if (found := _other(one)) is not None), None)
    return value if isinstance(value, wire.Other) else None
