"""How a long job tells how far it is: a bar on a terminal, or lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Bars


class Progress(Protocol):
    """How a long job tells how far it is."""

    def update(self, n: int, **fields: float | str) -> None:
        """`n` more are done; `fields` are shown beside, e.g. loss=0.31, until others come."""

    def line(self, text: str) -> None:
        """Print a line on stdout, above the bar if there is one."""


class Meter:
    """How far a job is, how fast it goes (over the last 100 updates) and for how long still."""

    def __init__(self, total: int, unit: str, start: int) -> None:
        self.total, self.unit, self.done = total, unit, start
        self.marks = deque([(time.monotonic(), start)], maxlen=100)
        self.fields: dict[str, float | str] = {}

    def advance(self, n: int, fields: Mapping[str, float | str]) -> None:
        """`n` more are done."""
        self.done += n
        self.marks.append((time.monotonic(), self.done))
        self.fields |= fields

    def text(self) -> str:
        """E.g. 512/1,000 pictures, 230 pictures/s, 0:00:02 left, loss 0.31."""
        (began, before), (now, done) = self.marks[0], self.marks[-1]
        parts = [f"{done:,}/{self.total:,} {self.unit}"]
        if now > began and done > before:
            rate = (done - before) / (now - began)
            left = timedelta(seconds=round(max(self.total - done, 0) / rate))
            parts += [f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{rate:.2g} {self.unit}/s", f"{left} left"]
        parts += [
            f"{name.replace('_', ' ')} {v if isinstance(v, str) else f'{v:.4g}'}" for name, v in self.fields.items()
        ]
        return ", ".join(parts)


class Lines:
    """Progress in a pipe: a line at most every `interval` seconds."""

    def __init__(self, meter: Meter, description: str, interval: float) -> None:
        self.meter, self.description, self.interval = meter, description, interval
        self.printed = time.monotonic()

    def update(self, n: int, **fields: float | str) -> None:
        """`n` more are done."""
        self.meter.advance(n, fields)
        if time.monotonic() - self.printed >= self.interval:
            self.printed = time.monotonic()
            print(f"{self.description}: {self.meter.text()}", file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """Print a line on stdout."""
        print(text, flush=True)


class Bar:
    """Progress on a terminal."""

    def __init__(self, meter: Meter, description: str, bars: Bars) -> None:
        self.meter, self.bars = meter, bars
        self.task = bars.add_task(description, total=meter.total, completed=meter.done, text="")

    def update(self, n: int, **fields: float | str) -> None:
        """`n` more are done."""
        self.meter.advance(n, fields)
        self.bars.update(self.task, completed=self.meter.done, text=self.meter.text())

    def line(self, text: str) -> None:
        """Print a line on stdout, above the bar."""
        print(text, flush=True)
