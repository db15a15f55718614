"""What lessons share: where they are, figures for light and dark pages, and questions that are answered after the choice."""

from __future__ import annotations

import re

import pytest

from lesson_tools import ROOT, contrast
from tinyresnet.course import places
from tinyresnet.course.figures import BLUE, COLOURS, picture, style
from tinyresnet.course.predict import ask, reveal
from tinyresnet.errors import InputError


def test_places(tmp_path, monkeypatch):
    assert places.folder() == ROOT / "lessons"
    known = {path.stem for path in (ROOT / "lessons" / "data").glob("*.json")}
    for name in known:
        held = places.data(name)
        assert {"command", "seed", "made_with", "results"} <= held.keys(), name
    with pytest.raises(InputError, match="unknown lesson data 'nothing'"):
        places.data("nothing")
    monkeypatch.setattr(places, "PACKAGE", tmp_path / "tinyresnet")
    with pytest.raises(InputError, match="the lessons are missing"):
        places.folder()
    lessons = tmp_path / "tinyresnet" / "_lessons"
    (lessons / "zh").mkdir(parents=True)
    (lessons / "03_thing.py").write_text('"""A title.\n\n50 minutes. Needs lessons 01, 02.\n"""\n', encoding="utf-8")
    (lessons / "04_bare.py").write_text("x = 1\n", encoding="utf-8")
    (lessons / "helper.py").write_text("x = 1\n", encoding="utf-8")
    (lessons / "zh" / "03_thing.py").write_text('"""题目\n\n50 分钟。先修 01、02。\n"""\n', encoding="utf-8")
    found = places.lesson_files()
    assert found[3] == places.Lesson(3, "A title", lessons / "03_thing.py", 50, (1, 2))
    assert found[4] == places.Lesson(4, "bare", lessons / "04_bare.py", 0, ())
    assert len(found) == 2
    assert places.lesson(3, "zh") == places.Lesson(3, "题目", lessons / "zh" / "03_thing.py", 50, (1, 2))


def drawn():
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=(4, 3), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([1, 2], [3, 4], label="a line")
        axes.plot([1, 2], [4, 3], color="black")
        axes.legend()
        axes.set(xlabel="step", title="one & two")
    return figure


def test_a_figure_takes_the_colour_of_the_page_and_scales():
    html = picture(drawn(), alt='two lines: one "up"')
    assert picture(drawn(), alt='two lines: one "up"') == html
    assert 'aria-label="two lines: one &quot;up&quot;"' in html
    assert not re.search(
        r"#000000|#ffffff|black|white|<style|<metadata|xlink:href|\b(width|height)=\"\d+(\.\d+)?pt", html
    )
    colours = {colour.lower() for colour in re.findall(r"#[0-9a-fA-F]{6}", html)}
    assert colours == {BLUE.lower()}
    assert "max-width:384px" in html
    names = re.findall(r'id="([^"]+)"', html)
    assert len(set(names)) == len(names)
    others = set(re.findall(r'id="([^"]+)"', picture(drawn(), alt="the same on another page of the lesson")))
    assert not others & set(names)


def test_colours_are_seen_on_both_pages():
    for colour in COLOURS:
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert min(contrast(rgb, page) for page in ((255, 255, 255), (0x18, 0x1C, 0x1A))) > 3


@pytest.mark.parametrize(
    ("figure", "alt", "message"),
    [
        ("<svg viewBox='0 0 1 1'></svg>", "  ", "needs an alt text"),
        ("<svg></svg>", "a square, empty", "needs a viewBox"),
    ],
)
def test_a_figure_without_an_alt_text_is_refused(figure, alt, message):
    with pytest.raises(InputError, match=message):
        picture(figure, alt=alt)


def test_predict():
    pytest.importorskip("marimo", reason="marimo is not installed")
    asked = ask("What leaves the fork?", ["the sum", "the mean"])
    folded = reveal(asked, "the sum", "It is **8**.").text
    assert "<details>" in folded
    assert "<strong>8</strong>" in folded
    for choice, said in (("the sum", "Right."), ("the mean", "Not so: it is “the sum”.")):
        asked._value = choice
        assert said in reveal(asked, "the sum", "It is **8**.").text
    with pytest.raises(InputError, match="one of"):
        reveal(asked, "the product", "It is **8**.")


def test_nothing_below_the_course_knows_of_it():
    for path in sorted((ROOT / "tinyresnet").rglob("*.py")):
        inside = path.relative_to(ROOT / "tinyresnet").parts[0]
        if inside not in ("course", "cli"):
            assert not re.search(r"^\s*(from|import) .*\bcourse\b", path.read_text(encoding="utf-8"), re.MULTILINE), (
                path
            )
