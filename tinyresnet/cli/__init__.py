"""The command line: `tinyresnet COMMAND ...`, one file a command.

The module of a command has HELP (one line), EXAMPLE (command lines, shown under --help), add_arguments(parser) and
run(args), which gives the exit code: 0 done, 1 a negative result. Bad input is 2, Ctrl-C 130, a reader that left 141.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, Protocol, cast

from ..errors import InputError, unknown

COMMANDS = ("demo", "train", "eval", "predict", "gradcheck", "step", "lesson", "data", "bench", "doctor")


class Command(Protocol):
    """What the module of a command holds; it imports heavy things only inside `run`."""

    HELP: str
    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Declare the command's arguments."""

    def run(self, args: argparse.Namespace, /) -> int:
        """Do it; the exit code."""


class Parser(argparse.ArgumentParser):
    """A parser that shows its epilog as it stands, takes no shortened options, and raises InputError where another exits."""

    def __init__(self, **settings: Any) -> None:
        own: dict[str, Any] = {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(**(own | settings))

    def error(self, message: str) -> NoReturn:
        """Raise InputError."""
        raise InputError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code. Errors of the input are one line on stderr."""
    _accept_any_text()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except InputError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        print("tinyresnet: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as with `tinyresnet data | head -1`: nobody reads on, so there is nobody to tell
        _abandon_stdout()
        return 141
    except MemoryError as error:
        return _refuse(f"not enough memory: {error}" if str(error) else "not enough memory")
    except OSError as error:
        _abandon_stdout()
        where = f"{error.filename}: " if error.filename is not None else ""
        return _refuse(f"{where}{error.strerror or error}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("tinyresnet"):
            raise
        return _refuse(f"the package {error.name} is not installed: `tinyresnet doctor` says what to install")


def _run(argv: list[str]) -> int:
    try:
        if argv and argv[0] in COMMANDS:
            command = _command(argv[0])
            return command.run(_parser(argv[0], command).parse_args(argv[1:]))
        if argv and not argv[0].startswith("-"):
            raise unknown("command", argv[0], COMMANDS)
        parser = _overview()
        parser.parse_args(argv)
        parser.print_help()
        return 0
    except SystemExit as stop:  # argparse, after --help and --version
        return int(stop.code or 0)


def _command(name: str) -> Command:
    return cast(Command, importlib.import_module(f".{name}", __name__))


def _parser(name: str, command: Command) -> Parser:
    parser = Parser(prog=f"tinyresnet {name}", description=command.HELP, epilog=command.EXAMPLE.rstrip())
    command.add_arguments(parser)
    return parser


def _overview() -> Parser:
    """The parser of `tinyresnet` without a command."""
    from .. import __version__

    listed = "\n".join(f"  {name:<9} {_command(name).HELP}" for name in COMMANDS)
    parser = Parser(
        prog="tinyresnet",
        usage="tinyresnet COMMAND ... [--help]",
        description="Residual networks from scratch in NumPy: train them, measure them, use them.",
        epilog=f"commands:\n{listed}\n\nexamples:\n  tinyresnet demo\n  tinyresnet train --help",
    )
    parser.add_argument("--version", action="version", version=f"tinyresnet {__version__}")
    return parser


def _refuse(message: str) -> int:
    """Say in one line what is wrong."""
    print("tinyresnet: error:", " ".join(message.splitlines()), file=sys.stderr)
    return 2


def _accept_any_text() -> None:
    """Let text that the terminal's encoding lacks (a class name, a path) be shown escaped, rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandon_stdout() -> None:
    """Send what is still buffered for stdout nowhere, so that Python doesn't fail on it once more when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
