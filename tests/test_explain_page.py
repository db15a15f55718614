"""The page computes what `tinyresnet.explain` computes: the same cells in Chromium, the network run again, and named mistakes."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from browser import form, open_browser, open_modules, open_trace  # noqa: F401
from tinyresnet.explain import Cell, Explanation
from tinyresnet.step.session import Session, hand_session
from traces import TRACES, explained, some_cells

FLOAT64 = [name for name in TRACES if "float32" not in name]

EXPLAIN = """(text) => JSON.stringify(JSON.parse(text).map(([step, name, at]) => {
  const found = explainer.explain({ step, name, at });
  const { cell, value, computed, magnitude, rule, padding, given, partialSums } = found;
  const factor = ({ symbol, value, cell }) => [symbol, value, cell && [cell.step, cell.name, cell.at]];
  const terms = found.terms.map((term) => [term.factors.map(factor), term.part, term.value]);
  const place = [cell.step, cell.name, cell.at];
  return { place, value, computed, magnitude, rule, function: found.function, padding, given, partialSums, terms };
}))"""


def as_page_has_it(found: Explanation) -> dict[str, Any]:
    """An explanation as plain data."""

    def place(cell: Cell | None) -> list[Any] | None:
        return cell and [cell.step, cell.name, list(cell.at)]

    terms = [
        [[[f.symbol, f.value, place(f.cell)] for f in term.factors], term.part, term.value] for term in found.terms
    ]
    names = ("value", "computed", "magnitude", "rule", "function", "padding", "given")
    more = {"place": place(found.cell), "partialSums": found.partial_sums, "terms": terms}
    return {name: getattr(found, name) for name in names} | more


def agree(got: Any, wanted: Any, scale: float) -> bool:
    """The same symbols, cells and words; numbers to 1e-12 of the scale. (JSON has no infinity: null.)"""
    if isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(agree(got[name], wanted[name], scale) for name in wanted)
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(agree(a, b, scale) for a, b in zip(got, wanted, strict=True))
    if isinstance(wanted, float) and np.isfinite(wanted):
        return isinstance(got, int | float) and abs(got - wanted) <= 1e-12 * max(scale, abs(wanted))
    return bool(got is None if isinstance(wanted, float) else got == wanted)


def test_same_cells_in_the_page(modules: Any) -> None:
    count = 0
    for name in TRACES:
        cells = some_cells(name, 1)
        open_trace(modules, explained(name).trace)
        found = json.loads(modules.evaluate(EXPLAIN, json.dumps(cells)))
        for cell, got in zip(cells, found, strict=True):
            explanation = explained(name).explain(cell)
            wanted = as_page_has_it(explanation)
            assert agree(got, wanted, explanation.magnitude), (name, cell, got, wanted)
        count += len(cells)
    assert count >= 10_000


@cache
def hand() -> Session:
    return hand_session()


def open_hand(modules: Any) -> None:
    open_trace(modules, hand().trace)


RUN_AGAIN = ["hand network", *(name for name in FLOAT64 if name.endswith(("train", "eval")))][::3]


@pytest.mark.parametrize("name", [*RUN_AGAIN, "hand segmenter, fpn"])
def test_running_again_changes_nothing(modules: Any, name: str) -> None:
    """With nothing changed every tensor of every step comes out as it was."""
    open_trace(modules, explained(name).trace)
    worst = modules.evaluate("""() => {
      const again = recompute(trace, []);
      let worst = 0;
      for (const { index } of trace.steps) for (const name of trace.names(index)) {
        const [a, b] = [trace, again].map((one) => one.tensor(index, name).data);
        const scale = Math.max(1, ...a.map(Math.abs));
        a.forEach((value, i) => { worst = Math.max(worst, Math.abs(value - b[i]) / scale); });
      }
      return worst;
    }""")
    assert worst <= 1e-12


NUDGE = """([step, name, at, by]) => {
  const { data, shape } = trace.tensor(step, name);
  const cell = { step, name, at };
  const before = lossOf(trace);
  const next = recompute(trace, [{ cell, value: data[flat(at, shape)] + by }]);
  const grads = next.steps.filter((one) => one.direction === "backward").flatMap(({ index }) =>
    trace.steps[index].params.map((param) => [index, `d${param}`, Array.from(next.tensor(index, `d${param}`).data)]));
  return { loss: lossOf(next), untouched: lossOf(trace) === before, grads };
}"""


@pytest.mark.parametrize("by", [0.01, -0.25])
def test_nudged_loss_and_gradients(modules: Any, by: float) -> None:
    """Every parameter once: the page's loss and gradients are those of the nudged model."""
    open_hand(modules)
    for step in hand().trace:
        for name in step.params if step.direction == "forward" else ():
            at = tuple(size - 1 for size in step.tensors[name].shape)
            got = modules.evaluate(NUDGE, [step.index, name, list(at), by])
            nudged = hand().nudged(f"{step.path}.{name}", at, by)
            assert abs(got["loss"] - nudged.loss) <= 1e-12
            assert got["untouched"]
            for index, tensor, data in got["grads"]:
                wanted = nudged.trace[index].tensors[tensor].ravel()
                np.testing.assert_allclose(data, wanted, rtol=0, atol=1e-11 * np.abs(wanted).max())


def test_a_pixel_of_b_moves_the_gradient_of_a(modules: Any) -> None:
    """Batch norm couples the pictures; and a computed number that was told stays as it was told."""
    open_hand(modules)
    step, back = (hand().trace["layer2.bn1", direction].index for direction in ("forward", "backward"))
    got = modules.evaluate(
        """([step, back]) => {
          const next = recompute(trace, [{ cell: { step, name: "x", at: [1, 0, 0, 0] }, value: 7 }]);
          const told = new Explainer(next).explain({ step, name: "x", at: [1, 0, 0, 0] });
          const dx = [trace, next].map((one) => one.tensor(back, "dx").data[0]);
          return { value: told.value, dx };
        }""",
        [step, back],
    )
    assert got["value"] == 7
    assert got["dx"][0] != got["dx"][1]


def test_running_again_is_quick(modules: Any) -> None:
    open_hand(modules)
    times = modules.evaluate("""() => Array.from({ length: 7 }, () => {
      const start = performance.now();
      recompute(trace, []);
      return performance.now() - start;
    })""")
    assert sorted(times)[3] < 300, times  # milliseconds; about 40 on a laptop


def test_tensors_come_when_they_are_asked_for(modules: Any) -> None:
    """Without data nothing is known but shapes; `load` fetches each tensor once, and then the cell can be explained."""
    tensors = json.loads(form(hand().trace))["trace"]["tensors"]
    got = modules.evaluate(
        """async ([text, tensors]) => {
          const asked = [];
          const fetcher = async (number) => {
            asked.push(number);
            return Uint8Array.from(atob(tensors[number].data), (letter) => letter.charCodeAt(0)).buffer;
          };
          const { trace: lazyForm, order } = JSON.parse(text);
          const lazy = new Trace(lazyForm, order, fetcher);
          const reader = new Explainer(lazy);
          const cell = { step: 47, name: "dweight", at: [0, 0, 0, 0] };
          let refused = "";
          try { reader.explain(cell); } catch (error) { refused = error.message; }
          const before = lazy.missing(47);
          await lazy.load(before);
          await lazy.load(before);
          const shape = lazy.tensor(1, "mask").shape;
          const empty = lazy.tensor(1, "mask").data;
          return { refused, before, asked, after: lazy.missing(47), computed: reader.explain(cell).computed, shape, empty };
        }""",
        [form(hand().trace, lazy=True), tensors],
    )
    assert "not loaded" in got["refused"]
    assert got["asked"] == got["before"] != []
    assert got["after"] == []
    assert got["empty"] is None
    assert got["shape"] == [2, 1, 8, 8]
    assert abs(got["computed"] - hand().trace[47].tensors["dweight"][0, 0, 0, 0]) <= 1e-12


@pytest.mark.parametrize(
    "cell", [[0, "dy", [0]], [99, "x", [0]], [0, "x", [0, 0, 8, 0]], [0, "x", [0, 0]], [0, "x", [0, 0, 0.5, 0]]]
)
def test_cells_that_are_not_there(modules: Any, cell: list[Any]) -> None:
    open_hand(modules)
    said = modules.evaluate(
        """([step, name, at]) => {
          try { explainer.explain({ step, name, at }); } catch (error) { return error.message; }
        }""",
        cell,
    )
    assert "no tensor" in said or "there is no cell" in said


def test_travel_forward(modules: Any) -> None:
    """Who reads a tensor, and where a number can be traveled to."""
    open_hand(modules)
    got = modules.evaluate("""() => ({
      fork: users(trace, 3, "b"), again: users(trace, 4, "x"), weight: users(trace, 0, "weight"), last: users(trace, 22, "y"),
      source: explainer.source({ step: 4, name: "x", at: [0, 0, 0, 0] }),
      outside: explainer.source({ step: 47, name: "weight", at: [0, 0, 0, 0] }),
    })""")
    assert got["fork"] == [{"step": 9, "name": "b"}]
    assert {"step": 43, "name": "x"} in got["again"]
    assert got["weight"] == [{"step": 47, "name": "weight"}]
    assert got["last"] == [{"step": 23, "name": "x"}]
    assert got["source"] == {"step": 3, "name": "a", "at": [0, 0, 0, 0]}
    assert got["outside"] is None
