"""The pages for everybody: axe's rules in a real browser, light and dark, on a desk and on a phone, by keyboard and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from retrain_assets.reports.index import index_of
from retrain_assets.reports.page import index_page
from retrain_assets_tests.browser import page_of_chromium
from retrain_assets_tests.reports.conftest import paged
from retrain_assets_tests.reports.sample import MODEL, Sample

pytestmark = pytest.mark.browser

ROADS = ("2013-04-01", "2013-07-01", "2013-08-01", "2013-11-01")
DESK, PHONE = (1400, 900), (390, 844)


@pytest.fixture(scope="module")
def pages(lived: Sample, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    written = {retrain: paged(lived, retrain) for retrain in ROADS}
    written["index"] = index_page(index_of(lived.ledger, lived.home, MODEL))
    return {name: _written(folder / f"{name}.html", text) for name, text in written.items()}


@pytest.fixture(scope="module", params=["light on a desk", "dark on a phone"])
def browser(request: pytest.FixtureRequest) -> Iterator[Page]:
    scheme, size = ("light", DESK) if request.param.startswith("light") else ("dark", PHONE)
    with page_of_chromium(*size, color_scheme=scheme, bypass_csp=True) as page:
        yield page


def test_axe_finds_nothing_wrong(browser: Page, pages: dict[str, str]) -> None:
    for name, address in pages.items():
        browser.goto(address)
        browser.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        found = Axe().run(browser).response["violations"]
        assert [(name, one["id"], node["html"]) for one in found for node in one["nodes"]] == []


def test_no_page_is_wider_than_the_screen(browser: Page, pages: dict[str, str]) -> None:
    for name, address in pages.items():
        browser.goto(address)
        assert (name, browser.evaluate("document.documentElement.scrollWidth - window.innerWidth")) == (name, 0)


def test_axe_would_say_so(browser: Page, pages: dict[str, str]) -> None:
    browser.goto(pages["2013-07-01"])
    browser.evaluate(
        "document.querySelector('h1').outerHTML = '<img src=\"data:,\"><p style=\"color:#ccc;background:#fff\">pale</p>'"
    )
    found = {one["id"] for one in Axe().run(browser).response["violations"]}
    assert {"image-alt", "color-contrast"} <= found


def test_the_keyboard_comes_to_the_content_at_once_and_to_every_table(browser: Page, pages: dict[str, str]) -> None:
    browser.goto(pages["2013-07-01"])
    browser.keyboard.press("Tab")
    assert browser.evaluate("document.activeElement.className") == "skip"
    browser.keyboard.press("Enter")
    assert browser.evaluate("location.hash") == "#main"
    assert browser.evaluate("[...document.querySelectorAll('.box, .scroll, pre')].every(one => one.tabIndex === 0)")


def test_on_paper_everything_is_open_and_nothing_is_cut(browser: Page, pages: dict[str, str]) -> None:
    browser.goto(pages["2013-07-01"])
    browser.emulate_media(media="print", color_scheme="dark")
    browser.set_viewport_size({"width": 680, "height": 960})  # the text width of A4
    cut = browser.evaluate(
        "[...document.querySelectorAll('table, pre, .plot')].filter(one => one.scrollWidth > one.clientWidth + 1).length"
    )
    paper = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    browser.emulate_media(media="screen")
    assert cut == 0
    assert paper == "rgb(255, 255, 255)"


def _written(path: Path, text: str) -> str:
    path.write_text(text)
    return path.as_uri()
