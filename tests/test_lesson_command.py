"""`tinyresnet lesson list`, `open` and `export`: what they print, what they refuse, and that they leave the lessons as they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinyresnet.cli import lesson_open, main
from tinyresnet.course import places

pytest.importorskip("marimo", reason="marimo is not installed")


def test_list(capsys):
    assert main(["lesson", "list"]) == 0
    said = capsys.readouterr().out
    for lesson in places.lesson_files().values():
        assert re.search(rf"{lesson.number:02}\s+{re.escape(lesson.title)}\s+{lesson.minutes}", said)
    assert main(["lesson", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["lessons"]
    assert [row["number"] for row in listed] == sorted(places.lesson_files())
    assert listed[-1].keys() == {"number", "title", "minutes", "needs"}


@pytest.mark.parametrize("action", ["list", "open", "export"])
def test_every_action_has_help_with_an_example(action, capsys):
    assert main(["lesson", action, "--help"]) == 0
    assert f"\n  tinyresnet lesson {action}" in capsys.readouterr().out


BAD = [
    (["lesson"], "ACTION"),
    (["lesson", "opne", "6"], "opne"),
    (["lesson", "open"], "N"),
    (["lesson", "open", "six"], "'six' is no lesson's number"),
    (["lesson", "open", "-1"], "-1"),
    (["lesson", "open", "77"], "there is no lesson 77: there are 0"),
    (["lesson", "open", "6", "--language", "fr"], "unknown language 'fr'"),
    (["lesson", "open", "5", "--language", "zh"], "there is no lesson 05 in 'zh'"),
    (["lesson", "open", "6", "--port", "0"], "--port"),
    (["lesson", "open", "6", "--port", "65536"], "1 to 65535"),
    (["lesson", "export", "6", "--format", "pdf"], "pdf"),
    (["lesson", "list", "--language", "fr"], "unknown language 'fr'"),
]


@pytest.mark.parametrize(("argv", "message"), BAD, ids=[" ".join(argv) for argv, _ in BAD])
def test_bad_input_is_one_line(argv, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.err.startswith("tinyresnet: error: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert not list(tmp_path.iterdir())


def test_export_into_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("here", encoding="utf-8")
    assert main(["lesson", "export", "6", "--to", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["open", "6"], ["export", "6"], ["export", "6", "--format", "html"]])
def test_without_marimo_it_names_the_extra(argv, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "marimo", None)
    assert main(["lesson", *argv]) == 2
    assert "pip install 'tinyresnet[lessons]'" in capsys.readouterr().err


def test_open_edits_a_copy_that_stays(tmp_path, monkeypatch, capsys):
    called = []
    monkeypatch.setattr(lesson_open, "_marimo", lambda *arguments, **_: called.append(arguments) or 0)
    monkeypatch.chdir(tmp_path)
    assert main(["lesson", "open", "6", "--edit", "--headless"]) == 0
    own = tmp_path / "06_residual_add.py"
    assert own.read_bytes() == places.lesson(6).path.read_bytes()
    own.write_text("# changed", encoding="utf-8")
    assert main(["lesson", "open", "6", "--edit"]) == 0
    assert own.read_text(encoding="utf-8") == "# changed"
    assert called[0][:2] == ("edit", "06_residual_add.py")
    assert "as it was" in capsys.readouterr().err


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_says_that_it_is_chinese(language, monkeypatch):
    """To the browser, which has other forms of the same characters for Japanese."""
    seen = []

    def look(action, copy, *options, **_):
        folder = Path(copy).parent
        seen.append((Path(copy).read_text(encoding="utf-8"), [path.read_text() for path in folder.glob("*.html")]))
        return 0

    monkeypatch.setattr(lesson_open, "_marimo", look)
    assert main(["lesson", "open", "6", "--language", language, "--headless"]) == 0
    [(lesson, heads)] = seen
    assert ('marimo.App(html_head_file="head.html", ' in lesson) == (language == "zh")
    assert ['lang = "zh-CN"' in head for head in heads] == [True] * (language == "zh")


@pytest.mark.parametrize("code", [0, 1, 3])
def test_what_marimo_says_is_the_exit_code(code, monkeypatch, capfd):
    monkeypatch.setattr(sys, "executable", sys.executable)
    monkeypatch.setattr(subprocess, "Popen", _ends_with(code, subprocess.Popen))
    assert lesson_open._marimo("run", quiet=True) == (1 if code else 0)
    assert ("no luck" in capfd.readouterr().err) == bool(code)


def _ends_with(code, popen):
    return lambda _, **settings: popen(
        [sys.executable, "-c", f"print('no luck'); raise SystemExit({code})"], **settings
    )
