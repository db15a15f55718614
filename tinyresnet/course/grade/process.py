"""One student's process as the judge sees it: frames go in and come out, each by a deadline; whatever happens, it can be ended."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

from .inside import wire
from .sandbox import Limits, Wall, environment

PATIENCE = 5.0  # seconds for the system to end a killed process


class Silent(Exception):  # noqa: N818
    """No frame came in time."""


class Ended(Exception):  # noqa: N818
    """The process ended, or closed its line; `code` is its exit code, negative for a signal, None if it had to be killed."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Process:
    """Started at once. Frames are read by a thread, which stops at the first that is none."""

    def __init__(self, wall: Wall, limits: Limits) -> None:
        self.limits = limits
        self.count, self.ending = 0, False
        self.arrived: queue.Queue[tuple[dict[str, Any], Any] | wire.WireError | None] = queue.Queue(2)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            wall.command(limits), stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0,
            env=environment(), cwd=Path(os.sep).absolute(), start_new_session=os.name == "posix",
        )  # fmt: skip
        self.threads = [threading.Thread(target=one, daemon=True) for one in (self._read_frames, self._read_printed)]
        for thread in self.threads:
            thread.start()

    def send(self, frame: bytes) -> None:
        """Write in a thread of its own: the process may not read."""
        self.threads.append(threading.Thread(target=self._write, args=(frame,), daemon=True))
        self.threads[-1].start()

    def receive(self, seconds: float) -> tuple[dict[str, Any], Any]:
        """The next frame. Raises Silent, Ended or WireError."""
        try:
            found = self.arrived.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            raise Silent from None
        if found is None:
            raise Ended(self._exit_code())
        if isinstance(found, wire.WireError):
            raise found
        return found

    def is_quiet(self) -> bool:
        """Whether nothing came that was not asked for."""
        return self.arrived.empty()

    def end(self) -> None:
        """Kill it and all that it started, and wait until they are gone."""
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        self.ending = True
        for thread in self.threads:  # they end when nobody holds the other end of their pipe any longer
            thread.join(PATIENCE)
        if not any(
            thread.is_alive() for thread in self.threads
        ):  # a closed pipe's number may soon be another student's
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe:
                    pipe.close()

    def _exit_code(self) -> int | None:
        try:
            return self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            return None

    def _write(self, frame: bytes) -> None:
        pipe = self.process.stdin
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):
            rest = memoryview(frame)
            while rest:
                rest = rest[os.write(pipe.fileno(), rest) :]

    def _read_frames(self) -> None:
        pipe = self.process.stdout
        assert pipe is not None

        def read(size: int) -> bytes:
            parts: list[bytes] = []
            while size and (part := os.read(pipe.fileno(), min(size, 1 << 20))):
                parts.append(part)
                size -= len(part)
            return b"".join(parts)

        try:
            while (frame := wire.unpack(read, self.limits.answer)) is not None:
                self._hand_over(frame)
            self._hand_over(None)
        except wire.WireError as error:
            self._hand_over(error)
        except (OSError, ValueError):
            self._hand_over(None)

    def _hand_over(self, found: tuple[dict[str, Any], Any] | wire.WireError | None) -> None:
        """Put it where `receive` looks; two wait there at most, so that a flood of frames stays in the pipe."""
        while not self.ending:
            with contextlib.suppress(queue.Full):
                self.arrived.put(found, timeout=0.1)
                return

    def _read_printed(self) -> None:
        """Count what is printed, which nobody sees; kill a process that prints without end."""
        pipe = self.process.stderr
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):
            while part := os.read(pipe.fileno(), 1 << 16):
                self.count += len(part)
                if self.count > self.limits.printed:
                    self.process.kill()
                    return
