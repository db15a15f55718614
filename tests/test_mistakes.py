"""Wrong numbers and what the page calls them: every named mistake is made once, and a right number is never called one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

from browser import WEB, open_browser, open_modules, open_trace  # noqa: F401
from tinyresnet.explain import Cell
from traces import explained, some_cells

Wrong: TypeAlias = Callable[
    [Any, Any, tuple[int, ...]], float | None
]  # (arrays, settings, at) -> the wrong number, if there is one

HAND = "hand network"
CHANNELS = "conv 3x3 (2, 3, 5, 6) train"
STRIDED = "conv 3x3, stride 4: skips pixels (2, 2, 9, 10) train"
LINEAR = "linear (3, 5) train"
AVERAGE = "average pool 3x3, stride 2, pad 1 (2, 3, 7, 6) train"
WIDE_MAX = "max pool 3x3, stride 2, pad 1 (2, 3, 7, 6) train"
SHORTCUT = "shortcut A (2, 4, 5, 6) train"
DROPOUT = "dropout (2, 3, 4, 5) train"
BIASED = "conv 3x3, bias (3, 2, 6, 5) train"
SMOOTH = "cross-entropy (4, 5)"


def window(x: Any, s: Any, at: tuple[int, ...]) -> Any:
    """The numbers of x under a pooling window, without padding."""
    n, c, *out = at
    rows, columns = (
        slice(max(0, o * st - p), o * st - p + k)
        for o, st, p, k in zip(out, s["stride"], s["pad"], s["kernel"], strict=True)
    )
    return x[n, c, rows, columns]


def read(name: str, at: Callable[[tuple[int, ...]], tuple[int, ...]] = lambda at: at) -> Wrong:
    return lambda t, s, place: t[name][at(place)]


def times(factor: float, name: str) -> Wrong:
    return lambda t, s, at: t[name][at] * factor


def dx_paths(t: Any, at: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Scale, and the three terms of batch norm's dx within the bracket."""
    c = at[1]
    scale = t["weight"][c] * t["inverse_std"][c]
    return scale, t["dy"][at], -t["mean_dy"][c], -t["xhat"][at] * t["mean_dy_xhat"][c]


def conv(t: Any, s: Any, at: tuple[int, ...], *, flip: bool = False, channels: slice = slice(None)) -> float:
    """One number of a convolution of stride 1 without dilation."""
    n, o, oh, ow = at
    weight = t["weight"][o][:, ::-1, ::-1] if flip else t["weight"][o]
    p, q = s["pad"]
    x = np.pad(t["x"][n], ((0, 0), (p, p), (q, q)))[:, oh : oh + weight.shape[1], ow : ow + weight.shape[2]]
    return float((weight * x)[channels].sum())


def conv_dx_not_flipped(t: Any, s: Any, at: tuple[int, ...]) -> float:
    n, c, h, w = at
    KH, KW = t["weight"].shape[2:]
    dy = np.pad(t["dy"][n], ((0, 0), (KH, KH), (KW, KW)))
    top, left = h + s["pad"][0] + 1, w + s["pad"][1] + 1  # of the outputs that saw the pixel, the first
    return float((dy[:, top : top + KH, left : left + KW] * t["weight"][:, c]).sum())


def first_output(t: Any, s: Any, at: tuple[int, ...]) -> float | None:
    n, c, h, w = at
    if s["stride"] != [1, 1]:
        return None
    return float(t["dy"][n, 0, h, w] * t["weight"][0, c, s["pad"][0], s["pad"][1]])


ROWS: list[tuple[str, str, str, str, Wrong]] = [
    ("sign", HAND, "BatchNorm2d forward", "y", times(-1, "y")),
    ("averaged", LINEAR, "Linear forward", "y", times(1 / 6, "y")),
    ("not_averaged", HAND, "BatchNorm2d forward", "mean", lambda t, s, at: t["x"][:, at[0]].sum()),
    ("factor", HAND, "BatchNorm2d backward", "dweight", lambda t, s, at: t["dy"][:, at[0]].sum()),
    ("factor", DROPOUT, "Dropout forward", "y", read("x")),
    ("one_picture", HAND, "BatchNorm2d forward", "mean", lambda t, s, at: t["x"][0, at[0]].mean()),
    ("one_picture", HAND, "BatchNorm2d backward", "dbias", lambda t, s, at: t["dy"][1, at[0]].sum()),
    ("no_signs", LINEAR, "Linear backward", "dbias", lambda t, s, at: abs(t["dy"][:, at[0]]).sum()),
    ("no_bias", LINEAR, "Linear forward", "y", lambda t, s, at: t["y"][at] - t["bias"][at[1]]),
    ("left_out", LINEAR, "Linear forward", "y", lambda t, s, at: t["y"][at] - t["x"][at[0], 2] * t["weight"][at[1], 2]),
    (
        "term_sign",
        LINEAR,
        "Linear forward",
        "y",
        lambda t, s, at: t["y"][at] - 2 * t["x"][at[0], 2] * t["weight"][at[1], 2],
    ),
    ("stopped", LINEAR, "Linear forward", "y", lambda t, s, at: t["x"][at[0], :3] @ t["weight"][at[1], :3]),
    ("function", HAND, "CrossEntropy forward", "exp", read("shifted")),
    ("conv_flipped", CHANNELS, "Conv2d forward", "y", lambda t, s, at: conv(t, s, at, flip=True)),
    ("conv_one_channel", CHANNELS, "Conv2d forward", "y", lambda t, s, at: conv(t, s, at, channels=slice(1, 2))),
    ("conv_not_flipped", CHANNELS, "Conv2d backward", "dx", conv_dx_not_flipped),
    ("conv_one_output", HAND, "Conv2d backward", "dx", first_output),
    ("dweight_averaged", CHANNELS, "Conv2d backward", "dweight", times(1 / 2, "dweight")),
    ("dweight_averaged", LINEAR, "Linear backward", "dweight", times(1 / 3, "dweight")),
    (
        "bn_no_variance",
        HAND,
        "BatchNorm2d backward",
        "dx",
        lambda t, s, at: dx_paths(t, at)[0] * sum(dx_paths(t, at)[1:3]),
    ),
    (
        "bn_no_mean",
        HAND,
        "BatchNorm2d backward",
        "dx",
        lambda t, s, at: dx_paths(t, at)[0] * sum(dx_paths(t, at)[1::2]),
    ),
    ("bn_direct", HAND, "BatchNorm2d backward", "dx", lambda t, s, at: dx_paths(t, at)[0] * dx_paths(t, at)[1]),
    ("bn_no_weight", HAND, "BatchNorm2d backward", "dx", lambda t, s, at: t["dx"][at] / t["weight"][at[1]]),
    ("bn_no_inverse_std", HAND, "BatchNorm2d backward", "dx", lambda t, s, at: t["dx"][at] / t["inverse_std"][at[1]]),
    ("bn_no_scale", HAND, "BatchNorm2d backward", "dx", lambda t, s, at: sum(dx_paths(t, at)[1:])),
    (
        "bn_sums",
        HAND,
        "BatchNorm2d backward",
        "dx",
        lambda t, s, at: dx_paths(t, at)[0] * (t["dy"][at] - t["dbias"][at[1]] - t["xhat"][at] * t["dweight"][at[1]]),
    ),
    ("bn_only_xhat", HAND, "BatchNorm2d forward", "y", read("xhat")),
    ("bn_dweight_x", HAND, "BatchNorm2d backward", "dweight", lambda t, s, at: (t["dy"] * t["x"])[:, at[0]].sum()),
    ("var_unbiased", HAND, "BatchNorm2d forward", "var", lambda t, s, at: t["x"][:, at[0]].var(ddof=1)),
    ("var_root", HAND, "BatchNorm2d forward", "var", lambda t, s, at: t["x"][:, at[0]].std()),
    ("var_not_centred", HAND, "BatchNorm2d forward", "var", lambda t, s, at: (t["x"][:, at[0]] ** 2).mean()),
    ("inverse_no_root", HAND, "BatchNorm2d forward", "inverse_std", lambda t, s, at: 1 / t["var"][at]),
    ("inverse_not_inverted", HAND, "BatchNorm2d forward", "inverse_std", lambda t, s, at: t["var"][at] ** 0.5),
    ("xhat_not_centred", HAND, "BatchNorm2d forward", "xhat", lambda t, s, at: t["x"][at] * t["inverse_std"][at[1]]),
    ("xhat_by_variance", HAND, "BatchNorm2d forward", "xhat", lambda t, s, at: t["centred"][at] / t["var"][at[1]]),
    ("fork_averaged", HAND, "Fork backward", "dx", times(1 / 2, "dx")),
    ("fork_branch", HAND, "Fork backward", "dx", read("da")),
    ("fork_shortcut", HAND, "Fork backward", "dx", read("db")),
    ("add_averaged", HAND, "Add forward", "y", times(1 / 2, "y")),
    ("add_branch", HAND, "Add forward", "y", read("a")),
    ("add_shortcut", HAND, "Add forward", "y", read("b")),
    ("copy_halved", HAND, "Add backward", "db", times(1 / 2, "dy")),
    ("copy_halved", HAND, "Fork forward", "a", times(1 / 2, "x")),
    ("relu_ignored", HAND, "ReLU forward", "y", lambda t, s, at: t["x"][at] if t["x"][at] < 0 else None),
    ("relu_ignored", HAND, "ReLU backward", "dx", lambda t, s, at: t["dy"][at] if not t["mask"][at] else None),
    ("relu_wrong_side", HAND, "ReLU backward", "dx", lambda t, s, at: 0 if t["mask"][at] else None),
    ("relu_wrong_side", HAND, "ReLU forward", "mask", lambda t, s, at: 1 - t["mask"][at]),
    ("relu_absolute", HAND, "ReLU forward", "y", lambda t, s, at: -t["x"][at] if t["x"][at] < 0 else None),
    ("mask_not_x", HAND, "ReLU forward", "mask", read("x")),
    ("pool_mean", HAND, "MaxPool2d forward", "y", lambda t, s, at: window(t["x"], s, at).mean()),
    ("pool_smallest", WIDE_MAX, "MaxPool2d forward", "y", lambda t, s, at: window(t["x"], s, at).min()),
    ("pool_added", HAND, "MaxPool2d forward", "y", lambda t, s, at: window(t["x"], s, at).sum()),
    ("pool_divided", WIDE_MAX, "MaxPool2d forward", "y", times(1 / 9, "y")),
    (
        "pool_shared",
        HAND,
        "MaxPool2d backward",
        "dx",
        lambda t, s, at: t["dy"][at[0], at[1], at[2] // 2, at[3] // 2] / 4,
    ),
    ("pool_winner_nothing", HAND, "MaxPool2d backward", "dx", lambda t, s, at: 0 if t["dx"][at] else None),
    (
        "pool_loser",
        HAND,
        "MaxPool2d backward",
        "dx",
        lambda t, s, at: None if t["dx"][at] else t["dy"][at[0], at[1], at[2] // 2, at[3] // 2],
    ),
    ("pool_not_divided", HAND, "GlobalAvgPool forward", "y", lambda t, s, at: t["x"][at[:2]].sum()),
    ("pool_not_divided", HAND, "GlobalAvgPool backward", "dx", lambda t, s, at: t["dy"][at[0], at[1], 0, 0]),
    ("pool_not_divided", AVERAGE, "AvgPool2d forward", "y", lambda t, s, at: window(t["x"], s, at).sum()),
    ("pool_not_divided", AVERAGE, "AvgPool2d backward", "dx", times(9, "dx")),
    ("pool_largest", AVERAGE, "AvgPool2d forward", "y", lambda t, s, at: window(t["x"], s, at).max()),
    ("winner_from_one", HAND, "MaxPool2d forward", "winner", lambda t, s, at: t["winner"][at] + 1.0),
    ("winner_value", WIDE_MAX, "MaxPool2d forward", "winner", read("y")),
    (
        "linear_transposed",
        LINEAR,
        "Linear backward",
        "dx",
        lambda t, s, at: t["dy"][at[0]] @ t["weight"][at[1], :4] if at[1] < 4 else None,
    ),
    ("linear_used_y", HAND, "Linear backward", "dx", lambda t, s, at: t["y of forward"][at[0]] @ t["weight"][:, at[1]]),
    (
        "loss_no_target",
        SMOOTH,
        "CrossEntropy backward",
        "dx",
        lambda t, s, at: t["dy"] * t["p"][at] / 4 if t["target"][at] else None,
    ),
    ("loss_target_minus_p", HAND, "CrossEntropy backward", "dx", times(-1, "dx")),
    ("loss_not_divided", HAND, "CrossEntropy backward", "dx", times(2, "dx")),
    ("loss_only_p", SMOOTH, "CrossEntropy backward", "dx", lambda t, s, at: t["p"][at] if t["target"][at] else None),
    ("loss_no_log", HAND, "CrossEntropy forward", "losses", lambda t, s, at: t["p"][at[0]] @ t["target"][at[0]]),
    ("loss_log10", HAND, "CrossEntropy forward", "losses", lambda t, s, at: t["losses"][at] / np.log(10)),
    (
        "shortcut_zeros",
        SHORTCUT,
        "ShortcutA forward",
        "y",
        lambda t, s, at: None if 1 <= at[1] < 5 else t["x"][at[0], (at[1] - 1) % 4, at[2] * 2, at[3] * 2],
    ),
    (
        "shortcut_stride",
        SHORTCUT,
        "ShortcutA forward",
        "y",
        lambda t, s, at: t["x"][at[0], at[1] - 1, at[2], at[3]] if 1 <= at[1] < 5 else None,
    ),
    (
        "shortcut_skipped",
        SHORTCUT,
        "ShortcutA backward",
        "dx",
        lambda t, s, at: t["dy"][at[0], at[1] + 1, at[2] // 2, at[3] // 2] if at[2] % 2 or at[3] % 2 else None,
    ),
    (
        "shortcut_shared",
        SHORTCUT,
        "ShortcutA backward",
        "dx",
        lambda t, s, at: t["dx"][at] / 4 if not (at[2] % 2 or at[3] % 2) else None,
    ),
]

ASK = """(text) => JSON.stringify(JSON.parse(text).map(([[step, name, at], typed]) => {
  const explanation = explainer.explain({ step, name, at });
  const found = mistake(explanation, typed, trace);
  return [right(explanation, typed), found?.key ?? null, ...["en", "zh"].map((l) => found && mistakeSentence(found, l))];
}))"""


def wrong_numbers(trace: str, kind: str, name: str, wrong: Wrong) -> list[tuple[Cell, float]]:
    """Cells of this kind of step, and the wrong number of each, where the mistake makes one."""
    explainer, found = explained(trace), []
    for step in explainer.trace:
        if f"{step.kind} {step.direction}" == kind:
            arrays = dict(explainer.tensors(step.index).arrays)
            if step.forward is not None and "y" in explainer.tensors(step.forward):
                arrays["y of forward"] = explainer.tensors(step.forward)["y"]
            for at in np.ndindex(arrays[name].shape):
                value = wrong(arrays, step.settings, at)
                if value is not None:
                    found.append((Cell(step.index, name, at), float(value)))
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}: {row[2]} {row[3]}")
def test_named(modules: Any, row: tuple[str, str, str, str, Wrong]) -> None:
    """Typed to six decimals, a wrong number is recognised wherever it differs from the right one, mostly by this very name."""
    key, trace, kind, name, wrong = row
    numbers = wrong_numbers(trace, kind, name, wrong)
    open_trace(modules, explained(trace).trace)
    found = json.loads(modules.evaluate(ASK, json.dumps([(cell, f"{value:.6f}") for cell, value in numbers])))
    keys = Counter(got for is_right, got, *_ in found if not is_right)
    assert None not in keys, [(n, f) for n, f in zip(numbers, found, strict=True) if not f[0] and f[1] is None][:3]
    assert keys[key] > 0.5 * keys.total(), keys


def test_every_mistake_is_in_the_table() -> None:
    """Each has its sentences in both languages, with the same placeholders."""
    sentences = (WEB / "mistake_words.js").read_text(encoding="utf-8").split("export const MISTAKES")[1]
    en, zh = (dict(re.findall(r'^    (\w+):\s+"(.+)",$', part, re.MULTILINE)) for part in sentences.split("\n  zh: {"))
    assert set(en) == set(zh) == {key for key, *_ in ROWS}
    for key, text in en.items():
        assert sorted(re.findall(r"{\w+}", text)) == sorted(re.findall(r"{\w+}", zh[key])), key


def test_sentences_are_filled_in(modules: Any) -> None:
    open_trace(modules, explained(LINEAR).trace)
    t = explained(LINEAR).tensors(0)
    typed = f"{t['y'][0, 0] - t['x'][0, 2] * t['weight'][0, 2]:.6f}"
    found = json.loads(modules.evaluate(ASK, json.dumps([(Cell(0, "y", (0, 0)), typed)])))
    en, zh = "You left out the term x[0,2] × weight[0,2].", "你漏了一项:x[0,2] × weight[0,2]。"
    assert found == [[False, "left_out", en, zh]]


@pytest.mark.parametrize("trace", [HAND, CHANNELS, STRIDED, AVERAGE, SMOOTH, BIASED])
def test_a_right_number_is_no_mistake(modules: Any, trace: str) -> None:
    """Typed in full, to three decimals, or as a whole fraction; and far from it nothing is claimed."""
    open_trace(modules, explained(trace).trace)
    cells = [cell for cell in some_cells(trace, 3) if not explained(trace).explain(cell).given]
    values = [explained(trace).explain(cell).value for cell in cells]
    for written in (repr, lambda value: f"{value:.4g}", lambda value: f"{value * 1024:.12f}/1024"):
        asked = [(cell, written(value)) for cell, value in zip(cells, values, strict=True)]
        found = json.loads(modules.evaluate(ASK, json.dumps(asked)))
        assert all(is_right and key is None for is_right, key, *_ in found), [
            (a, f) for a, f in zip(asked, found, strict=True) if not f[0]
        ]
    asked = [(cell, f"{value + 12345.678:.3f}") for cell, value in zip(cells, values, strict=True)]
    assert {(f[0], f[1]) for f in json.loads(modules.evaluate(ASK, json.dumps(asked)))} == {(False, None)}


@pytest.mark.parametrize(
    ("typed", "value", "is_close"),
    [
        ("0.75", 0.75, True),
        ("0.8", 0.75, False),  # one decimal is too few
        ("0.33", 1 / 3, True),
        ("0.333", 1 / 3, True),
        ("0.334", 1 / 3, True),  # within 0.5 %
        ("0.34", 1 / 3, False),
        ("1/3", 1 / 3, True),
        ("-1,5", -1.5, True),
        ("−1.5", -1.5, True),
        ("1.5", -1.5, False),
        ("0.13", 0.125, True),
        ("0.12", 0.125, True),
        ("0", 0.003, False),  # not a single digit of it
        ("0.003", 0.0034, True),
        ("3.4e-3", 0.0034, True),
        ("0", 0, True),
        ("0.004", 0, False),
        ("0.01", 0, False),
        ("100", 100.4, True),
        ("", 0, False),
        ("abc", 0, False),
        ("1/0", 0, False),
        ("0x10", 16, False),
        ("Infinity", 1, False),
    ],
)
def test_how_close(modules: Any, typed: str, value: float, is_close: bool) -> None:
    open_trace(modules, explained(LINEAR).trace)
    assert modules.evaluate("([typed, value]) => close(typed, value)", [typed, value]) is is_close
