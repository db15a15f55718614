"""Worksheets: every answer is what the network has and what an independent check gives, and no sheet gives one away."""

from __future__ import annotations

import copy
import html.parser
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinyresnet.errors import InputError
from tinyresnet.explain import FUNCTIONS, Cell, Explainer
from tinyresnet.loss import softmax_cross_entropy
from tinyresnet.observe import around
from tinyresnet.step.session import Session, hand_session
from tinyresnet.step.worksheet import write_worksheets
from tinyresnet.step.worksheet.by_hand import text
from tinyresnet.step.worksheet.problem_sheet import questions
from tinyresnet.step.worksheet.problems import KINDS, MOST_PROBLEMS, Problem, problems
from tinyresnet.step.worksheet.roster import file_name, read_roster, student_seed
from tinyresnet.step.worksheet.write import words_of
from tinyresnet_kernels import use

SEEDS = (0, 7, 2839104772)
H = 1e-5


@pytest.fixture(scope="module", params=SEEDS)
def sheet(request: pytest.FixtureRequest) -> tuple[Session, list[Problem]]:
    session = hand_session(request.param)
    return session, problems(session, MOST_PROBLEMS)


# what is asked


def test_each_kind_once_before_any_twice_and_the_residual_lesson_first(sheet: tuple[Session, list[Problem]]) -> None:
    session, asked = sheet
    names = [problem.kind.name for problem in asked]
    assert names[: len(KINDS)] == [kind.name for kind in KINDS]
    assert names[:3] == ["add", "add_back", "fork_back"]
    assert len({problem.cell for problem in asked}) == len(asked) == MOST_PROBLEMS
    assert [problem.cell for problem in problems(session, 5)] == [problem.cell for problem in asked[:5]]


def test_cells_are_worth_asking_for(sheet: tuple[Session, list[Problem]]) -> None:
    for problem in sheet[1]:
        assert len(problem.working.asked.terms) <= 9
        assert problem.value != 0 or problem.kind.name == "relu"
        assert 5 * problem.tolerance <= abs(problem.value) or problem.value == problem.tolerance == 0
        low, high = problem.right
        assert low <= problem.value <= high
        for name, wrong in problem.mistakes.items():
            assert not low <= wrong <= high, name


# whether the answers are right


def test_answers_are_what_the_trace_holds(sheet: tuple[Session, list[Problem]]) -> None:
    session, asked = sheet
    explainer = Explainer(session.trace)
    for problem in asked:
        step, name, at = problem.cell
        assert problem.value == explainer.tensors(step)[name][at]
        assert problem.working.asked.computed == pytest.approx(problem.value, abs=1e-12)


def test_forward_answers_are_what_plain_formulas_give(sheet: tuple[Session, list[Problem]]) -> None:
    session, asked = sheet
    found = [problem for problem in asked if session.trace[problem.cell.step].direction == "forward"]
    assert len(found) > 20
    for problem in found:
        step = session.trace[problem.cell.step]
        expected = FORMULAS[problem.kind.name](**step.tensors, stride=step.settings.get("stride"))
        assert problem.value == pytest.approx(float(expected[problem.cell.at]), abs=1e-9), problem.kind.name


def conv(x: Any, weight: Any, stride: Any, **_: Any) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows[:, :, :: stride[0], :: stride[1]], weight)


def shortcut(x: Any, **_: Any) -> Any:
    return np.concatenate([x[:, :, ::2, ::2], np.zeros_like(x[:, :, ::2, ::2])], axis=1)


def winner(x: Any, **_: Any) -> Any:
    N, C, rows, columns = x.shape
    return x.reshape(N, C, rows // 2, 2, columns // 2, 2).swapaxes(3, 4).reshape(N, C, rows // 2, -1, 4).argmax(-1)


def xhat(x: Any, **_: Any) -> Any:
    return (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-5)


FORMULAS: dict[str, Any] = {
    "add": lambda a, b, **_: a + b,
    "shortcut": shortcut,
    "relu": lambda x, **_: np.maximum(x, 0),
    "conv": conv,
    "winner": winner,
    "mean": lambda x, **_: x.mean((0, 2, 3)),
    "var": lambda x, **_: x.var((0, 2, 3)),
    "xhat": xhat,
    "norm": lambda x, weight, bias, **_: weight[:, None, None] * xhat(x) + bias[:, None, None],
    "average": lambda x, **_: x.mean((2, 3), keepdims=True),
    "linear": lambda x, weight, bias, **_: x @ weight.T + bias,
    "softmax": lambda x, **_: np.exp(x) / np.exp(x).sum(1, keepdims=True),
}


def test_gradient_answers_are_slopes_of_their_layer_and_of_the_loss(sheet: tuple[Session, list[Problem]]) -> None:
    session, asked = sheet
    found = [problem for problem in asked if session.trace[problem.cell.step].direction == "backward"]
    smooth = 0
    for problem in found:
        assert slope(lambda by, p=problem: of_layer(session, p, by))[0] == pytest.approx(problem.value, abs=1e-6)
        central, right, left = slope(lambda by, p=problem: of_network(session, p, by))
        if abs(right - left) < 1e-3:  # no ReLU downstream stands exactly on its kink
            smooth += 1
            assert central == pytest.approx(problem.value, abs=1e-6), problem.kind.name
    assert smooth > 0.9 * len(found) > 20


def slope(f: Any) -> tuple[float, float, float]:
    """Central, right and left."""
    low, middle, high = f(-H), f(0.0), f(H)
    return (high - low) / (2 * H), (high - middle) / H, (middle - low) / H


def moved(x: Any, problem: Problem, by: float) -> Any:
    """The layer's input with one number moved: of an add one of two, which are what it calls da and db."""
    if isinstance(x, tuple):
        which = ("da", "db").index(problem.cell.name)
        return tuple(moved(one, problem, by) if i == which else one for i, one in enumerate(x))
    x = x.copy()
    x[problem.cell.at] += by
    return x


def of_layer(session: Session, problem: Problem, by: float) -> float:
    """The layer's output, weighed by the upstream that was recorded."""
    step = session.trace[problem.cell.step]
    assert step.forward is not None
    inputs, name = session.trace[step.forward].tensors, problem.cell.name
    x = (inputs["a"], inputs["b"]) if "a" in inputs and "x" not in inputs else inputs["x"]
    if step.kind == "CrossEntropy":
        return softmax_cross_entropy(moved(x, problem, by), session.labels)[0]
    layer = copy.deepcopy(dict(session.model.named_layers())[step.path])
    if name in ("dweight", "dbias"):
        layer.params()[name[1:]].data[problem.cell.at] += by
    else:
        x = moved(x, problem, by)
    with use("reference"):
        y, _ = layer.forward(x, train=True)
    upstreams = (step.tensors["da"], step.tensors["db"]) if step.kind == "Fork" else (step.tensors["dy"],)
    outputs = y if isinstance(y, tuple) else (y,)
    return float(sum((dy * one).sum() for dy, one in zip(upstreams, outputs, strict=True)))


def of_network(session: Session, problem: Problem, by: float) -> float:
    """The network's loss, with one number moved where the layer reads it."""
    model = copy.deepcopy(session.model)
    step, name = session.trace[problem.cell.step], problem.cell.name
    if name in ("dweight", "dbias"):
        dict(model.named_params())[f"{step.path}.{name[1:]}"].data[problem.cell.at] += by

    def forward(path: str, layer: Any, run: Any, x: Any, train: bool) -> Any:
        here = path == step.path and name not in ("dweight", "dbias")
        return run(moved(x, problem, by) if here else x, train=train)

    with use("reference"), around(model, forward=forward):
        y, _ = model.forward(session.x, train=True)
    if step.kind == "CrossEntropy":
        y = moved(y, problem, by)
    return softmax_cross_entropy(y, session.labels)[0]


# whether rounding can make a right answer wrong


def test_any_rounding_of_the_printed_numbers_stays_within_the_tolerance(
    sheet: tuple[Session, list[Problem]],
) -> None:
    session, asked = sheet
    explainer, rng = Explainer(session.trace), np.random.default_rng(0)
    moves = 0
    for problem in asked:
        low, high = problem.right
        printed = {cell: round(factor.value, 3) for cell, factor in problem.working.read.items()}
        exact = {cell: f.value for cell, f in problem.working.read.items() if f.value * 16 % 1 == 0}
        by_hand = worked_out(explainer, problem.cell, printed | exact)
        assert low - 1e-9 <= round(by_hand, 3) <= high + 1e-9, problem.kind.name
        assert by_hand == pytest.approx(problem.working.result, abs=1e-12)
        for _ in range(20):
            nearby = {cell: f.value + rng.choice([-0.0005, 0.0005]) for cell, f in problem.working.read.items()}
            away = abs(worked_out(explainer, problem.cell, nearby | exact) - problem.value)
            assert away <= problem.tolerance + 1e-12, problem.kind.name
            moves += away > 0.1 * problem.tolerance
    assert moves > 100


def worked_out(explainer: Explainer, cell: Cell, read: dict[Cell, float]) -> float:
    """A cell from the numbers that are read, and from no others."""
    line = explainer.explain(cell)
    assert not line.given, cell

    def number(factor: Any) -> float:
        if factor.cell is None:
            return float(factor.value)
        return read[factor.cell] if factor.cell in read else worked_out(explainer, factor.cell, read)

    products = [float(np.prod([number(factor) for factor in term.factors])) for term in line.terms]
    return FUNCTIONS[line.function](products)


# what is printed


def test_hand_numbers_are_printed_in_full_and_others_rounded() -> None:
    numbers = [-4.8125, 0.0625, 3.0, 0.0, -0.0, 0.1234, -0.0004, -1 / 3]
    assert [text(number) for number in numbers] == ["−4.8125", "0.0625", "3", "0", "0", "0.123", "0.000", "−0.333"]


class Page(html.parser.HTMLParser):
    """Tags with their attributes, the text of lit cells, and all text outside tables."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.attributes: set[str] = set()
        self.lit: list[str] = []
        self.cells: list[str] = []
        self.outside = ""
        self.place = ""
        self.comments: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attrs}
        if tag in ("td", "th", "style"):
            self.place = "lit" if ("class", "lit") in attrs else tag

    def handle_endtag(self, tag: str) -> None:
        self.place = ""

    def handle_data(self, data: str) -> None:
        if self.place == "lit":
            self.lit.append(data)
        if self.place in ("lit", "td"):
            self.cells.append(data)
        elif self.place == "":
            self.outside += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_sheet_shows_what_is_needed_and_never_an_answer(
    sheet: tuple[Session, list[Problem]], language: str, tmp_path: Path
) -> None:
    session, asked = sheet
    words = words_of(language)
    whole = questions(session, asked, words)
    sections = whole.split("<section>")[1:]
    for problem, section in zip(asked, sections, strict=True):
        page = Page(section)
        needed = [cell for cell in problem.working.read if len(cell.at) > 1]
        assert sorted(page.lit) == sorted(text(problem.working.read[cell].value) for cell in needed)
        beside = [f.value for cell, f in problem.working.read.items() if len(cell.at) < 2]
        assert all(text(value) in page.outside for value in beside)
        if len(text(problem.value)) > 3:
            assert not re.search(rf"(?<![\d.]){re.escape(text(problem.value))}(?!\d)", page.outside), problem.kind.name
    others = [problem._replace(value=123.0, tolerance=4.0, mistakes={"halved": 5.0}) for problem in asked]
    assert questions(session, others, words) == whole
    file, _ = write_worksheets(tmp_path / "sheet.html", count=30, seed=session.seed, roster=None, language=language)
    page = Page(file.read_text(encoding="utf-8"))
    assert page.attributes <= {"class", "style", "scope", "lang", "charset", "name", "content"}
    assert not page.comments
    assert f"--seed {session.seed}" in page.outside


def test_no_problem_prints_the_answer_of_another(sheet: tuple[Session, list[Problem]]) -> None:
    session, asked = sheet
    explainer = Explainer(session.trace)
    answers = {explainer.locate(problem.cell) for problem in asked}
    dots = sum(cell == "•" for cell in Page(questions(session, asked, words_of("en"))).cells)
    assert dots > 10
    for problem in asked:
        for cell in problem.working.read:
            assert explainer.locate(cell) not in answers, (problem.kind.name, cell)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_keys_hold_every_answer_its_range_and_its_mistakes(
    sheet: tuple[Session, list[Problem]], language: str, tmp_path: Path
) -> None:
    session, asked = sheet
    words = words_of(language)["wrong"]
    file, key = write_worksheets(tmp_path / "a.html", count=27, seed=session.seed, roster=None, language=language)
    assert (file.name, key.name) == ("a.html", "a-key.html")
    sections = html.unescape(key.read_text(encoding="utf-8")).split("<section>")[1:]
    for problem, section in zip(asked[:27], sections, strict=True):
        assert f"<b>{text(problem.value)}</b>" in section
        assert problem.right[0] == problem.right[1] or f"{problem.right[1]:.3f}".replace("-", "−") in section
        assert all(f"<b>{text(value)}</b>" in section for value in problem.mistakes.values())
        assert all(words[name] in section for name in problem.mistakes)
        assert all(text(factor.value).lstrip("−") in section for factor in problem.working.read.values())
        assert f"= {text(problem.working.result)}" in section


def test_keys_watch_for_the_mistakes_of_the_residual_lesson_and_of_batch_norm() -> None:
    asked = [problem for seed in SEEDS for problem in problems(hand_session(seed), 27)]
    named = {(problem.kind.name, name) for problem in asked for name in problem.mistakes}
    assert named >= {
        ("add_back", "halved"),
        ("fork_back", "averaged"),
        ("relu_back", "sign_of_dy"),
        ("conv_dx", "not_turned"),
        ("norm_dx", "without_variance"),
    }
    fork = next(problem for problem in asked if problem.kind.name == "fork_back")
    assert fork.mistakes["averaged"] == fork.value / 2


def test_both_languages_have_all_words() -> None:
    english, chinese = words_of("en"), words_of("zh")
    assert set(english["kinds"]) == {kind.name for kind in KINDS}

    def shape(words: Any) -> Any:
        return {name: shape(value) for name, value in words.items()} if isinstance(words, dict) else type(words)

    assert shape(english) == shape(chinese)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_problems(tmp_path: Path) -> None:
    def pages(folder: str, seed: int) -> list[bytes]:
        files = write_worksheets(tmp_path / folder / "sheet.html", count=27, seed=seed, roster=None)
        return [file.read_bytes() for file in files]

    first, again, other = pages("a", 3), pages("b", 3), pages("c", 4)
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))
    assert not list(tmp_path.rglob("*.part"))
    values = [{problem.value for problem in problems(hand_session(seed), 27)} for seed in (3, 4)]
    assert len(values[0] & values[1]) < 7


# a class


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("name\nAna\nBo\n", ["Ana", "Bo"]),
        ("\ufeffName,Mail\r\nAna,a@x\r\n\r\nBo,b@x\r\n", ["Ana", "Bo"]),
        ("id;First name;Last name\n1;Ana;Lima\n2;Bo;\n", ["Ana Lima", "Bo"]),
        ("Ana\nBo\nAna\nAna (2)\n", ["Ana", "Bo", "Ana (2)", "Ana (2) (2)"]),
        ('"Lima, Ana"\n"Bo ""the"" Ek"\n', ["Lima, Ana", 'Bo "the" Ek']),
        ("Jane Rename\n\n  Zoë   X \n", ["Jane Rename", "Zoë X"]),
        ("学号,姓名\n1,王伟\n2,李娜\n", ["王伟", "李娜"]),
    ],
)
def test_rosters(content: str, names: list[str], tmp_path: Path) -> None:
    roster = tmp_path / "class.csv"
    roster.write_bytes(content.encode())
    assert read_roster(roster) == names


def test_a_class_gets_a_sheet_each_and_one_key(tmp_path: Path) -> None:
    names = ["Ana Lima", "ana lima", "Ana Lima", "../../etc/passwd", "CON", "key", "<b>&</b>", "王伟", "..", "x" * 300]
    roster = tmp_path / "class.csv"
    roster.write_text("name\n" + "\n".join(names), encoding="utf-8")
    files = write_worksheets(tmp_path / "out", count=4, seed=1, roster=roster)
    assert [file.parent for file in files] == [tmp_path / "out"] * 11
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(file.name for file in files)
    lower = [file.name.lower() for file in files]
    assert len(set(lower)) == 11
    assert lower[-1] == "key.html"
    assert all(re.fullmatch(r"\d\d-[\w-]{1,40}\.html", name) for name in lower[:-1])
    pages = [file.read_text(encoding="utf-8") for file in files]
    key = pages.pop()
    assert key.count("<article>") == 10
    assert "&lt;b&gt;&amp;&lt;/b&gt;" in pages[6]
    assert "<b>&</b>" not in pages[6] + key
    assert "Ana Lima (2)" in pages[2]
    assert "Ana Lima (2)" in key
    bodies = [page.partition("<section>")[2] for page in pages]
    assert len(set(bodies)) == 10
    for name, page in zip(["Ana Lima", "ana lima"], pages, strict=False):
        seed = student_seed(1, name)
        assert f"--worksheet 4 --seed {seed}" in page
        again, _ = write_worksheets(tmp_path / "again.html", count=4, seed=seed, roster=None)
        body = again.read_text(encoding="utf-8").partition("<section>")[2]
        assert body == page.partition("<section>")[2]


def test_a_folder_gets_one_sheet_and_its_key_and_a_file_is_replaced(tmp_path: Path) -> None:
    files = write_worksheets(tmp_path / "new", count=1, seed=1, roster=None)
    assert [file.name for file in files] == ["sheet.html", "key.html"]
    first = files[0].read_bytes()
    again, _ = write_worksheets(files[0], count=1, seed=2, roster=None)
    assert again.read_bytes() != first


def test_a_students_seed_is_the_same_for_ever() -> None:
    assert student_seed(0, "Ana") == 1208395598
    assert student_seed(0, "王伟") != student_seed(1, "王伟")
    assert file_name(3, "王 伟/..\\") == "03-王-伟.html"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"count": 0}, "0 problems"),
        ({"count": 61}, "61 problems"),
        ({"seed": -1}, "seed -1"),
        ({"language": "fr"}, "unknown language 'fr'"),
        ({"path": "good.csv"}, "not an empty folder"),
        ({"path": "full"}, "not an empty folder"),
        ({"path": "full.html"}, "is a folder"),
        ({"roster": "none.csv", "path": "out"}, "cannot read the roster"),
        ({"roster": "full", "path": "out"}, "cannot read the roster"),
        ({"roster": "empty.csv", "path": "out"}, "has no names"),
        ({"roster": "heading.csv", "path": "out"}, "has no names"),
        ({"roster": "latin.csv", "path": "out"}, "not UTF-8"),
        ({"roster": "good.csv", "path": "full"}, "not an empty folder"),
        ({"roster": "good.csv", "path": "good.csv"}, "not an empty folder"),
        ({"roster": "good.csv", "path": "out.html"}, "go into a folder"),
        ({"roster": "good.csv", "path": "out", "count": 99}, "99 problems"),
    ],
)
def test_wrong_input_is_one_sentence_and_leaves_no_file(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full.html").mkdir()
    for name, content in {
        "full/a.html": b"",
        "empty.csv": b"\xef\xbb\xbf \n\n",
        "heading.csv": b"name,mail\n,\n",
        "latin.csv": "name\nJosé".encode("latin-1"),
        "good.csv": b"Ana",
    }.items():
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    arguments = {"path": "sheet.html", "count": 3, "seed": 0, "roster": None} | settings
    arguments["path"] = tmp_path / arguments["path"]
    arguments["roster"] = arguments["roster"] and tmp_path / arguments["roster"]
    with pytest.raises(InputError, match=re.escape(said)) as error:
        write_worksheets(**arguments)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before
