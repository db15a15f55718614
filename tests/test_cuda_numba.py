"""The rungs written in Python, in Numba's simulator: in a process of their own, for the simulator is chosen when Numba is imported."""

from __future__ import annotations

import pytest

from child import python

pytest.importorskip("numba", reason="the simulator is a part of Numba")

COMPARE = """
import numpy as np
from numba import config
from tinyresnet.layers.conv import correlate
from tinyresnet_kernels import im2col
from tinyresnet_kernels.cuda import numba_rungs as rungs

assert config.ENABLE_CUDASIM
rng = np.random.default_rng(0)

def draw(*shape):
    return rng.standard_normal(shape, np.float32)

for M, K, N in ((1, 1, 1), (9, 11, 5), (8, 8, 16)):
    a, b = draw(M, K), draw(K, N)
    for rung in (rungs.matmul_v1, rungs.matmul_v2):
        np.testing.assert_allclose(rungs.matmul(a, b, rung), a @ b, rtol=1e-5, atol=1e-5)

for shape, kernel, stride, pad in (
    ((2, 3, 5, 4), (3, 3), (1, 1), (1, 1)),
    ((1, 2, 7, 5), (3, 2), (2, 1), (0, 2)),
    ((3, 1, 4, 4), (1, 1), (2, 2), (0, 0)),
):
    x, weight = draw(*shape), draw(2, shape[1], *kernel)
    np.testing.assert_array_equal(rungs.im2col(x, kernel, stride, pad), im2col.reference(x, kernel, stride, pad))
    wanted = correlate.reference(x, weight, stride, pad, (1, 1), 1)
    np.testing.assert_allclose(rungs.convolution(x, weight, stride, pad), wanted, rtol=1e-5, atol=1e-5)

for n in (1, 33, 200):
    x = draw(n)
    np.testing.assert_allclose(rungs.total(x), x.sum(dtype=np.float64), rtol=1e-5, atol=1e-4)
"""


def test_rungs_in_the_simulator() -> None:
    python("-c", COMPARE, NUMBA_ENABLE_CUDASIM="1")


def test_kernels_come_without_numba() -> None:
    """The rungs are loaded by who wants them: the shipped CUDA kernels need no Numba."""
    python("-c", "import sys; sys.modules['numba'] = None; import tinyresnet_kernels.cuda")
