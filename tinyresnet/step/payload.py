"""What the page is given: the trace with what its explanations derive, the sentences, the depth dial; as one JSON.

Of a big trace it is given the shapes alone, and asks for the numbers of a tensor when somebody looks at it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from importlib import resources
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinyresnet_kernels import Array

from ..explain import OPS, Explainer
from ..loss import LOSSES
from ..optim import grad_norm
from ..trace import Step, Trace
from ..trace_form import as_dict, packed
from .session import NUDGE
from .words import words


class Shown(Protocol):
    """What is shown of a session."""

    title: str
    trace: Trace
    classes: tuple[str, ...]
    labels: Array | None
    loss: float
    hand: bool


def payload(session: Shown, *, lazy: bool = False) -> dict[str, Any]:
    """The page's data. Steps have `derived` beside `tensors`, numbered on.

    With `lazy` tensors have no data: they are `Numbered(session.trace)`, and `norms` holds the Euclidean norms of all gradients by number.
    """
    trace = session.trace
    form = as_dict(trace, outline if lazy else packed)
    for step in form["steps"]:
        step["derived"] = {}
    numbered = Numbered(trace)
    for number, derived in enumerate(numbered.derived, len(form["tensors"])):
        form["steps"][derived.step]["derived"][derived.name] = number
        form["tensors"].append(outline(derived) if lazy else packed(numbered[number]))
    norms = {}
    if lazy:
        norms = {"norms": {number: _finite(grad_norm([numbered[number]])) for number in _gradients(form["steps"])}}
    return {
        "title": session.title,
        "classes": list(session.classes),
        "labels": None if session.labels is None else session.labels.tolist(),
        "loss": _finite(session.loss),
        "hand": session.hand,
        "nudge": NUDGE,
        "trace": form,
        "order": {kind: {"forward": op.made, "backward": op.made_back} for kind, op in OPS.items()},
        "words": words(),
        "depth_dial": json.loads((resources.files(__package__) / "depth_dial.json").read_text(encoding="utf-8")),
        **norms,
    }


class Derived(NamedTuple):
    """A tensor that explanations derive of a step."""

    step: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Numbered:
    """The tensors of a trace by the payload's numbers: those of its JSON form, then the derived ones, computed when asked for."""

    def __init__(self, trace: Trace) -> None:
        self.explainer = Explainer(trace)
        self.own = list({id(array): array for step in trace for array in step.tensors.values()}.values())
        self.derived = [derived for step in trace for derived in _derived(step)]

    def __len__(self) -> int:
        return len(self.own) + len(self.derived)

    def __getitem__(self, number: int) -> Array:
        """The tensor. Raises IndexError."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        if number < len(self.own):
            return self.own[number]
        derived = self.derived[number - len(self.own)]
        return self.explainer.tensors(derived.step)[derived.name]


def outline(tensor: Array | Derived) -> dict[str, Any]:
    """A tensor's shape and dtype, as in the JSON form."""
    return {"shape": list(tensor.shape), "dtype": tensor.dtype.name}


def _derived(step: Step) -> list[Derived]:
    """What is derived of a step, from one pixel of each of its pictures: what has four axes is as large as x. (A loss is small.)"""
    if step.kind not in OPS:
        return []
    if step.kind in LOSSES:
        return [Derived(step.index, name, a.shape, a.dtype) for name, a in OPS[step.kind].derived(step).items()]
    corner = {name: array[..., :1, :1] if array.ndim == 4 else array for name, array in step.tensors.items()}
    found = OPS[step.kind].derived(dataclasses.replace(step, tensors=corner))
    whole = step.tensors["x"].shape if found else ()
    return [Derived(step.index, name, whole if a.ndim == 4 else a.shape, a.dtype) for name, a in found.items()]


def _gradients(steps: list[dict[str, Any]]) -> set[int]:
    """The numbers of all gradients."""
    backward = [step for step in steps if step["direction"] == "backward"]
    return {step["tensors"][name] for step in backward for name in (*step["given"], *step["made"])}


def _finite(value: float) -> float | None:
    """The value, None if JSON has no number for it."""
    return value if math.isfinite(value) else None
