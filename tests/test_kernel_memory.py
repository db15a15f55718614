"""No kernel reads or writes beside its arrays; `guarded_kernels.py` moves them to where that is seen."""

from __future__ import annotations

import sys

import pytest

from child import TESTS, python

pytest.importorskip("numba", reason="there are no kernels without Numba")

SCRIPT = str(TESTS / "guarded_kernels.py")
protected_pages = pytest.mark.skipif(sys.platform != "linux", reason="pages are protected on Linux only")


def test_red_zones_stay_red() -> None:
    """NaN beside every array: none is written to, and none finds its way into a result."""
    out, _ = python(SCRIPT, "0", "1500", "between")
    assert int(out.rpartition(" ")[2]) > 1500


@protected_pages
@pytest.mark.parametrize("where", ["end", "begin"])
def test_nothing_is_read_beside_an_array(where: str) -> None:
    """20,000 random calls on arrays that end, or begin, at a protected page: a stray access would end the process by a signal."""
    out, _ = python(SCRIPT, "0", "20000", where)
    assert int(out.rpartition(" ")[2]) > 20_000


@protected_pages
def test_a_protected_page_ends_the_process() -> None:
    """The test above can fail: reading one number too far is seen, and the last line tells the call."""
    code = """
import ctypes
import numpy as np
from guarded_kernels import Place
array = Place(True).put(np.ones(3, np.float32), {where!r})
print("before", flush=True)
print(ctypes.c_float.from_address(array.ctypes.data + {offset}).value)
"""
    for where, offset in (("end", 12), ("begin", -4)):
        with pytest.raises(AssertionError, match=r"exit code -(11|10)\n\.\.\.before"):
            python("-c", code.format(where=where, offset=offset))
    for where, offset in (("end", 8), ("begin", 0)):
        out, _ = python("-c", code.format(where=where, offset=offset))
        assert out.split() == ["before", "1.0"]
