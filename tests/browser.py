"""Headless Chromium for the tests of the stepper's page; they are skipped where there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tinyresnet.step
from tinyresnet.step.payload import payload
from tinyresnet.trace import Trace

WEB = Path(tinyresnet.step.__file__).parent / "web"
SITE = "http://stepper.test/"  # nobody's: requests are answered from WEB and never leave the browser

LOAD = """async (text) => {
  Object.assign(window, await import("/explain.js"), await import("/recompute.js"), await import("/mistakes.js"));
  const { trace, order } = JSON.parse(text);
  window.trace = new Trace(trace, order);
  window.explainer = new Explainer(window.trace);
}"""


@pytest.fixture(name="browser", scope="module")
def open_browser() -> Iterator[Any]:
    """A running Chromium; `browser.new_page()` opens a page."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
        path = next(filter(None, found), running.chromium.executable_path)
        if not Path(path).exists():
            pytest.skip("no Chromium: neither on the PATH nor playwright's own")
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(name="modules", scope="module")
def open_modules(browser: Any) -> Iterator[Any]:
    """An empty page in which `import("/explain.js")` and the other modules of step/web work; any error on it fails the test."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route("**/*", _answer)
    page.goto(SITE)
    yield page
    page.close()
    assert not errors, errors


def form(trace: Trace, *, lazy: bool = False) -> str:
    """The part of the payload that explanations need, as JSON."""
    session: Any = SimpleNamespace(title="", classes=(), labels=None, loss=0.0, hand=False, trace=trace)
    whole = payload(session, lazy=lazy)
    return json.dumps({name: whole[name] for name in ("trace", "order")})


def open_trace(modules: Any, trace: Trace) -> None:
    """In the page: `trace`, `explainer`, and all that the three modules export."""
    modules.evaluate(LOAD, form(trace))


def _answer(route: Any) -> None:
    file = WEB / route.request.url.removeprefix(SITE)
    if file.suffix == ".js":
        route.fulfill(body=file.read_text(encoding="utf-8"), content_type="text/javascript; charset=utf-8")
    else:
        route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html; charset=utf-8")
