"""Optimisers by hand-worked numbers and by their properties (parity with PyTorch: `test_torch_parity.py`), and schedules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tinyresnet as tr
from cases import draw
from tinyresnet import InputError, Param
from tinyresnet.optim import Optimiser, grad_norm
from tinyresnet.schedule import (
    SCHEDULES,
    Constant,
    Cosine,
    MultiStep,
    OneCycle,
    Schedule,
    learning_rate,
    schedule_named,
)

KINDS: dict[str, Any] = {
    "SGD": lambda params: tr.SGD(params, momentum=0.9, weight_decay=0.1),
    "Nesterov": lambda params: tr.SGD(params, momentum=0.9, weight_decay=0.1, nesterov=True),
    "AdamW": lambda params: tr.AdamW(params, weight_decay=0.1),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def params(dtype: type = np.float64) -> list[tuple[str, Param]]:
    """A matrix and a vector with gradients."""
    made = [("fc.weight", Param(draw(1, (3, 4)).astype(dtype))), ("fc.bias", Param(draw(2, (3,)).astype(dtype)))]
    for i, (_, param) in enumerate(made):
        param.grad[...] = draw(10 + i, param.grad.shape)
    return made


def one(value: float, grad: float) -> list[tuple[str, Param]]:
    """A 1x1 matrix."""
    param = Param(np.array([[value]]))
    param.grad[...] = grad
    return [("w", param)]


def test_sgd_by_hand() -> None:
    """velocity = 0.5 velocity + (grad + 0.1 w); w -= 0.2 velocity."""
    named = one(1.0, 2.0)
    opt = tr.SGD(named, momentum=0.5, weight_decay=0.1)
    opt.step(0.2)
    assert named[0][1].data.item() == pytest.approx(1 - 0.2 * 2.1)
    opt.step(0.2)
    assert named[0][1].data.item() == pytest.approx(0.58 - 0.2 * (0.5 * 2.1 + 2.058))


def test_nesterov_by_hand() -> None:
    named = one(1.0, 2.0)
    tr.SGD(named, momentum=0.5, weight_decay=0.1, nesterov=True).step(0.2)
    assert named[0][1].data.item() == pytest.approx(1 - 0.2 * (2.1 + 0.5 * 2.1))


def test_adamw_by_hand() -> None:
    """The first step is lr times the gradient's sign, whatever its size; decay acts beside it."""
    for grad in (1e-3, 2.0, -500.0):
        named = one(1.0, grad)
        tr.AdamW(named, weight_decay=0.1).step(0.01)
        assert named[0][1].data.item() == pytest.approx(1 - 0.01 * 0.1 - 0.01 * math.copysign(1, grad), abs=1e-6)


@every_kind
def test_gradients_are_only_read(kind: str) -> None:
    named = params()
    for _, param in named:
        param.grad.flags.writeable = False
    opt = KINDS[kind](named)
    for _ in range(3):
        opt.step(0.1)
    assert opt.steps == 3


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_the_same_array_moves(kind: str, dtype: type) -> None:
    named = params(dtype)
    arrays = [param.data for _, param in named]
    opt = KINDS[kind](named)
    opt.step(np.float64(0.1))  # a schedule may give NumPy's numbers
    for (_, param), array in zip(named, arrays, strict=True):
        assert param.data is array
        assert array.dtype == dtype
    assert {array.dtype for name, array in opt.state_dict().items() if name != "steps"} == {np.dtype(dtype)}


@every_kind
def test_vectors_do_not_decay(kind: str) -> None:
    """With zero gradients only decay moves: the matrix, and with `decay_all` the vector too."""
    for decay_all in (False, True):
        named = params()
        before = [param.data.copy() for _, param in named]
        make = tr.AdamW if kind == "AdamW" else tr.SGD
        opt = make(named, weight_decay=0.5, decay_all=decay_all)
        opt.zero_grad()
        opt.step(0.1)
        np.testing.assert_allclose(named[0][1].data, before[0] * 0.95, rtol=1e-12)
        np.testing.assert_allclose(named[1][1].data, before[1] * (0.95 if decay_all else 1), rtol=1e-12)


def test_what_decays_in_a_network() -> None:
    model = tr.resnet20(width=2, rng=np.random.default_rng(0))
    decay = tr.SGD(model.named_params(), weight_decay=0.1).decay
    assert {name for name, value in decay.items() if value} == {
        name for name in decay if "conv" in name or name == "fc.weight"
    }


@every_kind
def test_state_round_trip_goes_on_with_the_same_bits(kind: str) -> None:
    through, stopped = params(), params()
    a, b = KINDS[kind](through), KINDS[kind](stopped)
    for _ in range(2):
        a.step(0.1)
        b.step(0.1)
    saved = b.state_dict()
    b.step(5.0)  # the saved state is a copy: this does not move it
    again = KINDS[kind](stopped)
    again.load_state_dict(saved)
    assert again.steps == 2
    for (_, param), (_, other) in zip(stopped, through, strict=True):
        param.data[...] = other.data
    a.step(0.1)
    again.step(0.1)
    for (_, param), (_, other) in zip(stopped, through, strict=True):
        np.testing.assert_array_equal(param.data, other.data)


def test_state_of_another_optimiser_is_refused() -> None:
    sgd, adam = tr.SGD(params()), tr.AdamW(params())
    for state in (
        adam.state_dict(),
        {},
        {**sgd.state_dict(), "velocity.fc.bias": np.zeros(4)},
        tr.SGD(params()[:1]).state_dict(),
    ):
        with pytest.raises(InputError, match="does not fit SGD and this model's parameters"):
            sgd.load_state_dict(state)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, math.nan])
def test_wrong_momentum(momentum: float) -> None:
    with pytest.raises(InputError, match=f"SGD: momentum is {momentum}: 0 <= momentum < 1 is wanted"):
        tr.SGD(params(), momentum=momentum)


@pytest.mark.parametrize("betas", [(0.9, 1.0), (-0.1, 0.9), (math.nan, 0.9)])
def test_wrong_betas(betas: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="AdamW: betas are"):
        tr.AdamW(params(), betas=betas)


def test_the_base_class_moves_nothing() -> None:
    with pytest.raises(TypeError, match="no update of its own"):
        Optimiser(params(), weight_decay=0, decay_all=False).step(0.1)


def test_clipping() -> None:
    named = params()
    norm = math.sqrt(sum(float((param.grad**2).sum()) for _, param in named))
    before = [param.grad.copy() for _, param in named]
    assert tr.clip_grad_norm(named, norm * 2) == pytest.approx(norm)
    for (_, param), grad in zip(named, before, strict=True):
        np.testing.assert_array_equal(param.grad, grad)
    assert tr.clip_grad_norm(named, norm / 4) == pytest.approx(norm)
    for (_, param), grad in zip(named, before, strict=True):
        np.testing.assert_allclose(param.grad, grad / 4, rtol=1e-12)
    named[0][1].grad[0, 0] = math.nan
    assert math.isnan(tr.clip_grad_norm(named, 1.0))  # seen by whoever looks at the norm
    assert tr.clip_grad_norm([], 1.0) == 0
    assert grad_norm([np.full(4, 1e30, np.float32)]) == pytest.approx(2e30)  # its square does not fit float32


# Schedules.


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Constant(), {0: 1, 0.5: 1, 0.99: 1}),
        (MultiStep(), {0: 1, 0.499: 1, 0.5: 0.1, 0.749: 0.1, 0.75: 0.01, 0.99: 0.01}),
        (MultiStep((0.2,), gamma=0.5), {0.1: 1, 0.2: 0.5, 0.9: 0.5}),
        (Cosine(), {0: 1, 1 / 3: 0.75, 0.5: 0.5, 2 / 3: 0.25, 1: 0}),
        (OneCycle(), {0: 0.04, 0.15: 0.52, 0.3: 1, 0.65: 0.50005, 1: 1e-4}),
        (OneCycle(peak=0.0), {0: 1, 1: 1e-4}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_factors(schedule: Schedule, values: dict[float, float]) -> None:
    for done, factor in values.items():
        assert schedule.factor(done) == pytest.approx(factor, abs=1e-12), done


@pytest.mark.parametrize("name", SCHEDULES)
def test_named_schedules_stay_between_0_and_1(name: str) -> None:
    factors = [schedule_named(name).factor(step / 200) for step in range(200)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors) == pytest.approx(1)


def test_the_papers_schedule() -> None:
    """64,000 steps at 0.1, divided by 10 at 32,000 and at 48,000."""
    rates = [learning_rate(MultiStep(), 0.1, step, 64_000) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_warm_up_is_a_straight_line() -> None:
    rates = [learning_rate(Constant(), 0.8, step, 10, warmup=4) for step in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8])
    assert learning_rate(Cosine(), 1.0, 0, 10, warmup=0) == 1


@pytest.mark.parametrize("warmup", [-1, 11])
def test_warm_up_that_does_not_fit(warmup: int) -> None:
    with pytest.raises(InputError, match=f"warm-up of {warmup} steps does not fit a run of 10"):
        learning_rate(Constant(), 0.1, 0, 10, warmup)


def test_unknown_schedule_suggests_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown schedule 'cosin': did you mean 'cosine'"):
        schedule_named("cosin")
