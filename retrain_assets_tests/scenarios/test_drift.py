"""The champion's live traffic drifts, and a retrain begins by itself."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from retrain_assets.ledger import SYSTEM
from retrain_assets_tests.scenarios.story import FIRST, MODEL, NOTHING_DIFFERENT, Story
from retrain_assets_tests.simulation import accounts
from retrain_assets_tests.simulation.traffic import arrivals, outcomes_of


def test_drift_in_two_windows_launches_one_retrain_that_names_its_trigger(road: Story) -> None:
    """Everybody leaves, which the champion does not foresee: after two reports above the limit the system launches a retrain."""
    drifted: list[pl.DataFrame] = []
    launched: list[list[str]] = []
    for _ in range(3):
        leaving = arrivals(road.clock.now(), 300).with_columns(churned=pl.lit(1, pl.Int8), exit_interview=pl.lit(3.0))
        road.record(outcomes_of(road.serve(300), NOTHING_DIFFERENT))
        drifted.append(leaving)
        road.write_source(pl.concat([accounts(days=90), *drifted]))
        road.travel(timedelta(hours=26))
        assert road.engine.run(road.engine.road.drift_job)
        launched.append(road.engine.tick("drift_sensor"))

    (key,) = [key for key in road.state.retrains if key != FIRST]
    assert launched == [[], [f"{MODEL}:{key}"], []]
    retrain = road.retrain_state(key)
    assert retrain.launched_by == str(SYSTEM)
    assert (retrain.trigger["kind"], retrain.trigger["metric"]) == ("drift", "calibration_bias")
    assert retrain.trigger["value"] > retrain.trigger["threshold"] == 0.1
    assert [one["value"] for one in retrain.trigger["history"]][-1] == retrain.trigger["value"], (
        "every window looked at, oldest first"
    )
