"""One gradient against the slopes: the bars hold and are narrow, each kind of function has its method, and few passes do it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from tinyresnet.gradcheck import check
from tinyresnet.gradcheck.check import BESIDE, _at_kinks
from tinyresnet.gradcheck.localise import MOST_FOUND, SAMPLED, Place, wrong_elements
from tinyresnet.gradcheck.probe import Probe, flat, scale_of, unflat
from tinyresnet.gradcheck.subject import of_pair
from tinyresnet.gradcheck.tensor import Comparison, TensorCheck, check_tensor

M = np.random.default_rng(9).standard_normal((20, 20))
feature = np.arange(20)


def real(x: Any) -> Any:
    if x.dtype.kind == "c":
        raise TypeError("no complex numbers")
    return x


class Kind(NamedTuple):
    """A function of x (3, 20) with its right backward, and by which method, in how many passes and how sharply it is checked."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    methods: tuple[str, ...]
    forwards: set[int]
    limit: float
    kinked: int = 0  # so many of 20 features are zeros
    kinks: tuple[int, ...] = (0, 0)


ALONE = ("one-sided",) * 4
KINDS = {
    "linear": Kind(lambda x: (x @ M, None), lambda dy, _: dy @ M.T, ("adjoint",) * 2, {12}, 8e-12),
    "analytic": Kind(
        lambda x: (np.sin(x) @ M, x), lambda dy, x: dy @ M.T * np.cos(x), ("complex step", "differences"), {34}, 4e-11
    ),
    "not analytic": Kind(
        lambda x: (np.sin(np.sqrt(np.abs(x) ** 2 + 1)), x),
        lambda dy, x: dy * np.cos(np.sqrt(x * x + 1)) * x / np.sqrt(x * x + 1),
        *(("differences",) * 2, {34}, 1e-7),
    ),
    "of real numbers alone": Kind(
        lambda x: (np.sin(real(x)) @ M, x), lambda dy, x: dy @ M.T * np.cos(x), ("differences",) * 2, {34}, 1.5e-8
    ),
    "ReLU": Kind(
        lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x > 0), ("complex step", "differences"), {30, 32, 34}, 1e-10
    ),
    "size": Kind(
        lambda x: (np.abs(x - np.round(x)), x),
        *(lambda dy, x: dy * np.sign(x - np.round(x)), ("differences",) * 2, {34}, 8e-9),
    ),
    "sharp": Kind(
        lambda x: (np.sin(3e4 * x), x),
        *(lambda dy, x: dy * 3e4 * np.cos(3e4 * x), ("complex step", "one-sided", "differences", "one-sided")),
        *({60}, 3e-7, 0, (0, 0, 0, 0)),
    ),
    "some kinks": Kind(
        lambda x: (np.abs(x) * (feature < 2) + np.sin(x), x),
        lambda dy, x: dy * (np.cos(x) + np.sign(x) * (feature < 2)),
        *(("complex step", *ALONE, "differences", *ALONE), {34}, 5e-11, 2, (0, 6, 1, 1, 1) * 2),
    ),
    "kinks in half": Kind(
        lambda x: (np.abs(x) * (feature < 10) + np.sin(x), x),
        lambda dy, x: dy * (np.cos(x) + np.sign(x) * (feature < 10)),
        *(("complex step", *ALONE, "differences", *ALONE), {34}, 5e-11, 10, (0, 30, 1, 1, 1) * 2),
    ),
    "kinks everywhere": Kind(
        lambda x: (np.abs(x) * (feature > 2) + x, x),
        lambda dy, x: dy * (1 + np.sign(x) * (feature > 2)),
        *(("complex step", *ALONE, "differences", *ALONE), {90}, math.inf, 20, (0, 51, 1, 1, 1) * 2),
    ),
}  # fmt: skip


def probe_of(one: Kind, seed: int, backward: Callable[..., Any] | None = None) -> Probe:
    x = np.random.default_rng(seed).standard_normal((3, 20)) * np.where(feature < one.kinked, 0, 1)
    subject = of_pair(one.forward, backward or one.backward, x)
    return Probe(subject, "x", base=subject.forward(subject.inputs))


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_function_has_its_method(name: str) -> None:
    one = KINDS[name]
    for seed in range(5):
        found = check_tensor(probe_of(one, seed), np.random.default_rng(seed))
        assert found.verdict == ("correct" if one.limit < 1 else "inconclusive")
        assert found.on_kinks == (one.limit > 1)
        assert found.forwards in one.forwards
        assert found.limit < one.limit or one.limit == found.limit
        assert found.worst.off < 0.2  # the bars are for the worst
        assert (found.name, found.shape, found.point) == ("x", (3, 20), "as given")
        if seed == 0:
            assert tuple(c.method for c in found.comparisons) == one.methods
            assert tuple(c.kinks for c in found.comparisons) == one.kinks

        def off(dy: Any, cache: Any, size: float = 1.2 * min(found.limit, 1)) -> Any:
            dx = one.backward(dy, cache)
            dx[1, 5] += size * np.sqrt(np.mean(dx * dx))
            return dx

        wrong = check_tensor(probe_of(one, seed, off), np.random.default_rng(seed))
        assert wrong.verdict == "wrong"
        assert wrong.worst.off > 10


def test_fewer_passes_where_it_is_asked_for() -> None:
    passes = lambda name, **how: check_tensor(probe_of(KINDS[name], 0), np.random.default_rng(0), **how).forwards  # noqa: E731
    known = probe_of(KINDS["analytic"], 0).noise(np.random.default_rng(0))
    assert passes("analytic", noise=known) == 34 - 6
    assert passes("analytic", levels=4) == 34 - 4
    assert passes("analytic", straight=False) == 34 - 4
    assert passes("analytic", positive=False) == 22
    assert passes("kinks everywhere", patient=False) == 30


def test_nothing_is_said_of_nothing() -> None:
    for shape, y in (((0, 4), np.ones(3)), ((3, 4), np.ones((0, 4)))):
        subject = of_pair(lambda x, y=y: (y, x), lambda dy, x: 0 * x, np.ones(shape))
        found = check_tensor(Probe(subject, "x"), np.random.default_rng(0))
        assert found == TensorCheck("x", shape, (), 0.0, 0)
        assert found.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("claimed", "low", "high", "bar", "away", "off"),
    [
        (1.0, 0.0, 2.0, 0.5, 0.0, 0.0),
        (3.0, 0.0, 2.0, 0.5, 1.0, 2.0),
        (-1.0, 0.0, 2.0, 0.25, 1.0, 4.0),
        (1.0, 1.0, 1.0, 0.0, 0.0, 0.0),
        (2.0, 1.0, 1.0, 0.0, 1.0, math.inf),
        (math.nan, 0.0, 2.0, 0.5, math.nan, math.inf),
        (math.inf, 0.0, 2.0, 0.5, math.inf, math.inf),
    ],
)
def test_how_far_off_a_claim_is(claimed: float, low: float, high: float, bar: float, away: float, off: float) -> None:
    one = Comparison(claimed, low, high, bar, 1.0, "differences")
    assert (one.away, one.off) == pytest.approx((away, off), nan_ok=True)


@pytest.mark.parametrize(
    ("point", "scale"),
    [
        (np.zeros(3), 1.0),
        (np.zeros((0, 2)), 1.0),
        (np.array([1.0, np.inf]), 1.0),
        (np.full(4, -5.0), 5.0),
        (np.array([3.0, -4.0]), 3.5),
        (np.array([3.0, 3.0, -3.0]), math.sqrt(8)),
        (100 + np.array([2.0, -2.0]), 2.0),
        (1e12 + np.array([2.0, -2.0]), 1e12),
        (np.array([1e200, -1e200], np.float64), 1e200),
        (np.array([2, -2], np.float16), 2.0),
    ],
)
def test_the_size_of_an_input(point: Any, scale: float) -> None:
    with np.errstate(over="ignore"):
        assert scale_of(point) == pytest.approx(scale, rel=1e-12)


def test_outputs_as_one_row_and_back() -> None:
    outputs = np.float64(3.0), np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 2)), np.arange(2.0)
    row = flat(outputs)
    assert row.tolist() == [3, 0, 1, 2, 3, 4, 5, 0, 1]
    back = unflat(row, outputs)
    assert [(part.dtype, part.shape) for part in back] == [(o.dtype, o.shape) for o in outputs]
    assert all((part == output).all() for part, output in zip(back, outputs, strict=True))


# Where it is wrong.


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_all_wrong_elements_are_found(count: int) -> None:
    rng = np.random.default_rng(count)
    places = sorted(rng.choice(60, count, replace=False).tolist())

    def spoilt(dx: Any) -> Any:
        dx.ravel()[places] *= 1.5
        return dx

    probe = probe_of(KINDS["analytic"], 0, lambda dy, x: spoilt(dy @ M.T * np.cos(x)))
    found = wrong_elements(probe, rng)
    assert [np.ravel_multi_index(e.index, (3, 20)) for e in found.elements] == places
    assert (found.wrong, found.looked_at, found.complete) == (count, 60, True)
    assert str(found) == f"{count} element{'s' * (count > 1)} wrong"
    straight = wrong_elements(probe_of(KINDS["linear"], 0, lambda dy, _: spoilt(dy @ M.T)), rng)
    assert [e.index for e in straight.elements] == [e.index for e in found.elements]
    assert all(element.bar < 1e-12 for element in straight.elements)
    for element in found.elements:
        assert element.got == pytest.approx(1.5 * element.expected, rel=1e-6)
        assert 0 < element.bar < 1e-6


def test_of_many_wrong_elements_a_share_is_counted() -> None:
    def backward(dy: Any, x: Any) -> Any:
        return dy @ M.T * np.cos(x) * np.where(feature % 4, 2, 1)

    found = wrong_elements(probe_of(KINDS["analytic"], 0, backward), np.random.default_rng(0))
    assert (found.looked_at, found.complete, len(found.elements)) == (SAMPLED, False, MOST_FOUND)
    assert 12 <= found.wrong <= 23
    assert str(found) == f"{found.wrong} of 24 elements looked at are wrong"
    everything = wrong_elements(probe_of(KINDS["linear"], 0, lambda dy, _: 2 * dy @ M.T), np.random.default_rng(0))
    assert (everything.wrong, everything.looked_at) == (SAMPLED, SAMPLED)
    right = wrong_elements(probe_of(KINDS["analytic"], 0), np.random.default_rng(0))
    assert right == Place((), 0, 60, True)


# The whole of it.


def relu(x: Any, shift: Any) -> Any:
    return np.maximum(x - shift, 0), x > shift


def relu_backward(dy: Any, passed: Any) -> Any:
    return dy * passed, -(dy * passed).sum(0)


def test_bent_inputs_are_looked_at_on_kinks_and_beside_them() -> None:
    x = np.random.default_rng(0).standard_normal((5, 4))
    assert [t.point for t in check(relu, x, np.zeros(4), backward=relu_backward).tensors] == [
        *("as given", "as given", "on kinks", "beside kinks", "on kinks", "beside kinks")
    ]
    linear = check(KINDS["linear"].forward, np.ones((3, 20)), backward=KINDS["linear"].backward)
    assert [t.point for t in linear.tensors] == ["as given"]
    subject = of_pair(relu, relu_backward, x, np.zeros(4))
    rng = np.random.default_rng(1)
    probe = Probe(subject, "x", base=subject.forward(subject.inputs))
    noises = {"x": probe.noise(rng)}
    (on, there), (beside, near) = _at_kinks(subject, [check_tensor(probe, rng)], noises, rng, spoils=False)
    assert (on.point, beside.point) == ("on kinks", "beside kinks")
    scale = scale_of(x)
    assert np.abs(there.point / scale - np.round(x / scale)).max() < 1e-12
    aside = (near.point - there.point) / (BESIDE * scale)
    assert 0.5 <= np.abs(aside).min() < 0.6 < 0.9 < np.abs(aside).max() <= 1
    assert 5 <= (aside > 0).sum() <= 15
    assert (on.forwards, beside.forwards) == (20, 10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_precision_may_round_and_no_more(dtype: Any) -> None:
    def off_in_single(dy: Any, cache: Any, size: float) -> Any:
        dx, dshift = relu_backward(dy, cache)
        return (dx * dx.dtype.type(1 + size), dshift) if dx.dtype == np.float32 else (dx, dshift)

    x, shift = np.random.default_rng(0).standard_normal((5, 4)).astype(dtype), np.zeros(4, dtype)
    for size, verdict in ((0, "correct"), (1e-6, "correct"), (1e-4, "wrong")):
        report = check(relu, x, shift, backward=lambda dy, cache, size=size: off_in_single(dy, cache, size))
        assert report.dtype == np.dtype(dtype).name
        assert report.verdict == (verdict if dtype == np.float32 else "correct")
        if report.verdict == "wrong":
            (finding,) = report.findings
            assert (finding.check, finding.names) == ("single precision", ("x",))
            assert "in float32 it is off by" in finding.detail
            times = float(finding.detail.split(" by ")[1].split(" times")[0])
            assert 200 < times < 900


def test_what_is_wrong_is_located_and_diagnosed_and_the_rest_is_not() -> None:
    def twice(dy: Any, cache: Any) -> Any:
        dx, dshift = relu_backward(dy, cache)
        return dx, 2 * dshift

    x = np.random.default_rng(0).standard_normal((5, 4))
    report = check(relu, x, np.zeros(4), backward=twice)
    assert (report.verdict, report.wrong, set(report.places), set(report.diagnoses)) == (
        *("wrong", ("shift",)),
        *({"shift"}, {"shift"}),
    )
    assert report.places["shift"].wrong == 4
    assert [d.sign for d in report.diagnoses["shift"]][:1] == ["scale"]
    assert 0.2 < report.error < 2
    assert {t.verdict for t in report.tensors if t.name == "x"} == {"correct"}
    assert (report.limit, report.seconds > 0) == (max(t.limit for t in report.tensors[:2]), True)
    right = check(relu, x, np.zeros(4), backward=relu_backward)
    assert (right.verdict, right.wrong, right.places, right.diagnoses, right.findings) == ("correct", (), {}, {}, ())
    assert right.error < 1e-11
    by_name = {name: sum(t.forwards for t in right.tensors if t.name == name) for name in ("x", "shift")}
    assert right.forwards == max(by_name.values())
    none = check(relu, x, np.zeros(4), backward=lambda dy, cache: (relu_backward(dy, cache)[0], None))
    assert (none.wrong, [t.name for t in none.tensors if t.point == "as given"]) == (("shift",), ["x"])
    not_linear = check(lambda x: (x, x), x, backward=lambda dy, x: dy**2)
    assert [d.sign for d in not_linear.diagnoses["x"]] == ["upstream"]


def test_a_gradient_may_round_more_coarsely_than_the_function() -> None:
    x = np.random.default_rng(0).standard_normal((5, 4))
    assert check(lambda x: (2 * x, x), x, backward=lambda dy, _: 2 * dy + 1e3 - 1e3).verdict == "correct"
    assert check(lambda x: (2 * x, x), x, backward=lambda dy, _: 2 * dy + 1e-10).verdict == "wrong"


class Size:
    """y = |x| + |w|, all of it on its kinks."""

    def __init__(self) -> None:
        self.w, self.dw = np.zeros(4), np.zeros(4)

    def forward(self, x: Any) -> Any:
        return np.abs(x) + np.abs(self.w), x

    def backward(self, dy: Any, x: Any) -> Any:
        self.dw = (dy * np.sign(self.w)).sum(0)
        return dy * np.sign(x)


def test_a_parameter_on_kinks_is_looked_at_again_and_an_input_is_not() -> None:
    report = check(Size(), np.zeros((5, 4)))
    assert [(t.name, t.point, t.forwards) for t in report.tensors] == [
        ("x", "as given", 29),
        ("w", "as given", 75),
        ("x", "beside kinks", 10),
    ]


def test_what_writes_where_it_must_not_is_measured_all_the_same() -> None:
    def forward(x: Any) -> Any:
        x *= x
        return x.copy(), np.sqrt(x)

    x = np.random.default_rng(0).uniform(1, 2, (5, 4))
    for factor, wrong in ((2, ()), (3, ("x",))):
        report = check(forward, x.copy(), backward=lambda dy, root, factor=factor: factor * dy * root)
        assert [finding.check for finding in report.findings] == ["writes"]
        assert (report.verdict, report.wrong) == ("wrong", wrong)
