"""The depth dial: the shipped norms are whole, are what this library computes, and say what their captions say."""

from __future__ import annotations

import json
import math
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyresnet.layers import BatchNorm2d, Conv2d
from tinyresnet.step import depth_dial
from tinyresnet.step.depth_dial import caption, first_batch, gradient_norms, load, main, make_network, make_row, median

SETTINGS = ("shortcut", "norm", "init", "depth")
SHIPPED = {tuple(row[name] for name in SETTINGS): row for row in load()["rows"]}
WORDS = {
    ("plain", True, "he", 56): "explodes",
    ("plain", True, "pytorch", 56): "explodes",
    ("residual", False, "he", 56): "explodes",
    ("plain", False, "pytorch", 8): "vanishes",
    ("plain", False, "pytorch", 20): "vanishes",
    ("plain", False, "pytorch", 56): "vanishes",
}


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def check_form(text: str, settings: set[tuple[Any, ...]]) -> None:
    """A file of these rows, with the networks' block names, and numbers of four digits or null."""
    dial = json.loads(text, parse_constant=refuse)
    assert (dial["format"], dial["version"]) == ("tinyresnet-depth-dial", 1)
    assert dial["data"]["batch"] == 128
    assert len(dial["rows"]) == len(settings)
    assert {tuple(row[name] for name in SETTINGS) for row in dial["rows"]} == settings
    for row in dial["rows"]:
        assert row.keys() == {*SETTINGS, "blocks", "weights", "outputs"}
        stages = [f"layer{stage}.{i}" for stage in (1, 2, 3) for i in range((row["depth"] - 2) // 6)]
        assert row["blocks"] == ["conv1", *stages]
        for values in (row["weights"], row["outputs"]):
            assert len(values) == len(stages) + 1
            assert all(v is None or (type(v) is float and v >= 0 and v == float(f"{v:.4g}")) for v in values)


def test_the_shipped_file_is_whole() -> None:
    text = resources.files("tinyresnet.step").joinpath("depth_dial.json").read_text(encoding="utf-8")
    assert len(text.encode()) < 60_000
    check_form(text, set(product(("plain", "residual"), (True, False), ("he", "pytorch"), (8, 20, 56))))
    assert load()["data"]["seeds"] == list(depth_dial.SEEDS)


def test_the_shipped_norms_are_what_is_computed() -> None:
    batch = first_batch()
    for settings, shipped in SHIPPED.items():
        shortcut, norm, init, depth = settings
        if depth == 8:
            made = make_row(shortcut, norm, init, depth, batch)
            for name in ("weights", "outputs"):  # rounding tips a ReLU here and there, else 1e-3 would do
                np.testing.assert_allclose(made[name], shipped[name], rtol=5e-3, err_msg=f"{settings} {name}")


def test_what_the_shipped_rows_say() -> None:
    """Deeper is worse without shortcuts, and no word hangs on the choice of the limit."""
    assert {settings: caption(row)[0] for settings, row in SHIPPED.items()} == {
        settings: WORDS.get(settings, "neither") for settings in SHIPPED
    }
    for settings, row in SHIPPED.items():
        ratio = caption(row)[1]
        assert ratio is not None
        assert not 40 < max(ratio, 1 / ratio) < 250, settings


@pytest.mark.parametrize(
    ("outputs", "word", "ratio"),
    [
        ([5e3, 70.0, 1.0], "explodes", 5e3),
        ([1e-40, 1e-5, 1e-3], "vanishes", 1e-37),
        ([2.0, 1.0, 1.0], "neither", 2.0),
        ([100.0, 1e9, 1.0], "neither", 100.0),
        ([100.1, 1.0], "explodes", 100.1),
        ([0.01, 1.0], "neither", 0.01),
        ([0.0099, 1.0], "vanishes", 0.0099),
        ([0.0, 1e-9, 1.0], "vanishes", 0.0),
        ([1.0, None, 1.0], "neither", 1.0),
        ([None, 1e30, 1.0], "explodes", None),
        ([1.0, 0.0], "explodes", None),
        ([None, 0.0], "explodes", None),
        ([1.0, None], "unknown", None),
        ([None, None], "unknown", None),
        ([0.0, 0.0], "unknown", None),
    ],
)
def test_captions(outputs: list[float | None], word: str, ratio: float | None) -> None:
    assert caption({"outputs": outputs}) == (word, None if ratio is None else pytest.approx(ratio))


def test_networks_differ_in_what_the_dial_says_and_in_nothing_else() -> None:
    def weights(shortcut: str, norm: bool, init: str) -> dict[str, Any]:
        params = make_network(shortcut, norm, init, 8, np.random.default_rng(3)).named_params()
        return {name: param.data for name, param in params if "bn" not in name}

    for init in ("he", "pytorch"):
        first, *others = (weights(shortcut, norm, init) for shortcut in ("plain", "residual") for norm in (True, False))
        for other in others:
            assert first.keys() == other.keys()
            assert all(np.array_equal(first[name], other[name]) for name in first)
        widest = np.abs(first["layer3.0.conv2.weight"])
        assert first["fc.bias"].any() == (init == "pytorch")
        if init == "pytorch":
            assert 0.99 / 24 < widest.max() <= 1 / 24  # fan-in 64 * 9
        else:
            assert np.isclose(widest.std() ** 2 + widest.mean() ** 2, 2 / 576, rtol=0.05)
    bare = make_network("residual", False, "he", 8, np.random.default_rng(3))
    kinds = [type(layer) for _, layer in bare.named_layers()]
    assert (kinds.count(BatchNorm2d), kinds.count(Conv2d)) == (0, 7)


def test_an_overflow_is_null_and_a_few_seeds_do_not_decide() -> None:
    network = make_network("plain", False, "he", 8, np.random.default_rng(0))
    for _, param in network.named_params():
        param.data *= 1e12
    norms = gradient_norms(network, first_batch())
    assert not any(math.isfinite(value) for value in norms.outputs.values())
    assert median([norms.weights, norms.weights, dict.fromkeys(norms.weights, 1.0)]) == [None] * 4
    assert median([{"a": 1.23456, "b": 1.0}, {"a": math.nan, "b": math.inf}, {"a": 1.0, "b": math.nan}]) == [
        1.235,
        None,
    ]


def test_the_command_writes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(depth_dial, "DEPTHS", (8,))
    monkeypatch.setattr(depth_dial, "SEEDS", (0,))
    out = tmp_path / "new" / "dial.json"
    assert main(["--out", str(out)]) == 0
    check_form(out.read_text(encoding="utf-8"), {settings for settings in SHIPPED if settings[-1] == 8})
    assert "4/8 plain 8, none, pytorch: vanishes, 0.00" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(out / "below.json")])
    assert "cannot write" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "depth_dial --out depth_dial.json" in capsys.readouterr().out
