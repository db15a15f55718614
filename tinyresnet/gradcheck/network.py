"""A whole network: the batch runs through it once, and then every layer is checked where it stood, from the last to the first."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyresnet_kernels import Array

from ..layers import Chain, Layer
from .check import Report, check_subject
from .shipped import CrossEntropy
from .subject import of_layer

AGAIN = 2  # times that an inconclusive layer is looked at again


@dataclass(frozen=True)
class ModelReport:
    """The reports of the layers that were checked, by path, in the order in which a gradient meets them."""

    name: str
    reports: dict[str, Report]
    seconds: float

    @property
    def first_wrong(self) -> str | None:
        """The path of the first layer that a gradient leaves wrong."""
        return next((path for path, report in self.reports.items() if report.verdict == "wrong"), None)

    @property
    def verdict(self) -> str:
        """correct, wrong or inconclusive."""
        verdicts = {report.verdict for report in self.reports.values()}
        return next((v for v in ("wrong", "inconclusive") if v in verdicts), "correct")

    def __str__(self) -> str:
        from .report import model_as_text

        return model_as_text(self)


def check_model(
    model: Layer,
    x: Array,
    labels: Array | None = None,
    *,
    train: bool = True,
    seed: int = 0,
    name: str | None = None,
    progress: Callable[[int], object] = lambda n: None,
) -> ModelReport:
    """Check every layer of a model on the numbers that reach it from x (N, C, H, W); the loss too, if `labels` (N,) are given.

    The first wrong layer is named: what a gradient meets behind it cannot be blamed. A layer that is made of others is checked as a
    whole after them, so that a mistake of its own shows. `progress` is called with 1 after each. Raises InputError if x does not fit.
    """
    began, reports = time.perf_counter(), {}
    for path, report in layer_reports(model, x, labels, train=train, seed=seed):
        reports[path] = report
        progress(1)
    return ModelReport(name or type(model).__name__, reports, time.perf_counter() - began)


def layer_reports(
    model: Layer, x: Array, labels: Array | None = None, *, train: bool = True, seed: int = 0
) -> Iterator[tuple[str, Report]]:
    """The same, one by one as they are made: (path, report). Ends after the first wrong one."""
    came, logits = _inputs(model, x, train=train)
    if labels is not None:
        yield _checked("the loss", CrossEntropy(labels, 0.0), logits, train, seed)
    for path, layer in _back(model):
        found = _checked(path, layer, came[path], train, seed)
        yield found
        if found[1].verdict == "wrong":
            return


def count_layers(model: Layer) -> int:
    """How many layers of a model are checked; the loss comes besides."""
    return sum(1 for _ in _back(model))


def _checked(path: str, layer: Layer, x: Any, train: bool, seed: int) -> tuple[str, Report]:
    """The layer's report; where it is inconclusive, that of another draw, at most twice: a large block is full of kinks."""
    subject = of_layer(layer, x, train=train, name=f"{path} ({type(layer).__name__})")
    for attempt in range(1 + AGAIN):
        report = check_subject(subject, seed=seed + 1000 * attempt, sizes=False)
        if report.verdict != "inconclusive":
            break
    return path, report


def _back(layer: Layer, prefix: str = "") -> Iterator[tuple[str, Layer]]:
    """Every layer below this one but mere chains, the last first, what it is made of before itself."""
    for name, child in reversed(layer.children().items()):
        yield from _back(child, f"{prefix}{name}.")
        if type(child).backward is not Chain.backward:
            yield prefix + name, child


def _inputs(model: Layer, x: Array, *, train: bool) -> tuple[dict[str, Any], Array]:
    """What every layer is given, by path, in one forward pass; and the output."""
    worker, came = copy.deepcopy(model), {}

    def listen(path: str, layer: Layer) -> None:
        forward = layer.forward

        def heard(x: Any, *, train: bool) -> tuple[Any, Any]:
            came[path] = tuple(part.copy() for part in x) if isinstance(x, tuple) else x.copy()
            return forward(x, train=train)

        vars(layer)["forward"] = heard

    for path, layer in worker.named_layers():
        listen(path, layer)
    y, _ = worker.forward(x, train=train)
    return came, np.asarray(y)
