"""What the asset toggle_debt and its check say: each kind of debt with its severity, and what a person needs to settle it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retrain_assets.assets import Road
from retrain_assets.assets.toggle_debt import CHECK, DebtPage, toggle_debt_asset
from retrain_assets.components.retrain import definitions_of
from retrain_assets.ledger import SYSTEM, Actor
from retrain_assets_tests.automation.watch import RETRAIN, TOGGLE, Watch, WorldPlatform, contract_telling, watching
from retrain_assets_tests.release.world import PAUL, RUTH

OPS = Actor("person", "ops@flights.example")


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    feast = {"start": "2013-12-24", "end": "2013-12-26", "reason": "feast"}
    with watching(tmp_path, contract_telling(cadence={"freeze": [feast]})) as found:
        yield found


def page(watch: Watch) -> DebtPage:
    states, platform = watch.world.controller.snapshot()
    return DebtPage(Road(watch.contract), states["flight_delay"], platform, watch.world.clock.now())


def rows(metadata: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = metadata[name]
    assert isinstance(value, dg.TableMetadataValue), name
    return [dict(record.data) for record in value.records]


def test_a_young_toggle_owes_nothing_and_the_check_passes(watch: Watch) -> None:
    watch.world.ramp()
    found = page(watch)
    assert found.check_result.passed is True
    assert found.check_result.description == "nothing is owed"
    (toggle,) = rows(found.metadata, "toggles")
    assert toggle == {
        "toggle": TOGGLE,
        "owes, days": 0,
        "age, days": 0,
        "state": "ramping, 50 %",
        "owner": "team:product",
        "expires": "2013-07-31",
        "review due": "2013-07-15",
        "remove by": "2013-08-30",
        "owes": "nothing",
    }
    assert found.metadata["debts"] == "none"


def test_an_overdue_review_is_a_warning(watch: Watch) -> None:
    watch.world.ramp()
    watch.world.clock.forward(days=16)
    found = page(watch).check_result
    assert found.passed is False
    assert found.severity is dg.AssetCheckSeverity.WARN
    assert str(found.description).startswith("flight_delay-2013-07-01: nobody has said for more than 14d")


@pytest.mark.parametrize("grave", ["expired", "past removal", "owner left"])
def test_past_expiry_past_removal_and_without_owner_is_an_error(watch: Watch, grave: str) -> None:
    watch.world.ramp()
    if grave == "owner left":
        watch.world.controller.mark_owner_left("team:product", RUTH, "dissolved")
    elif grave == "expired":
        watch.world.clock.forward(days=31)
    else:
        watch.world.controller.rollback(TOGGLE, RUTH, "hurts")
        watch.world.clock.forward(days=61)
    found = page(watch)
    assert found.check_result.severity is dg.AssetCheckSeverity.ERROR
    assert grave in rows(found.metadata, "toggles")[0]["owes"]


def test_debts_stand_gravest_first_with_their_days_and_the_command_that_settles_each(watch: Watch) -> None:
    watch.world.ramp()
    watch.world.controller.offer_transfer(TOGGLE, PAUL.name, RUTH, "new team")
    watch.world.clock.forward(days=20)
    watch.world.controller.mark_owner_left("team:product", RUTH, "dissolved")
    found = page(watch)
    listed = rows(found.metadata, "debts")
    assert [row["days"] for row in listed] == [0, 17, 6]
    assert "left on 2013-07-21 (dissolved)" in listed[0]["what"]
    assert listed[1]["settle it with"].startswith(f"retrain toggle accept {TOGGLE}")
    assert found.metadata["debt_days"] == 23
    assert found.metadata["debt"] == "3 debts, 23 days in all"
    evaluation = found.events[1]
    assert isinstance(evaluation, dg.AssetCheckEvaluation)
    assert str(evaluation.description).startswith("3 debts, 23 days in all; the gravest: flight_delay-2013-07-01: its owner team")
    assert rows(found.metadata, "owners_who_left") == [{"owner": "team:product", "since": "2013-07-21", "why": "dissolved"}]


def test_what_is_stopped_is_shown_the_contracts_own_freezes_too_and_nothing_of_other_models(watch: Watch) -> None:
    watch.world.ramp()
    controller = watch.world.controller
    controller.declare_freeze(date(2013, 7, 1), date(2013, 7, 2), OPS, "move of the data centre")
    controller.declare_freeze(date(2013, 8, 1), date(2013, 8, 2), OPS, "elsewhere", model="taxi_fare")
    controller.engage_kill_switch(None, OPS, "prices are wrong")
    controller.engage_kill_switch("taxi_fare", OPS, "elsewhere")
    found = page(watch).metadata
    watch.world.clock.forward(days=3)
    assert [row["why"] for row in rows(page(watch).metadata, "freezes")] == ["feast"], "the other one is over"
    assert [(row["from"], row["in force"], row["why"]) for row in rows(found, "freezes")] == [
        ("2013-12-24", False, "feast"),
        ("2013-07-01", True, "move of the data centre"),
    ]
    (switch,) = rows(found, "kill_switches")
    assert (switch["of"], switch["by"], switch["why"]) == ("all models", OPS.name, "prices are wrong")


def test_its_digest_changes_with_what_is_shown_and_not_with_the_hour(watch: Watch) -> None:
    watch.world.ramp()
    before = page(watch).digest
    watch.world.clock.forward(days=3)
    assert page(watch).digest == before
    watch.world.controller.offer_transfer(TOGGLE, PAUL.name, RUTH, "new team")
    offered = page(watch).digest
    assert offered != before
    watch.world.clock.forward(days=4)
    assert page(watch).digest != offered, "the offer has become debt"


def test_a_retired_toggle_is_counted_and_owes_nothing(watch: Watch) -> None:
    watch.world.ramp()
    watch.world.controller.rollback(TOGGLE, SYSTEM, "hurts")
    watch.world.controller.reject("flight_delay", RETRAIN, RUTH, "hurts")
    watch.world.controller.retire(TOGGLE, RUTH, "done")
    watch.world.clock.forward(days=90)
    found = page(watch).metadata
    assert (found["open_toggles"], found["retired_toggles"], found["debts"]) == (0, 1, "none")


def test_materialised_by_hand_it_shows_what_the_sensor_shows(watch: Watch) -> None:
    watch.world.ramp()
    watch.world.clock.forward(days=16)
    platform = WorldPlatform(root=str(watch.world.root))
    definitions = definitions_of(watch.contract, platform=platform)
    job = definitions.resolve_job_def("flight_delay_toggle_debt")
    result = job.execute_in_process(instance=watch.instance)
    assert result.success, "a debt is no failed run"
    (made,) = result.asset_materializations_for_node("flight_delay__toggle_debt")
    (evaluation,) = result.get_asset_check_evaluations()
    shown, checked = page(watch).events
    assert isinstance(shown, dg.AssetMaterialization)
    assert isinstance(checked, dg.AssetCheckEvaluation)
    assert made.metadata == shown.metadata
    assert (evaluation.check_name, evaluation.passed, evaluation.severity) == (CHECK, False, checked.severity)
    assert evaluation.metadata == checked.metadata


def test_the_check_blocks_nothing_and_names_its_owner() -> None:
    (spec,) = toggle_debt_asset(Road(contract_telling())).check_specs
    assert (spec.name, spec.blocking) == ("no_toggle_debt", False)
    assert "Owner team:flights" in str(spec.description)


def test_what_an_emergency_left_stands_there_from_the_first_minute_and_is_debt_after_a_week(watch: Watch) -> None:
    watch.world.ramp()
    before = page(watch).digest
    watch.world.controller.rollback(TOGGLE, RUTH, "hurts")
    (number,) = watch.world.controller.platform().follow_ups
    shown = page(watch)
    (row,) = rows(shown.metadata, "follow_ups")
    assert row["close it with"] == f'retrain follow-up close {number} --reason "what the cause was, and what was changed"'
    assert shown.digest != before
    assert shown.check_result.passed
    assert f"FOLLOW-UP {number} is open: {TOGGLE} rolled back by {RUTH.name}: hurts" in (shown.check_result.description or "")
    watch.world.clock.forward(days=7)
    assert not page(watch).check_result.passed
    watch.world.controller.close_follow_up(number, RUTH, "a join was wrong")
    assert page(watch).metadata["follow_ups"] == "none"


def test_a_kill_switch_of_all_models_is_to_be_looked_into_on_every_page_and_is_no_models_debt(watch: Watch) -> None:
    watch.world.bootstrap()
    watch.world.controller.engage_kill_switch(None, RUTH, "fire")
    watch.world.clock.forward(days=30)
    shown = page(watch)
    assert (shown.metadata["open_follow_ups"], shown.debts) == (1, [])
