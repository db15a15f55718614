"""A progress bar on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """A bar to move forward, or nothing at all; its attributes and methods are those that pooch asks of one."""

    def __init__(self, total: float, bars: Progress | None, task: TaskID | None) -> None:
        self.total, self.done = total, 0.0
        self.bars, self.task = bars, task

    def update(self, amount: float) -> None:
        """Move forward by `amount`."""
        self.done = min(self.done + amount, self.total)
        if self.bars is not None and self.task is not None:
            self.bars.update(self.task, completed=self.done, total=self.total)

    def reset(self) -> None:
        """Back to the start."""
        self.done = 0.0

    def close(self) -> None:
        """The context manager ends the bar."""


@contextlib.contextmanager
def progress_bar(title: str, total: float, *, show: bool, in_bytes: bool = False) -> Iterator[Bar]:
    """A bar of `total` steps or bytes, drawn only if `show`."""
    if not show:
        yield Bar(total, None, None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    counted = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counted, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield Bar(total, bars, bars.add_task(title, total=total))
