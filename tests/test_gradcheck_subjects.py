"""What can be checked: objects of any kind, pairs of functions, layers and networks, each seen as a function of named arrays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinyresnet import InputError
from tinyresnet.gradcheck import check, check_model, network
from tinyresnet.gradcheck.objects import of_object
from tinyresnet.gradcheck.subject import Subject, of_layer, of_pair
from tinyresnet.layers import BatchNorm2d, Chain, Dropout, Linear, ReLU

X = np.random.default_rng(0).standard_normal((3, 4))


class Own:
    """y = x**2 w, or (x0 - 2 x1)**2 w, in training; `kind` says where w and its gradient are."""

    def __init__(self, kind: str, factor: float = 1.0) -> None:
        self.kind, self.factor, self.table, self.loose = kind, factor, np.arange(3), np.ones(2)
        w, dw = np.linspace(1.0, 2.0, 4), np.zeros(4)
        if kind == "dicts":
            self.params, self.grads = {"w": w}, {}
            return
        self.params = {"power": 2}  # something else
        if kind == "objects":
            self.w = SimpleNamespace(data=w, grad=dw)
        else:
            self.w = w
            setattr(self, kind, dw)

    def weight(self) -> Any:
        return {"dicts": lambda: self.params["w"], "objects": lambda: self.w.data}.get(self.kind, lambda: self.w)()

    def forward(self, x: Any) -> Any:
        self.x, self.pair = (x[0] - 2 * x[1], True) if isinstance(x, tuple) else (x, False)
        return self.x**2 * self.weight()

    def backward(self, dy: Any) -> Any:
        dw = self.factor * (dy * self.x**2).sum(0)
        if self.kind == "dicts":
            self.grads["w"] += dw
        elif self.kind == "objects":
            self.w.grad += dw
        else:
            setattr(self, self.kind, getattr(self, self.kind) + dw)
        dx = 2 * dy * self.x * self.weight()
        return (dx, -2 * dx) if self.pair else dx


class HandsOver(Own):
    """The same, but right only if it is told how it is run, and given its cache again."""

    def forward(self, x: Any, train: bool) -> Any:  # type: ignore[override]
        return super().forward(x) * (2 if train else 3), (x, train)

    def backward(self, dy: Any, cache: Any) -> Any:  # type: ignore[override]
        super().forward(cache[0])
        return super().backward(dy * (2 if cache[1] else 3))


KINDS = ("dw", "grad_w", "w_grad", "objects", "dicts")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("make", "x"), [(Own, X), (HandsOver, (X, X[::-1].copy()))])
def test_objects_of_any_kind(kind: str, make: type[Own], x: Any) -> None:
    names = ["x0", "x1", "w"] if isinstance(x, tuple) else ["x", "w"]
    for train in (True, False):
        thing = make(kind)
        subject = of_object(thing, x, train=train)
        assert (subject.name, list(subject.inputs), subject.passed) == (make.__name__, names, len(names) - 1)
        assert (subject.source, subject.train, subject.remembers) == (thing, train, make is Own)
        report = check(thing, x, train=train, name="mine")
        assert (report.verdict, report.subject.train) == ("correct", train), report
        assert (report.name, [tensor.name for tensor in report.tensors if tensor.point == "as given"]) == (
            "mine",
            names,
        )
        assert (thing.weight() == np.linspace(1, 2, 4)).all()
        assert "x" not in vars(thing)
    assert check(make(kind, 2.0), x).wrong == ("w",)


def plain(a: Any, b: Any, *rest: Any, power: int = 2) -> Any:
    return a**power + b + sum(rest), (a, power)


def plain_backward(dy: Any, cache: Any) -> Any:
    a, power = cache
    return power * dy * a ** (power - 1), dy, dy, dy


def test_pairs_of_functions() -> None:
    subject = of_pair(plain, plain_backward, X, X + 1, X + 2, X + 3, power=3)
    assert (subject.name, list(subject.inputs), subject.passed) == ("plain", ["a", "b", "x2", "x3"], 0)
    report = check(plain, X, X + 1, X + 2, X + 3, backward=plain_backward, power=3, name="cubes")
    assert (report.verdict, report.name) == ("correct", "cubes")
    labels = np.array([0, 2, 1])
    picked = lambda x, labels: (x[range(3), labels], (x.shape, labels))  # noqa: E731

    def picked_backward(dy: Any, cache: Any) -> Any:
        dx = np.zeros(cache[0])
        dx[range(3), cache[1]] = dy
        return dx

    assert check(picked, X, labels, backward=picked_backward).verdict == "correct"
    assert check(picked, X, labels, backward=lambda dy, c: (picked_backward(dy, c), None)).verdict == "correct"
    both = of_pair(picked, lambda dy, c: (picked_backward(dy, c), None), X, labels)
    run = both.forward(both.inputs)
    assert list(run.backward(run.outputs)) == ["x"]
    assert check(lambda x: ([x, 2 * x], None), X, backward=lambda dy, _: dy[0] + 2 * dy[1]).verdict == "wrong"
    assert check(lambda x: ((x, 2 * x), None), X, backward=lambda dy, _: dy[0] + 2 * dy[1]).verdict == "correct"


def both_ways(subject: Subject) -> None:
    run = subject.forward(subject.inputs)
    run.backward(run.outputs)


def alone(x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check(object(), X), "object has no method `forward`: forward(x) and backward(dy) are wanted"),
        (lambda: check(SimpleNamespace(forward=alone), X, name="it"), "it has no method `backward`"),
        (lambda: check(Own("dw")), "check of a layer takes one input (an array or a tuple of arrays), not 0"),
        (lambda: check(Own("dw"), X, X), "not 2"),
        (lambda: of_pair(alone, alone, 3), "alone: an array of floating-point numbers is wanted among the inputs"),
        (lambda: of_pair(alone, alone, np.arange(3), name="it"), "it: an array of floating-point"),
        (lambda: both_ways(of_pair(alone, alone, X)), "alone gave a ndarray: (y, cache) is wanted"),
        (lambda: both_ways(of_pair(lambda x: (x, x, x), alone, X)), "gave a tuple of 3: (y, cache) is wanted"),
        (
            lambda: both_ways(of_pair(plain, lambda dy, c: (dy, dy, dy), X, X)),
            "gave 3 gradients: 2 are wanted, of a, b",
        ),
    ],
)
def test_what_is_no_function_is_refused(call: Any, words: str) -> None:
    with pytest.raises(InputError) as raised:
        call()
    assert words in str(raised.value)


def test_a_layer_is_left_as_it_is_and_runs_in_any_precision() -> None:
    layer = BatchNorm2d(4)
    layer.running_mean, layer.running_var = np.full(4, 0.1, np.float32), np.full(4, 3, np.float32)
    x = np.random.default_rng(0).standard_normal((3, 4, 2, 2)).astype(np.float32)
    state = layer.state_dict()
    for train in (True, False):
        subject = of_layer(layer, x, train=train, name="norm")
        assert (subject.name, list(subject.inputs), subject.passed) == ("norm", ["x", "weight", "bias"], 1)
        assert (subject.source, subject.train, subject.remembers) == (layer, train, False)
        for dtype in (np.float32, np.float64):
            cast = subject.cast(dtype)
            run = cast.forward(cast.inputs)
            assert {array.dtype for array in (*run.outputs, *run.backward(run.outputs).values())} == {np.dtype(dtype)}
        assert check(layer, x, train=train).verdict == "correct"
    assert all((array == state[name]).all() for name, array in layer.state_dict().items())
    assert not layer.weight.grad.any()


def small_network(rng: np.random.Generator) -> Chain:
    f64 = np.float64
    return Chain(
        {
            "first": Linear(4, 5, rng=rng, dtype=f64),
            "middle": Chain({"relu": ReLU(), "drop": Dropout(0.5, rng=rng)}),
            "last": Linear(5, 3, rng=rng, dtype=f64),
        }
    )


@pytest.mark.parametrize("train", [True, False])
def test_a_network_is_checked_on_the_numbers_that_reach_each_layer(train: bool) -> None:
    model, labels, ticks = small_network(np.random.default_rng(1)), np.array([0, 2, 1]), []
    before = {name: array.copy() for name, array in model.state_dict().items()}
    report = check_model(model, X, labels, train=train, seed=5, progress=ticks.append)
    assert report.verdict == "correct", report
    assert (report.name, report.first_wrong) == ("Chain", None)
    assert list(report.reports) == ["the loss", "last", "middle.drop", "middle.relu", "first"]
    assert ticks == [1] * (1 + network.count_layers(model))
    assert [one.name for one in report.reports.values()][:2] == ["the loss (CrossEntropy)", "last (Linear)"]
    assert {one.subject.train for one in report.reports.values()} == {train}
    hidden, _ = model["first"].forward(X, train=train)
    assert (report.reports["middle.relu"].subject.inputs["x"] == hidden).all()
    assert (report.reports["first"].subject.inputs["x"] == X).all()
    drawn = (report.reports["middle.drop"].tensors[0].comparisons[0].claimed, 5)
    assert (
        drawn[0]
        == dict(network.layer_reports(model, X, train=train, seed=5))["middle.drop"].tensors[0].comparisons[0].claimed
    )
    assert all((array == before[name]).all() for name, array in model.state_dict().items())
    assert 0 < sum(one.seconds for one in report.reports.values()) <= report.seconds < 60
    assert check_model(model, X, train=train, name="mine").name == "mine"


def test_the_first_wrong_layer_ends_the_check() -> None:
    model = small_network(np.random.default_rng(1))
    right = Linear.backward
    for wrong, path in ((model["first"], "first"), (model["last"], "last")):
        wrong.__class__ = type("Linear", (Linear,), {"backward": lambda self, dy, cache: 2 * right(self, dy, cache)})
        report = check_model(model, X, np.array([0, 2, 1]))
        assert (report.first_wrong, report.verdict, list(report.reports)[-1]) == (path, "wrong", path)
        assert f"the first wrong layer is {path}:\n{path} (Linear): WRONG\n" in str(report)
    assert list(report.reports) == ["the loss", "last"]


def test_an_inconclusive_layer_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def unclear(subject: Subject, *, seed: int, sizes: bool) -> Any:
        assert not sizes  # the layers of a network are looked at where they stand
        seeds.append(seed)
        return SimpleNamespace(verdict="inconclusive" if len(seeds) < 4 else "correct")

    monkeypatch.setattr(network, "check_subject", unclear)
    report = check_model(Chain({"one": ReLU(), "two": ReLU()}), X, seed=3)
    assert seeds == [3, 1003, 2003, 3]
    assert report.verdict == "inconclusive"
    assert "nothing can be said of two: with another --seed it may" in str(report)


class Careless(ReLU):
    """Right in evaluation, wrong in training."""

    def forward(self, x: Any, *, train: bool) -> Any:
        y, cache = super().forward(x, train=train)
        return (2 * y if train else y), cache


def test_training_is_what_is_checked_if_nothing_else_is_said() -> None:
    assert check(Careless(), X).verdict == "wrong"
    assert check(Careless(), X, train=False).verdict == "correct"
