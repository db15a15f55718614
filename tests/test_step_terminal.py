"""The stepper in a terminal: what it prints is what the explainer says, each screen fits 80 x 24, and keys lead where they should."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tinyresnet as tr
from tinyresnet.cli import main
from tinyresnet.explain import Cell, Explainer
from tinyresnet.step.session import NUDGE, Session, hand_segmenter_session, hand_session
from tinyresnet.step.terminal import plain
from tinyresnet.step.terminal.figures import bracketed, fitted, signed
from tinyresnet.step.terminal.keys import first_key
from tinyresnet.step.terminal.nudge import finale, gradients_of, nudge
from tinyresnet.step.terminal.phrases import phrases, writable
from tinyresnet.step.terminal.planes import largest
from tinyresnet.step.terminal.screen import draw
from tinyresnet.step.terminal.walk import Walk

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def hand():
    return hand_session()


@pytest.fixture(scope="module")
def deep():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 32, 32)).astype(np.float32)
    return Session("resnet20", tr.resnet20(num_classes=10, rng=rng), x, np.array([1, 2]))


@pytest.fixture(scope="module")
def segmenter():
    return hand_segmenter_session()


@pytest.fixture(params=["hand", "deep"])
def session(request):
    return request.getfixturevalue(request.param)


def screen(walk, width=80, height=24):
    lines = draw(walk, width, height)
    assert len(lines) <= height
    assert max(line.cell_len for line in lines) <= width
    return "\n".join(line.plain for line in lines)


def press(walk, *keys):
    for key in keys:
        walk.press(key)
    return screen(walk)


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 0.75, -0.125, 3.0, 1 / 3, -1.23456e-7, 9.87654e12, -0.000123456, math.inf]
)
def test_numbers_are_read_back_and_fit(value):
    assert float(signed(value)) == float(bracketed(value).strip("()")) == pytest.approx(value, rel=1e-5)
    assert signed(value)[0] == ("+" if value > 0 else "-" if value < 0 else "0")
    assert len(fitted(value)) <= 7
    assert float(fitted(value)) == pytest.approx(value, rel=0.05)


def figure(text):
    return float(text.strip("() "))


def check_arithmetic(said, found):
    """Each printed term is the product of its printed factors; together they are the printed result, which is the explainer's."""
    value = float(re.search(r"^\w+(?:\[[\d,]*\])? = (\S+)  ", said, re.MULTILINE)[1])
    assert value == pytest.approx(found.value, rel=1e-5)
    lines = re.sub(r"\n {7}", "  ", said).splitlines()  # a term of two lines
    rows = [line.split("  = ", 1)[1] for line in lines if re.match(r"  \d+  .* = ", line)]
    rows = [row for row in rows if not row.startswith("[")]
    assert len(rows) == len(found.terms)
    total, scale = 0.0, found.magnitude
    for row, term in zip(rows, found.terms, strict=True):
        amount, _, partial = row.partition("  sum ")
        *factors, product = (part for part in re.split(r" = |  = ", amount))
        assert float(product) == pytest.approx(term.value, rel=1e-5)
        if factors:
            values = [figure(text) for text in factors[0].split(" × ")]
            assert values == pytest.approx([factor.value for factor in term.factors], rel=1e-5)
            assert math.prod(values) == pytest.approx(float(product), rel=1e-4)
        total += float(product)
        if partial:
            assert float(partial) == pytest.approx(total, abs=1e-5 * scale)
    if found.function == "sum" and not found.given:
        assert total == pytest.approx(value, abs=1e-5 * scale + 1e-12)


def check_planes(said, array):
    """Every number of the printed planes is one of the tensor's, at its row and column."""
    for title, numbers, rows in re.findall(
        r"^\w+: picture (\d+).*\n([ \d]+)\n((?: +\d+[ \[].*\n?)+)", said, re.MULTILINE
    ):
        columns = [int(text) for text in numbers.split()]
        for row in rows.splitlines():
            number, *values = re.sub(r"[\[\]]", " ", row).split()
            wanted = array[int(title), int(re.search(r"channel (\d+)", said)[1]), int(number), columns].astype(float)
            assert [float(text) for text in values] == pytest.approx(wanted, rel=0.06)


def test_each_tensor_of_each_step_is_printed_as_it_is(hand):
    explainer, rng = Explainer(hand.trace), np.random.default_rng(0)
    printed = 0
    for step in hand.trace:
        t = explainer.tensors(step.index)
        for name, array in t.arrays.items():
            for at in (largest(array), tuple(int(i) for i in rng.integers(0, array.shape))):
                said = plain.one_step(hand, explainer, Cell(step.index, name, at))
                assert said.startswith(f"Step {step.index + 1} of {len(hand.trace)}: ")
                check_arithmetic(said, explainer.explain(Cell(step.index, name, at)))
                if array.ndim == 4 and name not in step.params and name.removeprefix("d") not in step.params:
                    check_planes(said, array)
                    assert said.count(f"\n{name}: picture ") == len(hand.x)
                printed += 1
    assert printed > 400


@pytest.mark.parametrize(
    ("argv", "cell"),
    [
        (["--at", "conv1"], Cell(0, "y", (0, 0, 4, 1))),  # the largest in magnitude
        (["--at", "layer1.conv2", "--backward", "--tensor", "dx", "--cell", "0,0,1,2"], Cell(40, "dx", (0, 0, 1, 2))),
        (["--at", "layer2.bn1", "--backward", "--cell", "1, 1, 0, 1"], Cell(33, "dx", (1, 1, 0, 1))),
        (["--at", "fc", "--backward", "--tensor", "dbias", "--cell", "2"], Cell(25, "dbias", (2,))),
        (["--at", "loss", "--forward"], Cell(23, "y", ())),
    ],
    ids=str,
)
def test_one_step_on_the_command_line(argv, cell, hand, capsys):
    found = Explainer(hand.trace).explain(cell)
    assert main(["step", *argv]) == 0
    said = capsys.readouterr().out
    check_arithmetic(said, found)
    assert main(["step", *argv, "--json"]) == 0
    given = json.loads(capsys.readouterr().out)
    assert given["path"] == hand.trace[cell.step].path
    assert given["asked"] == {"step": cell.step, "name": cell.name, "at": list(cell.at)}
    explanation = given["explanation"]
    assert explanation["value"] == found.value
    terms = [[factor["value"] for factor in term["factors"]] for term in explanation["terms"]]
    assert terms == [[factor.value for factor in term.factors] for term in found.terms]
    assert given["tensors"][cell.name] == list(hand.trace[cell.step].tensors[cell.name].shape)


def test_ways_outside_blocks_are_called_by_their_layers(segmenter):
    """A decoder's add and fork have no branch and no shortcut; and a fork behind a fork knows its own ways."""
    explainer, trace = Explainer(segmenter.trace), segmenter.trace
    calls = {
        ("head.add1", "forward", "y"): ("lateral1", "up1"),
        ("backbone.fork2", "backward", "dx"): ("layer3.0.fork", "head.lateral1"),
        ("backbone.layer3.0.fork", "backward", "dx"): ("branch", "shortcut"),
    }
    for (path, direction, name), ways in calls.items():
        said = plain.one_step(segmenter, explainer, Cell(trace[path, direction].index, name, (0, 0, 0, 0)))
        assert tuple(re.findall(r"^  \d  ([a-z][\w.]*) ", said, re.MULTILINE)) == ways
    read = {path: trace[path, "backward"].sources["dy"] for path in ("head.lateral1", "head.up1")}
    add = trace["head.add1", "backward"].index
    assert read == {"head.lateral1": (add, "da"), "head.up1": (add, "db")}
    assert trace["head.lateral1", "forward"].sources["x"] == (trace["backbone.fork2", "forward"].index, "b")


def test_all_steps_in_a_pipe(hand, capsys):
    assert main(["step"]) == 0
    said = capsys.readouterr().out
    rows = re.findall(r"^ +(\d+)  (forward|backward) +(\S+) +(\w+) +(\w+) ([\dx]*) +(\S+)$", said, re.MULTILINE)
    assert len(rows) == len(hand.trace)
    for (number, direction, path, kind, name, shape, norm), step in zip(rows, hand.trace, strict=True):
        assert (int(number), direction, path, kind) == (step.index + 1, step.direction, step.path, step.kind)
        array = step.tensors[name]
        assert shape == "x".join(map(str, array.shape))
        assert float(norm) == pytest.approx(float(np.linalg.norm(array)), rel=1e-5)
    change, predicted = re.search(r"a change of (\S+); gradient × 0.01 = (\S+)\.\n$", said).groups()
    assert float(change) == pytest.approx(float(predicted), rel=0.05)
    assert "\x1b" not in said
    assert main(["step", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert [step["path"] for step in steps] == [step.path for step in hand.trace]


BAD = [
    (["--at", "layer1.conv3"], "did you mean 'layer1.conv"),
    (["--at", ""], "unknown layer ''"),
    (["--at", "conv1", "--tensor", "z"], "unknown tensor of conv1, forward, 'z'"),
    (["--at", "conv1", "--tensor", "dy"], "known: weight, x, y"),
    (["--at", "conv1", "--cell", "0,0,8,0"], "y has shape (2, 1, 8, 8): there is no cell (0, 0, 8, 0)"),
    (["--at", "conv1", "--cell", "0"], "there is no cell (0,)"),
    (["--at", "conv1", "--cell", "0,-1,0,0"], "'0,-1,0,0' is no cell"),
    (["--at", "conv1", "--cell", "a"], "'a' is no cell"),
    (["--at", "conv1", "--forward", "--backward"], "--backward"),
    (["--backward"], "--backward goes with --at"),
    (["--cell", "0,0,0,0"], "--cell goes with --at"),
    (["--tensor", "dx", "--json"], "--tensor goes with --at"),
    (["--port", "8000"], "--port goes with --serve"),
    (["--roster", "class.csv"], "--roster goes with --worksheet"),
    (["--out", "sheets"], "--out goes with --worksheet"),
    (["--at", "conv1", "--html", "page.html"], "--at and --html are two things"),
    (["--json", "--serve"], "--json and --serve are two things"),
    (["--worksheet", "0"], "--worksheet"),
    (["--language", "fr"], "unknown language 'fr'"),
    (["--seed", "-1"], "-1"),
    (["--at", "conv1", "--model", "resnet21"], "resnet21"),
    (["--weights", "missing.safetensors"], "missing.safetensors"),
    (["--shape", "2,3,8,8"], "--layer"),
    (["conv1"], "conv1"),
    (["--task", "detect"], "classifiers and segmenters can be walked through"),
    (["--task", "boxes"], "--task"),
    (["--head", "fcn"], "it goes with --task segment"),
    (["--head", "fpm", "--task", "segment"], "--head"),
    (["--task", "segment", "--real", "--head", "fcn"], "it goes with --task segment alone"),
    (["--task", "segment", "--worksheet", "3"], "leave --task out"),
    (["--task", "segment", "--image", "a.png"], "--image is given without a network"),
]


@pytest.mark.parametrize(("argv", "message"), BAD, ids=[" ".join(argv) for argv, _ in BAD])
def test_bad_input_is_one_sentence(argv, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["step", *argv]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("tinyresnet: error: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_layer_of_a_deep_network_gets_the_nearest_names_alone(deep, capsys):
    assert main(["step", "--model", "resnet20", "--at", "layer2.0.conv9"]) == 2
    said = capsys.readouterr().err
    assert "layer2.0.conv2" in said
    assert len(said) < 500


SIZES = [(80, 24), (140, 50), (60, 20), (20, 5)]
SCREENS = [("hand", language, size) for language in ("en", "zh") for size in SIZES]
SCREENS += [("deep", "en", (80, 24)), ("segmenter", "zh", (80, 24))]


@pytest.mark.parametrize(("session", "language", "size"), SCREENS, indirect=["session"], ids=str)
def test_every_screen_fits(session, language, size):
    walk = Walk(session, language)
    seen = 0
    for step in session.trace:
        for _ in walk.names:
            said = screen(walk, *size)
            if size == (80, 24):
                assert f"[{walk.cell.name}]" in said
                assert re.search(rf"^{walk.cell.name}(: .*|  .*)?$", said, re.MULTILINE)
                cut = [line for line in said.splitlines() if "…" in line]
                assert all(walk.words["hint"] in line for line in cut)  # nothing is cut but the map
                seen += 1
            walk.press("tab")
        assert walk.step is step
        walk.press("right")
    assert seen == (size == (80, 24)) * sum(len(walk.explainer.tensors(i).arrays) for i in range(len(session.trace)))


def test_a_screen_shows_the_numbers_and_their_terms(hand):
    walk = Walk(hand)
    said = screen(walk)
    assert said.startswith("Step 1 of 48: the convolution")
    assert ">conv1> relu maxpool layer1[fork" in said
    assert "[-6]" in said
    found = walk.found
    for i, term in enumerate(found.terms, 1):
        line = next(line for line in said.splitlines() if re.match(rf"[> ] {i} weight", line))
        symbols, values, product, total = re.match(r".{4}(.*?) += +(.*?) = +(\S+) +sum +(\S+)$", line).groups()
        assert symbols == " × ".join(factor.symbol for factor in term.factors)
        assert [figure(text) for text in values.split(" × ")] == [factor.value for factor in term.factors]
        assert float(product) == term.value
        assert float(total) == pytest.approx(found.partial_sums[i - 1], rel=1e-3)
    assert said.count("\n") == 23  # all nine terms beside all eight rows
    assert sum(len(re.findall(r"[>*]\S", line)) for line in said.splitlines()[6:14]) == 9  # the pixels that are read
    assert "<conv1<" in press(walk, "r")


def test_right_leads_to_the_end_and_left_back_to_the_beginning(session):
    walk = Walk(session)
    assert walk.words["first"] in press(walk, "left")
    for step in session.trace:
        assert walk.step is step
        assert f"Step {step.index + 1} of {len(session.trace)}" in screen(walk)
        press(walk, "right")
    assert "gradient × 0.01" in screen(walk).replace("\n", " ")
    assert walk.mode == "end"
    press(walk, "left")
    assert (walk.mode, walk.step.index) == ("look", len(session.trace) - 1)
    for _ in session.trace:
        walk.press("left")
    assert walk.cell.step == 0
    press(walk, "end", "right", "q")
    assert walk.done


def test_the_cursor_stops_at_the_borders(session):
    walk = Walk(session)
    shape = session.trace[0].tensors["y"].shape
    press(walk, *"w" * 40, *"a" * 40)
    assert walk.cell.at[2:] == (0, 0)
    press(walk, *"j" * 3, "l")
    assert walk.cell.at[2:] == (3, 1)
    press(walk, *"s" * 40, *"d" * 40)
    assert walk.cell.at[2:] == (shape[2] - 1, shape[3] - 1)
    press(walk, *"kh")
    assert walk.cell.at[2:] == (shape[2] - 2, shape[3] - 2)
    seen = {walk.cell.at[:2]}
    for _ in range(shape[1]):
        press(walk, "]")
        seen.add(walk.cell.at[:2])
    press(walk, ".")
    seen.add(walk.cell.at[:2])
    assert len(seen) == shape[1] + 1
    press(walk, "right")
    assert walk.cell.at[2:] == (shape[2] - 2, shape[3] - 2)  # the same cell of what comes next
    walk = Walk(session, at=Cell(len(session.trace) // 2 - 1, "y", ()))  # the loss: one number
    press(walk, *"wasd,.[]", "tab", "backtab")
    assert walk.cell.at == ()


def test_one_jumps_by_a_part_of_a_name(deep):
    walk = Walk(deep)
    assert "layer3.0.downsample" in press(walk, "g", *"3.0.down")
    press(walk, "enter")
    assert (walk.step.path, walk.step.direction) == ("layer3.0.downsample", "forward")
    press(walk, "r")
    assert (walk.step.path, walk.step.direction) == ("layer3.0.downsample", "backward")
    press(walk, "g", *"layer1.2.convo", "backspace", "enter")
    assert (walk.step.path, walk.step.direction) == ("layer1.2.conv1", "backward")
    press(walk, "g", *"2.relu", "enter")  # not relu1, which is met before
    assert walk.step.path == "layer1.2.relu"
    press(walk, "f")
    assert walk.step.direction == "forward"
    before = walk.place
    press(walk, "g", *"q?", "escape")
    assert walk.place == before
    assert not walk.done
    assert "no layer has 'zz' in its name" in press(walk, "g", *"zz", "enter")
    assert walk.place == before


def test_enter_travels_to_what_came_from_outside_and_b_back_again(session):
    """From the last gradient along the largest terms through the loss, each time to the cell whose number the factor had."""
    walk = Walk(session)
    press(walk, "end")
    way = []
    while walk.marked:
        values = [abs(term.value) for term in walk.found.terms]
        walk.press(str(min(9, values.index(max(values)) + 1)))
        way.append(walk.place)
        value = walk.marked.value
        press(walk, "enter")
        assert walk.found.value == value
        assert walk.cell == walk.explainer.locate(walk.cell)
    passed = {session.trace[place.cell.step].direction for place in way}
    assert (len({place.cell.step for place in way}) >= 20, passed) == (True, {"forward", "backward"})
    assert walk.found.given
    assert "  outside: " in screen(walk)
    assert walk.words["came_from_outside"] in press(walk, "enter")
    for place in reversed(way):
        press(walk, "b")
        assert walk.place == place
    assert walk.words["no_history"] in press(walk, "b")
    assert "outside: a pixel of the input" in press(walk, "home", "enter")


def test_terms_and_factors_are_marked(hand):
    walk = Walk(hand)
    press(walk, "9")
    assert (walk.place.term, walk.marked.cell.name) == (8, "x")
    press(walk, "down", "pagedown")
    assert walk.place.term == 8
    press(walk, "o")
    assert walk.marked.cell.name == "weight"
    assert "weight: output 0, input 0" in screen(walk)
    assert "outside: a parameter" in press(walk, "enter")
    press(walk, "b", "o")
    assert walk.marked.cell.name == "x"
    press(walk, "up", "up", "pageup")
    assert walk.place.term == 0
    press(walk, "end", "tab", "tab", "tab", "tab")  # dweight: 128 terms less those in the padding
    assert walk.cell.name == "dweight"
    for _ in range(len(walk.found.terms)):
        assert re.search(rf"^> *{walk.place.term + 1} ", screen(walk), re.MULTILINE)
        press(walk, "down")
    assert f"of {len(walk.found.terms)}: arrow keys" in screen(walk)


def test_help_names_every_key_and_any_key_closes_it(hand):
    walk = Walk(hand)
    before = screen(walk)
    said = press(walk, "?")
    listed = " ".join(keys for keys, _ in walk.words["help"])
    assert all(
        key in listed for key in [*"wasdkhjl,.[]obfrgn?q", "Enter", "Tab", "Page Up", "arrows"] if key != "Page Up"
    )
    assert all(what in said for _, what in walk.words["help"])
    assert press(walk, "x") == before
    press(walk, "", "unheard of", "\x00")
    assert screen(walk) == before
    press(walk, "?", "q")
    assert walk.done


def test_a_nudge_keeps_what_the_gradient_promised_unless_a_gate_moves():
    for seed in range(3):
        session = hand_session(seed)
        found = finale(session)
        assert found.crossed == 0
        assert found.after - found.before == pytest.approx(found.gradient * NUDGE, rel=0.1)
    crossing = [
        nudge(session, name, at)
        for name, gradient in gradients_of(session.trace)[:2]
        for at in np.ndindex(gradient.shape)
    ]
    crossed = next(found for found in crossing if found.crossed)
    assert f"{crossed.crossed} ReLU gates" in crossed.said()
    walk = Walk(session)
    assert walk.words["not_a_parameter"] in press(walk, "n")
    press(walk, "end", "tab", "tab", "tab")
    assert walk.cell.name == "weight"
    assert "conv1.weight[" in press(walk, "n")


def test_a_layer_of_ones_own_has_no_arithmetic_but_numbers(hand):
    class Doubled(tr.layers.Layer):
        def forward(self, x, *, train):
            return 2 * x, None

        def backward(self, dy, cache):
            return 2 * dy

    x = np.arange(32, dtype=np.float64).reshape(2, 1, 4, 4)
    walk = Walk(Session("own", tr.layers.Chain({"own": Doubled()}), x, None))
    assert "Doubled computed it in its own way" in screen(walk)
    assert "+62" in screen(walk)
    assert "outside: the upstream gradient" in press(walk, "right", "tab")
    assert "no weight to nudge" in press(walk, "right")


def test_both_languages_say_the_same_things():
    def keys(words):
        if isinstance(words, dict):
            return {name: keys(value) for name, value in words.items()}
        return (
            len(words)
            if isinstance(words, list)
            else re.findall(r"\{(\w+)", words) and set(re.findall(r"\{(\w+)", words))
        )

    assert keys(phrases("en")) == keys(phrases("zh"))


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\x1b[C\x1b[D", ["right", "left"]),
        ("\x1bOA\x1b[B", ["up", "down"]),
        ("\x1b[1;2C\x1b[5~\x1b[6~", ["right", "pageup", "pagedown"]),
        ("\x1b[H\x1b[4~\x1b[Z\t", ["home", "end", "backtab", "tab"]),
        ("q\r\n\x7f\x1b", ["q", "enter", "enter", "backspace", "escape"]),
        ("\x1b[200~é", ["", "é"]),
    ],
)
def test_keys_as_terminals_send_them(sent, keys):
    found = []
    while sent:
        key, sent = first_key(sent)
        found.append(key)
    assert found == keys


def test_signs_that_an_encoding_lacks_are_written_plainer():
    assert writable("2 × 3 − 1", "utf-8") == "2 × 3 − 1"
    assert writable("2 × 3 − 1", "ascii") == writable("2 × 3 − 1", None) == "2 * 3 - 1"


def process(*argv, **environment):
    path = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return [sys.executable, *argv], os.environ | {"PYTHONPATH": path} | environment


def test_a_step_is_printed_without_compiling_anything():
    code = "import sys; from tinyresnet.cli import main; main(['step', '--at', 'conv1']); assert 'numba' not in sys.modules"
    arguments, env = process("-c", code, PYTHONIOENCODING="ascii")
    done = subprocess.run(arguments, capture_output=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"weight[0,0,0,0] * x[0,0,3,0]" in done.stdout
    assert b"\\x" not in done.stdout


@pytest.mark.alone
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(("last", "code"), [(b"q", 0), (b"\x03", 130)], ids=["q", "Ctrl-C"])
def test_on_a_real_terminal_which_is_left_as_it_was(last, code):
    import fcntl
    import pty
    import select
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    code_of_it = "import sys, os; os.setsid(); import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    code_of_it += "from tinyresnet.cli import main; sys.exit(main(['step']))"
    arguments, env = process("-c", code_of_it, TERM="xterm-256color", NO_COLOR="1", PYTHONIOENCODING="utf-8")
    child = subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    try:
        shown = b""

        def until(text):
            nonlocal shown
            end = time.monotonic() + 20
            while text not in shown:
                assert select.select([ours], [], [], max(0, end - time.monotonic()))[0], shown[-2000:]
                shown += os.read(ours, 65536)
            shown = shown.split(text, 1)[1]

        until(b"\x1b[?1049h")
        until(b"Step 1 of 48")
        os.write(ours, b"\x1b[C\x1b[C\x1b[C")  # three at once: none is lost
        until(b"\x1b[H")  # drawn over the last one from the top: nothing scrolls
        until(b"Step 4 of 48")
        os.write(ours, b"?")
        until(b"any key: back")
        os.write(ours, b"\x1b")  # alone
        until(b"Step 4 of 48")
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 60, 0, 0))
        until(b"Step 4 of 48")  # drawn anew for the window's new size
        assert b"\x1b[36m" not in shown
        os.write(ours, last)
        until(b"\x1b[?1049l")
        assert child.wait(timeout=30) == code
        assert termios.tcgetattr(theirs) == before
    finally:
        child.kill()
        child.wait()
        os.close(ours)
        os.close(theirs)
