"""What the checker tells: its reports, the command, and the selftest."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tinyresnet.cli import main
from tinyresnet.gradcheck import SHIPPED, check, target
from tinyresnet.gradcheck.museum import MUSEUM
from tinyresnet.gradcheck.report import as_dict, as_text


def test_reports_are_short_and_complete() -> None:
    for bug in MUSEUM[::20]:
        report = check(
            bug.make(np.random.default_rng(0)),
            bug.setting.inputs(np.random.default_rng(1)),
            train=bug.setting.train,
            name=bug.name,
        )
        lines = as_text(report).splitlines()
        assert len(lines) <= 15
        assert max(map(len, lines)) <= 80
        assert "WRONG" in lines[0]
        told = json.loads(json.dumps(as_dict(report), allow_nan=False))
        assert told["verdict"] == "wrong"
        assert all(name in as_text(report) for name in bug.wrong[:2])


OWN = """
import numpy as np
class Half:
    def forward(self, x): return x / 2
    def backward(self, dy): return dy
class Scaled:
    def __init__(self, factor): self.factor = factor
    def forward(self, x): return self.factor * x
    def backward(self, dy): return self.factor * dy
def cube_forward(x): return x**3, x
def cube_backward(dy, x): return 3 * dy * x**2
def lonely(x): return x, x
broken = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "stops.py").write_text("1 / 0", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["mine.py:Half"], 1, "Half: WRONG"),
        (["mine.py:Scaled(3.0)"], 0, "Scaled(3.0): correct"),
        (["mine.py:cube_forward", "--shape", "4"], 0, "cube_forward: correct"),
        (["mine.py:cube_forward", "--float32"], 0, "float32"),
        (["linear", "fork"], 0, "fork: correct"),
        (["all"], 0, f"{len(SHIPPED)} layers"),
        (["mine.py:Half", "--json"], 1, '"verdict": "wrong"'),
    ],
)
def test_the_command(own, capsys, words: list[str], code: int, said: str) -> None:
    assert main(["gradcheck", *words]) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "what shall be checked"),
        (["conv9d"], "conv2d"),
        (["mine.py"], "Half, Scaled"),
        (["mine.py:Nothing"], "there is no Nothing"),
        (["mine.py:Scaled"], "missing 1 required positional argument"),
        (["mine.py:lonely"], "lonely_backward"),
        (["mine.py:broken"], "no method `forward`"),
        (["stops.py:X"], "ZeroDivisionError"),
        (["gone.py:X"], "gone.py is not there"),
        (["mine.py:Half", "--shape", "2,x"], "2,x"),
    ],
)
def test_the_command_refuses(own, capsys, words: list[str], said: str) -> None:
    assert main(["gradcheck", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_seed_draws_the_same_numbers_again(own) -> None:
    drawn = [
        target.own("mine.py:Half", ((2, 3),), dtype=np.float32, train=True, seed=seed).inputs["x"] for seed in (5, 5, 6)
    ]
    assert [x.dtype for x in drawn] == [np.dtype(np.float32)] * 3
    assert (drawn[0] == drawn[1]).all()
    assert not (drawn[0] == drawn[2]).any()


def test_the_selftest(capsys) -> None:
    from tinyresnet.gradcheck import selftest

    few = [bug for bug in MUSEUM if bug.layer in ("linear", "add")]
    original, selftest.MUSEUM = selftest.MUSEUM, few
    try:
        main(["gradcheck", "--selftest", "--right", "20", "--json"])
    finally:
        selftest.MUSEUM = original
    told = json.loads(capsys.readouterr().out)
    assert told["caught"] == told["tried"] == len(few)
    assert told["false_alarms"] == 0
    assert math.isfinite(told["seconds"])
