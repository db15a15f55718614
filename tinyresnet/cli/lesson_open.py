"""`tinyresnet lesson open` and `lesson export`: marimo does both, in a process of its own, on a copy of the lesson."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from . import arguments

EXTRA = "pip install 'tinyresnet[lessons]'"
# Beside a lesson's copy: marimo then follows the browser's light or dark, and looks for no other settings of the lesson's.
SETTINGS = '[tool.marimo.display]\ntheme = "system"\n'


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare `open` and `export`."""
    opened = actions.add_parser(
        "open",
        help="open a lesson in the browser",
        description="Open a lesson in the browser: on this machine alone, offline, until Ctrl-C.",
        epilog="examples:\n  tinyresnet lesson open 6\n  tinyresnet lesson open 6 --edit      a copy of yours, to change\n"
        "  tinyresnet lesson open 6 --language zh --port 8000 --headless",
    )
    _add_which(opened)
    opened.add_argument("--edit", action="store_true", help="with its cells, in a copy that is put in this folder")
    opened.add_argument("--port", type=arguments.positive, metavar="N", help="the port (default: a free one)")
    opened.add_argument("--headless", action="store_true", help="open no browser: print the address")
    opened.set_defaults(action=_open)

    export = actions.add_parser(
        "export",
        help="write a lesson as a Jupyter notebook or a web page",
        description="Write a lesson as a Jupyter notebook (without outputs) or as a web page (with them). A browser that shows the "
        "page loads marimo's own scripts from its publisher; `lesson open` needs no network.",
        epilog="examples:\n  tinyresnet lesson export 6\n  tinyresnet lesson export 6 --format html --to pages",
    )
    _add_which(export)
    export.add_argument("--to", type=Path, default=Path(), metavar="DIR", help="the folder (default: this one)")
    export.add_argument("--format", choices=("ipynb", "html"), default="ipynb", help="(default: ipynb)")
    export.set_defaults(action=_export)


def _add_which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", type=_number, metavar="N", help="the lesson's number, as in `tinyresnet lesson list`")
    parser.add_argument("--language", default="en", metavar="en|zh", help="English or Chinese (default: en)")


def _number(text: str) -> int:
    """A whole number of 0 or more, for argparse."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no lesson's number: 0, 1, 2... are wanted")
    return int(text)


def _open(args: argparse.Namespace) -> int:
    from ..course.places import lesson

    original = lesson(args.number, args.language).path
    if args.port and args.port > 65535:
        raise InputError(f"the port is {args.port}: 1 to 65535 is wanted")
    _need("marimo")
    options = ["--no-sandbox", "--host", "127.0.0.1"]
    options += ["--port", str(args.port)] if args.port else []
    options += ["--headless"] if args.headless else []
    if args.edit:
        own = Path(original.name)
        if own.exists():
            print(f"your copy, as it was: {own}", file=sys.stderr)
        else:
            shutil.copyfile(original, own)
            print(f"your copy: {own}", file=sys.stderr)
        return _marimo("edit", str(own), *options, "--skip-update-check")
    with _copied(original, args.language) as copy:
        return _marimo("run", str(copy), *options)


def _export(args: argparse.Namespace) -> int:
    from ..course.places import lesson

    original = lesson(args.number, args.language).path
    _need("marimo", *(("nbformat",) if args.format == "ipynb" else ()))
    target = args.to / f"{original.stem}.{args.format}"
    args.to.mkdir(parents=True, exist_ok=True)
    with _copied(original, args.language) as copy:
        made = copy.with_suffix(f".{args.format}")
        options = ["--sort", "top-down"] if args.format == "ipynb" else ["--no-sandbox"]
        if code := _marimo("export", args.format, str(copy), "-o", str(made), *options, quiet=True):
            return code
        part = target.with_name(target.name + ".part")
        shutil.copyfile(made, part)
        part.replace(target)
    print(f"written: {target}", file=sys.stderr)
    return 0


def _need(*packages: str) -> None:
    """Raise InputError unless these packages are installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"lessons need {' and '.join(missing)}, of the extra `lessons`: {EXTRA}")


@contextlib.contextmanager
def _copied(lesson: Path, language: str) -> Iterator[Path]:
    """A copy of the lesson in a folder that goes away: marimo writes beside what it opens, and the installation is not to be written to.

    A Chinese one says that it is, which marimo's pages do not: a browser would take Japanese forms of the characters.
    """
    with tempfile.TemporaryDirectory(prefix="tinyresnet-lesson-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / lesson.name
        text = lesson.read_text(encoding="utf-8")
        if language == "zh":
            (copy.parent / "head.html").write_text(
                '<script>document.documentElement.lang = "zh-CN"</script>\n', encoding="utf-8"
            )
            text = text.replace("marimo.App(", 'marimo.App(html_head_file="head.html", ', 1)
        copy.write_text(text, encoding="utf-8")
        (copy.parent / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
        yield copy


def _marimo(*arguments: str, quiet: bool = False) -> int:
    """Run marimo to its end, or until Ctrl-C, which it gets too; the exit code: 1 if it failed."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "marimo", "-y", *arguments],
        env=environment,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
    )
    try:
        said, _ = process.communicate()
    except KeyboardInterrupt:
        _end(process)
        return 0
    if process.returncode and quiet:
        print(said.rstrip(), file=sys.stderr)
    return 1 if process.returncode else 0


def _end(process: subprocess.Popen[str]) -> None:
    """Let marimo, which got Ctrl-C too, end by itself; else end it."""
    for end in (process.terminate, process.kill):
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(timeout=3)
            return
        end()
