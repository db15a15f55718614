"""A line of `tinyresnet doctor`, and what its checks share."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Literal, NamedTuple

Mark = Literal["ok", "missing", "optional"]


class Check(NamedTuple):
    """One line: `missing` is needed and not here, `optional` is not here either, but only what `advice` names is lost."""

    name: str
    mark: Mark
    found: str
    advice: str = ""


def one_line(error: Exception) -> str:
    """The error's kind and the start of its message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:100]}"


def present(module: str) -> bool:
    """Whether the package can be found, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # ValueError: imported already, in an odd way
        return module in sys.modules


def importable(module: str) -> bool:
    """Whether the package imports."""
    try:
        importlib.import_module(module)
    except Exception:
        return False
    return True
