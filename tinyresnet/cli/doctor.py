"""`tinyresnet doctor`: what is here, and what to install for what is missing."""

from __future__ import annotations

import argparse

from . import console

HELP = "show what is installed here, and what to install for what is missing"
EXAMPLE = """\
examples:
  tinyresnet doctor
  tinyresnet doctor --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def run(args: argparse.Namespace) -> int:
    """Check everything; the exit code: 1 if something required is missing."""
    from . import environment
    from .check import importable

    checks = environment.examine()
    missing = [check.name for check in checks if check.mark == "missing"]
    if args.json:
        console.print_json({"ok": not missing, "checks": [check._asdict() for check in checks]})
    else:
        rows = [(check.mark, check.name, check.found, check.advice) for check in checks]
        draw = console.table if importable("rich") else console.plain_table
        draw("tinyresnet doctor", ("", "what", "found", "advice"), rows)
        print(f"Required, but not here: {', '.join(missing)}." if missing else "All that is required is here.")
    return 1 if missing else 0
