"""Every lesson as it stands: it runs without a network, has its headings and alt texts, copies no code, and is exported."""

from __future__ import annotations

import ast
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile

import pytest

from browser import open_browser  # noqa: F401
from lesson_tools import PATH, ROOT, contrast, luminance, python, tree
from tinyresnet.cli import main
from tinyresnet.course import places

MOST = 60  # seconds of compute, of all cores together
HEADINGS = {
    "en": (
        "What you will be able to do",
        "The idea in a picture",
        "The maths, with the shapes",
        "The code",
        "Numbers to change",
        "The exercise",
        "What to read",
    ),
    "zh": ("学完你能做什么", "一图看懂", "公式与形状", "代码", "可以改的数", "练习", "延伸阅读"),
}
LESSONS = [(language, lesson) for language in places.LANGUAGES for lesson in places.lesson_files(language).values()]
FILES = [pytest.param(lesson, language, id=f"{language}-{lesson.number:02}") for language, lesson in LESSONS]
every_lesson = pytest.mark.parametrize(("lesson", "language"), FILES)

pytest.importorskip("marimo", reason="marimo is not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What `lesson_run.py` says of a lesson; each is run once."""

    @functools.cache
    def run_once(path):
        here = tmp_path_factory.mktemp("here")
        said = python(ROOT / "tests" / "lesson_run.py", path, cwd=here)
        assert not list(here.iterdir())
        return json.loads(said.splitlines()[-1])

    return run_once


@every_lesson
def test_runs_from_top_to_bottom_without_a_network(lesson, language, run):
    took = run(lesson.path)
    print(
        f"lesson {lesson.path.relative_to(places.folder())}: {took['seconds']:.1f} s, {took['compute']:.1f} s of compute"
    )
    assert took["compute"] < MOST


@every_lesson
def test_has_the_seven_headings_in_order(lesson, language, run):
    assert tuple(run(lesson.path)["headings"]) == HEADINGS[language]


@every_lesson
def test_every_figure_has_an_alt_text(lesson, language, run):
    shown = run(lesson.path)
    assert shown["problems"] == []
    assert shown["figures"] >= 1


@every_lesson
def test_says_its_title_and_minutes(lesson, language):
    title = f'app_title="{lesson.number:02} {lesson.title}"'
    assert title in lesson.path.read_text(encoding="utf-8")
    assert 20 <= lesson.minutes <= 90
    assert all(needed < lesson.number for needed in lesson.needs)


def test_marimo_finds_nothing_wrong():
    paths = [str(lesson.path) for _, lesson in LESSONS]
    ignored = "MF001"  # it wants the version of marimo in each file
    done = subprocess.run(
        [sys.executable, "-m", "marimo", "check", "--strict", "--ignore", ignored, *paths],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# Copies of the library


def bodies(source):
    """Every function of a source: its name, and its body without the docstring as text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node.name, len(body), "\n".join(map(ast.unparse, body))


@functools.cache
def library():
    sources = (path.read_text(encoding="utf-8") for folder in (*PATH,) for path in _packages(folder))
    return [found for source in sources for found in bodies(source)]


def _packages(root):
    for path in sorted(root.glob("tinyresnet*/**/*.py")):
        if "course" not in path.parts and "_lessons" not in path.parts:
            yield path


def copied(source):
    """The functions of a lesson that the library has already: the same body under the same name, or a long one under any."""
    names, long = {(name, body) for name, _, body in library()}, {body for _, size, body in library() if size > 2}
    return [name for name, size, body in bodies(source) if (name, body) in names or (size > 2 and body in long)]


@every_lesson
def test_copies_no_function_of_the_library(lesson, language):
    assert copied(lesson.path.read_text(encoding="utf-8")) == []


def test_a_copy_would_be_seen():
    source = (ROOT / "tinyresnet" / "layers" / "residual.py").read_text(encoding="utf-8")
    assert {"fork_forward", "add_backward"} <= set(copied(source))
    assert copied("def mine(x):\n    return x + 1") == []


@pytest.mark.torch
def test_what_lesson_00_says_of_pytorch(torch):
    """These calls are not there, and those are."""
    for name in ("init_network", "set_weights", "evaluate"):
        assert not hasattr(torch, name)
        assert not hasattr(torch.nn.Module, name)
    assert all(hasattr(torch.nn.Module, name) for name in ("load_state_dict", "eval"))
    assert all(hasattr(torch.optim.SGD, name) for name in ("step", "zero_grad"))


# Exports


@every_lesson
def test_exported_notebook_is_valid_and_has_no_outputs(lesson, language, tmp_path, capsys):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    assert main(["lesson", "export", str(lesson.number), "--language", language, "--to", str(tmp_path / "out")]) == 0
    (written,) = (tmp_path / "out").iterdir()
    assert written.name == f"{lesson.path.stem}.ipynb"
    notebook = nbformat.read(written, as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) > 10
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
    assert not list(lesson.path.parent.glob("__marimo__"))
    assert str(written) in capsys.readouterr().err


def test_exported_page_has_its_outputs(tmp_path):
    assert main(["lesson", "export", "6", "--format", "html", "--to", str(tmp_path)]) == 0
    page = (tmp_path / "06_residual_add.html").read_text(encoding="utf-8")
    assert "A residual block twice" in page  # a figure's alt text


# From a wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel's contents, as an installation has them."""
    pytest.importorskip("hatchling", reason="hatchling, which builds wheels, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    python("-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_wheel_has_the_lessons_without_the_instructors_pack(installed):
    held = {
        path.relative_to(installed / "tinyresnet" / "_lessons") for path in tree(installed / "tinyresnet" / "_lessons")
    }
    here = {path.relative_to(ROOT / "lessons") for path in tree(ROOT / "lessons")}
    assert held == {path for path in here if path.parts[0] != "instructor"}
    assert not [path for path in tree(installed) if "instructor" in path.parts]


def test_lessons_of_a_wheel_are_listed_and_run(installed, tmp_path):
    for path in tree(installed):
        path.chmod(0o444)
    listed = json.loads(python("-m", "tinyresnet", "lesson", "list", "--json", path=(installed,), cwd=tmp_path))
    assert [row["number"] for row in listed["lessons"]] == sorted(places.lesson_files())
    lesson = installed / "tinyresnet" / "_lessons" / "06_residual_add.py"
    python(lesson, path=(installed,), cwd=tmp_path)
    assert not list(tmp_path.iterdir())


# In a browser


@pytest.fixture
def opened(installed, tmp_path):
    """The address of lesson 6, opened without a browser as a user would; ended by Ctrl-C, which is no error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tinyresnet", "lesson", "open", "6", "--headless", "--port", str(port)]
    before = tree(installed)
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield _answers(f"http://127.0.0.1:{port}/", process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        finally:
            process.kill()
            process.stdout.close()
    assert process.returncode == 0
    assert not list(tmp_path.iterdir())
    assert tree(installed) == before


def _answers(address, process, seconds=60):
    """The address, once something answers there."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(seconds * 4):
        assert process.poll() is None, process.stdout.read().decode()
        try:
            with direct.open(address) as answer:
                assert answer.status == 200
                return address
        except OSError:
            time.sleep(0.25)
    raise AssertionError("nothing answers")


LOOK = """() => {
  const ink = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => { // however it is written
    ink.clearRect(0, 0, 1, 1);
    ink.fillStyle = colour;
    ink.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = ink.getImageData(0, 0, 1, 1).data;
    return alpha < 255 ? null : [red, green, blue];
  };
  const behind = (element) => rgb(getComputedStyle(element).backgroundColor) ?? behind(element.parentElement);
  const words = [...document.querySelectorAll("svg[aria-label] text")];
  return words.map((word) => [rgb(getComputedStyle(word).fill), behind(word)]);
}"""


def test_in_a_browser_light_and_dark_without_a_network(opened, browser):
    backgrounds = []
    for theme in ("light", "dark"):
        context = browser.new_context(color_scheme=theme, viewport={"width": 1280, "height": 900})
        page = context.new_page()
        asked, errors = [], []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
        page.goto(opened)
        page.locator("svg[aria-label^='Left: which pixels']").wait_for(timeout=120_000)
        page.get_by_text("Step 45 of 48").first.wait_for(timeout=60_000)  # the stepper, at the fork
        seen = page.evaluate(LOOK)
        assert len(seen) > 20
        assert min(contrast(word, behind) for word, behind in seen) > 4.5
        page.get_by_text("6, the average").click()
        page.get_by_text("Not so: it is “12, the sum”.").wait_for(timeout=30_000)
        foreign = [url for url in asked if not url.startswith((opened, "data:", "blob:"))]
        assert (foreign, errors) == ([], [])
        backgrounds.append(luminance(seen[0][1]))
        context.close()
    assert backgrounds[0] > 0.8
    assert backgrounds[1] < 0.1
