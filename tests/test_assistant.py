"""`lesson start` and `lesson check` as a student meets them: files, verdicts, hints; the student's code runs in a process of its own."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exercise_students import Here
from tinyresnet.cli import main
from tinyresnet.course import cuts
from tinyresnet.course.assistant import review
from tinyresnet.course.assistant.functions import look
from tinyresnet.course.exercises import EXERCISES, find, transfer
from tinyresnet.course.grade import Limits, Student
from tinyresnet_kernels import host

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`tinyresnet lesson ...` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["lesson", *words])
        return code, *capsys.readouterr()

    return run


def filled(name: str, **changes: str) -> str:
    """The solution's code with changes: `old` -> `new` lines."""
    text = cuts.solution(find(name).source).text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def changed(name: str, old: str, new: str) -> str:
    text = cuts.solution(find(name).source).text()
    assert old in text
    return text.replace(old, new)


def test_start_writes_a_lesson_and_overwrites_nothing(lesson: Run) -> None:
    code, out, _ = lesson("start", "03")
    assert code == 0
    assert Path("conv.py").is_file()
    assert Path("pool.py").is_file()
    assert "tinyresnet lesson check conv.py" in out
    Path("conv.py").write_text("my work")
    code, _, err = lesson("start", "3")
    assert code == 2
    assert "conv.py is there already" in err
    assert Path("conv.py").read_text() == "my work"
    assert lesson("start", "3", "--force")[0] == 0
    assert "my work" not in Path("conv.py").read_text()
    assert lesson("start", "conv", "--rung", "c", "--to", "blank")[0] == 0
    assert cuts.header(Path("blank/conv.py").read_text()) == ("conv", "c", 0)
    assert lesson("start", "03", "--rung", "a", "--seed", "5")[0] == 0
    assert cuts.header(Path("pool_numbers.py").read_text()) == ("pool", "a", 5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["start", "07"], "lesson 07 has no exercise file"),
        (["start", "convv"], "did you mean 'conv'"),
        (["start", "03", "--rung", "d"], "unknown rung"),
        (["start", "03", "--seed", "-1"], "0 or more"),
        (["check", "no.py"], "not there"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(lesson: Run, words: list[str], said: str) -> None:
    code, _, err = lesson(*words)
    assert code == 2
    assert said in err
    assert err.count("\n") == 1


def test_transfer_variants_need_the_instructors_checkout(lesson: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    if transfer.answers_folder() is not None:
        assert lesson("start", "03", "--transfer")[0] == 0
        assert cuts.header(Path("circular_conv.py").read_text()) == ("circular_conv", "b", 0)
        assert lesson("start", "residual", "--transfer", "--rung", "c")[0] == 0
        assert Path("gated_shortcut.py").is_file()
    monkeypatch.setattr(transfer, "folder", lambda: Path("nowhere"))
    monkeypatch.setattr("tinyresnet.course.assistant.file.answers_folder", lambda: None)
    code, _, err = lesson("start", "03", "--transfer")
    assert code == 2
    assert "instructor's checkout" in err
    Path("layer_norm.py").write_text("# exercise: layer_norm, rung b, seed 0\n")
    assert "transfer variant" in lesson("check", "layer_norm.py")[2]


def test_a_session(lesson: Run) -> None:
    lesson("start", "06")
    code, out, _ = lesson("check", "residual.py")
    assert code == 1
    assert out.count("to do") == 4
    assert "not written yet (line" in out
    Path("residual.py").write_text(changed("residual", "return da + db", "return (da + db) / 2"))
    code, out, _ = lesson("check", "residual.py")
    assert code == 1
    assert re.search(r"add_backward +right", out)
    assert re.search(r"fork_backward +WRONG", out)
    assert "is right (with" in out
    assert "an average stands where a sum belongs" in out
    assert "Hint 1 of 4" in out
    assert "--hint 2" in out
    second, fourth = (lesson("check", "residual.py", "--hint", n)[1] for n in "24")
    assert "Hint 2 of 4" in second
    assert "The two gradients were averaged" in " ".join(fourth.split()).replace("averaged so that", "averaged")
    assert "the last hint, number 4" in lesson("check", "residual.py", "--hint", "5")[1]
    assert all(len(line) <= 80 for text in (out, second, fourth) for line in text.splitlines())
    Path("residual.py").write_text(filled("residual"))
    code, out, _ = lesson("check", "residual.py")
    assert code == 0
    assert "Well done" in out
    assert "an error of" in " ".join(out.split())  # how small an error would have shown


def test_json_holds_one_hint(lesson: Run) -> None:
    Path("relu.py").write_text(changed("relu", "np.where(x > 0, dy, 0)", "np.where(dy > 0, dy, 0)"))
    code, out, _ = lesson("check", "relu.py", "--json", "--hint", "2")
    told = json.loads(out)
    assert code == 1
    assert not told["right"]
    assert [row["state"] for row in told["findings"]] == ["right", "wrong"]
    assert told["findings"][1]["likely"] == "the wrong numbers are let through"
    assert isinstance(told["findings"][1]["hint"], str)


KEEPS = changed(
    "relu", "return y, x\n", "relu_forward.n += 1\n    return y + (relu_forward.n > 12), x\nrelu_forward.n = 0\n"
)
STRANGE = {
    "syntax": ("def relu_forward(x)\n    return x\n", "SyntaxError", "line 1"),
    "raises": (changed("relu", "return y, x\n", "return y, undefined\n"), "NameError: name 'undefined'", "line 12"),
    "exits": (changed("relu", "return y, x\n", "raise SystemExit\n"), "sys.exit", "line 12"),
    "loops": (changed("relu", "return y, x\n", "while True: pass\n"), "no answer after 1 s", "loop"),
    "prints": (changed("relu", "return y, x\n", "print('here', x)\n    return y, y\n"), "cache", "WRONG"),
    "one value": (changed("relu", "return y, x\n", "return y\n"), "one value comes back", "2 are wanted: y, cache"),
    "None": (changed("relu", "return y, x\n", "pass\n"), "one value comes back (None)", "2 are wanted"),
    "shape": (changed("relu", "return y, x\n", "return y[:1], x\n"), "y has shape (1,", "is wanted"),
    "writes": (changed("relu", "return y, x\n", "x[x < 0] = 0\n    return x, y\n"), "writes into its argument x", "+="),
    "float64": (changed("relu", "y = np.where(x > 0, x, 0)", "y = np.maximum(x, np.zeros(x.shape))"), "For float32 arrays", "dtype"),
    "renamed": (changed("relu", "def relu_forward", "def forward"), "no function relu_forward", "renamed"),
    "list": (changed("relu", "return y, x\n", "return y.tolist(), x\n"), "y is a list", "is wanted"),
    "imports": (changed("relu", "import numpy as np", "import numpy as np, tinyresnet"), "calls a library", "tinyresnet"),
    "keeps": (KEEPS, "from call to call", "WRONG"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE)
def test_whatever_the_code_does_is_told(lesson: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    quick = functools.partial(Student, limits=Limits(seconds=1.0, seconds_in_all=20.0))
    monkeypatch.setattr("tinyresnet.course.assistant.file.Student", quick)
    text, *said = STRANGE[name]
    Path("relu.py").write_text(text)
    code, out, err = lesson("check", "relu.py")
    assert (code, err) == (1, "")
    for words in said:
        assert words in " ".join(out.split())


WRONG = [  # exercise, right, wrong, function, what is likely
    ("conv", "+= places[:, :, i, j]", "= places[:, :, i, j]", "col2im", "overwrite each other"),
    ("conv", "dy, padded[seen])", "dy, padded[seen]) / len(dy)", "conv2d_backward", "an average stands where a sum belongs"),
    ("conv", "dbias = dy.sum(axis=(0, 2, 3))", "dbias = 2 * dy.sum(axis=(0, 2, 3))", "conv2d_backward", "one factor"),
    ("conv_forward", "weight[o]).sum", "weight[o, :, ::-1, ::-1]).sum", "conv2d_forward", "runs backwards"),
    ("batch_norm", "dxhat - by_mean - by_variance", "dxhat - by_variance", "batch_norm_backward", "batch's mean"),
    ("batch_norm", "var = x.var(axis=(0, 2, 3))", "var = x.var(axis=(0, 2, 3), ddof=1)", "batch_norm_forward", "divided by M - 1"),
    ("loss", "return dloss * (p - target)", "return (p - target)", "softmax_loss_backward", "upstream gradient is left out"),
    ("pool", "dx[n, c, h, w] +=", "dx[n, c, h, w] =", "max_pool_backward", "overwrite each other"),
    ("residual", "dh @ w1.T + dz", "dh @ w1.T + dy", "block_backward", "wrong numbers are let through"),
    ("residual", "dh @ w1.T + dz", "dh @ w1.T", "block_backward", "one of the ways"),
    ("shortcut_b", "np.zeros_like(x)", "np.ones_like(x)", "projection_backward", "does not come of the upstream"),
    ("sgd", "param - lr * new_velocity", "param + lr * new_velocity", "sgd_step", "sign is turned"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "right", "wrong", "function", "likely"), WRONG)
def test_the_likely_mistake_is_named(name: str, right: str, wrong: str, function: str, likely: str) -> None:
    names: dict[str, Any] = {}
    exec(changed(name, right, wrong), names)
    exercise = find(name)
    found = look(exercise, exercise.function(function), Here(names))  # type: ignore[arg-type]
    assert found.state == "wrong"
    assert likely in found.likely
    assert len(found.hints) >= 1


@pytest.mark.parametrize("name", [one.name for one in EXERCISES if one.source.suffix == ".py" and one.name != "bugs"])
def test_no_hint_tells_a_line_of_the_solution(name: str) -> None:
    exercise = find(name)
    secret = {re.sub(r"\s+", "", line) for line in cuts.solution(exercise.source).cut("b")}
    for function in exercise.functions:
        for sentence in (*function.hints, *(slip.sentence for slip in function.slips())):
            squeezed = re.sub(r"\s+", "", sentence)
            assert not [line for line in secret if len(line) > 8 and line in squeezed]


def test_a_file_says_its_exercise_or_its_name_does(tmp_path: Path) -> None:
    path = tmp_path / "ana_sgd.py"
    path.write_text(filled("sgd"))
    assert review(path).right
    path = tmp_path / "homework.py"
    path.write_text(filled("sgd"))
    with pytest.raises(ValueError, match="does not say which exercise"):
        review(path)
    assert review(path, name="sgd").exercise.name == "sgd"


KERNELS = {
    "right": ("", "", "right"),
    "no barrier": ("        __syncthreads();\n", "", "race"),
    "one barrier": ("        __syncthreads();  // nobody may still be reading\n", "", "race"),
    "over the edge": ("m < M && from + x < K ?", "m < M ?", ""),
    "early return": (
        "    real sum = real(0);\n",
        "    if (m >= M || n >= N) return;\n    real sum = real(0);\n",
        "barrier",
    ),
    "no compile": ("real sum = real(0);", "real sum = real(0)", "does not compile: line 17"),
}


@pytest.mark.skipif(host.compiler() is None, reason="there is no C++ compiler here")
@pytest.mark.parametrize("name", KERNELS)
def test_kernels(tmp_path: Path, name: str) -> None:
    old, new, said = KERNELS[name]
    path = tmp_path / "matmul.cu"
    path.write_text(changed("matmul", old, new) if old else filled("matmul"))
    found = review(path)
    assert found.right == (name == "right")
    assert said in str(found)
    assert all(len(line) <= 80 for line in str(found).splitlines())


def test_a_kernel_with_gaps_is_to_do(tmp_path: Path) -> None:
    path = tmp_path / "matmul.cu"
    path.write_text(cuts.generate(find("matmul").source, "b"))
    assert [one.state for one in review(path).findings] == ["blank"]
