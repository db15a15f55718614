"""Python in a process of its own, for what cannot be tried in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent


def start(*arguments: str, kernels: Path = ROOT / "kernels", **environment: str) -> subprocess.Popen[str]:
    """Start Python with the repository, its tests and these kernels on its path."""
    path = os.pathsep.join(map(str, (ROOT, kernels, TESTS)))
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"} | environment,
    )


def finish(process: subprocess.Popen[str], timeout: float = 120) -> tuple[str, str]:
    """Its stdout and stderr. Fails if it fails: with the end of what it said, or when it takes longer than `timeout` seconds."""
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == 0, f"exit code {process.returncode}\n...{out[-1000:]}\n...{err[-3000:]}"
    return out, err


def python(*arguments: str, kernels: Path = ROOT / "kernels", **environment: str) -> tuple[str, str]:
    """Run Python to its end: stdout and stderr."""
    return finish(start(*arguments, kernels=kernels, **environment))
