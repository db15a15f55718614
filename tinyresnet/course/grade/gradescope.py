"""Gradescope: results.json in its documented form, and the autograder.zip that makes it.

The form: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

import json
import shlex
import zipfile
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import InputError
from ...files import write
from ..places import PACKAGE, folder
from .score import Score

DATE = (2020, 1, 1, 0, 0, 0)  # of all files in the archive, so that the same input gives the same bytes


def results(scores: Sequence[Score], seconds: float, words: str) -> dict[str, Any]:
    """Gradescope's object for one submission: one test for each function; `words` on the run, with its seed, for instructors alone."""
    tests = []
    for number, score in enumerate(scores, 1):
        for place, part in enumerate(score.parts, 1):
            test = {
                "name": f"{score.exercise}: {part.name}",
                "number": f"{number}.{place}",
                "score": part.points,
                "max_score": part.most,
            }
            status = "passed" if part.points == part.most > 0 else "failed"
            tests.append(
                test | {"status": status, "output": part.said, "output_format": "text", "visibility": "visible"}
            )
    tried = sorted({one for score in scores for one in score.tried})
    told = "\n".join([words, *(f"the code tried to {one} and was refused" for one in tried)])
    tests.append({"name": "for instructors", "output": told, "output_format": "text", "visibility": "hidden"})
    return {
        "score": sum(score.points for score in scores),
        "execution_time": round(seconds),
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
    }


def write_results(path: Path, scores: Sequence[Score], seconds: float, words: str) -> None:
    """Write results.json. Raises InputError on more than one student, or where it cannot be written."""
    students = {score.student for score in scores}
    if len(students) > 1:
        raise InputError(
            f"results.json is for one submission, and here are {len(students)} students: give --csv for a class"
        )
    text = json.dumps(results(scores, seconds, words), indent=1, allow_nan=False)
    write(path, lambda file: file.write(text + "\n"))


def write_autograder(path: Path, exercises: Sequence[str], seed: int) -> None:
    """Write autograder.zip: the library, the exercises, and the two scripts that Gradescope runs. Raises InputError."""
    if path.suffix.lower() != ".zip":
        raise InputError(f"{path} must end in .zip")
    names = " ".join(f"--exercise {shlex.quote(name)}" for name in exercises)
    scripts = resources.files(__package__) / "gradescope_scripts"
    texts = {name: (scripts / name).read_text(encoding="utf-8") for name in ("setup.sh", "run_autograder")}
    filled = {
        name: text.replace("@OPTIONS@", f"{names} --seed {seed}").replace("@NUMPY@", np.__version__)
        for name, text in texts.items()
    }

    def fill(file: IO[bytes]) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in filled.items():
                _add(archive, name, text.encode(), 0o755)
            for name, source in _library():
                _add(archive, name, source.read_bytes(), 0o644)

    write(path, fill, "wb")


def _library() -> Iterator[tuple[str, Path]]:
    """(name in the archive, file) for all that the grader needs: both packages, the exercises, the answers of transfer variants."""
    import tinyresnet_kernels

    lessons = folder()
    roots = [(PACKAGE, "tinyresnet"), (Path(tinyresnet_kernels.__file__).parent, "tinyresnet_kernels")]
    roots += [
        (lessons / name, f"lessons/{name}") for name in ("exercises", "instructor/answers") if (lessons / name).is_dir()
    ]
    for root, name in roots:
        for path in sorted(root.rglob("*")):
            inner = path.relative_to(root)
            skipped = {"__pycache__", "web", "_lessons"} & set(inner.parts) or path.suffix in (
                ".pyc",
                ".safetensors",
                ".npz",
            )
            if path.is_file() and not skipped:
                yield f"{name}/{inner.as_posix()}", path


def _add(archive: zipfile.ZipFile, name: str, data: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, DATE)
    entry.external_attr, entry.compress_type = (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)
