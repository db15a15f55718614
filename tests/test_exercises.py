"""The exercises: the files that students get hold no solution line, the solutions are right, and wrong ones are found wrong."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import Any

import numpy as np
import pytest

from exercise_alternatives import ALTERNATIVES
from exercise_students import Here, wrong_ones
from tinyresnet.course import cuts, rungs
from tinyresnet.course.assistant import functions, predictions
from tinyresnet.course.exercises import EXERCISES, Exercise, compare, find, of_lesson, transfer_exercises
from tinyresnet.errors import InputError

TRANSFER = tuple(transfer_exercises(needed=False).values())
ALL = EXERCISES + TRANSFER
PYTHON = [one for one in ALL if one.source.suffix == ".py"]
FILES = [(one, rung, seed) for one in ALL for rung in one.rungs for seed in (0, 7)]
named = {"ids": lambda value: value.name if isinstance(value, Exercise) else str(value)}

# Pieces of the museum that another setting makes right: of dilation and groups, of labels that an exercise has not, of padding in pools,
# of an object's attributes; and batch norm's other mode.
ELSEWHERE = {
    "softmax_loss_backward": {
        "temperature forgotten", "ignored rows counted", "smoothing forgotten", "ignored rows let through",
        "ignored rows smoothed", "ignored label used as an index", "distributions made hard",
    },
    "conv2d_backward": {
        "weight without dilation", "weight with groups interleaved", "weight of the first group", "weight gradient overwritten",
        "input without dilation", "input with channels shuffled", "input of the last group",
    },
    "max_pool_backward": {"padding cut off on one side"},
    "batch_norm_backward": {"evaluation treated as training", "batch statistics for gamma in evaluation"},
    "batch_norm_eval_backward": {"training treated as evaluation"},
    "fork_backward": {"summed in an attribute"},
    "projection_backward": {
        "weight turned around", "weight with rows and columns exchanged", "weight without dilation", "weight padded on one side",
        "weight with groups interleaved", "weight of the first group", "weight gradient overwritten", "bias averaged over pixels",
        "bias summed over the batch alone", "bias forgotten", "bias counted twice", "input with kernel turned",
        "input overwritten where windows overlap", "input without dilation", "input with padding cut off on one side",
        "input with channels shuffled", "input of the last group",
    },
}  # fmt: skip


def normal(line: str) -> str:
    """A line without its comment and its spaces."""
    return re.sub(r"\s+", "", re.split(r"\s(?:#|//) ", line)[0])


def code_lines(text: str) -> set[str]:
    return {normal(line) for line in text.splitlines()} - {""}


def secrets(lines: list[str]) -> set[str]:
    """Lines that say something: not a bracket alone."""
    return {one for one in map(normal, lines) if re.search(r"\w", one)}


def bound(tree: ast.AST) -> set[str]:
    """Names that are given a value somewhere."""
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}


def loaded(tree: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


@pytest.mark.parametrize(("exercise", "rung", "seed"), FILES, **named)
def test_no_line_of_the_solution_is_in_what_students_get(exercise: Exercise, rung: str, seed: int) -> None:
    text = cuts.generate(exercise.source, rung, seed)
    whole = cuts.solution(exercise.source)
    plants = cuts.planted(whole, seed)
    cut = [whole.lines[index].text for index in plants] if plants else whole.cut(rung)
    secret = secrets(cut)
    assert secret
    assert not secret & code_lines(text)
    squeezed = re.sub(r"\s+", "", text)
    if not plants:  # a wrong line is the right one and a little more
        assert not [
            line for line in secret if len(line) > 12 and line in squeezed
        ]  # nor within a comment or a sentence


@pytest.mark.parametrize("exercise", PYTHON, **named)
def test_no_exercise_gives_away_another(exercise: Exercise) -> None:
    given = {one.name: code_lines(cuts.generate(one.source, "b")) for one in PYTHON if one is not exercise}
    secret = secrets(cuts.solution(exercise.source).cut("b"))
    assert not [(name, secret & lines) for name, lines in given.items() if secret & lines]


@pytest.mark.parametrize(("exercise", "rung", "seed"), [row for row in FILES if row[0] in PYTHON], **named)
def test_names_that_only_the_solution_has_are_not_told(exercise: Exercise, rung: str, seed: int) -> None:
    text = cuts.generate(exercise.source, rung, seed)
    tree = ast.parse(text)
    gone = bound(ast.parse(cuts.solution(exercise.source).text())) - bound(tree) - loaded(tree)
    words = {
        w for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.NAME for w in [t.string]
    }
    assert not gone & words


@pytest.mark.parametrize(("exercise", "rung", "seed"), FILES, **named)
def test_what_students_get_says_what_to_do(exercise: Exercise, rung: str, seed: int) -> None:
    text = cuts.generate(exercise.source, rung, seed)
    assert cuts.header(text) == (exercise.name, rung, seed)
    assert "tinyresnet lesson check" in text
    assert max(map(len, text.splitlines())) <= 150
    assert not re.search(r"(?:#|//)(?:\[ |\]|~ |! |\? )", text)  # no mark is left
    if exercise.source.suffix == ".py" or rung == "a":
        tree = ast.parse(text)
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
        assert [ast.unparse(n) for n in imports] == ["import numpy as np"]
        compile(text, "student.py", "exec")
    gaps = text.count("raise NotImplementedError") if exercise.source.suffix == ".py" else text.count("#error")
    if rung != "a" and exercise.name != "bugs":
        assert f'"gap {gaps - (exercise.source.suffix == ".py")}' in text or gaps
        functions_there = re.findall(r"gap \d+:", text)
        assert len(functions_there) >= len(exercise.functions)


@pytest.mark.parametrize("exercise", PYTHON, **named)
def test_a_cut_keeps_the_rest_as_it_was(exercise: Exercise) -> None:
    whole = cuts.solution(exercise.source)
    if any(line.plants for line in whole.lines):
        return
    for rung in "bc":
        kept = [line.text for line in whole.lines if cuts.outermost(line, rung) is None and line.text.strip()]
        rows = iter(cuts.generate(exercise.source, rung).splitlines())
        assert all(line in rows for line in kept)  # in this order
    assert len(whole.cut("b")) < len(whole.cut("c"))
    assert set(whole.cut("b")) <= set(whole.cut("c"))


@pytest.mark.parametrize("exercise", [one for one in ALL if one.name != "bugs"], **named)
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_the_right_predictions_are_called_right_and_others_wrong(exercise: Exercise, seed: int) -> None:
    text = cuts.generate(exercise.source, "a", seed)
    right = cuts.answers(cuts.solution(exercise.source), seed)
    assert all(np.isfinite(value) for value in right.values())
    blank = predictions.numbers(exercise, seed, text, "x.py")
    assert {one.state for one in blank} == {"blank"}
    filled, off = text, text
    for name, value in right.items():
        filled = filled.replace(f'"{name}": None', f'"{name}": {value:.3f}')
        off = off.replace(f'"{name}": None', f'"{name}": {value + abs(value) + 1:.3f}')
    assert {one.state for one in predictions.numbers(exercise, seed, filled, "x.py")} == {"right"}
    assert {one.state for one in predictions.numbers(exercise, seed, off, "x.py")} == {"wrong"}


@pytest.mark.parametrize("seed", range(8))
def test_planted_bugs_are_wrong_and_named_right(seed: int) -> None:
    exercise = find("bugs")
    whole = cuts.solution(exercise.source)
    text = cuts.generate(exercise.source, "a", seed)
    places = rungs.bug_lines(text, whole, seed)
    assert set(places) == {function.name for function in exercise.functions}
    wrong = {row.strip() for _, row in cuts.planted(whole, seed).values()}
    assert {text.splitlines()[line - 1].strip() for line, _ in places.values()} == wrong
    names: dict[str, Any] = {}
    exec(text, names)
    for function in exercise.functions:
        cases = list(function.cases(0))
        assert any(compare(function, names[function.name](*c.args), function.expected(c)) for c in cases)
    for name, place in places.items():
        text = text.replace(f'"{name}": (None, "")', f'"{name}": {place}')
    assert {one.state for one in predictions.bugs(exercise, seed, text, "x.py")} == {"right"}
    moved = re.sub(r'": \((\d+), ', lambda m: f'": ({int(m[1]) + 1}, ', text)
    assert {one.state for one in predictions.bugs(exercise, seed, moved, "x.py")} == {"wrong"}


def test_all_plants_are_wrong_pieces_of_the_museum() -> None:
    from tinyresnet.gradcheck.museum import MUSEUM

    whole, known = cuts.solution(find("bugs").source), {bug.name for bug in MUSEUM}
    planted = [(index, name, row) for index, line in enumerate(whole.lines) for name, row in line.plants]
    assert len(planted) >= 20
    for index, name, row in planted:
        assert name in known
        lines = [row if i == index else line.text for i, line in enumerate(whole.lines)]
        names: dict[str, Any] = {}
        exec("\n".join(lines), names)
        wrong = [
            function.name
            for function in find("bugs").functions
            for case in function.cases(0)
            if compare(function, names[function.name](*case.args), function.expected(case))
        ]
        assert len(set(wrong)) == 1, name


@pytest.mark.parametrize(
    "text", ["answers = {'a': __import__('os')}", "answers = {'a': 9**9**9}", "answers = 3", "x = ("]
)
def test_predictions_are_read_and_not_run(text: str) -> None:
    with pytest.raises(InputError):
        predictions.typed(text, "x.py")


@pytest.mark.parametrize("exercise", PYTHON, **named)
def test_the_solution_is_right_on_100_seeds(exercise: Exercise) -> None:
    module = cuts.solution(exercise.source).module()
    for function in exercise.functions:
        student = Here(module)
        for seed in range(100):
            if function.judge is not None:
                rng = np.random.default_rng(seed)
                assert function.judge(lambda args, f=function, s=student: s.call(f.name, *args), rng) is None
                continue
            case = function.case(np.random.default_rng(seed))
            answer = student.ask(function.name, *case.args)
            assert compare(function, answer.value, function.expected(case)) is None
            assert answer.changed == ()


@pytest.mark.parametrize(("exercise", "how"), [(find(name), how) for name, how in ALTERNATIVES], **named)
def test_right_code_that_is_written_otherwise_is_right(exercise: Exercise, how: str) -> None:
    names: dict[str, Any] = {}
    exec(ALTERNATIVES[exercise.name, how], names)
    found = [functions.look(exercise, f, Here(names)) for f in exercise.functions if f.name in names]  # type: ignore[arg-type]
    assert found
    assert [(one.name, one.said) for one in found if not one.right] == []


def test_known_mistakes_are_found_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "likely", lambda *_: ("", "", ""))  # the verdict alone
    monkeypatch.setattr("tinyresnet.course.assistant.measure.measured", lambda *_: 0.0)
    passed: dict[str, set[str]] = {}
    count = 0
    for exercise, function, slip in wrong_ones():
        found = functions.look(exercise, function, Here({function.name: slip.wrong}))  # type: ignore[arg-type]
        count += not found.right
        if found.right:
            passed.setdefault(function.name, set()).add(slip.name.split(": ")[1])
    assert passed == ELSEWHERE
    assert count >= 280


def test_transfer_variants_are_not_in_the_library() -> None:
    assert {one.variant_of for one in TRANSFER} == {"conv", "pool", "batch_norm", "residual"}
    for one in TRANSFER:
        assert "instructor" in one.source.parts
        assert not cuts.source_of(one.source.name).exists()


@pytest.mark.parametrize("text", ["#[ b: open\nx = 1", "x = 1\n#]"])
def test_marks_must_pair_up(text: str) -> None:
    with pytest.raises(InputError, match="mark"):
        cuts.parse(text, "broken")


def test_every_lesson_with_exercises_has_some() -> None:
    assert {number for number in range(12) if of_lesson(number)} == {1, 2, 3, 4, 5, 6, 8, 10, 11}
    assert len({one.name for one in ALL}) == len(ALL)
