"""The pictures of README and docs, made anew from the Dagster webserver and the evidence packs of a home that the demo filled.

``python -m retrain_assets_tests.pictures [NAME …]``; RETRAIN_HOME names the home, ``.retrain`` by default.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrain_assets.home import Home
from retrain_assets_tests.browser import CHECKOUT, page_of_chromium, webserver_on

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH = 1440
LOCATION = "retrain_assets.definitions"
IMAGES = CHECKOUT / "docs" / "images"
MODEL = "/assets/flight_delay"
LEGIBLE = """localStorage.setItem("dagster-nav-collapsed", "true"); localStorage.setItem("asset-graph-direction", '"vertical"')"""
"""Room for what a picture is about: navigation folded up, the graph from top to bottom."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Args:
        name: of the file, without its ending.
        path: in the Dagster UI, or of a file below the home.
        height: of the window, in pixels.
        waits_for: text that has to be there.
        clicks: texts to click on one after the other, before it is taken.
        scrolls_to: text that is brought to the top; empty: nothing is scrolled.
        width: of the window, in pixels.
    """

    name: str
    path: str
    height: int
    waits_for: str
    clicks: tuple[str, ...] = ()
    scrolls_to: str = ""
    width: int = WIDTH


def partition(asset: str, retrain: str) -> str:
    """A retrain's partition on an asset's page."""
    return f"{MODEL}/{asset}?view=partitions&partition={retrain}"


DAGSTER = (
    Picture("asset-graph", f"/locations/{LOCATION}/asset-groups/flight_delay", 1400, "audit_record", width=900),
    Picture("release-board", "/assets/release_board?view=overview", 1250, "waits for a person"),
    Picture("retrains", f"{MODEL}/retrains?view=overview", 1120, "how it ended"),
    Picture("went-live", f"{MODEL}/audit_record?view=checks&checkDetail=went_live", 760, "went_live", ("Partitions#last",)),
    Picture("rolled-back-check", f"{MODEL}/canary_report?view=checks&checkDetail=keeps_missed_late_rate", 960, "observed"),
    Picture("stopped-retrain", partition("feature_snapshot", "2013-08-20"), 900, "3 of 7 checks do not hold"),
    Picture("canary-report", partition("canary_report", "2013-11-25"), 1000, "calls for"),
    Picture("drift-report", f"{MODEL}/drift_report?view=overview", 1000, "PSI that counts", ("[Show Markdown]",)),
    Picture("toggle-debt", f"{MODEL}/toggle_debt?view=checks&checkDetail=no_toggle_debt", 900, "settle it with"),
)
PACKS = (
    Picture("evidence-pack", "reports/flight_delay/2013-11-25.html", 900, "Rolled back"),
    Picture("canary-pack", "reports/flight_delay/2013-11-25.html", 900, "Rolled back", scrolls_to="Live traffic"),
    Picture("pack-index", "reports/flight_delay/index.html", 900, "2013-11-25"),
)


def main() -> None:
    """Make all pictures, or those named as arguments."""
    home, asked = Home.from_environment(), set(sys.argv[1:])
    if not (home.reports_dir("flight_delay") / "index.html").exists():
        sys.exit(f"pictures: {home.root} holds no demo; run make demo first")
    with webserver_on(home.root, LOCATION) as address, page_of_chromium(WIDTH, 1000) as page:
        page.add_init_script(LEGIBLE)
        for picture in DAGSTER:
            if not asked or picture.name in asked:
                take(page, picture, f"{address}{picture.path}")
        for picture in PACKS:
            if not asked or picture.name in asked:
                take(page, picture, (home.root / picture.path).as_uri())


def take(page: Page, picture: Picture, url: str) -> None:
    """Take one picture; the page has come to rest."""
    page.set_viewport_size({"width": picture.width, "height": picture.height})
    page.goto(url)
    page.get_by_text(picture.waits_for).first.wait_for()
    page.wait_for_load_state("networkidle")
    for text in picture.clicks:
        found = page.get_by_text(text.removesuffix("#last"), exact=True)
        (found.last if text.endswith("#last") else found.first).click()
    if picture.scrolls_to:
        page.get_by_role("heading", name=picture.scrolls_to).first.evaluate("heading => heading.scrollIntoView()")
    page.wait_for_timeout(1500)
    path = IMAGES / f"{picture.name}.png"
    page.screenshot(path=path)
    sys.stdout.write(f"{path.relative_to(CHECKOUT)}  {path.stat().st_size // 1000} kB\n")


if __name__ == "__main__":
    main()
