"""Any number of a trace is the sum of its terms, and from any term one can travel on; the trace itself changes nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import tinyresnet as tr
from cases import draw, fill, parts, upstream
from tinyresnet import InputError, Layer
from tinyresnet.explain import OPS, Cell, Explainer, Explanation, explain
from tinyresnet.step.session import hand_session
from tinyresnet.trace import Source, Trace, trace
from tinyresnet.trace_form import as_dict, from_dict
from traces import TRACES, explained, some_cells

every_trace = pytest.mark.parametrize("name", TRACES)
some_traces = pytest.mark.parametrize("name", [name for name in TRACES if "float32" not in name][::5])

# What comes from outside: pictures (of an add on its own: a, b; of a concat: x0, x1...), parameters, labels, the gradient that is sent back
# (of a fork: da, db), running statistics, and what dropout draws.
OUTSIDE = {"x", "a", "b", "x0", "x1", "x2"}
OUTSIDE |= {"weight", "bias", "labels", "target", "dy", "da", "db", "mean", "var", "scale"}
OUTSIDE |= {"targets", "class_weights"}  # of losses


def tolerance(explanation: Explanation, explainer: Explainer) -> float:
    kinds = {array.dtype for step in explainer.trace for array in step.tensors.values()}
    return (1e-6 if np.dtype(np.float32) in kinds else 1e-12) * explanation.magnitude


def rank(explainer: Explainer, cell: Cell) -> tuple[int, int]:
    """When a cell is computed: its step, and its turn there; before all others if it came from outside."""
    place = explainer.locate(cell)
    made = explainer.made(place.step)
    return (place.step, made.index(place.name)) if place.name in made else (-1, 0)


@every_trace
def test_cells_are_the_sum_of_their_terms(name: str) -> None:
    explainer = explained(name)
    for cell in some_cells(name, 1):
        found = explainer.explain(cell)
        assert found.value == explainer.tensors(cell.step)[cell.name][cell.at]
        assert abs(found.computed - found.value) <= tolerance(found, explainer), (cell, found)
        assert found.given == (rank(explainer, cell) == (-1, 0))
        assert bool(found.rule) != found.given
        if found.given:
            here = explainer.trace[found.cell.step]
            assert found.cell.name not in {*here.made, *here.sources}
        assert found.given or found.partial_sums[-1:] != [] or found.value == 0


@every_trace
def test_travel_goes_back_in_time(name: str) -> None:
    """A term's cell holds the factor's number, and was computed before the cell that it helps to make: no way leads in a circle."""
    explainer = explained(name)
    for cell in some_cells(name, 1):
        found = explainer.explain(cell)
        for factor in (factor for term in found.terms for factor in term.factors if factor.cell):
            assert factor.value == explainer.tensors(factor.cell.step)[factor.cell.name][factor.cell.at]
            made = explainer.locate(factor.cell)
            assert factor.value == explainer.tensors(made.step)[made.name][made.at]
            assert rank(explainer, factor.cell) < rank(explainer, found.cell)


def test_enough_cells_of_every_kind() -> None:
    cells = [(name, cell) for name in TRACES for cell in some_cells(name, 1)]
    assert len(cells) >= 10_000
    given = {cell.name for name, cell in cells if explained(name).explain(cell).given}
    assert given == OUTSIDE
    met = {(step.kind, step.direction) for name in TRACES for step in explained(name).trace}
    assert met >= {(kind, direction) for kind in OPS for direction in ("forward", "backward")}


@every_trace
def test_sources_hold_what_they_name(name: str) -> None:
    steps = explained(name).trace.steps
    for step in steps:
        for read, source in step.sources.items():
            assert source.step < step.index
            assert source.name in steps[source.step].made
            np.testing.assert_array_equal(step.tensors[read], steps[source.step].tensors[source.name])
        first = (step.direction == "forward" and step.index == 0) or (
            step.direction == "backward" and step.forward == step.index - 1
        )
        assert first or set(step.given) - {"labels"} == set(step.sources), step.path
        if step.direction == "backward":
            assert step.forward is not None
            answered = steps[step.forward]
            assert (answered.path, answered.kind, answered.direction) == (step.path, step.kind, "forward")


@every_trace
def test_both_ways_have_a_reader(name: str) -> None:
    """A fork and an add make two names of one array: the branch reads one of them, the shortcut the other."""
    steps = explained(name).trace.steps
    read = [source for step in steps for source in step.sources.values()]
    for step in steps if len(steps) > 2 else ():
        if (step.kind, step.direction) in {("Fork", "forward"), ("Add", "backward")}:
            assert [read.count(Source(step.index, made)) for made in step.made] == [1, 1], step.path


# The trace changes nothing.


def run(layer: Layer, x: Any, *, train: bool, traced: bool) -> tuple[list[Any], Trace | None]:
    """y, dx, gradients that were not zero before, and buffers."""
    for i, (_, param) in enumerate(layer.named_params()):
        param.grad[...] = draw(40 + i, param.grad.shape)

    def both() -> list[Any]:
        y, remembered = layer.forward(x, train=train)
        dx = layer.backward(upstream(y), remembered)
        grads = [param.grad.copy() for _, param in layer.named_params()]
        return [*parts(y), *parts(dx), *grads, *(buffer.copy() for _, buffer in layer.named_buffers())]

    if not traced:
        return both(), None
    with trace(layer) as steps:
        return both(), steps


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("resnet20", {"dropout": 0.3}),
        ("resnet20", {"shortcut": "D"}),
        ("preact_resnet20", {}),
        ("resnet50", {}),
        ("plain20", {}),
    ],
    ids=str,
)
def test_same_bits_with_and_without(model: str, settings: dict[str, Any], train: bool, dtype: Any) -> None:
    def fresh() -> Layer:
        return fill(tr.build(model, width=2, num_classes=5, rng=np.random.default_rng(0), dtype=dtype, **settings))

    x = draw(3, (2, 3, 32, 32)).astype(dtype)
    traced = fresh()
    before = [set(vars(layer)) for _, layer in traced.named_layers()]
    got, _ = run(traced, x, train=train, traced=True)
    wanted, _ = run(fresh(), x, train=train, traced=False)
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert [set(vars(layer)) for _, layer in traced.named_layers()] == before


def test_a_step_holds_its_own_gradient() -> None:
    """Not what had been summed before."""
    model = hand_session().model
    x = draw(3, (2, 1, 8, 8))
    _, steps = run(model, x, train=True, traced=True)
    assert steps is not None
    for name, param in model.named_params():
        path, _, last = name.rpartition(".")
        own = steps[path, "backward"].tensors[f"d{last}"]
        index = [other for other, _ in model.named_params()].index(name)
        np.testing.assert_allclose(param.grad - draw(40 + index, own.shape), own, atol=1e-12)


def test_layers_are_left_clean_after_an_error() -> None:
    model = hand_session().model
    before = [dict(vars(layer)) for _, layer in model.named_layers()]
    with pytest.raises(InputError), trace(model):
        model.forward(draw(3, (2, 3, 8, 8)), train=True)
    assert [dict(vars(layer)) for _, layer in model.named_layers()] == before


def test_a_trace_keeps_what_was_there_then() -> None:
    """Copies that cannot be written to: what the model does later does not reach them."""
    session = hand_session()
    for step in session.trace:
        for array in step.tensors.values():
            assert not array.flags.writeable
    held = {step.index: {name: array.copy() for name, array in step.tensors.items()} for step in session.trace}
    for _, param in session.model.named_params():
        param.data += 1
    for step in session.trace:
        for name, array in step.tensors.items():
            np.testing.assert_array_equal(array, held[step.index][name])


def test_a_fused_model_is_refused() -> None:
    model = tr.fuse(tr.build("resnet20", width=2, rng=np.random.default_rng(0)))
    with pytest.raises(InputError, match="fused"), trace(model):
        pass


# The JSON form.


@some_traces
def test_json_to_the_bit(name: str) -> None:
    steps = explained(name).trace.steps
    again = from_dict(json.loads(json.dumps(as_dict(explained(name).trace)))).steps
    for a, b in zip(again, steps, strict=True):
        assert {**vars(a), "tensors": None} == {**vars(b), "tensors": None}
        assert list(a.tensors) == list(b.tensors)
        for key, array in a.tensors.items():
            assert (array.dtype, array.shape) == (b.tensors[key].dtype, b.tensors[key].shape)
            assert array.tobytes() == b.tensors[key].tobytes()


@pytest.mark.parametrize("change", [{"format": "other"}, {"version": 2}, {"version": "1"}], ids=str)
def test_other_forms_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="tinyresnet-trace 1 is wanted"):
        from_dict(as_dict(hand_session().trace) | change)
    with pytest.raises(InputError, match="None version None"):
        from_dict({})


# Wrong questions.


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ((48, "x", ()), "step 48 is not there: 0 to 47"),
        ((-1, "x", ()), "step -1 is not there"),
        ((0, "dy", (0, 0, 0, 0)), "step 0 has no tensor 'dy': x, weight, y are there"),
        ((0, "x", (0, 0, 8, 0)), r"x has shape \(2, 1, 8, 8\): there is no cell \(0, 0, 8, 0\)"),
        ((0, "x", (0, 0, -1, 0)), "there is no cell"),
        ((0, "x", (0, 0, 0)), "there is no cell"),
        ((23, "y", (0,)), r"y has shape \(\)"),
    ],
    ids=str,
)
def test_cells_that_are_not_there(cell: tuple[int, str, tuple[int, ...]], says: str) -> None:
    with pytest.raises(InputError, match=says):
        explain(hand_session().trace, *cell)


def test_steps_by_name() -> None:
    steps = hand_session().trace
    assert steps["layer1.add", "backward"].made == ("da", "db")
    with pytest.raises(KeyError, match="no backward step at 'nowhere'"):
        steps["nowhere", "backward"]
