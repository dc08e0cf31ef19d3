"""What a release owner sees of a canary in the Dagster UI, read in a real browser from the real webserver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from retrain_assets.home import Home
from retrain_assets.replay.engine import persistent_instance
from retrain_assets_tests.browser import page_of_chromium, webserver_on
from retrain_assets_tests.scenarios.story import RETRAIN, Story, copy_home

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LOCATION = "retrain_assets_tests.simulation.location"
WIDTH, HEIGHT = 1500, 1000


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory, evaluated_home: Path) -> Iterator[str]:
    """The webserver on a home whose challenger is better and asks for approval."""
    root = tmp_path_factory.mktemp("canary") / "home"
    copy_home(evaluated_home, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRAIN_HOME", str(root))
        with persistent_instance(Home(root)) as instance:
            Story(Home(root), instance).ramp_to_approval()
    with webserver_on(root, LOCATION) as address:
        yield address


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a real Chromium, as wide as a small laptop."""
    with page_of_chromium(WIDTH, HEIGHT) as opened:
        yield opened


@pytest.mark.parametrize("view", ["overview", f"partitions&partition={RETRAIN}"])
def test_the_first_screen_of_the_canary_holds_the_action_the_reason_and_every_measure(
    webserver: str, page: Page, view: str
) -> None:
    from playwright.sync_api import expect

    page.goto(f"{webserver}/assets/churn/canary_report?view={view}")
    call = page.get_by_text("ASK FOR APPROVAL: cost is shown better", exact=False).first
    expect(call).to_be_visible()
    for found in (
        call,
        page.get_by_text("shown better", exact=True).first,
        page.get_by_text("shown not worse", exact=True).first,
    ):
        expect(found).to_be_visible()
        box = found.bounding_box()
        assert box is not None
        assert 0 <= box["y"] < box["y"] + box["height"] <= HEIGHT
        assert box["x"] + box["width"] <= WIDTH


def test_nothing_on_the_page_is_wider_than_its_column(webserver: str, page: Page) -> None:
    """Dagster lays the column of values out as wide as its widest word or table and cuts it at the edge."""
    from playwright.sync_api import expect

    page.goto(f"{webserver}/assets/churn/canary_report?view=overview")
    expect(page.get_by_text("calls for", exact=True).first).to_be_visible()
    expect(page.get_by_text("Definition", exact=True).first).to_be_visible()
    aside = page.get_by_text("Definition", exact=True).first.bounding_box()
    value = page.get_by_role("cell", name="ASK FOR APPROVAL").first.bounding_box()
    assert aside is not None
    assert value is not None
    assert value["x"] + value["width"] <= aside["x"]


def test_the_plots_are_drawn(webserver: str, page: Page) -> None:
    from playwright.sync_api import expect

    page.goto(f"{webserver}/assets/churn/canary_report?view=partitions&partition={RETRAIN}")
    page.get_by_text("[Show Markdown]").first.click()
    plots = page.get_by_role("dialog").locator("img")
    expect(plots).to_have_count(3)
    assert all(width > 300 for width in plots.evaluate_all("pictures => pictures.map(one => one.naturalWidth)"))
    expect(page.get_by_role("dialog").get_by_text("The ramp").first).to_be_visible()
