"""The page in Chromium, by mouse and by keyboard alone: every moment of the walk, in both languages, light and dark, wide and narrow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import open_browser  # noqa: F401
from tinyresnet.errors import InputError
from tinyresnet.explain import Cell, explain
from tinyresnet.layers import Conv2d
from tinyresnet.resnet import build
from tinyresnet.step.page import LARGEST, module_source, page_source, style_source, write_page
from tinyresnet.step.payload import Numbered, payload
from tinyresnet.step.session import Session, hand_segmenter_session, hand_session

SITE = "http://stepper.test/"  # nobody's: requests are answered by `served` and never leave the browser
SIZES = {"wide": (1440, 900), "phone": (390, 844)}


@cache
def session() -> Session:
    return hand_session()


def number_of(path: str, direction: str) -> int:
    """The number of a step, counted from 1 as the page does."""
    return session().trace[path, direction].index + 1


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for language in ("en", "zh"):
        write_page(folder / f"{language}.html", session(), language=language)
    return {language: folder / f"{language}.html" for language in ("en", "zh")}


class Reader:
    """Somebody who reads the page: what they can do with it, and what they see."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def walk_to(self, number: int, key: str = "]") -> None:
        """To this step, by a key that works everywhere."""
        for _ in range(100):
            if self.sees(f"Step {number} of"):
                return
            self.press(key)
        raise AssertionError(f"never came to step {number}: {self.sentence()}")

    def click(self, name: str, role: str = "button") -> None:
        self.page.get_by_role(role, name=name, exact=True).click()

    def cell(self, panel: str, place: tuple[int, ...], grid: str) -> Any:
        """A cell of a panel by the grid's name and its row and column, counted from 1."""
        field = self.page.locator(f".{panel}").get_by_role("grid", name=grid, exact=True)
        return field.locator(f'[aria-label^="row {place[0]}, column {place[1]},"]')

    def sentence(self) -> str:
        return str(self.page.locator(".sentence").inner_text())

    def sees(self, text: str) -> bool:
        return text in self.sentence()

    def sum(self) -> str:
        """The arithmetic as it is written."""
        return re.sub(r"\s+", " ", self.page.locator(".sum").inner_text())

    def answer(self) -> str:
        return str(self.page.locator(".predict .answer").inner_text())

    def focus(self) -> str:
        return str(
            self.page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.tagName")
        )

    def tab_to(self, matches: str) -> None:
        """Tab on until what has the focus matches."""
        for _ in range(60):
            self.press("Tab")
            if re.search(matches, self.focus()):
                return
        raise AssertionError(f"no tab stop matches {matches!r}")


@pytest.fixture
def open_page(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """Opens pages, and sees that none writes to the console, fails or asks the network for anything."""
    contexts, faults = [], []

    def heard(request: Any) -> None:
        if not request.url.startswith(("file:", SITE)):
            faults.append(request.url)

    def open_it(
        language: str = "en", *, size: str = "wide", dark: bool = False, url: str = "", route: Any = None
    ) -> Reader:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(8000)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", heard)
        if route:
            page.route("**/*", route)
        page.goto(url or pages[language].as_uri())
        page.wait_for_selector(".tinyresnet-step", state="attached")
        return Reader(page)

    yield open_it
    for context in contexts:
        context.close()
    assert not faults, faults


def shown(value: float) -> str:
    """A number as the page writes it, if it has few digits."""
    return f"{value:g}".replace("-", "−")


def test_keyboard(open_page: Any) -> None:
    """From the first step to the depth dial without a mouse."""
    reader = open_page()
    assert reader.sees("Step 1 of 48")
    reader.press("ArrowRight", "ArrowRight", "ArrowLeft")
    assert reader.sees("Step 2 of 48")
    reader.press("Home")
    reader.tab_to(r"^row \d, column \d, .*given")  # a pixel of x
    reader.tab_to(r"^row \d, column \d, .*given")  # a weight
    reader.tab_to(r"^row \d, column \d, .*from nine terms")
    reader.press("ArrowDown")
    at = reader.page.evaluate("document.querySelector('#stepper').stepper.state.cell.at")
    found = explain(session().trace, 0, "y", at)
    assert reader.sum().endswith(f"= {shown(found.value)}")
    assert reader.page.locator(".sum .term").count() == len(found.terms)
    reader.press("]")
    assert "row" in reader.focus()  # in the next step's grid
    reader.press("[")
    reader.press("]", "]", "]", "[", "[", "[")  # there is none in the fork's middle panel
    reader.tab_to(r"weight\[0,0,0,0\]")  # the arithmetic is one tab stop
    assert reader.page.locator(".remembered .cell.lit").count() == 1
    assert reader.page.locator(".arrived .cell.lit").count() == 1
    reader.press("ArrowRight", "Enter")  # to the pixel
    assert "came from outside" in reader.page.locator(".arithmetic").inner_text()
    reader.press("Backspace")
    assert reader.sum().endswith(f"= {shown(found.value)}")

    reader.walk_to(number_of("loss", "backward"))
    assert reader.page.locator(".river.back").count() == 1  # it turned
    assert reader.page.locator(".leaves .cell.blank").count() == 6
    reader.press("s")
    assert reader.page.locator(".leaves .cell.blank").count() == 0

    step = session().trace["layer2.bn1", "backward"]
    reader.walk_to(step.index + 1)
    assert reader.page.locator(".leaves .cell.blank").count() == 16
    reader.tab_to(r", blank")
    reader.press("ArrowRight")
    parts = explain(session().trace, step.index, "dx", (0, 0, 0, 1)).terms
    reader.page.keyboard.type(f"{parts[0].value + parts[1].value:.6f}")
    reader.press("Enter")
    assert "You left out the variance path" in reader.answer()
    reader.press("Control+a")
    reader.page.keyboard.type("7.77")
    reader.press("Enter")
    assert reader.answer().startswith("Not recognised.")
    assert reader.page.locator(".sum .term").count() == 3  # the second hint: the terms
    reader.press("Control+a")
    reader.page.keyboard.type(f"{step.tensors['dx'][0, 0, 0, 1]:.6f}")
    reader.press("Enter")
    assert reader.answer() == "Right."
    assert reader.page.locator(".leaves .cell.blank").count() == 0
    assert "0.0" in reader.focus()  # the focus went back to the cell
    assert reader.page.locator(".moment .bar-row").count() == 4

    reader.press("p")  # predicting off
    reader.walk_to(number_of("layer1.add", "backward"))
    assert reader.page.locator(".leaves .cell.blank").count() == 0
    reader.press("l")
    assert reader.sentence().startswith("第 39")
    reader.press("l", "?")
    assert reader.page.locator("dialog[open]").count() == 1
    reader.press("Escape")
    reader.tab_to("^The network")  # in a grid Home and End are the row's
    reader.press("Home")
    assert reader.sees("Step 1 of 48")
    reader.press("End")
    assert reader.sees("Step 48 of 48")
    reader.press("]")
    assert reader.sees("Is the gradient true?")
    reader.press("]")
    assert reader.sees("How far does the gradient reach?")


def test_mouse(open_page: Any) -> None:
    """The same without a keyboard, numbers apart."""
    reader = open_page()
    page = reader.page
    reader.click("On →")
    reader.click("On →")
    assert reader.sees("Step 3 of 48")
    reader.cell("leaves", (2, 2), "y, picture A").click()
    assert page.locator(".arrived .cell.source").count() == 1  # the winner
    page.locator(".sum .factor").first.click()  # to where it was made
    assert reader.sees("Step 2 of 48")
    reader.click("↩ Go back ⌫")
    assert reader.sees("Step 3 of 48")
    page.locator(".river .station").filter(has_text="loss").click()
    assert reader.sees("Step 24 of 48")
    page.locator(".sum .factor").first.hover()
    assert page.locator(".remembered .cell.lit").count() == 1  # a picture's loss
    reader.click("On →")
    assert reader.sees("Step 25 of 48: the loss turns round")
    page.locator(".river .station").filter(has_text="add").last.click()
    assert reader.sees("the gradient reaches the add")
    reader.click("Skip s")
    reader.cell("leaves", (1, 1), "da, picture A, channel 1").click()
    assert page.locator(".cell.chosen").count() == 1
    assert page.locator(".cell.source").count() == 2  # dy, and the copy in db
    value = page.locator(".leaves .cell.chosen").inner_text()
    assert page.locator(".cell.source").all_inner_texts() == [value] * 2
    assert "whole" in page.locator(".moment").inner_text()


def test_fork(open_page: Any) -> None:
    """The fork sums, and says why their average is wrong."""
    reader = open_page()
    step = session().trace["layer1.fork", "backward"]
    reader.walk_to(step.index + 1)
    reader.cell("leaves", (4, 2), "dx, picture A").click()
    page = reader.page
    value = float(step.tensors["dx"][0, 0, 3, 1])
    page.locator(".predict input").fill(f"{value / 2:.6f}")
    reader.click("Check")
    assert "average" in reader.answer()
    reader.click("Skip s")
    card = page.locator(".moment")
    for typed, said in ((value, "the sum is right"), (9, "Type it"), (value / 2, "An average would lose half")):
        card.locator("input").fill(f"{typed:.6f}")
        card.get_by_role("button").click()
        assert said in card.inner_text()


def test_coupling(open_page: Any) -> None:
    """A pixel of picture B moves, and with it picture A's gradient: to what the network really gives."""
    reader = open_page()
    step = session().trace["layer2.bn1", "backward"]
    reader.walk_to(step.index + 1)
    reader.press("s")
    reader.cell("leaves", (1, 1), "dx, picture A, channel 1").click()
    before = reader.page.locator(".leaves .cell.chosen").inner_text()
    reader.page.locator(".coupling input").fill("0.5")
    assert reader.page.locator(".leaves .cell.chosen").inner_text() != before
    assert reader.page.locator(".what-if").inner_text().startswith("What if")
    pixel = reader.page.evaluate("document.querySelector('#stepper').stepper.walk.original.tensor(0, 'x').data.length")
    x = session().x.copy()
    x[1].flat[x[1].argmax()] = 0.5
    assert pixel == x.size
    changed = Session("changed", session().model, x, session().labels, session().classes)
    expected = changed.trace[step.index].tensors["dx"][0, 0, 0, 0]
    got = reader.page.evaluate(
        f"document.querySelector('#stepper').stepper.walk.trace.tensor({step.index}, 'dx').data[0]"
    )
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    reader.click("As it was")
    assert reader.page.locator(".leaves .cell.chosen").inner_text() == before


def test_finale(open_page: Any) -> None:
    """The page's loss after a nudge is the network's."""
    reader = open_page()
    reader.click("Nudge")
    page = reader.page
    page.get_by_label("Weight", exact=True).select_option("fc.weight")
    page.locator(".finale .cell").nth(3).click()
    reader.click("Nudge it by 0.01")
    page.wait_for_selector(".finale .verdict")
    after = session().nudged("fc.weight", (1, 1)).loss
    facts = page.locator(".finale dd").all_inner_texts()
    np.testing.assert_allclose(float(facts[1]), session().loss, rtol=1e-7)
    np.testing.assert_allclose(float(facts[2]), after, rtol=1e-7)
    assert "They differ by" in page.locator(".finale .verdict").inner_text()


def test_dial(open_page: Any) -> None:
    """The caption follows the data: plain-56 explodes with batch norm, and vanishes with PyTorch's initialisation and none."""
    reader = open_page()
    reader.click("Depth")
    verdict = reader.page.locator(".dial .verdict")
    assert "explodes" in verdict.inner_text()
    for name in ("none", "PyTorch"):
        reader.page.get_by_text(name, exact=True).click()
    assert "vanishes" in verdict.inner_text()
    reader.page.get_by_label("residual").focus()
    assert reader.page.locator(".dial .series").count() == 2
    reader.page.get_by_text("residual", exact=True).click()
    assert "Neither" in verdict.inner_text()


@pytest.mark.parametrize(
    ("language", "dark", "size"),  # every pair of settings meets
    [("en", False, "wide"), ("en", True, "phone"), ("zh", False, "phone"), ("zh", True, "wide")],
)
def test_accessible(open_page: Any, language: str, dark: bool, size: str) -> None:
    """axe finds nothing, and nothing sticks out, on every kind of screen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    reader = open_page(language, dark=dark, size=size)
    backward = [step.index for step in session().trace if step.direction == "backward"]
    for stop in (0, 5, 23, backward[0], 33, 38, 44, 48, 49):
        for key in ("", "s") if stop in backward else ("",):
            reader.page.evaluate(f"document.querySelector('#stepper').stepper.go({stop})")
            if key:
                reader.press(key)
            if stop == 48:
                reader.page.locator(".nudges button").first.click()
            found = axe.run(reader.page).response["violations"]
            assert not found, (
                stop,
                key,
                [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found],
            )
            wide = reader.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, (stop, key, wide)


def test_theme_button(open_page: Any) -> None:
    """It turns the page dark, whatever the system says."""
    reader = open_page()
    colour = "getComputedStyle(document.body).backgroundColor"
    light = reader.page.evaluate(colour)
    reader.click("Light or dark")
    assert reader.page.evaluate(colour) != light


def test_fast(open_page: Any) -> None:
    """The first number within 1 s, a step within 50 ms; tested with a wide margin, as machines may be busy."""
    reader = open_page()
    first = reader.page.evaluate("performance.getEntriesByType('paint')[0].startTime")
    steps = reader.page.evaluate(
        """() => {
          const { stepper } = document.querySelector("#stepper");
          stepper.walk.setPredicting(false);
          return Array.from({ length: 48 }, (_, i) => {
            const start = performance.now();
            stepper.go(i);
            document.body.offsetHeight;
            return performance.now() - start;
          });
        }"""
    )
    assert first < 4000
    assert np.median(steps) < 200


def test_one_tab_stop_and_few_cells(open_page: Any) -> None:
    """A tensor is one tab stop, and a panel has at most 64 cells."""
    reader = open_page()
    for stop in range(48):
        reader.page.evaluate(f"document.querySelector('#stepper').stepper.go({stop})")
        for panel in reader.page.locator(".panels > .panel").all():
            tensors = panel.locator(".tensor").count()
            assert panel.locator(".cell").count() <= 64
            assert panel.locator(".cell[tabindex='0']").count() == tensors


def answered(walked: Session) -> Any:
    """A server's answers for a session whose tensors come when they are looked at."""
    numbered = Numbered(walked.trace)
    page = page_source(walked, data=payload(walked, lazy=True) | {"server": "."})

    def answer(route: Any) -> None:
        path = route.request.url.removeprefix(SITE)
        if path.startswith("tensor/"):
            array = numbered[int(path.removeprefix("tensor/"))]
            route.fulfill(body=array.tobytes(), content_type="application/octet-stream")
        elif path == "nudge":
            asked = json.loads(route.request.post_data)
            loss = walked.nudged(asked["param"], tuple(asked["at"]), asked["by"]).loss
            route.fulfill(body=json.dumps({"loss": loss}), content_type="application/json")
        else:
            route.fulfill(body=page, content_type="text/html; charset=utf-8")

    return answer


def test_large_network(open_page: Any) -> None:
    """A network whose numbers come when they are looked at: crops and minimaps, choosers, the finale on the server."""
    model = build("resnet8", rng=np.random.default_rng(0))
    x = np.random.default_rng(1).random((2, 3, 32, 32), np.float32)
    walked = Session("resnet8", model, x, np.array([1, 2]), tuple(map(str, range(10))))
    reader = open_page(url=SITE, route=answered(walked))
    page = reader.page
    page.wait_for_selector(".sum .result")
    assert page.locator(".leaves .cell").count() == 64
    assert page.locator(".leaves .minimap").is_visible()
    page.get_by_label("y: channel").select_option("5")
    page.locator(".leaves .cell").first.click()
    for _ in range(10):
        reader.press("ArrowDown")
    cell = page.evaluate("document.querySelector('#stepper').stepper.state.cell")
    assert cell["at"][1] == 4
    found = explain(walked.trace, 0, "y", tuple(cell["at"]))
    assert page.evaluate("document.querySelector('#stepper').stepper.walk.explain().computed") == pytest.approx(
        found.computed, rel=1e-12
    )
    last = len(walked.trace) - 1
    page.evaluate(f"document.querySelector('#stepper').stepper.go({last})")
    reader.press("s")
    page.wait_for_selector(".leaves .cell.chosen")
    reader.press("]")
    page.wait_for_selector(".finale .cell.chosen")
    reader.click("Nudge it by 0.01")
    page.wait_for_selector(".finale .verdict")


def test_segmenter(open_page: Any, tmp_path: Path) -> None:
    """A decoder below the backbone: its ways have names, its rows lie apart, classes are named, and the finale is right."""
    walked = hand_segmenter_session()
    write_page(tmp_path / "segmenter.html", walked)
    reader = open_page(url=(tmp_path / "segmenter.html").as_uri())
    page = reader.page

    def go(path: str, direction: str) -> None:
        page.evaluate(f"document.querySelector('#stepper').stepper.go({walked.trace[path, direction].index})")

    go("head.add1", "backward")
    reader.press("s")
    assert page.locator(".leaves h3").all_inner_texts() == ["da lateral1", "db up1"]
    assert page.locator(".copying small").all_inner_texts() == ["lateral1", "up1"]
    go("backbone.fork2", "forward")
    assert reader.sees("two layers read the same 64 numbers")
    stations = page.locator(".river .station circle").evaluate_all("all => all.map((one) => one.cy.baseVal.value)")
    forward = [step for step in walked.trace if step.direction == "forward"]
    height = {step.path: y for step, y in zip(forward, stations, strict=True)}
    assert height["head.merge2.conv"] == height["head.up1"] < height["head.lateral1"]
    assert height["head.lateral1"] == height["head.add1"] == height["head.score"] == height["loss"]
    go("loss", "backward")
    reader.press("s")
    page.get_by_label("dx: class").select_option("ring")
    page.locator(".leaves .cell").first.click()
    assert "ring" in page.locator(".arithmetic").inner_text()
    reader.click("Nudge")
    reader.click("Nudge it by 0.01")
    page.wait_for_selector(".finale .verdict")
    assert "They differ by" in page.locator(".finale .verdict").inner_text()


def test_layer_alone(open_page: Any, tmp_path: Path) -> None:
    """A layer without a loss: no finale, and the arithmetic all the same."""
    layer = Conv2d(2, 3, 3, pad=1, rng=np.random.default_rng(0), dtype=np.float64)
    alone = Session("a layer", layer, np.random.default_rng(1).normal(size=(2, 2, 5, 5)), None)
    write_page(tmp_path / "layer.html", alone)
    reader = open_page(url=(tmp_path / "layer.html").as_uri())
    assert reader.page.get_by_role("button", name="Nudge").count() == 0
    reader.press("]")
    assert reader.sees("Step 2 of 2")
    reader.press("s")
    assert reader.page.locator(".sum .term").count() > 1


WIDGET = """async (text) => {
  const { render } = (await import(URL.createObjectURL(new Blob([text.module], { type: "text/javascript" })))).default;
  const listeners = {};
  const values = { payload: text.payload, step: 0, language: "zh", ...text.start };
  window.model = {
    get: (name) => values[name],
    set: (name, value) => { values[name] = value; },
    save_changes() {},
    on: (name, heard) => { listeners[name] = heard; },
    off: (name) => { delete listeners[name]; },
    told: (name, value) => { values[name] = value; listeners[`change:${name}`](); },
  };
  const root = document.body.shadowRoot ?? document.body.attachShadow({ mode: "open" });
  const el = root.appendChild(document.createElement("div"));
  window.close = render({ model: window.model, el });
  window.el = el;
}"""


def test_widget(open_page: Any) -> None:
    """The same module in a notebook: the step and the cell go both ways, also in a shadow tree."""
    reader = open_page(
        url=SITE, route=lambda route: route.fulfill(body="<div class=tinyresnet-step>", content_type="text/html")
    )
    page = reader.page
    page.evaluate(WIDGET, {"module": module_source(), "payload": payload(session())})
    assert page.evaluate("el.querySelector('.sentence').textContent").startswith("第 1 步")
    page.evaluate("model.told('step', 4)")
    assert page.evaluate("el.querySelector('.sentence').textContent").startswith("第 5 步")
    page.evaluate("el.querySelector('.leaves .cell').click()")
    assert page.evaluate("model.get('cell')") == {"step": 4, "name": "y", "at": [0, 0, 0, 0]}
    page.keyboard.press("ArrowRight")
    assert page.evaluate("model.get('cell').at") == [0, 0, 0, 1]
    page.keyboard.press("]")
    page.keyboard.press("ArrowDown")  # the focus stayed in the grid, whose cells are new ones
    assert page.evaluate("model.get('cell').step") == 5
    assert page.evaluate("el.getRootNode().activeElement.getAttribute('role')") == "gridcell"
    page.evaluate("model.told('cell', { step: 7, name: 'y', at: [1, 0, 2, 2] })")
    assert page.evaluate("model.get('step')") == 7
    page.evaluate("close()")
    assert page.evaluate("el.childElementCount") == 0
    for start, number in (({"step": 44}, 45), ({"step": 3, "cell": {"step": 7, "name": "y", "at": [1, 0, 2, 2]}}, 8)):
        page.evaluate(WIDGET, {"module": module_source(), "payload": payload(session()), "start": start})
        assert page.evaluate("el.querySelector('.sentence').textContent").startswith(f"第 {number} 步")
        assert page.evaluate("model.get('step')") == number - 1


def test_cells_read_well(open_page: Any) -> None:
    """Every cell of a step reads "row 2, column 3, 0.75, from three terms"."""
    reader = open_page()
    reader.press("]", "]", "]", "]", "]")  # batch norm
    reader.page.wait_for_timeout(500)
    for cell in reader.page.locator(".leaves .cell").all():
        assert re.fullmatch(r"row \d, column \d, −?[\d.]+(e−?\d+)?, from two terms", cell.get_attribute("aria-label"))


def test_source() -> None:
    """One file: no address in it but SVG's name, no way out of the payload's element, under 3 MB; larger ones are refused."""
    text = page_source(session())
    assert set(re.findall(r"https?://[\w./]+", text)) == {"http://www.w3.org/2000/svg"}
    assert text.count("</script>") == 2
    assert "{{" not in text.replace(module_source(), "")
    assert len(text.encode()) < LARGEST
    assert ".tinyresnet-step" in style_source()
    with pytest.raises(InputError, match="unknown language 'fr'"):
        page_source(session(), language="fr")


def test_too_large(tmp_path: Path) -> None:
    layer = Conv2d(1, 1, 3, pad=1, rng=np.random.default_rng(0), dtype=np.float64)
    large = Session("large", layer, np.zeros((2, 1, 300, 300)), None)
    with pytest.raises(InputError, match=r"would be \d+\.\d MB.*--serve"):
        write_page(tmp_path / "large.html", large)
    assert not list(tmp_path.iterdir())


def test_explained_in_words() -> None:
    """Both languages have the same words with the same values, and every rule of the trace has its Chinese."""
    texts = {}
    for language in ("en", "zh"):
        source = (Path(page_source.__code__.co_filename).parent / "web" / f"words_{language}.js").read_text(
            encoding="utf-8"
        )
        texts[language] = dict(re.findall(r"^  (\w+):\s+\"(.*)\",$", source, re.MULTILINE))
    assert texts["en"].keys() == texts["zh"].keys()
    for key, text in texts["en"].items():
        values = set(re.findall(r"\{(\w+)\}", text))
        assert set(re.findall(r"\{(\w+)\}", texts["zh"][key])) <= values, key
    rules = payload(session())["words"]["zh"]["rules"]
    for step in session().trace:
        for name in step.made:
            at = tuple(0 for _ in step.tensors[name].shape)
            rule = explain(session().trace, *Cell(step.index, name, at)).rule
            assert rule in rules or not re.search(r"\b(the|sum|of|this)\b", rule), rule
