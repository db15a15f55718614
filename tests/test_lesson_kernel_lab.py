"""Lesson 10's kernels run in a process of their own, watched or in Numba's simulator; without a compiler the lesson still runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lesson_tools import PATH, ROOT
from tinyresnet.course.kernel_lab import run
from tinyresnet_kernels.host import compiler

CUDA = 'extern "C" __global__ void twice(const float* x, float* y, int n) {\n    int i = threadIdx.x;\n    y[i] = 2 * x[i];\n}\n'
PYTHON = "@cuda.jit\ndef twice(x, y, n):\n    i = cuda.threadIdx.x\n    y[i] = 2 * x[i]\n"
X = np.arange(8, dtype=np.float32)


def twice(text, language, threads=8, **settings):
    return run(text, "twice", (1,), (threads,), (X, np.zeros_like(X), np.int32(8)), language=language, **settings)


@pytest.fixture(params=["cuda", "python"])
def language(request):
    """Each that can run here."""
    if request.param == "cuda" and compiler() is None:
        pytest.skip("no C++ compiler")
    if request.param == "python":
        pytest.importorskip("numba", reason="the simulator is a part of Numba")
    return request.param


def text(language):
    return CUDA if language == "cuda" else PYTHON


def test_gives_the_arrays(language):
    ran = twice(text(language), language)
    assert ran.problem is None
    assert len(ran.results) == (2 if language == "cuda" else 1)
    assert all(np.array_equal(y, 2 * X) for _, y in ran.results)


def test_names_the_line_of_a_problem(language):
    ran = twice(text(language), language, threads=9)
    assert ran.problem is not None
    assert "2 * x[i]" in text(language).splitlines()[ran.problem.line - 1]
    broken = twice(text(language).replace("x[i]", "nothing[i]"), language)
    assert broken.problem is not None
    assert "nothing" in broken.problem.message
    assert "nothing[i]" in text(language).replace("x[i]", "nothing[i]").splitlines()[broken.problem.line - 1]


def test_ends_what_does_not_end(language):
    endless = {"cuda": ("y[i] =", "while (true) y[i] ="), "python": ("    y[i] =", "    while True: y[i] =")}[language]
    ran = twice(text(language).replace(*endless), language, seconds=12)
    assert ran.problem is not None
    assert ran.problem.kind == "no end"


def test_lesson_runs_without_a_compiler(tmp_path):
    pytest.importorskip("marimo", reason="marimo is not installed")
    pytest.importorskip("numba", reason="the simulator is a part of Numba")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, PATH)), "PATH": str(tmp_path)}
    command = [sys.executable, ROOT / "tests" / "lesson_run.py", ROOT / "lessons" / "10_fast_on_a_gpu.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["problems"] == []
