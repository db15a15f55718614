"""Kernels on other machines: with other vector registers, without Numba's compiler, without Numba."""

from __future__ import annotations

import json

import pytest

from child import TESTS, python

SCRIPT = str(TESTS / "other_machine.py")


@pytest.fixture
def numba() -> None:
    """The test is skipped where Numba is not installed."""
    pytest.importorskip("numba", reason="there are no kernels without Numba")


@pytest.mark.usefixtures("numba")
@pytest.mark.parametrize(
    ("missing", "register"), [([], 64), (["avx512"], 32), (["avx"], 16)], ids=["this one", "no AVX-512", "no AVX"]
)
def test_kernels_run_as_plain_python(missing: list[str], register: int) -> None:
    """NUMBA_DISABLE_JIT=1, as in a debugger: the same results, and no access outside an array, scratch too (the twins assert it)."""
    out, err = python(SCRIPT, "60", "float32,float64", *missing, NUMBA_DISABLE_JIT="1")
    assert int(out) <= register
    assert err == ""


@pytest.mark.usefixtures("numba")
def test_kernels_are_right_in_shorter_registers() -> None:
    """Compiled for the same machine without AVX-512, in vectors half as long; elsewhere for this machine as it is."""
    out, _ = python(SCRIPT, "60", "float32", "avx512")
    assert int(out) <= 32


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np
from tinyresnet.cli import main
from tinyresnet.layers.conv import conv2d_backward, conv2d_forward
from tinyresnet_kernels import available, use

assert "cpu" not in available()
y, cache = conv2d_forward(np.ones((2, 3, 4, 4)), np.ones((5, 3, 3, 3)))
conv2d_backward(y, cache)
try:
    with use("cpu"):
        pass
except ValueError as error:
    assert str(error).startswith("backend 'cpu' is not available here: available are reference")
else:
    raise AssertionError
assert main(["doctor", "--json"]) == 0
"""


def test_without_numba_the_readable_forms_serve_and_doctor_says_what_is_lost() -> None:
    out, err = python("-c", WITHOUT_NUMBA)
    assert err == ""
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert (checks["numba"]["mark"], checks["numba"]["found"]) == ("optional", "not installed")
    for part in ("the fast CPU kernels", "training takes more than 10 times as long", "pip install numba"):
        assert part in checks["numba"]["advice"]
    assert checks["kernels"]["found"].startswith("reference")  # and cuda-host where there is a C++ compiler
