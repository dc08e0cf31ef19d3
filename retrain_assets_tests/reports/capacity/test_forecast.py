"""What the next retrain will take, told from those before it, and told honestly where there are too few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from retrain_assets.contract import Contract
from retrain_assets.contract.compute import RETRAIN_STAGES
from retrain_assets.reports.capacity import NEEDED, Forecast, Measured, StageRun, forecast, over_budget
from retrain_assets.reports.capacity.trend import trend
from retrain_assets_tests.simulation import contract_with

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
CLUSTER = {"node_type": "i3.xlarge", "workers": 3, "price_per_node_hour": 2.0}


def on_databricks(**cluster: Any) -> Contract:
    place = {"volume": "/Volumes/main/retrain/state", "cluster": {**CLUSTER, **cluster}}
    return contract_with(compute={"databricks": place})


def runs(
    rows: Sequence[int], seconds_per_1k: float = 1.0, *, contract: Contract | None = None, power: float = 1.0, fit: float = 0.5
) -> Measured:
    """Weekly retrains of so many rows each; a stage takes so many seconds for a thousand rows."""
    made = []
    for week, count in enumerate(rows):
        cutoff, seconds = FIRST + timedelta(weeks=week), seconds_per_1k * (count / 1000) ** power
        for stage in RETRAIN_STAGES:
            made.append(
                StageRun(
                    retrain=f"{cutoff:%Y-%m-%d}",
                    stage=stage,
                    rows=count,
                    days=(contract or contract_with()).window.train.days,
                    seconds=seconds,
                    fit_s=fit * seconds if stage == "training" else None,
                    ended_at=cutoff + timedelta(hours=6),
                    contract=contract or contract_with(),
                    machine={"cpu": "one", "usable_cores": 2},
                )
            )
    return Measured(made)


def asked(known: Measured, week: int, contract: Contract | None = None) -> Forecast:
    return forecast(known, contract or contract_with(), FIRST + timedelta(weeks=week))


def test_rows_are_extrapolated_to_the_next_cutoff_and_time_over_rows() -> None:
    rows = [round(100_000 * 1.05**week) for week in range(8)]
    found = asked(runs(rows, power=1.5), 8)
    assert found.rows is not None
    assert found.rows.expected == pytest.approx(100_000 * 1.05**8, rel=0.001)
    assert found.growth_a_month == pytest.approx(1.05 ** (30 / 7) - 1, rel=0.01)
    assert found.seconds is not None
    assert found.seconds.expected == pytest.approx(4 * (100 * 1.05**8) ** 1.5, rel=0.01)
    assert found.stages[0].power == pytest.approx(1.5, abs=0.01)
    assert [len(stage.runs) for stage in found.stages] == [8] * 4


def test_one_slow_night_does_not_move_the_forecast() -> None:
    rows = [round(100_000 * 1.05**week) for week in range(8)]
    calm = runs(rows)
    slow = Measured([replace(run, seconds=run.seconds * 20) if run.retrain == "2024-01-29" else run for run in calm.runs])
    without, with_it = asked(calm, 8).seconds, asked(slow, 8).seconds
    assert without is not None
    assert with_it is not None
    assert with_it.expected == pytest.approx(without.expected, rel=0.02)
    assert with_it.high > without.high, "the interval says that nights can be slow"


def test_a_longer_window_is_more_rows() -> None:
    known = runs([100_000] * 6)
    longer = contract_with(window__train="80d")
    days = contract_with().window.train.days
    found = forecast(known, longer, FIRST + timedelta(weeks=6))
    assert found.rows is not None
    assert found.rows.expected == pytest.approx(100_000 * 80 / days)


def test_rows_that_hardly_differ_do_not_tell_how_time_grows() -> None:
    found = asked(runs([100_000, 100_500, 99_800, 100_100, 100_300]), 5)
    assert not found.stages[0].is_measured
    assert found.stages[0].power == 1.0
    assert "which hardly differed" in found.stages[0].note


@pytest.mark.parametrize("count", range(NEEDED))
def test_too_few_retrains_give_no_forecast_and_no_refusal(count: int) -> None:
    strict = contract_with(gates__training__max_duration="1s")
    found = asked(runs([100_000] * count, 10.0, contract=strict), count, strict)
    assert (found.rows, found.seconds, found.cost) == (None, None, None)
    assert f"{NEEDED} are needed" in found.sentence
    assert all(f"{NEEDED} are needed" in stage.note for stage in found.stages)
    assert over_budget(found, strict) is None


def test_retrains_of_one_cutoff_are_one_measurement_of_rows() -> None:
    once = runs([100_000] * 3)
    twice = Measured([run for one in once.runs for run in (one, replace(one, retrain=f"{one.retrain}.2"))])
    assert asked(twice, 3).rows is None


def test_other_work_and_other_places_do_not_count() -> None:
    rows = [100_000] * 6
    here, there = runs(rows), runs(rows, contract=on_databricks())
    for known, contract in (
        (here, on_databricks()),
        (there, contract_with()),
        (there, on_databricks(workers=8)),
        (runs(rows, contract=on_databricks()), contract_with(trainer__seed=99, compute=on_databricks().to_json()["compute"])),
    ):
        found = asked(known, 6, contract)
        assert found.stages[2].seconds is None
        assert "6 more did other work or ran elsewhere" in found.stages[2].note
    priced = asked(there, 6, on_databricks(price_per_node_hour=3.0))
    assert priced.seconds is not None, "a price changes no time"


def test_of_runs_on_several_machines_those_on_the_last_count() -> None:
    old, new = runs([100_000] * 4), runs([100_000] * 9, 0.1)
    later = [replace(run, machine={"cpu": "other"}) for run in new.runs if run.cutoff > FIRST + timedelta(28)]
    moved = Measured([*old.runs, *later])
    found = asked(moved, 9).seconds
    assert found is not None
    assert found.expected == pytest.approx(4 * 10.0, rel=0.01)


def test_cost_is_time_at_the_price_of_the_nodes_the_contract_names() -> None:
    contract = on_databricks()
    found = asked(runs([100_000] * 5, contract=contract), 5, contract)
    assert found.cost is not None
    assert found.cost.expected == pytest.approx(4 * 100 / 3600 * 4 * 2.0)
    grows = on_databricks(max_workers=7)
    wide = asked(runs([100_000] * 5, contract=grows), 5, grows).cost
    assert wide is not None
    assert wide.high == pytest.approx(2 * wide.low, rel=0.01), "from 4 nodes to 8"
    assert (
        asked(
            runs([100_000] * 5, contract=on_databricks(price_per_node_hour=None)), 5, on_databricks(price_per_node_hour=None)
        ).cost
        is None
    )


def test_a_fit_that_is_expected_to_take_too_long_or_cost_too_much_is_refused_in_one_line() -> None:
    known = runs([100_000] * 5, 72.0)
    assert over_budget(asked(known, 5), contract_with(gates__training__max_duration="61m")) is None
    late = over_budget(asked(known, 5), contract_with(gates__training__max_duration="59m"))
    assert late is not None
    assert "expected to take 60 min (60 min to 60 min, from 5 retrains, 100,000 rows); max_duration allows 59 min" in late.line
    assert late.line.endswith("raise max_duration, take a larger cluster, or shorten window.train")
    roomy = {"gates__training__max_duration": "2h", "gates__training__cost_per_hour": 10.0}
    dear = over_budget(asked(known, 5), contract_with(**roomy, gates__training__max_cost=9.0))
    assert dear is not None
    assert "expected to cost 10.00" in dear.line
    assert "max_cost allows 9.00" in dear.line
    assert "\n" not in late.line + dear.line


def test_the_interval_holds_nine_new_values_in_ten() -> None:
    """400 simulated histories of six retrains each; the truth is known."""
    rng, held, times = np.random.default_rng(5), 0, 400
    for _ in range(times):
        x = np.cumsum(rng.uniform(0, 0.06, 7))
        y = x + rng.normal(0, 0.1, 7)
        found = trend(x[:6].tolist(), y[:6].tolist(), float(x[6]), steepest=20.0)
        held += abs(y[6] - found.value) <= found.width
    assert 0.88 <= held / times <= 0.98
