"""Runs a kernel as the reader of lesson 10 has edited it: CUDA C++ by the host runtime, watched, or Python by Numba's simulator.

    ran = run(text, "twice", (1,), (32,), (x, y, np.int32(8)), language="cuda")

In a process of its own (`python -m tinyresnet.course.kernel_lab`), which gets arrays and gives arrays: a kernel may loop without end, and
the simulator must be chosen before Numba is imported.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Language = Literal["cuda", "python"]
SECONDS = 60  # the first time, the runtime is compiled too
FILES: dict[Language, str] = {"cuda": "kernel.cu", "python": "kernel.py"}
OPTIONS = ("-DREAL=float",)
FORWARD, BACKWARD = 0, 1


class Problem(NamedTuple):
    """What a kernel may not do, and its line of the text, 0 if none is known."""

    kind: str
    message: str
    line: int


class Ran(NamedTuple):
    """What a kernel did.

    `results`: its arrays after a run, once with threads forward and once backward; the simulator has one order. `counts` and `sites` have
    the fields of `host.Counts` and `host.Site`; the simulator counts nothing, nor does a run that ended in a problem.
    """

    results: tuple[tuple[Array, ...], ...]
    problem: Problem | None
    counts: dict[str, int]
    sites: tuple[dict[str, Any], ...]


@functools.cache
def engine() -> tuple[Language | None, str]:
    """How kernels run here, and why not by the watcher, as an end of a sentence: "cuda", else "python", else None."""
    from tinyresnet_kernels import host

    why = "there is no C++ compiler here"
    if host.compiler() is not None:
        try:
            module = host.RawModule(code='extern "C" __global__ void nothing(int n) {}', options=OPTIONS)
            module.get_function("nothing")((1,), (1,), (np.int32(0),))
            return "cuda", ""
        except (host.BuildError, OSError):
            why = "the C++ compiler here compiles no kernel"
    return ("python" if importlib.util.find_spec("numba") else None), why


def run(
    text: str,
    name: str,
    grid: Sequence[int],
    block: Sequence[int],
    args: Sequence[Array | np.generic],
    *,
    language: Language,
    seconds: float = SECONDS,
) -> Ran:
    """Run the kernel of this name; `args` keep their numbers. Whatever goes wrong is the result's `problem`."""
    asked = {"text": text, "name": name, "grid": list(grid), "block": list(block), "language": language}
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=_packed(asked, args),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        wait = "a loop without end, or a barrier that some threads never reach?"
        return _failed("no end", f"it was stopped after {seconds:g} s: {wait}")
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return _failed("died", f"the process that ran it died: {last[:300]}")
    said, arrays = _unpacked(done.stdout)
    size = max(1, len(arrays) // max(1, said["runs"]))
    results = tuple(tuple(arrays[i * size : (i + 1) * size]) for i in range(said["runs"]))
    problem = Problem(*said["problem"]) if said["problem"] else None
    return Ran(results, problem, said["counts"], tuple(said["sites"]))


def _failed(kind: str, message: str, line: int = 0) -> Ran:
    return Ran((), Problem(kind, message, line), {}, ())


def _packed(header: dict[str, Any], arrays: Sequence[Any]) -> bytes:
    out = io.BytesIO()
    np.savez(out, *arrays, header=json.dumps(header))
    return out.getvalue()


def _unpacked(data: bytes) -> tuple[dict[str, Any], list[Array]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        arrays = [held[f"arr_{i}"] for i in range(len(held.files) - 1)]
        return json.loads(str(held["header"])), arrays


# In the process


def main() -> None:
    """Read what is asked, run it, and write what was found."""
    asked, args = _unpacked(sys.stdin.buffer.read())
    values = [value if value.ndim else value[()] for value in args]
    ran = (_watched if asked["language"] == "cuda" else _simulated)(asked, values)
    header = {"runs": len(ran.results), "problem": ran.problem, "counts": ran.counts, "sites": ran.sites}
    sys.stdout.buffer.write(_packed(header, [array for result in ran.results for array in result]))


def _copies(args: Sequence[Any]) -> list[Any]:
    return [arg.copy() if isinstance(arg, np.ndarray) else arg for arg in args]


def _arrays(args: Sequence[Any]) -> tuple[Array, ...]:
    return tuple(arg for arg in args if isinstance(arg, np.ndarray))


def _watched(asked: dict[str, Any], args: Sequence[Any]) -> Ran:
    """Two runs that only mind the arrays' ends, for their results, then one that minds everything."""
    from tinyresnet_kernels.host import BuildError, KernelError, RawModule, order, watching

    module = RawModule(code=f'#line 1 "{FILES["cuda"]}"\n{asked["text"]}\n', options=OPTIONS)
    results: list[tuple[Array, ...]] = []
    problem, launches = None, []
    try:
        kernel = module.get_function(asked["name"])
        for number in (FORWARD, BACKWARD):
            given = _copies(args)
            with watching(check=False, count=False), order(number):
                kernel(asked["grid"], asked["block"], given)
            results.append(_arrays(given))
        with watching() as watcher:
            kernel(asked["grid"], asked["block"], _copies(args))
        launches = watcher.launches
    except KernelError as error:
        message = str(error).split(f"{error.kind}: ", 1)[-1]
        problem = Problem(error.kind, message, error.line if error.file == FILES["cuda"] else 0)
    except BuildError as error:
        problem = _refused(str(error))
    except (KeyError, TypeError, ValueError) as error:
        problem = Problem("call", str(error.args[0]), 0)
    if problem:
        return Ran(tuple(results), problem, {}, ())
    return Ran(tuple(results), None, vars(launches[0].counts), tuple(vars(site) for site in launches[0].sites))


def _refused(text: str) -> Problem:
    """What the compiler says of a line of the text."""
    before, _, said = text.partition("error: ")
    numbers = [part for part in before.split(f"{FILES['cuda']}:")[-1].split(":") if part.strip().isdigit()]
    return Problem("does not compile", said or text, int(numbers[0]) if numbers else 0)


def _simulated(asked: dict[str, Any], args: Sequence[Any]) -> Ran:
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"
    from numba import cuda, float32

    given, names = _copies(args), {"cuda": cuda, "float32": float32}
    try:
        exec(compile(asked["text"], FILES["python"], "exec"), names)
        names[asked["name"]][tuple(asked["grid"]), tuple(asked["block"])](*given)
    except Exception as error:
        frames = [f.lineno or 0 for f in traceback.extract_tb(error.__traceback__) if f.filename == FILES["python"]]
        line = error.lineno or 0 if isinstance(error, SyntaxError) else (frames or [0])[-1]
        return _failed(type(error).__name__, str(error), line)
    return Ran((_arrays(given),), None, {}, ())


if __name__ == "__main__":
    main()
