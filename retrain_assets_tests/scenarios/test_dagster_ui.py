"""What a person sees in the Dagster UI, read in a real browser from the real webserver."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from retrain_assets.home import Home
from retrain_assets.replay.engine import persistent_instance
from retrain_assets_tests.browser import page_of_chromium, webserver_on
from retrain_assets_tests.scenarios.story import Story, copy_home
from retrain_assets_tests.scenarios.test_drift import Weeks, leaving
from retrain_assets_tests.simulation import accounts, contract_with

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LEAKY, DAMAGED = "2024-03-02", "2024-03-03"
LOCATION = "retrain_assets_tests.simulation.location"


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
            story.engine.tick("upkeep_sensor")
    with webserver_on(root, LOCATION) as address:
        yield address


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
    with page_of_chromium() as opened:
        yield opened


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
    expect(page.get_by_role("cell", name=re.compile(r"^unit:[0-9a-f]{16}$"))).to_have_count(7)
    for account in hurt_accounts():
        expect(page.get_by_text(account)).to_have_count(0)
    expect(page.get_by_role("cell", name="-4.0", exact=True)).to_have_count(7)

    page.goto(f"{webserver}/assets/churn/dataset?view=partitions&partition={DAMAGED}")
    expect(page.get_by_text(re.compile(r"^1 of \d+ checks do not hold$"))).to_be_visible()
    expect(page.get_by_text("block the retrain; the champion goes on serving").first).to_be_visible()
    first = page.locator("table table tbody tr").first
    expect(first).to_contain_text("schema_holds")
    expect(first).to_contain_text("fail")


def test_the_toggle_debt_is_there_without_a_run_with_its_check(webserver: str, page: Page) -> None:
    """The upkeep sensor made it; the check says what the asset says."""
    from playwright.sync_api import expect

    page.goto(f"{webserver}/assets/churn/toggle_debt?view=overview")
    expect(page.get_by_text("nothing is owed", exact=True).first).to_be_visible()
    expect(page.get_by_text("kill_switches", exact=True).first).to_be_visible()
    page.goto(f"{webserver}/assets/churn/toggle_debt?view=checks&checkDetail=no_toggle_debt")
    expect(page.get_by_text("settle each debt with the command beside it").first).to_be_visible()
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()


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
