"""What a person sees in the Dagster UI, read in a real browser from the real webserver."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as beside, ExitStack() as stack:
        patch.setenv("RETRAIN_HOME", str(root))
        with persistent_instance(Home(root)) as instance:
            served = beside.submit(stack.enter_context, webserver_on(root, LOCATION))
            story = Story(Home(root), instance)
            story.retrain(LEAKY, contract_with(features="retrain_assets_tests.simulation.features.build_with_leak"))
            story.write_source(damaged())
            story.retrain(DAMAGED)
            weeks = Weeks(story)
            for _ in range(2):
                weeks.report(leaving)
            story.decide()
            story.engine.tick("upkeep_sensor")
        yield served.result()


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


def test_the_release_board_says_who_serves_what_waits_and_leads_to_the_models_pages(webserver: str, page: Page) -> None:
    """One line a model in a group of its own, a check, and links that open the model's pages within Dagster."""
    from playwright.sync_api import expect

    page.goto(f"{webserver}/assets/release_board?view=overview")
    expect(page.get_by_text("1 model: 1 retrain under way", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile("^version 1 since 2024-02-25"))).to_be_visible()
    expect(page.get_by_text(f"{DAMAGED}: stopped at gate data").first).to_be_visible()
    expect(page.get_by_text("retrain runbook churn", exact=True)).to_be_visible()
    page.get_by_role("link", name="retrains", exact=True).click()
    expect(page.get_by_text("how it ended", exact=True)).to_be_visible()

    page.goto(f"{webserver}/assets/release_board?view=checks&checkDetail=nothing_waits_for_a_person")
    expect(page.get_by_text(re.compile("^nothing waits for a person; 1 model")).first).to_be_visible()


def test_the_page_of_retrains_says_which_stopped_where_and_why(webserver: str, page: Page) -> None:
    """Gates as signs, the newest first; the link leads to the retrain's own record."""
    from playwright.sync_api import expect

    page.goto(f"{webserver}/assets/churn/retrains?view=overview")
    table = page.locator("table table").filter(has_text="how it ended")
    rows = table.locator("tbody tr")
    expect(rows).to_have_count(4)
    for row, (retrain, gates, ended) in enumerate(
        [
            (DAMAGED, "✗ · · · ·", "stopped at gate data"),
            (LEAKY, "✗ · · · ·", "stopped at gate data"),
            ("2024-03-01", "✓ ✓ ✓ · ·", "open at gate offline"),
            ("2024-02-25", "✓ ✓ ✓ · ·", "bootstrapped"),
        ]
    ):
        for text in (retrain, gates, ended):
            expect(rows.nth(row)).to_contain_text(text)
    expect(page.get_by_text(re.compile("values known only after the prediction|alone separates")).first).to_be_visible()
    page.get_by_role("link", name="record", exact=True).nth(1).click()
    expect(page.get_by_text(re.compile("^Stopped at gate data: "))).to_be_visible()
    expect(page.get_by_text("does not hold", exact=True)).to_be_visible()


def test_the_partitions_of_a_check_are_coloured_by_how_far_each_retrain_came(webserver: str, page: Page) -> None:
    """Red for a gate that stayed closed, green for one that opened, skipped for one that was not reached."""
    from playwright.sync_api import expect

    for check, counted in {
        "gate_data_opened": ("Failed (2)", "Missing (2)"),
        "gate_training_opened": ("Failed (0)", "Skipped (2)"),
        "went_live": ("Failed (2)", "Missing (2)"),
    }.items():
        page.goto(f"{webserver}/assets/churn/audit_record?view=checks&checkDetail={check}")
        expect(page.get_by_text("green yes, red no, skipped not reached").first).to_be_visible()
        page.get_by_text("Partitions", exact=True).last.click()
        for words in counted:
            expect(page.get_by_text(words, exact=True)).to_be_visible()


def test_the_page_of_a_gate_is_not_cut_at_the_edge(webserver: str, page: Page) -> None:
    """Dagster makes the page as wide as its widest table and cuts it: none is wider than there is room beside the partitions."""
    from playwright.sync_api import expect

    page.goto(f"{webserver}/assets/churn/feature_snapshot?view=partitions&partition={LEAKY}")
    expect(page.get_by_text("kept in", exact=True)).to_be_visible()
    beyond = "tables => tables.map(one => one.getBoundingClientRect().right - window.innerWidth)"
    assert max(page.locator("table table").evaluate_all(beyond)) < 0


def test_the_automation_page_names_one_sensor_of_a_kind_and_says_what_it_does(webserver: str, page: Page) -> None:
    """The names say the kind, their pages what they do and for whom."""
    from playwright.sync_api import expect

    page.goto(f"{webserver}/automation")
    for kind in ("canary", "decision", "drift", "override", "upkeep"):
        expect(page.get_by_text(f"retrain_{kind}_sensor", exact=True)).to_be_visible()
    page.goto(f"{webserver}/locations/{LOCATION}/sensors/retrain_upkeep_sensor")
    expect(page.get_by_text("keeps the assets toggle_debt, retrains and release_board").first).to_be_visible()
