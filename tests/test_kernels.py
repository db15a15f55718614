"""Every CPU kernel against its readable form, over random calls: `kernel_calls.py` makes them, `kernel_checks.py` compares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernel_table import KERNELS

pytest.importorskip("numba", reason="there are no kernels without Numba")

from kernel_checks import compare, is_replaced, random_call, replaced, scratch_of

CALLS = 60  # of each kind


def test_every_kernel_is_called_here() -> None:
    assert set(replaced()) == set(KERNELS), "tests/kernel_table.py must have an entry for each replaced function"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kernel in KERNELS.items() for kind in kernel.kinds])
def test_kernel_gives_what_the_readable_form_gives(name: str, kind: str, dtype: Any) -> None:
    served = 0
    for seed in range(CALLS):
        call = random_call(name, dtype, kind, seed)
        served += is_replaced(name, call)
        with scratch_of((1 << 18, 1 << 14, 1 << 10)[seed % 3]):
            try:
                compare(name, call)
            except AssertionError as error:
                raise AssertionError(f"{name}, {kind}, seed {seed}: {call}\n{error}") from None
    assert served > 0.3 * CALLS, "too few of the calls go to the kernel"
