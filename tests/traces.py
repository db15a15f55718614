"""The traces on which explanations are tested: the hand network and segmenters, narrow networks both ways, and every row of `cases.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

import tinyresnet as tr
from cases import CASES, LOSSES, Case, Loss, draw, upstream
from tinyresnet import Layer
from tinyresnet.explain import Cell, Explainer
from tinyresnet.layers import Identity
from tinyresnet.segment import HEADS
from tinyresnet.step.session import hand_segmenter_session, hand_session
from tinyresnet.trace import Trace, trace
from tinyresnet_kernels import use

LABELS = np.array([1, 4])


def trace_of(layer: Layer, x: Any, *, train: bool, labels: Any = None) -> Trace:
    """One pass each way on the readable forms, with a loss if there are labels."""
    with use("reference"), trace(layer) as steps:
        y, remembered = layer.forward(x, train=train)
        dy = upstream(y) if labels is None else steps.loss(y, labels)[1]
        layer.backward(dy, remembered)
    return steps


def trace_of_loss(case: Case, x: Any) -> Trace:
    """A row of the losses, which are functions and no layers of a model."""
    loss = case.layer()
    assert isinstance(loss, Loss)
    others, settings = loss.given(x)
    with use("reference"), trace(Identity()) as steps:
        steps.loss_of(loss.kind, x, *others, dloss=0.75, **settings)
    return steps


def network(name: str, train: bool, dtype: npt.DTypeLike, side: int, **settings: Any) -> Trace:
    """A narrow network on two pictures."""
    model = tr.build(name, width=2, num_classes=5, rng=np.random.default_rng(0), dtype=dtype, **settings)
    arrays = [param.data for _, param in model.named_params()] + [buffer for _, buffer in model.named_buffers()]
    for i, array in enumerate(
        arrays
    ):  # 0 and 1 would hide mistakes; too large ones end in an exp that magnifies every rounding
        if array.ndim == 1:
            array += np.asarray(draw(60 + i, array.shape) / 8, array.dtype)
    return trace_of(model, draw(3, (2, 3, side, side)).astype(dtype), train=train, labels=LABELS)


def _all() -> Iterator[tuple[str, Callable[[], Trace]]]:
    yield "hand network", lambda: hand_session().trace
    for head in HEADS:
        yield f"hand segmenter, {head}", partial(_segmenter, head)
    nets: list[tuple[str, int, dict[str, Any]]] = [
        ("resnet20", 8, {"dropout": 0.4}),
        ("resnet50", 32, {"shortcut": "B"}),
        ("preact_resnet20", 8, {}),
        ("resnet20", 8, {"shortcut": "D"}),
    ]
    for name, side, settings in nets:
        for train in (True, False):
            for dtype in (np.float64, np.float32):
                title = f"{name} {settings} {'train' if train else 'eval'} {dtype.__name__}"
                yield title, partial(network, name, train, dtype, side, **settings)
    for case in CASES:
        if case.name.startswith("units") or case.name == "resnet20, narrow":
            continue  # units are fused, narrow networks stand above
        for shape in case.x_shapes:
            if case in LOSSES:
                yield f"{case.name} {shape}", partial(trace_of_loss, case, case.x(shape))
                continue
            for train in case.modes:
                x = case.x(shape)
                yield f"{case.name} {shape} {'train' if train else 'eval'}", partial(_of_case, case, x, train)


def _segmenter(head: str) -> Trace:
    return hand_segmenter_session(0, head).trace


def _of_case(case: Case, x: Any, train: bool) -> Trace:
    return trace_of(case.layer(), x, train=train)


TRACES = dict(_all())


@cache
def explained(name: str) -> Explainer:
    """The explainer of a row of TRACES."""
    return Explainer(TRACES[name]())


def some_cells(name: str, count: int) -> list[Cell]:
    """`count` random cells of every tensor of a trace: what came in, what was made, what is derived."""
    explainer, rng = explained(name), np.random.default_rng(len(name))
    return [
        Cell(step.index, tensor, tuple(int(rng.integers(size)) for size in array.shape))
        for step in explainer.trace
        for tensor, array in explainer.tensors(step.index).arrays.items()
        for _ in range(min(count, array.size))
    ]
