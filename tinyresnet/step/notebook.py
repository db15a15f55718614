"""The page as a widget of a notebook: Jupyter's or marimo's; the step and the cell that are looked at can be read and set from Python.

from tinyresnet.step.notebook import widget
w = widget()                  # marimo: mo.ui.anywidget(widget())
w.step = 26
w.explanation.terms           # of the cell that was clicked
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass, field
from typing import Any

from tinyresnet_kernels import Array

from ..errors import InputError
from ..explain import Cell, Explainer, Explanation
from ..loss import LOSSES
from ..trace import Trace
from .page import module_source, style_source
from .payload import payload
from .session import Session, hand_session

IN_CELL = (
    ".tinyresnet-step .moves { position: static; }"  # the page on a phone fixes its buttons to the window: not here
)
MOST = 3_000_000  # characters of a payload: more makes a notebook slow, and its file large


@dataclass
class Traced:
    """A trace of one's own as the page shows it. Raises InputError if nothing has run in it."""

    trace: Trace
    title: str = "a trace"
    classes: tuple[str, ...] = ()
    hand: bool = False
    labels: Array | None = field(init=False)
    loss: float = field(init=False)

    def __post_init__(self) -> None:
        if not len(self.trace):
            raise InputError("the trace has no steps: a forward pass within `with tr.trace(model) as steps:` is wanted")
        losses = [step.tensors for step in self.trace if step.kind in LOSSES and step.direction == "forward"]
        self.labels = losses[-1].get("labels") if losses else None
        self.loss = float(losses[-1]["y"]) if losses else math.nan


def widget(walked: Session | Trace | None = None, *, language: str = "en") -> Any:
    """An `anywidget.AnyWidget` that shows a session or a trace; by default the small network in hand numbers.

    Traits: `step` (a number), `cell` ({"step", "name", "at"}, or empty). `explanation` is that of the cell, None without one.
    Raises InputError if anywidget is missing, or the trace is too large for a notebook.
    """
    session = hand_session() if walked is None else Traced(walked) if isinstance(walked, Trace) else walked
    make = _widget_class()
    data = payload(session)
    if (size := len(json.dumps(data))) > MOST:
        raise InputError(
            f"the trace takes {size / 1e6:.1f} MB, at most {MOST / 1e6:g} MB fit a notebook: "
            "`tinyresnet step --serve` shows large ones"
        )
    return make(session.trace, payload=data, language=language)


@functools.cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise InputError("the widget needs anywidget: pip install anywidget") from error

    class StepWidget(anywidget.AnyWidget):
        """The page, and what is looked at."""

        _esm = module_source()
        _css = f"{style_source()}\n{IN_CELL}"
        payload = traitlets.Dict().tag(sync=True)
        language = traitlets.Unicode("en").tag(sync=True)
        step = traitlets.Int(0).tag(sync=True)
        cell = traitlets.Dict(allow_none=True).tag(sync=True)

        def __init__(self, trace: Trace, **traits: Any) -> None:
            self.explainer = Explainer(trace)
            super().__init__(**traits)

        @property
        def explanation(self) -> Explanation | None:
            """How the number in the chosen cell came about."""
            return self.explainer.explain(_cell(self.cell)) if self.cell else None

        @traitlets.validate("step")
        def _check_step(self, proposal: Any) -> int:
            step, count = proposal["value"], len(self.explainer.trace)
            if not 0 <= step < count:
                raise InputError(f"step {step} is not there: 0 to {count - 1} is wanted")
            return int(step)

        @traitlets.validate("cell")
        def _check_cell(self, proposal: Any) -> Any:
            if proposal["value"]:
                self.explainer.explain(_cell(proposal["value"]))
            return proposal["value"]

    return StepWidget


def _cell(named: dict[str, Any]) -> Cell:
    """The cell that a dict names. Raises InputError."""
    try:
        return Cell(named["step"], named["name"], tuple(named["at"]))
    except (LookupError, TypeError) as error:
        raise InputError(f'{named} is no cell: {{"step": 3, "name": "y", "at": (0, 0, 1, 2)}} is wanted') from error
