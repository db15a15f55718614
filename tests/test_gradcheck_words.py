"""The words of a report, in full: made by hand, one for each thing that there is to tell."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest

from tinyresnet.gradcheck.check import Report
from tinyresnet.gradcheck.diagnose import Diagnosis
from tinyresnet.gradcheck.localise import Element, Place
from tinyresnet.gradcheck.network import ModelReport
from tinyresnet.gradcheck.report import HINTS, as_dict, as_text
from tinyresnet.gradcheck.signs import SIGNS
from tinyresnet.gradcheck.structure import Finding
from tinyresnet.gradcheck.tensor import Comparison, TensorCheck


def comparison(away: float = 0.0, method: str = "differences", kinks: int = 0) -> Comparison:
    return Comparison(1.0 + away, 1.0, 1.0, 0.25, 2.0, method, kinks)


def tensor(
    name: str, *found: Comparison, limit: float = 1e-9, point: str = "as given", forwards: int = 30
) -> TensorCheck:
    return TensorCheck(name, (2, 3), found or (comparison(),), limit, forwards, point)


def report(*tensors: TensorCheck, findings: Any = (), places: Any = None, diagnoses: Any = None) -> Report:
    return Report(SUBJECT, findings, tensors, places or {}, diagnoses or {}, "float64", 1.23456)


SUBJECT: Any = SimpleNamespace(name="mine")
ELEMENTS = Element((1, 2), 0.123456789123, 2.0, 3e-9), Element((0, 0), 1.0, math.inf, math.nan)
ONE, SEVERAL = Place(ELEMENTS[:1], 1, 6, True), Place(ELEMENTS, 2, 6, True)
AT = "    at [1, 2]: 0.123456789, and 2 +- 3e-09 is right; 1 element wrong"

REPORTS = {
    "right": (
        report(
            tensor("a"),
            tensor("b", limit=1e-20),
            tensor("a", point="on kinks", forwards=10),
            tensor("a", point="beside kinks", forwards=5),
        ),
        [
            "mine: correct",
            "  right: a, b (an error of 1e-09 of its size in one element of a would show)",
            "  right also on kinks and beside kinks",
            "  45 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "many right": (
        report(*(tensor(f"p{i}", limit=10.0 ** -(5 + i)) for i in range(5))),
        [
            "mine: correct",
            "  right: 5 gradients (an error of 1e-05 of its size in one element of p0 would",
            "    show)",
            "  30 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "four right": (
        report(*(tensor(f"p{i}", limit=10.0 ** -(20 + i)) for i in range(4))),
        [
            "mine: correct",
            "  right: p0, p1, p2, p3 (an error of 1e-15 of its size in one element of p0",
            "    would show)",
            "  30 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "one wrong": (
        report(
            tensor("a", comparison(), comparison(5.0), comparison(3.0)),
            tensor("b"),
            places={"a": SEVERAL},
            diagnoses={"a": (Diagnosis("scale", "S1"), Diagnosis("sign", "S2"), Diagnosis("zero", "S3"))},
        ),
        [
            "mine: WRONG",
            "  gradient of a (2, 3) is wrong: off by 20 times the error bar",
            "    at [1, 2]: 0.123456789, and 2 +- 3e-09 is right; 2 elements wrong",
            "    likely: S1",
            "    look at: every division and mean, and what is divided by twice",
            "    or: S2",
            "  right: b (an error of 1e-09 of its size in one element of b would show)",
            "  30 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "two wrong": (
        report(
            tensor("a", comparison(1e7)),
            tensor("b", comparison(4)),
            places={"a": Place((), 3, 6, False), "b": ONE},
            diagnoses={"b": (Diagnosis("other", "S1"),)},
        ),
        [
            "mine: WRONG",
            "  gradient of a (2, 3) is wrong: off by far more than the error bar",
            "    unknown pattern: --html FILE draws where it is wrong",
            "  gradient of b (2, 3) is wrong: off by 16 times the error bar",
            AT,
            "    likely: S1",
            "  30 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "three wrong": (
        report(
            *(tensor(n, comparison(-5)) for n in "abc"),
            tensor("c", comparison(-5), point="on kinks"),
            places={"a": ONE},
        ),
        [
            "mine: WRONG",
            "  gradient of a (2, 3) is wrong: off by 20 times the error bar",
            AT,
            "    unknown pattern: --html FILE draws where it is wrong",
            "  wrong too: b, c",
            "  60 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "wrong on kinks": (
        report(
            tensor("a"),
            tensor("a", comparison(5, "one-sided", 3), point="on kinks"),
            tensor("a", point="beside kinks"),
            places={"a": ONE},
            diagnoses={"a": (Diagnosis("winners", "S1"),)},
        ),
        [
            "mine: WRONG",
            "  gradient of a (2, 3) is wrong on kinks: off by 20 times the error bar",
            AT,
            "    likely: S1",
            "    look at: which element of a window gets the gradient, and on ties",
            "  right also beside kinks",
            "  90 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "wrong beside": (
        report(
            tensor("a"),
            tensor("a", comparison(5), point="beside kinks"),
            places={"a": ONE},
            diagnoses={"a": (Diagnosis("winners", "S1"),)},
        ),
        [
            "mine: WRONG",
            "  gradient of a (2, 3) is wrong beside kinks: off by 20 times the error bar",
            AT,
            "  60 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "not located": (
        report(tensor("a", comparison(5))),
        [
            "mine: WRONG",
            "  gradient of a (2, 3) is wrong: off by 20 times the error bar",
            "  30 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "on kinks alone": (
        report(tensor("a", comparison(method="one-sided", kinks=6), limit=math.inf), tensor("b", limit=0.25)),
        [
            "mine: INCONCLUSIVE",
            "  a: most outputs stand on kinks; its slope lies between both sides",
            "  b: no statement: only an error above 2e-01 of its size would show",
            "  30 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "on kinks, right beside": (
        report(
            tensor("a", comparison(method="one-sided", kinks=6), limit=math.inf),
            tensor("a", point="beside kinks"),
            tensor("b", comparison(method="one-sided"), limit=math.inf),
        ),
        [
            "mine: INCONCLUSIVE",
            "  a: most outputs stand on kinks; its slope lies between both sides; beside them",
            "    it is right",
            "  b: most outputs stand on kinks; its slope lies between both sides",
            "  right also beside kinks",
            "  60 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "unclear": (
        report(*(tensor(n, limit=0.5) for n in "abcd")),
        [
            "mine: INCONCLUSIVE",
            "  a: no statement: only an error above 5e-01 of its size would show",
            "  b: no statement: only an error above 5e-01 of its size would show",
            "  c: no statement: only an error above 5e-01 of its size would show",
            "  30 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "findings": (
        report(
            tensor("a"),
            tensor("b"),
            findings=(
                Finding("writes", "it writes to a thing"),
                Finding("upstream", "it is not linear", ("b", "a")),
                Finding("repeatable", "R", (), "inconclusive"),
            ),
            diagnoses={"b": (Diagnosis("upstream", "D1"), Diagnosis("sign", "D2"))},
        ),
        [
            "mine: WRONG",
            "  it writes to a thing",
            "  gradient of b, a: it is not linear",
            "    likely: D1",
            "  R",
            "  30 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "long": (
        report(
            *(tensor(n, comparison(5)) for n in ("abc" * 40, "d")),
            findings=tuple(Finding("stale", f"{i} " + "word " * 30) for i in range(8)),
        ),
        [
            "mine: WRONG",
            "  0 word word word word word word word word word word word word word word word",
            "    word word word word word word word word word word word word word word word",
            "  1 word word word word word word word word word word word word word word word",
            "    word word word word word word word word word word word word word word word",
            "  2 word word word word word word word word word word word word word word word",
            "    word word word word word word word word word word word word word word word",
            "  3 word word word word word word word word word word word word word word word",
            "    word word word word word word word word word word word word word word word",
            "  4 word word word word word word word word word word word word word word word",
            "    word word word word word word word word word word word word word word word",
            "  5 word word word word word word word word word word word word word word word",
            "    word word word word word word word word word word word word word word word",
            "  ...",
            "  30 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
    "none": (
        report(findings=(Finding("runs", "it stops"),)),
        [
            "mine: WRONG",
            "  it stops",
            "  0 forward passes a gradient at most, 1.23 s, float64",
        ],
    ),
}


@pytest.mark.parametrize("name", REPORTS)
def test_what_a_report_says(name: str) -> None:
    made, lines = REPORTS[name]
    assert as_text(made).splitlines() == lines == str(made).splitlines()
    assert len(lines) <= 15
    assert max(map(len, lines)) <= 80
    json.dumps(as_dict(made), allow_nan=False)


def test_what_a_program_is_told() -> None:
    told = as_dict(REPORTS["one wrong"][0])
    assert told == {
        "name": "mine",
        "verdict": "wrong",
        "wrong": ["a"],
        "dtype": "float64",
        "largest_relative_error": 2.5,
        "detection_limit": 1e-9,
        "forward_passes": 30,
        "seconds": 1.2346,
        "findings": [],
        "gradients": [
            {
                **gradient("a", "wrong", error_bars_off=20.0),
                "wrong_elements": {
                    "all_found": True,
                    "wrong": 2,
                    "looked_at": 6,
                    "elements": [
                        {"index": [1, 2], "got": 0.123456789123, "expected": 2.0, "bar": 3e-9},
                        {"index": [0, 0], "got": 1.0, "expected": None, "bar": None},
                    ],
                },
                "diagnoses": [
                    {"sign": "scale", "sentence": "S1"},
                    {"sign": "sign", "sentence": "S2"},
                    {"sign": "zero", "sentence": "S3"},
                ],
            },
            gradient("b", "correct"),
        ],
    }
    kinked = as_dict(REPORTS["wrong on kinks"][0])["gradients"]
    assert [set(one) - set(gradient("a", "")) for one in kinked] == [set(), {"wrong_elements", "diagnoses"}, set()]
    assert (kinked[1]["point"], kinked[1]["method"], kinked[1]["kinks"]) == ("on kinks", "one-sided", 3)
    assert as_dict(REPORTS["findings"][0])["findings"][1] == {
        "check": "upstream",
        "detail": "it is not linear",
        "gradients": ["b", "a"],
    }
    empty = report(TensorCheck("a", (0, 3), (), math.inf, 0))
    assert as_dict(empty)["gradients"] == [
        gradient(
            "a", "inconclusive", shape=[0, 3], method=None, error_bars_off=None, detection_limit=None, forward_passes=0
        )
    ]


def gradient(name: str, verdict: str, **other: Any) -> dict[str, Any]:
    told = {"name": name, "shape": [2, 3], "point": "as given", "verdict": verdict, "method": "differences"}
    return told | {"error_bars_off": 0.0, "detection_limit": 1e-9, "kinks": 0, "forward_passes": 30} | other


def test_what_is_said_of_a_network() -> None:
    right, wrong, unclear = (REPORTS[name][0] for name in ("four right", "not located", "unclear"))
    assert str(ModelReport("net", {"one": right}, 2.34)) == (
        "net: correct, 1 layers checked from the last to the first, 2.3 s"
    )
    assert str(ModelReport("net", {"b": unclear, "one": right, "a": unclear}, 2.34)).splitlines() == [
        "net: INCONCLUSIVE, 3 layers checked from the last to the first, 2.3 s",
        "nothing can be said of b, a: with another --seed it may",
    ]
    assert str(ModelReport("net", {"one": right, "two": wrong}, 2.34)).splitlines() == [
        "net: WRONG, 2 layers checked from the last to the first, 2.3 s",
        "the first wrong layer is two:",
        *REPORTS["not located"][1],
    ]


def test_every_hint_is_of_a_sign() -> None:
    assert set(HINTS) <= set(SIGNS)
