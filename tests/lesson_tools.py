"""What the tests of the course share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATH = (ROOT, ROOT / "kernels")


def python(*arguments, path=PATH, cwd, timeout=600):
    """Run Python to its end with these folders on its path; its stdout. Fails if it fails."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def tree(folder):
    """Every file below a folder, but what Python itself compiles."""
    return {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


def luminance(colour):
    """Relative luminance of an RGB colour, 0 to 1 (WCAG 2)."""
    r, g, b = (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in (int(c) / 255 for c in colour))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    """The contrast of two RGB colours, 1 to 21 (WCAG 2)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
