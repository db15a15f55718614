"""What a loss is divided by, and other settings that must be above zero."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InputError


def positive(op: str, name: str, value: Any) -> float:
    """The value as a float. Raises InputError if it is no finite number above 0."""
    if not isinstance(value, int | float | np.number) or isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise InputError(f"{op}: {name} is {value!r}: a number above 0 is wanted")
    return float(value)
