"""The stepper in a terminal: draw, wait for a key, and so on; the terminal is left as it was."""

from __future__ import annotations

import sys
import time

from ...explain import Cell
from ..session import Session
from .phrases import PLAINER, writable
from .walk import Walk

LOOK_AGAIN = 0.3  # seconds after which the window's size is looked at again
SETTLE = 0.1  # seconds that a window needs to take on a new size: what is drawn before is torn


def can_walk() -> bool:
    """Whether there is a person at a terminal that can be drawn on."""
    import os

    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def walk(session: Session, *, language: str = "en", at: Cell | None = None) -> None:
    """Walk through the session until q is pressed. Ctrl-C is KeyboardInterrupt."""
    from rich.console import Console, Group
    from rich.control import Control
    from rich.text import Text

    from .keys import reading
    from .screen import draw

    console = Console(markup=False, emoji=False, highlight=False)
    here = Walk(session, language, at)
    with reading() as key, console.screen(hide_cursor=True) as screen:
        while not here.done:
            size = console.size
            lines = draw(here, size.width, size.height)
            if writable("×", console.encoding) != "×":
                lines = [Text(line.plain.translate(PLAINER)) for line in lines]
            console.control(Control.home())
            screen.update(Group(*lines))
            pressed = ""
            while not pressed and console.size == size:
                pressed = key(LOOK_AGAIN)
            if not pressed:
                time.sleep(SETTLE)
            here.press(pressed)
