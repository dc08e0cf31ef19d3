"""What the release board and the page of retrains say: the worst first, what waits for whom; none hides another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retrain_assets.assets import Road
from retrain_assets.assets.release_board import BoardPage
from retrain_assets.assets.retrains import RetrainsPage
from retrain_assets.assets.road_checks import WENT_LIVE, results_of
from retrain_assets.ledger import Actor
from retrain_assets.reports.retrain_line import line_of
from retrain_assets_tests.automation.watch import RETRAIN, TOGGLE, Watch, contract_telling, watching
from retrain_assets_tests.release.world import RUTH

OPS = Actor("person", "ops@flights.example")


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with watching(tmp_path, contract_telling()) as found:
        yield found


def board(watch: Watch, *others: str) -> BoardPage:
    """The board of the world's model and of others about which nothing is recorded."""
    states, platform = watch.world.controller.snapshot()
    roads = [Road(watch.contract), *(Road(watch.contract.model_copy(update={"model": name})) for name in others)]
    return BoardPage(roads, states, platform, watch.world.home, watch.world.clock.now())


def rows(value: Any) -> list[dict[str, Any]]:
    assert isinstance(value, dg.TableMetadataValue)
    return [dict(record.data) for record in value.records]


def test_a_challenger_under_test_is_shown_with_stage_and_last_look_and_nothing_waits(watch: Watch) -> None:
    watch.world.ramp()
    found = board(watch, "aardvark")
    assert found.sentence == "2 models: 1 under test, 1 no champion"
    assert [row["model"] for row in rows(found.metadata["models"])] == ["flight_delay", "aardvark"], (
        "by how it stands, not by name"
    )
    (tested,) = rows(found.metadata["under test"])
    assert "50 %, since" in tested["challenger"]
    assert found.check_result.passed is True


def test_debt_waits_for_a_person_with_the_command_that_settles_it(watch: Watch) -> None:
    watch.world.ramp()
    watch.world.controller.rollback(TOGGLE, RUTH, "hurts")
    watch.world.clock.forward(days=20)
    found = board(watch, "aardvark")
    checked = found.check_result
    assert (checked.passed, checked.severity) == (False, dg.AssetCheckSeverity.WARN)
    shown = found.metadata["waits for a person"]
    assert isinstance(shown, dg.MarkdownMetadataValue)
    assert f"retrain toggle retire {TOGGLE}" in str(shown.value)
    assert len(str(shown.value)) < 1000, "Dagster shows it at once"
    assert rows(found.metadata["models"])[0]["stands"] == "! owes"


def test_an_engaged_kill_switch_comes_first_and_is_named_with_its_reason(watch: Watch) -> None:
    watch.world.ramp()
    watch.world.controller.engage_kill_switch("flight_delay", OPS, "harm")
    found = board(watch)
    (stopped,) = rows(found.metadata["stopped"])
    assert (stopped["kill switch of"], stopped["why"]) == ("flight_delay", "harm (ops@flights.example)")
    assert found.lines[0].standing.words == "■ kill switch"


def test_time_that_passes_alone_does_not_change_the_digest(watch: Watch) -> None:
    watch.world.ramp()
    before = board(watch).digest
    watch.world.clock.forward(hours=3)
    assert board(watch).digest == before
    watch.world.controller.hold(TOGGLE, RUTH, "look closer")
    assert board(watch).digest != before


def test_a_model_whose_record_cannot_be_read_is_shown_first_and_hides_no_other(watch: Watch) -> None:
    watch.world.ramp()
    states, platform = watch.world.controller.snapshot()
    state = states["flight_delay"]
    broken = replace(state.toggles[TOGGLE], contract={**state.toggles[TOGGLE].contract, "toggle": "nonsense"})
    states = {**states, "flight_delay": replace(state, toggles={TOGGLE: broken})}
    roads = [Road(watch.contract.model_copy(update={"model": name})) for name in ("aardvark", "flight_delay")]
    found = BoardPage(roads, states, platform, watch.world.home, watch.world.clock.now())
    assert [row["stands"] for row in rows(found.metadata["models"])] == ["✗ cannot be read", "○ no champion"]
    assert found.check_result.passed is False


def test_more_models_than_a_table_shows_are_said_to_be_left_out(watch: Watch) -> None:
    watch.world.ramp()
    found = board(watch, *(f"model_{number:03}" for number in range(99)))
    assert len(rows(found.metadata["models"])) == 50
    assert str(found.metadata["not shown"]).startswith("50 of 100 models")
    assert found.metadata["number_of_models"] == 100


def test_the_page_of_retrains_says_where_each_is_and_why_it_stopped(watch: Watch) -> None:
    watch.world.ramp()
    road, home = Road(watch.contract), watch.world.home

    def newest() -> dict[str, Any]:
        page = RetrainsPage(road, watch.world.controller.state("flight_delay"), home)
        return next(row for row in rows(page.metadata["retrains"]) if row["retrain"] == RETRAIN)

    assert newest()["how it ended"] == "open at canary, 50 %"
    assert str(newest()["gates 1–5"]).startswith("✓\u00a0✓\u00a0✓")
    watch.world.controller.rollback(TOGGLE, RUTH, "it hurts")
    watch.world.controller.reject("flight_delay", RETRAIN, RUTH, "it hurts")
    assert newest()["how it ended"].endswith("at canary, 50 %")
    page = RetrainsPage(road, watch.world.controller.state("flight_delay"), home)
    assert any("it hurts" in row["why"] for row in rows(page.metadata["why it stopped"]))


def test_a_gate_that_was_not_reached_gives_no_result_and_an_open_retrain_none_about_going_live(watch: Watch) -> None:
    watch.world.ramp()
    state = watch.world.controller.state("flight_delay")
    retrain = state.retrains[RETRAIN]
    found = {one.check_name: one.passed for one in results_of(dg.AssetKey("a"), retrain, line_of(state, retrain))}
    assert found["gate_data_opened"] is True
    assert "gate_promotion_opened" not in found
    assert WENT_LIVE not in found
