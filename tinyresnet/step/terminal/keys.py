"""Keys of a terminal, one at a time, without waiting for Enter: "left", "enter", "tab", "escape", or the character itself.

Keys typed while something is being drawn are kept, in order. On leaving the terminal is as it was.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator

ESCAPE_WAIT = 0.1  # seconds in which the rest of a key's sequence must follow its escape
SEQUENCE = re.compile(r"\x1b(?:\[([0-9;]*)([A-Za-z~])|O([A-Za-z]))")
BEGUN = re.compile(r"\x1b(?:\[[0-9;]*|O)?")
LETTERS = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "backtab", "M": "enter"}
NUMBERS = {"1": "home", "4": "end", "5": "pageup", "6": "pagedown", "7": "home", "8": "end"}
CHARACTERS = {"\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\x08": "backspace", "\x1b": "escape"}
WINDOWS = {
    "H": "up",
    "P": "down",
    "K": "left",
    "M": "right",
    "G": "home",
    "O": "end",
    "I": "pageup",
    "Q": "pagedown",
    "\x0f": "backtab",
}


def first_key(text: str) -> tuple[str, str]:
    """The first key of what a terminal sent, and the rest; a sequence that nobody knows is ""."""
    if found := SEQUENCE.match(text):
        numbers, letter, other = found.groups()
        name = NUMBERS.get(numbers.split(";")[0], "") if letter == "~" else LETTERS.get(letter or other, "")
        return name, text[found.end() :]
    return CHARACTERS.get(text[0], text[0]), text[1:]


if sys.platform == "win32":
    import msvcrt

    @contextlib.contextmanager
    def reading() -> Iterator[Callable[[float], str]]:
        """As below."""
        yield _key

    def _key(timeout: float) -> str:
        end = time.monotonic() + timeout
        while not msvcrt.kbhit():
            if time.monotonic() > end:
                return ""
            time.sleep(0.01)
        character = msvcrt.getwch()
        if character == "\x03":
            raise KeyboardInterrupt
        if character in "\x00\xe0":
            return WINDOWS.get(msvcrt.getwch(), "")
        return CHARACTERS.get(character, character)

else:
    import select
    import termios
    import tty

    @contextlib.contextmanager
    def reading() -> Iterator[Callable[[float], str]]:
        """Within the block, the function that comes waits so many seconds for a key; "" if none came. Ctrl-C is KeyboardInterrupt."""
        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
        try:
            tty.setcbreak(handle, termios.TCSADRAIN)
            yield Keys(handle).key
        finally:
            termios.tcsetattr(handle, termios.TCSADRAIN, before)

    class Keys:
        """What a terminal sent and was not asked for yet."""

        def __init__(self, handle: int) -> None:
            self.handle, self.text, self.decode = handle, "", codecs.getincrementaldecoder("utf-8")("ignore").decode

        def key(self, timeout: float) -> str:
            """The next one; "" if none came in time."""
            if not self.text and not self._more(timeout):
                return ""
            while BEGUN.fullmatch(self.text) and self._more(ESCAPE_WAIT):
                pass
            if not self.text:  # half a character
                return ""
            key, self.text = first_key(self.text)
            return key

        def _more(self, timeout: float) -> bool:
            if not select.select([self.handle], [], [], timeout)[0]:
                return False
            sent = os.read(self.handle, 1024)
            self.text += self.decode(sent) if sent else "q"  # the terminal is gone
            return True
