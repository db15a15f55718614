"""A student's CUDA kernel: right numbers, no races, and how it reads memory, by the host runtime's watcher."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..exercises.model import Function
from .finding import Finding

SECONDS = 120  # the first time, the runtime is compiled too
COALESCED = 28  # bytes of each sector of 32 that threads must ask for, on average
WORDS = {
    "race": "Two threads meet at one number, one of them writing, and no barrier stands between them.",
    "barrier": "Some threads of a block never come to a barrier at which the others wait.",
    "out of bounds": "A thread reads or writes outside its array.",
    "uninitialised": "A number is read that nobody has written.",
}
LOOKS = {
    "race": "who writes this number, who reads it, and what makes the one wait for the other? Look before and behind the inner loop",
    "barrier": "no thread may return, or skip a turn of the loop, before a barrier that the others meet",
    "out of bounds": "the last tiles hang over the edge of the matrices: what do the threads outside bring?",
    "uninitialised": "every place of the tile must be written each time, also those outside the matrix (by 0)",
}


def look(function: Function, path: Path) -> Finding:
    """What is to be said about the kernel."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if open_gap := re.search(r'#error "(gap \d+)', text):
        line = text[: open_gap.start()].count("\n") + 1
        return Finding(
            function.name, "blank", [f"{open_gap[1]} is not filled yet (line {line})"], hints=list(function.hints)
        )
    said, hints, checked = _told(_run(path))
    if not said:
        return Finding(function.name, "right", checked=checked)
    return Finding(function.name, "wrong", said, hints=[*hints, *function.hints])


def _told(run: dict[str, Any]) -> tuple[list[str], list[str], str]:
    """What is wrong, where to look, and if nothing is wrong what was checked."""
    match run.get("error"):
        case "no compiler":
            raise InputError("the kernel cannot run: no C++ compiler is here (`tinyresnet doctor` says more)")
        case "build":
            return [f"It does not compile: {_first_error(run['text'])}."], [], ""
        case "missing":
            return ['There is no kernel matmul: the line extern "C" __global__ void matmul(...) must stay.'], [], ""
        case "kernel":
            kind = next((known for known in WORDS if known in run["kind"]), "")
            where = f"line {run['line']}: " if run["line"] else ""
            detail = run["text"].split(": ", 2)[-1]
            return (
                [f"{where}{run['kind']}. {WORDS.get(kind, '')}".strip(), f"It {detail}."],
                [LOOKS[kind]] if kind else [],
                "",
            )
        case "call" | "timeout" | "died":
            return [run["text"]], [], ""
    return _numbers(run) if "wrong" in run else _counted(run)


def _numbers(run: dict[str, Any]) -> tuple[list[str], list[str], str]:
    (row, column), sizes = run["index"], "M={}, N={}, K={}".format(*run["wrong"])
    off = f"{run['share']:.0%} of C is off"
    said = [f"c[{row}][{column}] is {run['got']:.5g}, and {run['right']:.5g} is right (with {sizes}); {off}."]
    if any(size % 16 for size in run["wrong"]):
        return [*said, "Sizes that are multiples of 16 are right."], [LOOKS["out of bounds"]], ""
    return said, [], ""


def _counted(run: dict[str, Any]) -> tuple[list[str], list[str], str]:
    """The numbers are right: is it tiled, and does it read memory well?"""
    if run["loads"] > 1.5 * run["least"]:
        said = f"The numbers are right, but {run['loads']:,} are read from memory; with tiles {run['least']:,} do."
        return [said], ["what does the inner loop read? It should read tiles alone"], ""
    if run["coalescing"] < COALESCED:
        worst = max((s for s in run["sites"] if s["memory"] == "global"), key=lambda s: s["moved"] - s["ideal"])
        moved = f"line {worst['line']} moves {worst['moved']:,} sectors of 32 bytes where {worst['ideal']:,} would do"
        look_at = "threads that are neighbours in threadIdx.x should touch neighbouring numbers"
        return [f"The numbers are right, but {moved}: its threads read far apart."], [look_at], ""
    used = f"{run['coalescing']:.0f} of 32 bytes of each sector used"
    return [], [], f"4 sizes, 3 orders of the threads, no race; {used}, {run['bank_conflicts']} bank conflicts"


def _run(path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", f"{__package__}.kernel_run", str(path.resolve())]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, env=os.environ | {"PYTHONUTF8": "1"}
        )
    except subprocess.TimeoutExpired:
        return {"error": "timeout", "text": f"no end after {SECONDS} s: a loop without end?"}
    try:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"error": "died", "text": f"the process that ran it died: {last[:200]}"}


def _first_error(text: str) -> str:
    """What the compiler says of the student's line. Raises InputError where it is not the student's."""
    found = re.search(r"(\w+\.cu):(\d+)(?::\d+)?: (?:fatal )?error: (.+)", text)
    if found is None:
        raise InputError(f"kernels cannot run here: {' '.join(text.split())[:200]}")
    return f"line {found[2]}: {found[3]}"
