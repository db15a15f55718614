"""`tinyresnet bench`: what it prints and refuses, and that nothing wrong is ever timed. Times themselves are not judged."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tinyresnet.bench import child, convolution, ladder, measure, network, ops, suites, timing, work
from tinyresnet.bench.ceilings import Ceilings
from tinyresnet.bench.convolution import Shape
from tinyresnet.bench.device import CPU
from tinyresnet.cli import main
from tinyresnet.errors import InputError
from tinyresnet_kernels import available, dispatch

HAS_TORCH = importlib.util.find_spec("torch") is not None
ROOT = Path(__file__).resolve().parents[1]
QUICK = ("--repeat", "1", "--seconds", "0.001", "--threads", "1")
SMALL = (Shape(2, 5, 7, 6, 4), Shape(3, 4, 9, 9, 6, (1, 3), (2, 2), (0, 1), (1, 2), 2))
WITH_TORCH = pytest.param(("--vs", "torch"), marks=pytest.mark.torch)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Small work and short pieces, so that a whole suite runs in a second or two."""
    monkeypatch.setattr(timing, "PAUSE", 0.0)
    monkeypatch.setattr(timing, "PIECE", 0.0)
    monkeypatch.setattr(convolution, "COMMON", SMALL[:1])
    monkeypatch.setattr(convolution, "ODD", SMALL[1:])
    tiny = Shape(1, 16, 4, 5, 16)
    rungs = {name: replace(rung, shape=tiny) for name, rung in ladder.RUNGS.items()}
    monkeypatch.setattr(ladder, "RUNGS", rungs)
    monkeypatch.setattr(ladder, "TINY", tiny)
    monkeypatch.setattr(ladder, "NETWORKS", {})
    monkeypatch.setattr(suites, "NETWORKS", {"resnet20": suites.NetworkSuite("resnet20", 2, (2, 1))})
    monkeypatch.setattr(ops, "OPS", {name: replace(op, shapes=SHAPES[name]) for name, op in ops.OPS.items()})
    ceilings = Ceilings(1, 1e11, 1e11, 1e11, 1e10)
    monkeypatch.setattr("tinyresnet.bench.ceilings.measure_ceilings", lambda threads, seconds, device: ceilings)


X = (2, 4, 8, 8)
SHAPES = {
    "batch_norm": ((X, (4,), (4,)),),
    "linear": (((3, 6), (5, 6), (5,)),),
    "softmax_cross_entropy": (((3, 6),),),
} | dict.fromkeys(("relu", "max_pool", "avg_pool", "global_avg_pool"), ((X,),))


def figures(capsys, *argv, code=0):
    assert main(["bench", *argv, *QUICK, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("versus", [(), WITH_TORCH])
@pytest.mark.parametrize("suite", [*suites.OPS, "resnet20", "ladder"])
def test_every_suite_measures_every_row(suite, versus, capsys):
    if versus and not HAS_TORCH:
        pytest.skip("PyTorch is not installed")
    found = figures(capsys, suite, *versus)
    assert found.keys() == {"suite", "machine", "versions", "interrupted", "memory", "cold", "ceilings", "rows"}
    assert found["suite"] == suite
    assert found["interrupted"] is False
    assert found["ceilings"].keys() == Ceilings.__dataclass_fields__.keys()
    assert ("torch" in found["versions"]) == bool(versus)
    cases = suites.cases(suite)
    assert [(row["name"], row["kind"]) for row in found["rows"]] == [(case.name, case.kind) for case in cases]
    for row, case in zip(found["rows"], cases, strict=True):
        assert row.keys() == measure.Row.__dataclass_fields__.keys()
        assert row["right"]
        assert 0 <= row["difference"] <= 1
        assert row["rounds"] == 1
        assert row["operations_per_second"] == pytest.approx(case.operations / row["seconds"])
        ceiling, rate = (1e10, "bytes_per_second") if case.kind == "elementwise" else (1e11, "operations_per_second")
        assert row["share"] == pytest.approx(row[rate] / ceiling)
        assert (row["torch_ratio"] is not None) == (bool(versus) and case.make(CPU).theirs is not None)
        if row["torch_ratio"]:
            assert row["torch_ratio"] == pytest.approx(row["torch_seconds"] / row["seconds"])
            assert row["torch_format"] in work.FORMATS


@pytest.mark.parametrize("suite", ["op:conv2d", "op:relu"])
def test_a_table_and_a_roofline(suite, capsys, tmp_path):
    assert main(["bench", suite, *QUICK, "--plot", str(tmp_path / "roof.png")]) == 0
    said = capsys.readouterr()
    assert "multiply-adds from registers" in said.out
    assert all(case.name in said.out for case in suites.cases(suite))
    assert said.out.isascii()
    assert (tmp_path / "roof.png").read_bytes().startswith(b"\x89PNG")


BAD = [
    ((), "SUITE"),
    (("resnet21",), "did you mean 'resnet20'"),
    (("op:conv",), "op:conv2d"),
    (("resnet20", "--vs", "jax"), "'jax'"),
    (("resnet20", "--threads", "0"), "--threads"),
    (("resnet20", "--threads", "100000"), "100000"),
    (("resnet20", "--repeat", "0"), "--repeat"),
    (("resnet20", "--seconds", "0"), "--seconds"),
    (("resnet20", "--seconds", "nan"), "'nan'"),
    (("resnet20", "--compile"), "--vs torch"),
    (("resnet20", "--version", "loops"), "ladder"),
    (("ladder", "--version", "lops"), "did you mean 'loops'"),
    (("op:relu", "--memory"), "--memory"),
    (("ladder", "--cold"), "--cold"),
    (("op:conv2d", "--unfused"), "--unfused"),
    (("op:relu", "--plot", "roof.jpg"), ".png"),
    (("op:relu", "--plot", "no/such/folder/roof.png"), "folder"),
]


@pytest.mark.parametrize(("argv", "message"), BAD, ids=[" ".join(argv) for argv, _ in BAD])
def test_wrong_arguments_are_one_line(argv, message, capsys):
    assert main(["bench", *argv]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("tinyresnet: error: ")
    assert said.err.count("\n") == 1
    assert message in said.err


def test_without_pytorch_it_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["bench", "op:relu", "--vs", "torch"]) == 2
    assert "pip install torch" in capsys.readouterr().err


def spoiled(how):
    """A replacement of `correlate` that is right but for what `how` does to its result."""

    def correlate(x, weight, stride, pad, dilation, groups):
        y = np.ascontiguousarray(convolution.correlate.reference(x, weight, stride, pad, dilation, groups))
        return how(y)

    return correlate


def one_number(y):
    y[-1, -1, -1, -1] *= 1.001
    return y


def a_nan(y):
    y[0, 0, 0, 0] = np.nan
    return y


@pytest.mark.parametrize(
    ("how", "says"),
    [(one_number, "times what is allowed"), (a_nan, "not finite"), (lambda y: y[:, :, 1:], "not finite")],
)
def test_what_differs_from_the_readable_form_is_named_and_not_timed(how, says, monkeypatch, capsys):
    available()  # so that loading the real kernels later does not undo the spoiling
    monkeypatch.setitem(dispatch._replacements, ("cpu", "correlate"), (spoiled(how), None))
    assert main(["bench", "op:conv2d", *QUICK, "--json"]) == 1
    said = capsys.readouterr()
    rows = json.loads(said.out)["rows"]
    assert [row["kind"] for row in rows if not row["right"]] == ["forward"] * len(SMALL)
    assert all((row["seconds"] is None) == (row["kind"] == "forward") for row in rows)
    wrong = [line for line in said.err.splitlines() if line.startswith("WRONG")]
    assert len(wrong) == len(SMALL)
    for line, shape in zip(wrong, SMALL, strict=True):
        assert f"{shape}, forward" in line
        assert says in line
    assert main(["bench", "op:conv2d", *QUICK]) == 1
    assert capsys.readouterr().out.count("WRONG") == len(SMALL)


def test_a_network_with_a_wrong_gradient_is_found(monkeypatch, capsys):
    available()
    real = dispatch._replacements.get(("cpu", "weight_gradient"), (convolution.weight_gradient.reference, None))[0]

    def weight_gradient(dy, weight, x, stride, pad, dilation, groups):
        return real(dy, weight, x, stride, pad, dilation, groups) * np.float32(1.1)

    monkeypatch.setitem(dispatch._replacements, ("cpu", "weight_gradient"), (weight_gradient, None))
    found = figures(capsys, "resnet20", "--unfused", code=1)
    assert not next(row for row in found["rows"] if row["kind"] == "training step")["right"]
    assert all(row["right"] for row in found["rows"] if row["kind"] in ("inference", "forward"))


@pytest.mark.torch
@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
def test_other_work_than_ours_is_not_compared():
    case = convolution.cases(dict.fromkeys(SMALL[:1], 1))[0]
    ours = case.make(CPU)
    other = replace(
        case, make=lambda device: replace(ours, theirs=lambda torch: lambda: torch.module.zeros(2, 4, 7, 6))
    )
    options = measure.Options(1, 1, 0.001, work.import_torch())
    with pytest.raises(RuntimeError, match="other numbers"):
        list(measure.measure([other], Ceilings(1, None, None, 1e11, 1e10), options))


@pytest.mark.torch
@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
@pytest.mark.parametrize("works", [True, False])
def test_a_compiler_that_fails_is_told_and_the_rest_measured(works, monkeypatch, capsys):
    def compile_(module):
        if works:
            return module
        raise OSError("no compiler\nfor a reason")

    monkeypatch.setattr(work.import_torch(), "compile", compile_)
    assert main(["bench", "resnet20", *QUICK, "--vs", "torch", "--compile", "--json"]) == 0
    said = capsys.readouterr()
    for row in json.loads(said.out)["rows"]:
        assert (row["compiled_ratio"] is not None) == (works and row["kind"] in ("training step", "inference"))
        assert row["torch_ratio"]
    assert ("C++ compiler): no compiler\n" in said.err) != works


@pytest.mark.parametrize("flag", [(), ("--json",)])
def test_ctrl_c_shows_what_was_measured(flag, monkeypatch, capsys):
    def interrupted(cases, ceilings, options):
        yield from real(cases[:2], ceilings, options)
        raise KeyboardInterrupt

    real = measure.measure
    monkeypatch.setattr(measure, "measure", interrupted)
    assert main(["bench", "op:conv2d", *QUICK, *flag]) == 130
    said = capsys.readouterr()
    assert "interrupted" in said.err
    if flag:
        found = json.loads(said.out)
        assert found["interrupted"] is True
        assert len(found["rows"]) == 2
    else:
        assert said.out.count(str(SMALL[0])) == 2


def test_it_works_without_numba(monkeypatch, capsys):
    for key in [key for key in dispatch._replacements if key[0] == "cpu"]:
        monkeypatch.delitem(dispatch._replacements, key)
    monkeypatch.setattr(dispatch, "_loaded", {"cpu", "cuda"})
    assert main(["bench", "op:conv2d", *QUICK]) == 0
    assert "no Numba here" in capsys.readouterr().err
    assert [row["name"].split(":")[0] for row in figures(capsys, "ladder")["rows"]] == ["loops", "im2col"]
    assert main(["bench", "ladder", "--version", "registers", *QUICK]) == 2
    assert "pip install numba" in capsys.readouterr().err


def test_ceilings_are_measured():
    from tinyresnet.bench import ceilings

    found = ceilings._best(lambda: None, 0.001)
    assert 0 < found < 1
    assert 0 < ceilings._matrix_product(0.001) < math.inf
    assert 0 < ceilings._copy(2, 0.001) < math.inf
    if "cpu" in available():
        from tinyresnet.bench.peak import multiply_add_run

        run, operations = multiply_add_run()
        assert 0 < operations / ceilings._best(run, 0.001) < math.inf


def test_times_are_taken_in_turn(monkeypatch):
    calls = []
    monkeypatch.setattr(timing.time, "perf_counter", iter(range(10_000)).__next__)
    times = timing.in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeat=4, seconds=1e9)
    assert "".join(calls) == "ab" + "abbaabba"
    assert times == {"a": [1.0] * 4, "b": [1.0] * 4}
    times = timing.in_turn({"a": lambda: calls.append("a")}, repeat=100, seconds=2)
    assert len(times["a"]) == timing.LEAST_ROUNDS
    assert timing.median_ratio([2.0, 9.0, 30.0], [1.0, 3.0, 10.0]) == 3.0


def test_a_training_process_tells_its_memory_and_its_first_step():
    life = child.live("ours", "resnet20", 2, 1, fused=False)
    assert life.first_seconds > 0 < life.second_seconds
    assert sys.platform == "win32" or 0 < life.before <= life.peak
    with pytest.raises(RuntimeError, match="resnet21"):
        child.live("ours", "resnet21", 2, 1)


def test_memory_and_cold_start_are_asked_of_processes(monkeypatch, capsys):
    asked = []

    def live(side, network, batch, threads, *, fused, cache=None):
        asked.append((side, network, batch, threads, fused, cache and cache.is_dir()))
        return child.Life(30.0, 0.5, 1_000_000, None if len(asked) == 2 else 2_000_000)

    monkeypatch.setattr(child, "live", live)
    found = figures(capsys, "resnet20", "--memory", "--cold", "--unfused")
    assert found["memory"] == {"ours": {"before": 1_000_000, "peak": 2_000_000}}
    assert found["cold"].keys() == {"empty_cache", "warm_cache"}
    assert found["cold"]["warm_cache"]["first_seconds"] == 30.0
    assert asked == [("ours", "resnet20", 2, 1, False, None), *[("ours", "resnet20", 2, 1, False, True)] * 2]
    assert main(["bench", "resnet20", *QUICK, "--memory", "--cold"]) == 0
    said = capsys.readouterr().out
    assert all(words in said for words in ("before the first step", "empty cache", "warm cache"))


def test_networks_of_both_suites_have_their_convolutions():
    from tinyresnet.resnet import build

    rng = np.random.default_rng(0)
    for name, multiply_adds, convolutions in (("resnet20", 40_550_400, 19), ("resnet18", 1_813_561_344, 20)):
        found = convolution.shapes_of(build(name, rng=rng), 1)
        assert sum(found.values()) == convolutions
        assert sum(shape.multiply_adds * count for shape, count in found.items()) == multiply_adds


def test_every_version_of_the_ladder_runs_by_name(capsys):
    for name, rung in ladder.RUNGS.items():
        if rung.numba and "cpu" not in available():
            continue
        (row,) = figures(capsys, "ladder", "--version", name)["rows"]
        assert row["name"] == f"{name}: {rung.says}"
    with pytest.raises(InputError):
        ladder.cases("nothing")


def test_a_network_trains_as_it_is_measured():
    training = network.Training(network.Setting("resnet20", 4, fused=False))
    losses = [training.step(0.05) for _ in range(6)]
    assert losses[-1] < losses[0]
