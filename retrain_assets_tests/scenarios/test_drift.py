"""The champion's live traffic drifts, and a retrain begins by itself: when it should, and not before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from retrain_assets.automation.drift_sensor import drift_sensor
from retrain_assets.compute.stages.building import build_features
from retrain_assets.ledger import SYSTEM
from retrain_assets.serving import ExposureLog, Scorer
from retrain_assets_tests.scenarios.conftest import story_in
from retrain_assets_tests.scenarios.story import FIRST, MODEL, NOTHING_DIFFERENT, Story, copy_home
from retrain_assets_tests.simulation import accounts, contract_with
from retrain_assets_tests.simulation.features import build
from retrain_assets_tests.simulation.traffic import arrivals, outcomes_of

DAYS_BETWEEN_REPORTS = timedelta(days=3)
Change = Callable[[pl.DataFrame], pl.DataFrame]


def leaving(rows: pl.DataFrame) -> pl.DataFrame:
    """Everybody leaves, which the champion does not foresee."""
    return rows.with_columns(churned=pl.lit(1, pl.Int8), exit_interview=pl.lit(3.0))


def as_ever(rows: pl.DataFrame) -> pl.DataFrame:
    return rows


def other_regions(rows: pl.DataFrame) -> pl.DataFrame:
    """Four of five come from the north, one of two when the champion was trained; it hardly looks at that."""
    return rows.with_columns(region=pl.when(pl.int_range(pl.len()) % 5 > 0).then(pl.lit("north")).otherwise(pl.lit("south")))


def more_silent(rows: pl.DataFrame) -> pl.DataFrame:
    """What the champion leans on most has moved by most of its spread."""
    return rows.with_columns(silence=pl.col("silence") + 0.8)


class Weeks:
    """A story told report by report: traffic arrives and is served, lands in the source, and the drift job and sensor come by."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.landed: list[pl.DataFrame] = [accounts(days=90).filter(pl.col("seen_at") < story.clock.now())]
        self.sensor = drift_sensor([story.engine.road])

    def report(self, change: Change, number: int = 600) -> None:
        """Some days of traffic, and the report on them."""
        story = self.story
        rows = change(arrivals(story.clock.now(), number))
        requests = rows.select(request_id="account", unit_id="account", exposed_at="seen_at")
        features = build_features(build, rows, story.contract.source, story.contract.features)
        assert story.rule.champion is not None
        bundle = story._bundle(story.rule.champion)
        exposures = Scorer(story.rule, bundle).score(requests, features).drop("decision")
        ExposureLog(story.home).append_exposures(MODEL, exposures, f"{story.clock.now():%Y-%m-%dT%H%M}")
        story.record(outcomes_of(exposures, NOTHING_DIFFERENT))
        self.landed.append(rows)
        story.write_source(pl.concat(self.landed))
        story.travel(DAYS_BETWEEN_REPORTS)
        assert story.engine.run(story.engine.road.drift_job)

    def says(self) -> str:
        """Why the drift sensor launches nothing; nothing is launched by asking."""
        context = dg.build_sensor_context(instance=self.story.instance, resources={"platform": self.story.engine.platform})
        answer: Any = self.sensor(context)
        reason = answer if isinstance(answer, dg.SkipReason) else answer.skip_reason
        assert reason is not None, "it launches"
        return str(reason.skip_message)

    def tick(self) -> list[str]:
        return self.story.engine.tick("drift_sensor")

    def held_back(self) -> list[dict[str, Any]]:
        """What the drift report's page says of alarms that were held back, oldest first."""
        records = self.story.instance.fetch_observations(self.story.engine.road.key("drift_report"), limit=50).records
        found = [record.asset_observation for record in records[::-1]]
        return [{name: value.value for name, value in one.metadata.items()} for one in found if one is not None]


Begin = Callable[..., Weeks]


@pytest.fixture
def begin(bootstrapped_home: Path, retrain_home: Path) -> Iterator[Begin]:
    """Stories that start with a champion, under a cadence of their own."""
    with ExitStack() as stack:

        def started(limits: dict[str, float], min_rows: int = 50, **cadence: Any) -> Weeks:
            copy_home(bootstrapped_home, retrain_home)
            story = stack.enter_context(story_in(retrain_home))
            rule = {"window": "10d", "limits": limits, "min_rows": min_rows}
            contract = contract_with(cadence={"min_interval": "7d", "on_drift": rule, **cadence})
            return Weeks(Story(story.home, story.instance, contract))

        yield started


def test_drift_in_two_windows_launches_one_retrain_that_names_its_trigger(begin: Begin) -> None:
    """After two reports above the limit the system launches a retrain, and not a second one on the third."""
    weeks = begin({"calibration_bias": 0.1})
    launched = []
    for _ in range(3):
        weeks.report(leaving)
        launched.append(weeks.tick())
    (key,) = [key for key in weeks.story.state.retrains if key != FIRST]
    assert launched == [[], [f"{MODEL}:{key}"], []]
    retrain = weeks.story.retrain_state(key)
    assert retrain.launched_by == str(SYSTEM)
    assert (retrain.trigger["kind"], retrain.trigger["metric"]) == ("drift", "calibration_bias")
    assert retrain.trigger["value"] > retrain.trigger["threshold"] == 0.1
    assert [one["value"] for one in retrain.trigger["history"]][-1] == retrain.trigger["value"], (
        "every window looked at, oldest first"
    )
    assert "held_back" not in retrain.trigger


def test_drift_in_what_the_model_hardly_uses_launches_nothing_and_in_what_it_uses_does(begin: Begin) -> None:
    """The region moves as far as the limit several times over; the retrain comes with the silence, and names it."""
    weeks = begin({"feature_psi": 0.1})
    for _ in range(3):
        weeks.report(other_regions)
        assert weeks.tick() == []
    report = latest_report(weeks)
    assert report["columns"]["north"]["corrected_psi"] > 0.2
    assert report["columns"]["north"]["drifted"]
    assert weeks.says().startswith("no drift: 3 reports")

    for _ in range(3):
        weeks.report(more_silent, 1200)
        weeks.tick()
    (key,) = [key for key in weeks.story.state.retrains if key != FIRST]
    trigger = weeks.story.retrain_state(key).trigger
    assert (trigger["metric"], trigger["column"]) == ("feature_psi", "silence")
    assert trigger["value"] > trigger["threshold"]


def test_a_small_window_launches_nothing_however_bad_it_looks(begin: Begin) -> None:
    weeks = begin({"calibration_bias": 0.1}, min_rows=400)
    for _ in range(4):
        weeks.report(leaving, 80)
        assert weeks.tick() == []
    assert latest_report(weeks)["metrics"]["calibration_bias"] > 0.1
    assert weeks.says().startswith("no drift")


def test_no_drift_launches_nothing(begin: Begin) -> None:
    weeks = begin({"feature_psi": 0.1, "prediction_psi": 0.1, "label_share": 0.05})
    for _ in range(3):
        weeks.report(as_ever)
        assert weeks.tick() == []
    assert weeks.held_back() == []


def test_a_season_holds_drift_back_says_why_and_after_it_the_retrain_tells_how_long(begin: Begin) -> None:
    """What a person reads in the tick, on the drift report's page, and a year later in the ledger."""
    season = {"start": "02-20", "end": "03-03", "reason": "spring campaign"}
    weeks = begin({"calibration_bias": 0.1}, seasons=[season])
    while weeks.story.clock.now() + DAYS_BETWEEN_REPORTS < datetime.fromisoformat("2024-03-04T00:00:00+00:00"):
        weeks.report(leaving)
        assert weeks.tick() == []
        assert weeks.tick() == [], "the second tick records nothing more"
    said = weeks.says()
    for part in (
        "calibration_bias is ",
        "above 0.1",
        "season: every year from 02-20 to 03-03 (spring campaign)",
        "2024-03-04 00:00 UTC",
    ):
        assert part in said
    held = weeks.held_back()
    assert {one["held_back_by"] for one in held} == {"season"}
    assert len({one["window_end"] for one in held}) == len(held) >= 1

    weeks.report(leaving)
    ((launched),) = weeks.tick()
    trigger = weeks.story.retrain_state(launched.partition(":")[2]).trigger
    (before,) = trigger["held_back"]
    assert (before["by"], before["windows"]) == ("season", len(held))
    assert "spring campaign" in before["because"]


def test_freeze_and_the_scheduled_retrain_hold_drift_back_together_and_both_are_told(begin: Begin) -> None:
    weeks = begin(
        {"calibration_bias": 0.1},
        freeze=[{"start": "2024-03-01", "end": "2024-03-05", "reason": "stocktaking"}],
        cron="0 6 8 * *",
        wait_for_cron="7d",
    )
    while weeks.story.clock.now() < datetime.fromisoformat("2024-03-01T12:00:00+00:00"):
        weeks.report(leaving)
    assert weeks.tick() == []
    said = weeks.says()
    assert "freeze: change freeze 2024-03-01 to 2024-03-05 (stocktaking)" in said
    assert "wait_for_cron: cron launches a retrain on 2024-03-08 06:00 UTC" in said
    assert said.endswith("A retrain at the earliest on 2024-03-08 06:00 UTC.")
    assert weeks.held_back()[-1]["held_back_by"] == "freeze, wait_for_cron"


def latest_report(weeks: Weeks) -> dict[str, Any]:
    event = weeks.story.instance.get_latest_materialization_event(weeks.story.engine.road.key("drift_report"))
    assert event is not None
    assert event.asset_materialization is not None
    found: Any = event.asset_materialization.metadata["report"].value
    return dict(found)
