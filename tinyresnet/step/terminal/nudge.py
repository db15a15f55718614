"""The proof at the end: one parameter moved by a little, the network run once more, and what the gradient had foretold."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from ...trace import Step, Trace
from ..session import NUDGE, Session
from .figures import signed
from .phrases import phrases
from .planes import largest

PATIENCE = 2.0  # seconds to look for a parameter whose way meets no kink


class Nudge(NamedTuple):
    """What came of it. `crossed`: how many ReLU gates and pooling winners are others than before, so that the slope changed on the way."""

    name: str
    at: tuple[int, ...]
    before: float
    after: float
    gradient: float
    crossed: int

    def said(self, language: str = "en") -> str:
        """In a sentence or two."""
        words = phrases(language)
        at = f"[{','.join(map(str, self.at))}]" if self.at else ""
        figures = {"change": self.after - self.before, "predicted": self.gradient * NUDGE}
        said = {name: signed(value, 4) for name, value in figures.items()}
        losses = {"before": f"{self.before:.6g}", "after": f"{self.after:.6g}"}
        text: str = words["nudge"].format(name=self.name, at=at, by=f"{NUDGE:g}", **losses, **said)
        return text + (" " + words["crossed"].format(count=self.crossed) if self.crossed else "")


def nudge(session: Session, name: str, at: tuple[int, ...]) -> Nudge:
    """Move one number of one parameter. Raises InputError if there is no such one, or it got no gradient."""
    gradients = dict(gradients_of(session.trace))
    if name not in gradients:
        raise InputError(f"{name} got no gradient here: {', '.join(gradients)} did")
    after = session.nudged(name, at)
    gradient = float(gradients[name][at])
    return Nudge(name, at, session.loss, after.loss, gradient, changed(session.trace, after.trace))


def finale(session: Session) -> Nudge | None:
    """The nudge to end with: of each parameter, first layer first, its largest gradient, until one meets no kink on its way.

    Where all do, as in a network with thousands of gates, the first one. None if there is no parameter.
    """
    began, first = time.perf_counter(), None
    for name, gradient in gradients_of(session.trace):
        found = nudge(session, name, largest(gradient))
        first = first or found
        if not found.crossed:
            return found
        if time.perf_counter() - began > PATIENCE:
            break
    return first


def gradients_of(trace: Trace) -> list[tuple[str, np.ndarray]]:
    """The gradient of each parameter by its name, first layer first."""
    backward = [step for step in reversed(trace.steps) if step.direction == "backward"]
    return [(parameter(s, n), s.tensors[f"d{n}"]) for s in backward for n in s.params if f"d{n}" in s.made]


def parameter(step: Step, name: str) -> str:
    """How `named_params` calls a layer's parameter."""
    return f"{step.path}.{name}" if step.path else name


def changed(one: Trace, other: Trace) -> int:
    """How many gates of ReLUs and winners of pooling differ between two traces of one network."""
    return sum(
        int((a.tensors[name] != b.tensors[name]).sum())
        for a, b in zip(one, other, strict=True)
        for name in ("mask", "winner")
        if name in a.made and name in b.made
    )
