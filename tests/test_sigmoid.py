"""The sigmoid far from zero: no overflow, and right to the last figures."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from tinyresnet.layers import Sigmoid

FAR = [0, 1e-3, 0.7, 3, 17, 40, 80]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_right_to_the_last_figures_and_no_overflow(dtype: type) -> None:
    """Against decimals; and further out it is 0 or 1, with a gradient of 0."""
    x = np.array([*FAR, *(-a for a in FAR)], dtype)
    beyond = np.array([1e4, 3e38, -1e4, -3e38], dtype)
    eps = np.finfo(dtype).eps
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        y, _ = Sigmoid().forward(x, train=True)
        ends, cache = Sigmoid().forward(beyond, train=True)
        dx = Sigmoid().backward(np.ones_like(beyond), cache)
    exact = [float(1 / (1 + (-Decimal(float(a.real))).exp())) for a in x]
    assert (np.abs(y - exact) <= 4 * eps * np.array(exact)).all()
    assert ends.tolist() == [1, 1, 0, 0]
    assert not dx.any()
