"""For test suites: a gradient check that fails with the checker's report as its message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .gradcheck import Report, check


def assert_gradients(
    thing: Any,
    *inputs: Any,
    backward: Callable[..., Any] | None = None,
    train: bool = True,
    seed: int = 0,
    **settings: Any,
) -> Report:
    """Assert that the gradients of a layer, or of a pair of functions, are right; arguments as of `gradcheck.check`.

    Raises AssertionError if they are wrong, and also where nothing can be said about them.
    """
    report = check(thing, *inputs, backward=backward, train=train, seed=seed, **settings)
    if report.verdict != "correct":
        raise AssertionError(f"\n{report}")
    return report
