"""What a person sees in the Dagster UI, read in a real browser from the real webserver."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from retrain_assets.home import Home
from retrain_assets.replay.engine import persistent_instance
from retrain_assets_tests.scenarios.story import Story, copy_home
from retrain_assets_tests.scenarios.test_drift import Weeks, leaving
from retrain_assets_tests.simulation import accounts, contract_with

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CHECKOUT = Path(__file__).resolve().parents[2]
LEAKY, DAMAGED = "2024-03-02", "2024-03-03"
LOCATION = "retrain_assets_tests.simulation.location"
STARTS_WITHIN_S = 120


def chromium() -> str:
    """Path of the browser; without one the test is skipped, and fails under CI."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (path := shutil.which(name)) is not None:
            return path
    absent = "no Chromium on the PATH; install it to run the browser tests"
    if os.environ.get("CI") == "true":
        pytest.fail(absent)
    pytest.skip(absent)


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory, evaluated_home: Path) -> Iterator[str]:
    """The webserver on a home with a retrain that passed its offline gates, one stopped by its leak, one stopped by damaged rows,
    and two weeks in which the champion drifts."""
    root = tmp_path_factory.mktemp("ui") / "home"
    copy_home(evaluated_home, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRAIN_HOME", str(root))
        with persistent_instance(Home(root)) as instance:
            story = Story(Home(root), instance)
            story.retrain(LEAKY, contract_with(features="retrain_assets_tests.simulation.features.build_with_leak"))
            story.write_source(damaged())
            story.retrain(DAMAGED)
            weeks = Weeks(story)
            for _ in range(2):
                weeks.report(leaving)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-m", LOCATION]
    environment = {**os.environ, "RETRAIN_HOME": str(root), "DAGSTER_HOME": str(root / "dagster"), "PYTHONPATH": str(CHECKOUT)}
    log = (root / "webserver.log").open("w")
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)], env=environment, cwd=root, stdout=log, stderr=subprocess.STDOUT
    )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/server_info", process, root / "webserver.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server answers; fail with its log when it ends or takes too long."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"the webserver did not answer: {log.read_text()[-2000:]}")


def damaged() -> pl.DataFrame:
    """The simulation's accounts; seven of the last days have a tenure that cannot be."""
    rows = accounts(days=90)
    hurt = pl.col("account").is_in(hurt_accounts())
    return rows.with_columns(tenure=pl.when(hurt).then(pl.lit(-4.0)).otherwise("tenure"))


def hurt_accounts() -> list[str]:
    """Seven accounts in the hold-out of the damaged retrain."""
    day = datetime.fromisoformat(DAMAGED).replace(tzinfo=UTC) - timedelta(days=4)
    return accounts(days=90).filter(pl.col("seen_at").is_between(day, day + timedelta(days=1)))["account"].head(7).to_list()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a real Chromium."""
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        opened = browser.new_page(viewport={"width": 1700, "height": 1000})
        opened.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield opened
        browser.close()


def test_a_stopped_retrain_says_why_without_opening_a_log(webserver: str, page: Page) -> None:
    """Graph, partition and failed check of a leaky retrain, with the rule, the feature's name and who owns the gate."""
    from playwright.sync_api import expect

    page.goto(f"{webserver}/locations/{LOCATION}/asset-groups/churn")
    for asset in ("dataset", "feature_snapshot", "candidate_model", "canary_report", "promotion_decision", "audit_record"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()

    page.goto(f"{webserver}/assets/churn/feature_snapshot?view=partitions&partition={LEAKY}")
    expect(page.get_by_text("4 of 7 checks do not hold", exact=True)).to_be_visible()
    expect(page.get_by_text("team:accounts", exact=True)).to_be_visible()
    expect(page.get_by_text("block the retrain; the champion goes on serving").first).to_be_visible()
    expect(page.get_by_text("values known only after the prediction are used: exit_interview").first).to_be_visible()

    page.goto(f"{webserver}/assets/churn/feature_snapshot?view=checks&checkDetail=features_are_known_in_time")
    expect(page.get_by_text("Owner team:accounts; if it does not hold: block the retrain").first).to_be_visible()

    page.goto(f"{webserver}/assets/churn/candidate_model?view=partitions&partition={LEAKY}")
    expect(page.get_by_text(LEAKY).first).to_be_visible()
    expect(page.get_by_text("Failed (2)").first).to_be_visible()


def test_damaged_rows_are_named_with_the_rule_they_break_and_how_many_they_are(webserver: str, page: Page) -> None:
    """On the check: rule, number and rows. On the asset: how many checks keep the gate closed, who owns it, what happens."""
    from playwright.sync_api import expect

    page.goto(f"{webserver}/assets/churn/dataset?view=checks&checkDetail=schema_holds")
    expect(page.get_by_text(re.compile(r"7 of [\d,]+ rows break .*schema Accounts: tenure: .*\(7 rows\)")).first).to_be_visible()
    expect(page.get_by_text(DAMAGED).first).to_be_visible()
    for account in hurt_accounts():
        expect(page.get_by_role("cell", name=account, exact=True).first).to_be_visible()
    expect(page.get_by_role("cell", name="-4.0", exact=True)).to_have_count(7)

    page.goto(f"{webserver}/assets/churn/dataset?view=partitions&partition={DAMAGED}")
    expect(page.get_by_text(re.compile(r"^1 of \d+ checks do not hold$"))).to_be_visible()
    expect(page.get_by_text("block the retrain; the champion goes on serving").first).to_be_visible()
    first = page.locator("table table tbody tr").first
    expect(first).to_contain_text("schema_holds")
    expect(first).to_contain_text("fail")


def test_the_drift_report_names_the_alarm_with_value_and_limit_and_draws_it(webserver: str, page: Page) -> None:
    """The alarm that launches the retrain, the worst metrics and columns as tables, and the plots."""
    from playwright.sync_api import expect

    page.goto(f"{webserver}/assets/churn/drift_report?view=overview")
    for head in ("windows above", "above limit", "PSI that counts"):
        expect(page.get_by_text(head, exact=True).first).to_be_visible()
    expect(page.get_by_text("calibration_bias", exact=True)).to_have_count(2)
    expect(page.get_by_text("2 of 2", exact=True).or_(page.get_by_text("2 of 3", exact=True)).first).to_be_visible()
    page.get_by_text("[Show Markdown]").first.click()
    plots = page.get_by_role("dialog").locator("img")
    expect(plots.first).to_be_visible()
    assert plots.first.evaluate("picture => picture.naturalWidth") > 300, "the picture is drawn"
    expect(page.get_by_text("above its limit of 0.1").first).to_be_visible()
