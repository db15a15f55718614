"""The instructor's pack: exam answers found in another way, slides in step with their lessons, viva questions, and commands that exist."""

from __future__ import annotations

import argparse
import html.parser
import itertools
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tinyresnet.cli import COMMANDS, main
from tinyresnet.course import places, slide_parts, slides
from tinyresnet.course.cuts import generate, solution
from tinyresnet.course.exam import DRAWS, exam
from tinyresnet.course.exercises import EXERCISES, find, transfer_exercises
from tinyresnet.course.paper import exam_page, number
from tinyresnet.course.viva import viva
from tinyresnet.course.viva_cases import small_case
from tinyresnet.errors import InputError

LESSONS = places.folder()
PACK = LESSONS / "instructor"
SEEDS = range(20)

# exams: every answer once more, by plain loops or by measured slopes, from the numbers on the sheet


def slope(f, x, h=1e-4):
    """The gradient of f at x by central differences; f is a polynomial of low degree, or straight near x."""
    x = np.asarray(x, float)
    out = np.zeros_like(x)
    for cell in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[cell] = h
        out[cell] = (f(x + step) - f(x - step)) / (2 * h)
    return out


def correlate(x, w, s, p):
    """A convolution of one channel, by loops."""
    x = np.pad(x, p)
    K = len(w)
    OH, OW = ((n - K) // s + 1 for n in x.shape)
    return np.array([[(x[oh * s : oh * s + K, ow * s : ow * s + K] * w).sum() for ow in range(OW)] for oh in range(OH)])


def loss(powers, labels):
    p = np.exp(powers) / np.exp(powers).sum(axis=1, keepdims=True)
    return -np.mean([np.log(p[n, label]) for n, label in enumerate(labels)])


def linear(x, W, dy):
    dx = slope(lambda x: (dy * (x @ W.T)).sum(), x)
    dw = slope(lambda W: (dy * (x @ W.T)).sum(), W)
    return dx[0, 0], dw[1, 0], slope(lambda b: (dy * (x @ W.T + b)).sum(), np.zeros(2))[1]


def softmax(powers, labels):
    dz = slope(lambda z: loss(z, labels), np.log(powers), 1e-5)
    return dz[0, labels[0]], dz[0, (labels[0] + 1) % 3], 0


def accumulate(w, x, dy):
    return slope(lambda w: (dy * w * x).sum(), w.item()), slope(lambda x: dy[1] * w.item() * x, x[1])


def size(H, K, s, p, d):
    windows = [[k * s + i * d - p for i in range(K)] for k in range(H + 2 * p) if k * s + (K - 1) * d - p < H + p]
    return len(windows), H - len({pixel for window in windows for pixel in window if 0 <= pixel < H})


def output(x, weight, bias):
    y = correlate(x, weight, 2, 1) + bias
    return y[0, 0], y[1, 1]


def cost(C, O, H, s):
    OH = len(range(0, H + 2 - 3 + 1, s))
    return O * OH * OH * 9 * C, 9 * C * OH * OH, 9 * OH * OH / H**2


def pixel(weight, dy):
    dx = slope(lambda x: (dy * correlate(x, weight, 2, 1)).sum(), np.zeros((5, 5)))
    return dx[1, 1], dx[2, 2]


def weight(x, dy):
    return slope(lambda w: (dy * correlate(x, w, 1, 0)).sum(), np.zeros((2, 2)))[0, 1], dy.sum()


def pool(x, dy):
    def y(x):
        return sum(dy[i, j] * x[i : i + 3, j : j + 3].max() for i, j in np.ndindex(2, 2))

    dx = slope(y, x)
    return dx.flat[x.argmax()], (abs(dx) > 1e-6).sum(), dx.sum()


def norm(x, gamma, dy):
    def y(x, gamma, beta):
        return (dy * (gamma * (x - x.mean()) / x.std() + beta)).sum()

    dx = slope(lambda x: y(x, gamma, 0), x)
    return slope(lambda b: y(x, gamma, b), 0), slope(lambda g: y(x, g, 0), gamma), dx[0], 0


def running(gamma, mean, var, x, dy):
    def y(x):
        return gamma[0] * (x - mean[0]) / np.sqrt(var[0])

    return y(x[0]), slope(lambda x: dy[0] * y(x), x[0]), 0.9 * mean[0] + 0.1 * (x[0] + x[1]) / 2


def kink(x, h):
    return (x + h) / (2 * h), 1


def ones(W, V):
    return [dy @ V[:, 0] - dy @ W[:, 0] for dy in (np.array([1, 1]), np.array([2, -1]))]


def block(w1, w2, x, dy):
    def y(w1, w2, x):
        return (dy * np.maximum(w2 * np.maximum(w1 * x, 0) + x, 0)).sum()

    dx = slope(lambda x: y(w1, w2, x), x)
    return *dx.ravel(), slope(lambda w: y(w, w2, x), w1), slope(lambda w: y(w1, w, x), w2)


def three_ways(w, dy):
    dx = slope(lambda x: dy * (w[0] * x + w[1] * x + x), 1.0)
    return dx, dx / 3


def shortcut_b(C, O, H):
    return C * O + 2 * O, 100 * len(range(0, H, 2)) ** 2 / H**2


def tower(asked, w):
    gone = int(re.search(r"block (\d)", asked[2])[1])
    factors = [1 + one for one in w]
    return np.prod(w), np.prod(factors), np.prod(factors[:gone] + factors[gone + 1 :])


def paths(asked, L):
    k = int(re.search(r"exactly (\d)", asked[1])[1])
    ways = list(itertools.product((0, 1), repeat=L))
    return len(ways), sum(sum(way) == k for way in ways), sum(way[0] == 0 for way in ways)


def merge(w, c, dp_coarse, dp_fine):
    def back(w, c, f):
        m = w * c
        return (dp_coarse * m).sum() + (dp_fine * (f + np.kron(m, np.ones((2, 2))))).sum()

    f = np.zeros((2, 4))
    dc = slope(lambda c: back(w, c, f), c)
    return dc[0, 0], dc[0, 1], slope(lambda w: back(w, c, f), w), slope(lambda f: back(w, c, f), f)[0, 0]


def overlap(a, b, c):
    def pixels(box):
        return {(x, y) for x in range(int(box[0]), int(box[2])) for y in range(int(box[1]), int(box[3]))}

    found = []
    for one, other in ((a[0], b[0]), (a[0], c[0])):
        both, either = pixels(one) & pixels(other), pixels(one) | pixels(other)
        around = pixels([*np.minimum(one, other)[:2], *np.maximum(one, other)[2:]])
        found += [len(both) / len(either), len(both) / len(either) - len(around - either) / len(around)]
    return found


def order(hits):
    after = [(sum(hits[:n]) / 3, sum(hits[:n]) / n) for n in range(1, 6)]
    read = [max((p for recall, p in after if recall * 100 >= r), default=0) for r in range(101)]
    return after[2][1], after[2][0], np.mean(read)


AGAIN = {f.__name__: f for f in (linear, softmax, accumulate, size, output, cost, pixel, weight, pool, norm, running, kink, ones, block,
                                 three_ways, shortcut_b)} | {
                                 "tower": tower, "paths": paths, "merge": merge, "overlap": overlap, "order": order}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_every_answer_is_found_again_in_another_way(seed):
    questions = exam(seed)
    assert [one.name for one in questions] == list(AGAIN)
    for one in questions:
        asked = [[ask.name for ask in one.asks]] if one.name in ("tower", "paths") else []
        again = AGAIN[one.name](*asked, *one.given.values())
        assert len(again) == len(one.asks)
        for ask, value in zip(one.asks, again, strict=True):
            assert ask.value == pytest.approx(float(value), abs=2e-5), (one.name, ask.name)


def test_exams_are_large_enough_differ_by_seed_and_leave_little_to_luck():
    questions = exam(0)
    assert len(questions) == len(DRAWS) >= 12
    assert {one.lesson for one in questions} == {*range(1, 8), 11}
    assert all(ask.points > 0 for one in questions for ask in one.asks)
    numbers = [[(ask.name, round(float(ask.value), 6)) for one in exam(seed) for ask in one.asks] for seed in SEEDS]
    assert len(set(map(tuple, numbers))) == len(SEEDS)
    assert exam(3, [6])[0].given.keys() == {"w1", "w2", "x", "dy"}
    for a, b in zip(exam(3, [6]), [one for one in exam(3) if one.lesson == 6], strict=True):
        assert a.asks == b.asks  # a shorter exam asks for the same numbers


class Text(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links = []

    def handle_starttag(self, tag, attrs):
        named = [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        self.links += [value for value in named if not value.startswith("#")]  # within the page


def parsed(page):
    text = Text()
    text.feed(page)
    return text


def test_the_sheet_gives_no_answer_and_no_seed_away_and_the_key_has_all():
    questions = exam(987654321)
    sheet = exam_page("Exam", questions)
    key = exam_page("Exam, key", questions, key="Seed 987654321")
    assert "987654321" not in sheet
    assert "<strong>" not in sheet
    assert not any(one.working in sheet for one in questions)
    for one in questions:
        for ask in one.asks:
            assert f"<strong>{number(ask.value)}</strong>" in key
    assert not parsed(sheet).links + parsed(key).links


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.0, "0"), (-0.4375, "−0.4375"), (294912, "294,912"), (2.25, "2.25")]
)
def test_numbers_as_people_write_them(value, text):
    assert number(value) == text


def test_exam_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lesson", "exam", "--seed", "3"]) == 0
    assert "Seed 3; made by: tinyresnet lesson exam --seed 3" in Path("exam-key.html").read_text("utf-8")
    assert main(["lesson", "exam", "--lesson", "6", "--lesson", "7", "--out", "b.html", "--key", "k.html"]) == 0
    assert Path("b.html").read_text("utf-8").count("<section>") == len(exam(0, [6, 7]))
    for bad in (["--lesson", "0"], ["--seed", "-1"], ["--key", "exam.html"]):
        assert main(["lesson", "exam", *bad]) == 2
    assert "Traceback" not in capsys.readouterr().err


# slides


@pytest.mark.parametrize("lesson", sorted(places.lesson_files()))
def test_slides_of_a_lesson(lesson):
    text = slides.sources()[lesson].read_text("utf-8")
    pages = slides.split(text)
    assert 8 <= len(pages) <= 14
    assert all(re.match(r"<h[12]>", one) for one in pages), "each slide begins with a heading"
    title = places.lesson(lesson).title
    assert text.startswith(f"# {lesson:02} · {title}\n")
    page = slides.slides_page(lesson)
    found = parsed(page)
    assert not found.links, "nothing is loaded"
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page
    for name in re.findall(r"lesson check (\w+\.\w+)", text):
        assert any((one.file or f"{one.name}.py") == name and one.lesson == lesson for one in EXERCISES), name


def test_slides_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lesson", "slides", "6"]) == 0
    assert main(["lesson", "slides", "06", "--out", "slides.html"]) == 0
    assert Path("slides.html").read_bytes() == Path("slides_06.html").read_bytes()
    assert main(["lesson", "slides", "77"]) == 2
    assert "there is no lesson 77" in capsys.readouterr().err


def test_a_rule_inside_code_and_below_text():
    assert len(slides.split("# a\n\ntext\n---\n## b\n\n```\nx\n---\ny\n```\n")) == 2
    assert "&lt;script&gt;" in slides.split("# <script>")[0]
    with pytest.raises(InputError, match="unknown part of a slide 'nothing'"):
        slides.split("```figure nothing\n```")


def test_slide_tables_come_from_the_lessons_data():
    rows = places.data("degradation_cifar")["results"]
    runs = [
        row["train_error"] for row in rows if row["part"] == "run" and row["kind"] == "plain" and row["depth"] == 56
    ]
    assert f"{100 * np.mean(runs):.1f}" in slide_parts.degradation()


def test_without_the_instructors_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "folder", lambda: tmp_path)
    with pytest.raises(InputError, match="come with the instructor's checkout"):
        slides.slides_page(6)


# viva


@pytest.fixture(scope="module")
def solutions(tmp_path_factory):
    place = tmp_path_factory.mktemp("solutions")
    for name in ("relu", "conv", "batch_norm", "residual", "sgd"):
        (place / f"{name}.py").write_text(solution(find(name).source).text(), "utf-8")
    return place


@pytest.mark.parametrize("name", ["relu", "conv", "batch_norm", "residual", "sgd"])
def test_two_questions_whose_terms_sum_to_the_number(name, solutions):
    for seed in range(2):
        first, second = viva(find(name), solutions / f"{name}.py", seed=seed, student="ana", trust=True)
        total = re.match(r"(\S+) is the sum of: (.*?)(; and \d+ more)? \(terms", first.answer)
        if not total[3]:
            terms = re.findall(r"= (\S+) · \(?([−\d.,]+)\)?|(?:^|; )(\S+), which", total[2])
            plain = [[float(n.replace("−", "-").replace(",", "")) for n in term if n] for term in terms]
            assert sum(map(np.prod, plain)) == pytest.approx(
                float(total[1].replace("−", "-").replace(",", "")), abs=0.02
            )
        assert not first.note
        assert not second.note
        assert second.answer
    again = viva(find(name), solutions / f"{name}.py", seed=1, student="ana", trust=True)
    assert [one.text for one in again] == [first.text, second.text]


def test_students_get_questions_of_their_own_and_wrong_numbers_are_named(solutions, tmp_path):
    path = tmp_path / "conv.py"
    path.write_text((solutions / "conv.py").read_text("utf-8").replace("] += places", "] = places"), "utf-8")
    asked = {who: viva(find("conv"), path, seed=1, student=who, trust=True) for who in ("ana", "bo")}
    assert len({questions[0].text for questions in asked.values()}) == 2
    named = [viva(find("conv"), path, seed=seed, student="", trust=True)[0] for seed in range(3)]
    assert any(one.function == "col2im" and "is right" in one.note for one in named)  # unless no windows overlap


def test_cases_are_small_whole_numbers():
    for exercise in EXERCISES:
        for function in exercise.functions:
            case = small_case(function, np.random.default_rng(0))
            for one in case.inputs or case.args:
                if isinstance(one, np.ndarray) and one.dtype.kind == "f":
                    assert np.array_equal(one, np.rint(one))


def test_viva_command(solutions, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for who in ("ana", "<b>bo"):
        (tmp_path / "class" / who).mkdir(parents=True)
        (tmp_path / "class" / who / "residual.py").write_bytes((solutions / "residual.py").read_bytes())
    assert main(["lesson", "viva", "class", "--seed", "3", "--out", "viva.html", "--trust"]) == 0
    page = Path("viva.html").read_text("utf-8")
    assert page.count("<article>") == 4
    assert "<b>bo" not in page
    assert not parsed(page).links
    capsys.readouterr()
    assert main(["lesson", "viva", str(solutions / "residual.py"), "--seed", "3", "--trust", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["students"][0]["questions"]) == 2
    assert main(["lesson", "viva", str(solutions / "residual.py"), "--seed", "3", "--trust"]) == 0
    assert "For the examiner:" in capsys.readouterr().out
    (tmp_path / "conv.py").write_text(generate(find("conv").source, "c"), "utf-8")
    assert main(["lesson", "viva", "conv.py", "--trust"]) == 1
    assert "no function gives an answer" in capsys.readouterr().err
    assert main(["lesson", "viva", "nothing.py", "--trust"]) == 2


# documents


def documents():
    return sorted([*LESSONS.glob("README*.md"), *PACK.glob("*.md"), *PACK.glob("slides/*.md")])


def commands(text):
    """Every `tinyresnet ...` command line in a document's code, and where it is more than a command's name, in its text."""
    code = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = [
        line
        for line in re.findall(r"`(tinyresnet [^`\n]+)`", text)
        if not re.fullmatch(r"tinyresnet lesson (check|grade)", line)
    ]
    lines = [*"\n".join(code).splitlines(), *inline]
    return [line.split("  #")[0].strip() for line in lines if line.startswith("tinyresnet ")]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.stem)
def test_commands_in_documents_are_understood(path, monkeypatch):
    import importlib

    for line in commands(path.read_text("utf-8")):
        _, name, *rest = shlex.split(line)
        assert name in COMMANDS, line
        parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
        importlib.import_module(f"tinyresnet.cli.{name}").add_arguments(parser)
        monkeypatch.setattr(
            argparse.ArgumentParser, "error", lambda self, message, line=line: pytest.fail(f"{line}: {message}")
        )
        parser.parse_args(rest)


def test_links_in_documents_lead_somewhere():
    for path in documents():
        for link in re.findall(r"\]\(([^)#\s]+)\)", path.read_text("utf-8")):
            if not link.startswith("http"):
                assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_the_course_is_described_alike_in_both_languages():
    english, chinese = ((LESSONS / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
    blocks = [re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for text in (english, chinese)]
    lines = [[[row.split("  #")[0].rstrip() for row in block.splitlines()] for block in one] for one in blocks]
    assert lines[0] == lines[1]
    numbers = [re.findall(r"^\| (\d\d) \|.*?\| (\d+) \|", text, re.MULTILINE) for text in (english, chinese)]
    assert numbers[0] == numbers[1]
    for lesson in places.lesson_files().values():
        assert f"| {lesson.number:02} | {lesson.title} | {lesson.minutes} " in english
    for lesson in places.lesson_files("zh").values():
        assert f"| {lesson.number:02} | {lesson.title} | {lesson.minutes} " in chinese


def test_times_are_there_for_every_exercise_and_called_estimates():
    text = (PACK / "times.md").read_text("utf-8")
    assert "estimate" in text.split("\n## ")[0]
    for exercise in EXERCISES:
        assert f"| `{exercise.file or exercise.name + '.py'}` |" in text


def test_the_rubrics_points_are_the_graders():
    text = (PACK / "rubric.md").read_text("utf-8")
    for exercise in (*EXERCISES, *transfer_exercises().values()):
        if exercise.name != "matmul":
            assert re.search(rf"^\| `{exercise.name}`[^|]*\| {exercise.points} \|", text, re.MULTILINE), exercise.name


def test_common_mistakes_hang_in_the_museum():
    from tinyresnet.gradcheck.museum import MUSEUM

    names = {bug.name for bug in MUSEUM}
    found = re.findall(r"\*\*`([^`]+)`\*\*", (PACK / "common_mistakes.md").read_text("utf-8"))
    assert len(found) >= 15
    assert set(found) <= names
