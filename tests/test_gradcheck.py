"""The checker: what is wrong it calls wrong, what is right it does not, and it says where."""

from __future__ import annotations

import functools
from collections import defaultdict

import numpy as np
import pytest

import gradcheck_functions as functions
import tinyresnet as tr
from tinyresnet import InputError, gradcheck
from tinyresnet.gradcheck import Report, check, check_model, check_subject
from tinyresnet.gradcheck.configurations import MAKERS, draw_configuration
from tinyresnet.gradcheck.localise import wrong_elements
from tinyresnet.gradcheck.museum import MUSEUM, Setting
from tinyresnet.gradcheck.probe import Probe
from tinyresnet.gradcheck.subject import of_layer, of_pair
from tinyresnet.gradcheck.tensor import check_tensor
from tinyresnet.testing import assert_gradients

MOST_FORWARDS = 64


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


# The museum: a canary in every cage.


@functools.cache
def called_wrong(setting: Setting) -> bool:
    """Whether the right layer is; every piece in this setting is made of it."""
    x, right = setting.inputs(random(1)), setting.make(random(2))
    return check(right, x, train=setting.train).verdict == "wrong"


@pytest.mark.parametrize("layer", sorted({bug.layer for bug in MUSEUM}))
def test_every_bug_is_caught(layer: str) -> None:
    pieces = [bug for bug in MUSEUM if bug.layer == layer]
    assert len(pieces) >= 8
    for bug in pieces:
        x, wrong = bug.setting.inputs(random(1)), bug.make(random(2))
        subject = of_layer(wrong, x, train=bug.setting.train, name=bug.name)
        report = check_subject(subject, seed=3, locate=False)
        assert report.verdict == "wrong", bug.name
        if bug.wrong:
            assert set(report.wrong) == set(bug.wrong), bug.name
        assert not called_wrong(bug.setting), bug.name


@functools.cache
def seeds_by_kind() -> dict[str, list[int]]:
    """Seed 0 to 999 by the kind of configuration it draws."""
    found = defaultdict(list)
    for seed in range(1000):
        found[draw_configuration(random(seed)).name.partition(" (")[0]].append(seed)
    return found


@pytest.mark.parametrize("kind", list(MAKERS))
def test_no_false_alarm(kind: str) -> None:
    """Of 1,000 configurations those of one kind; of residual blocks, with up to 36 gradients each, as many as have 600 together."""
    reports: list[Report] = []
    for seed in seeds_by_kind()[kind]:
        one = draw_configuration(random(seed))
        reports.append(check_subject(of_layer(one.layer, one.x, train=one.train), seed=seed))
        if len(reports) > 20 and sum(len(report.tensors) for report in reports) >= 600:
            break
    assert len(reports) > 20
    assert [report for report in reports if report.verdict == "wrong"] == []
    assert sum(report.verdict == "inconclusive" for report in reports) <= 1
    assert max(report.forwards for report in reports) <= 2 * MOST_FORWARDS


# Functions of any kind.


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", list(functions.RIGHT))
def test_any_function(name: str, dtype: type) -> None:
    one = functions.RIGHT[name]
    for seed in range(5):
        inputs = one.inputs(random(seed), dtype)
        report = check(one.forward, *inputs, backward=one.backward, seed=seed)
        assert report.verdict == "correct", report
        assert report.forwards <= MOST_FORWARDS

        def a_little_wrong(dy, cache, one=one):
            first, *others = found if isinstance(found := one.backward(dy, cache), tuple) else (found,)
            return (first * (1 + 1e-3), *others)

        assert check(one.forward, *inputs, backward=a_little_wrong, seed=seed).verdict == "wrong"


def test_whole_numbers_are_no_inputs_and_repeated_ones_add_up() -> None:
    table, words = random(0).standard_normal((5, 3)), np.array([[0, 2, 2], [4, 2, 0]])
    assert_gradients(functions.embedding_forward, table, words, backward=functions.embedding_backward)

    def overwriting(dy, cache):
        dtable = np.zeros(cache[0])
        dtable[cache[1]] = dy
        return dtable

    with pytest.raises(AssertionError, match="WRONG"):
        assert_gradients(functions.embedding_forward, table, words, backward=overwriting)


@pytest.mark.parametrize("seed", range(20))
def test_on_a_kink_every_subgradient_is_right_and_nothing_else(seed: int) -> None:
    rng = random(seed)
    tied = rng.integers(-1, 2, (6, 5)).astype(float)
    first_wins = lambda dy, x: np.eye(5)[x.argmax(1)] * dy[:, None]  # noqa: E731
    for backward in (first_wins, functions.shared_among_winners):
        assert check(functions.largest_forward, tied, backward=backward, seed=seed).verdict == "correct"
    assert check(functions.largest_forward, tied, backward=functions.to_every_winner, seed=seed).verdict == "wrong"
    for at_kink, verdict in ((0.25, "correct"), (1, "correct"), (0.6, "correct"), (0.2, "wrong"), (1.1, "wrong")):
        backward = functions.leaky_backward(at_kink)
        report = check(functions.leaky_forward, tied, backward=backward, seed=seed)
        assert report.verdict == verdict, (at_kink, report)


def test_a_mistake_only_on_kinks_is_found_from_numbers_beside_them() -> None:
    x = random(0).standard_normal((4, 5))
    report = check(functions.leaky_forward, x, backward=functions.leaky_backward(2.0))
    assert report.verdict == "wrong"
    assert [tensor.point for tensor in report.tensors if tensor.verdict == "wrong"] == ["on kinks"]


class Square(tr.layers.GlobalAvgPool):
    """Takes every picture for a square."""

    def backward(self, dy, cache):
        return np.broadcast_to(dy / cache.shape[2] ** 2, cache.shape).copy()


class Lonely(tr.layers.Conv2d):
    """Wrong for one picture alone."""

    def backward(self, dy, cache):
        return super().backward(dy, cache) * (2 if len(dy) == 1 else 1)


class Remainder(tr.layers.Conv2d):
    """The weight's gradient is wrong where the stride leaves a remainder."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.weight.grad *= 1.01 if cache.x.shape[2] % 2 else 1
        return dx


@pytest.mark.parametrize(
    ("layer", "name", "point"),
    [
        (Square(), "x", "at another size"),
        (Lonely(3, 4, rng=random(0), dtype=np.float64), "x", "in a batch of one"),
        (Remainder(3, 4, stride=2, rng=random(0), dtype=np.float64), "weight", "at another size"),
    ],
)
def test_a_mistake_at_other_sizes_is_found(layer: tr.Layer, name: str, point: str) -> None:
    report = check(layer, random(1).standard_normal((2, 3, 8, 8)))
    wrong = [tensor for tensor in report.tensors if tensor.verdict == "wrong"]
    assert [(tensor.name, tensor.point) for tensor in wrong] == [(name, point)]
    assert f"gradient of {name} {wrong[0].shape} is wrong {point}" in " ".join(str(report).split())


# How sharp it is, and where the error lies.


@pytest.mark.parametrize("seed", range(6))
def test_one_wrong_element_of_many_is_seen_and_found(seed: int) -> None:
    rng = random(seed)
    x, place = rng.standard_normal((16, 10, 25, 25)), int(rng.integers(100_000))

    def backward(dy, cache):
        dx, *rest = tr.layers.norm.batch_norm_backward(dy, cache)
        dx.ravel()[place] += 1e-6 * np.sqrt(np.mean(dx * dx))
        return (dx, *rest)

    subject = of_pair(tr.layers.norm.batch_norm_forward, backward, x, rng.uniform(0.5, 2, 10), rng.standard_normal(10))
    probe = Probe(subject, "x", base=subject.forward(subject.inputs))
    found = check_tensor(probe, rng)
    assert found.verdict == "wrong"
    assert found.forwards <= MOST_FORWARDS
    wrong = wrong_elements(probe, rng)
    assert [np.ravel_multi_index(e.index, x.shape) for e in wrong.elements] == [place]
    assert wrong.complete


def test_the_detection_limit_is_kept() -> None:
    x = random(0).standard_normal((3, 4, 5))
    layer = lambda scale: lambda dy, x: dy * np.cos(x) * scale  # noqa: E731
    limit = check(lambda x: (np.sin(x), x), x, backward=layer(1)).limit
    assert 0 < limit < 1e-7

    def one_wrong(dy, x):
        dx = dy * np.cos(x)
        dx[0, 0, 0] += 1.1 * limit * np.sqrt(np.mean(dx * dx))
        return dx

    assert check(lambda x: (np.sin(x), x), x, backward=one_wrong).verdict == "wrong"


def test_leaving_out_eps_shows() -> None:
    def without_eps(dy, cache):
        return tr.layers.norm.batch_norm_backward(dy, cache._replace(eps=0.0))

    for seed in range(20):
        rng = random(seed)
        inputs = rng.standard_normal((3, 4, 5, 5)), rng.uniform(0.5, 2, 4), rng.standard_normal(4)
        subject = of_pair(tr.layers.norm.batch_norm_forward, without_eps, *inputs)
        assert check_subject(subject, seed=seed, locate=False).verdict == "wrong"


@pytest.mark.parametrize("path", ["conv1", "layer2.0.bn2", "layer3.1", "layer3.2.relu1", "fc"])
def test_the_first_wrong_layer_of_a_network_is_named(path: str) -> None:
    model = tr.resnet20(width=4, rng=random(0))
    x, labels = random(1).standard_normal((2, 3, 16, 16)).astype(np.float32), np.array([3, 1])
    layer = model[path]
    kind, right = type(layer), type(layer).backward
    layer.__class__ = type(kind.__name__, (kind,), {"backward": lambda self, dy, cache: right(self, dy, cache) * 1.01})
    report = check_model(model, x, labels)
    assert report.first_wrong == path
    assert report.verdict == "wrong"
    assert path in str(report)


def test_a_right_network_is_right() -> None:
    model = tr.resnet20(width=4, rng=random(0))
    report = check_model(model, random(1).standard_normal((2, 3, 16, 16)).astype(np.float32), np.array([3, 1]))
    assert report.first_wrong is None
    assert {path for path, _ in model.named_layers() if path.count(".") > 1} <= set(report.reports)


def test_a_random_function_can_not_be_judged() -> None:
    rng = random(0)
    report = check(lambda x: (x * rng.random(), x), np.ones(4), backward=lambda dy, x: dy)
    assert report.verdict == "inconclusive"
    assert "forward passes on the same inputs differ" in str(report)


class Counter:
    """A layer of its own kind whose second pass knows of the first."""

    def __init__(self) -> None:
        self.weight, self.dweight, self.last = np.ones(4), np.zeros(4), np.zeros(())

    def forward(self, x):
        y, self.x = x * self.weight, x
        return y

    def backward(self, dy):
        self.dweight = (dy * self.x).sum(0)
        return dy * self.weight


class Params:
    """The same with dicts, and a cache that is handed over."""

    def __init__(self) -> None:
        self.params, self.grads = {"w": np.linspace(1, 2, 4)}, {}

    def forward(self, x, train):
        return x * self.params["w"], x

    def backward(self, dy, x):
        self.grads["w"] = (dy * x).sum(0)
        return dy * self.params["w"]


@pytest.mark.parametrize(("thing", "names"), [(Counter(), {"x", "weight"}), (Params(), {"x", "w"})])
def test_objects_of_any_kind(thing: object, names: set[str]) -> None:
    report = check(thing, random(0).standard_normal((3, 4)))
    assert report.verdict == "correct", report
    assert {tensor.name for tensor in report.tensors} == names


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check(object(), np.ones(3)), "no method `forward`"),
        (lambda: check(Counter()), "one input"),
        (lambda: check(lambda n: (n, n), 3, backward=lambda dy, n: dy), "floating-point"),
    ],
)
def test_what_is_no_function_is_refused(call, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_the_public_names() -> None:
    for name in gradcheck.__all__:
        assert getattr(gradcheck, name).__doc__
