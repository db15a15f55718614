"""Canaries: a checker with one piece broken must fail the small panel that the whole one passes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import gradcheck_functions as functions
from tinyresnet.gradcheck import check, diagnose, manners, network, slopes, tensor
from tinyresnet.gradcheck.localise import Place, _Search
from tinyresnet.gradcheck.probe import Probe
from tinyresnet.gradcheck.slopes import Noise, _Table
from tinyresnet.gradcheck.tensor import Comparison
from tinyresnet.layers import Chain, Linear

checks = importlib.import_module("tinyresnet.gradcheck.check")  # the package has a function of that name
RNG = np.random.default_rng(0)
X, TIED, FAR = RNG.standard_normal((4, 5)), RNG.integers(-1, 2, (6, 5)).astype(float), 1e4 + RNG.standard_normal((4, 5))


def one_off(size: float) -> Callable[..., Any]:
    def backward(dy: Any, x: Any) -> Any:
        dx = dy * np.cos(x)
        dx[0, 0] += size * dy[0, 0]
        return dx

    return backward


def centred(x: Any) -> Any:
    return np.tanh(x - x.mean(0)), np.tanh(x - x.mean(0))


def centred_backward(dy: Any, y: Any) -> Any:
    d = dy * (1 - y * y)
    return d - d.mean(0)


def panel() -> None:
    """Right ones and wrong ones of each kind; what is wrong is found, and named."""
    verdict = lambda forward, backward, x: check(forward, x, backward=backward).verdict  # noqa: E731
    sine, shared = (lambda x: (np.sin(x), x)), functions.shared_among_winners
    assert verdict(sine, lambda dy, x: dy * np.cos(x), X) == "correct"
    assert verdict(lambda x: (np.sin(x - 1e4) * 1e5, x), lambda dy, x: dy * np.cos(x - 1e4) * 1e5, FAR) == "correct"
    assert verdict(lambda x: (np.sin(x) + 1e9 - 1e9, x), lambda dy, x: dy * np.cos(x), X) == "correct"
    assert verdict(lambda x: (2 * x, None), lambda dy, _: 2 * dy, X) == "correct"
    assert verdict(centred, centred_backward, X) == "correct"
    assert verdict(functions.largest_forward, shared, TIED) == "correct"
    assert verdict(functions.largest_forward, functions.to_every_winner, TIED) == "wrong"
    assert verdict(functions.leaky_forward, functions.leaky_backward(2.0), X) == "wrong"
    assert verdict(centred, lambda dy, y: dy * (1 - y * y), X) == "wrong"
    assert verdict(lambda x: (2 * x, np.zeros(1)), lambda dy, steps: 2 * dy + 0 * steps.__iadd__(1), X) == "wrong"
    assert verdict(sine, lambda dy, x: dy * np.cos(x) * (1 if dy.flags.c_contiguous else 2), X) == "wrong"
    report = check(sine, X, backward=one_off(1e-6))
    assert report.verdict == "wrong"
    assert [element.index for element in report.places["x"].elements] == [(0, 0)]
    twice = check(sine, X, backward=lambda dy, x: 2 * dy * np.cos(x))
    assert [diagnosis.sign for diagnosis in twice.diagnoses["x"]][:1] == ["scale"]
    model = Chain({name: Linear(5, 5, rng=np.random.default_rng(0)) for name in ("one", "two")})
    for name in ("one", "two"):
        model[name].__class__ = type("Wrong", (Linear,), {"backward": lambda *a: 3 * Linear.backward(*a)})
        assert network.check_model(model, X.astype(np.float32)).first_wrong == name


def test_the_whole_checker_passes() -> None:
    panel()


def widened(f: Any, here: Any, noise: Any, most: int) -> Any:
    found = slopes.measure(f, here, noise, most)
    return replace(found, error=found.error * 1e8)


def without_upstream(self: Probe, upstream: Any) -> Any:
    return CLAIM(self, np.ones_like(upstream) * (upstream != 0))


CLAIM, COMPARED, LOOK = Probe.claim, tensor._compared, _Search.look
BROKEN = {
    "every claim is believed": (Comparison, "off", property(lambda self: 0.0)),
    "no claim is believed": (Comparison, "off", property(lambda self: 1e9)),
    "the upstream is ones": (Probe, "claim", without_upstream),
    "the claim is doubled": (Probe, "claim", lambda self, upstream: 2 * CLAIM(self, upstream)),
    "the claim is looked at for its size": (Probe, "claim", lambda self, upstream: abs(CLAIM(self, upstream))),
    "bars are far too wide": (tensor, "measure", widened),
    "bars are nothing": (tensor, "_compared", lambda *a: replace(COMPARED(*a), bar=0.0)),
    "rounding is not seen": (Noise, "measured", classmethod(lambda cls, f, others=(): cls(0 * f(0.0), 0 * f(0.0)))),
    "kinks are not seen": (_Table, "_kinked", lambda self: np.zeros(len(self.here), bool)),
    "kinks are seen everywhere": (_Table, "_kinked", lambda self: np.ones(len(self.here), bool)),
    "kinks are not looked for": (checks, "_at_kinks", lambda *a, **b: []),
    "manners are not looked at": (checks, "look_over", lambda *a: []),
    "writing is not looked at": (manners, "MANNERS", ()),
    "forms are not looked at": (manners, "FORMS", ()),
    "nothing is located": (checks, "wrong_elements", lambda *a: Place((), 0, 1, True)),
    "everything is located": (_Search, "look", lambda self, places: LOOK(self, np.arange(self.probe.point.size))),
    "nothing is diagnosed": (checks, "diagnose", lambda *a: ()),
    "everything is a wrong sign": (checks, "diagnose", lambda *a: (diagnose.Diagnosis("sign", "its sign is turned"),)),
    "a network is looked at from its front": (network, "_back", lambda model: model.children().items()),
    "a network's first layer is not looked at": (network, "_back", lambda model: [("two", model["two"])]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_checker_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*BROKEN[name])
    with pytest.raises(AssertionError):
        panel()
