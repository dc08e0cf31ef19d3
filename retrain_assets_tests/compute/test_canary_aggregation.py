"""From exposure and outcome rows to sufficient statistics: who counts, once, in which arm, with which outcome."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from retrain_assets.compute.canary.aggregation import aggregate
from retrain_assets.contract import Contract
from retrain_assets.experiment import Action, ArmCounts, ArmStatistics, CanaryData, Plan, Stratum, StratumStatistics, analyse
from retrain_assets.experiment.estimation.statistics import Overlap

START = datetime(2013, 7, 1, tzinfo=UTC)
NOW = START + timedelta(days=10)
HOUR = timedelta(hours=1)
SHADOW, FIVE, HALF = 2, 3, 4
STAGES = {SHADOW: "shadow", FIVE: "5", HALF: "50"}
STARTED = {revision: START + timedelta(days=2 * (revision - SHADOW)) for revision in STAGES}
SHARES = {SHADOW: 0.0, FIVE: 0.05, HALF: 0.5}
EXPOSURE_SCHEMA: dict[str, Any] = {
    "request_id": pl.String,
    "model": pl.String,
    "unit_id": pl.String,
    "toggle": pl.String,
    "revision": pl.Int64,
    "stage": pl.String,
    "arm": pl.String,
    "version": pl.String,
    "bundle": pl.String,
    "exposed_at": pl.Datetime("us", "UTC"),
    "latency_ms": pl.Float64,
    "error": pl.Boolean,
    "score": pl.Float64,
    "shadow_score": pl.Float64,
    "origin": pl.String,
}
OUTCOME_SCHEMA: dict[str, Any] = {
    "request_id": pl.String,
    "unit_id": pl.String,
    "observed_at": pl.Datetime("us", "UTC"),
    "cost": pl.Float64,
    "late": pl.Float64,
}


def contract(**experiment: Any) -> Contract:
    team = "team:flights"
    return Contract.model_validate(
        {
            "model": "flight_delay",
            "task": "binary_classification",
            "purpose": "Warn passengers",
            "owners": dict.fromkeys(("data", "training", "evaluation", "experiment", "release"), team),
            "source": {
                "uri": "flights.parquet",
                "event_time": "at",
                "unit": "flight",
                "label": "late",
                "label_delay": "1d",
                "schema": ".schema.Flights",
            },
            "window": {"train": "90d", "holdout": "14d"},
            "features": ".features.build",
            "trainer": {"estimator": "lightgbm.LGBMClassifier"},
            "decision": {"threshold": 0.5},
            "gates": {"data": {"min_rows": 1, "max_age": "2d"}, "offline": {"metrics": {"roc_auc": {"min": 0.6}}}},
            "experiment": {
                "ramp": ["shadow", 5, 50, 100],
                "outcomes": ["cost", "late"],
                "segments": ["origin"],
                "success": {"cost": {"direction": "decrease"}},
                "guardrails": {
                    "error_rate": {"column": "error", "direction": "decrease", "margin": 0.01},
                    "slow": {"column": "latency_ms", "above": 100, "direction": "decrease", "margin": 0.05},
                    "late": {"direction": "decrease", "margin": 0.05, "winsorise": {"at_least": 0, "at_most": 1}},
                },
                "outcome_window": "1d",
                "min_stage": {"units": 50, "duration": "1d"},
                "max_duration": "28d",
                "expected_units_per_day": 1000,
                **experiment,
            },
            "toggle": {
                "owner": team,
                "purpose": "Try",
                "expires_after": "30d",
                "remove_after": "60d",
                "rollback": "previous_champion",
            },
            "approval": {"approvers": ["ann@example.org"], "valid_for": "2d"},
            "cadence": {"min_interval": "7d"},
        }
    )


def exposed(
    request: str, unit: str, arm: str = "champion", *, revision: int | None = HALF, hours: float = 1, **more: Any
) -> dict[str, Any]:
    return {
        "request_id": request,
        "model": "flight_delay",
        "unit_id": unit,
        "toggle": "t",
        "revision": revision,
        "stage": STAGES.get(revision or 0, "5"),
        "arm": arm,
        "exposed_at": STARTED.get(revision or 0, START) + hours * HOUR,
        "latency_ms": 10.0,
        "error": False,
        "origin": "JFK",
        **more,
    }


def observed(
    row: dict[str, Any], cost: float | None = 10.0, *, hours: float = 5, late: float | None = 0.0, **more: Any
) -> dict[str, Any]:
    return {
        "request_id": row["request_id"],
        "unit_id": row["unit_id"],
        "observed_at": row["exposed_at"] + hours * HOUR,
        "cost": cost,
        "late": late,
        **more,
    }


def aggregated(
    exposures: list[dict[str, Any]], outcomes: list[dict[str, Any]], *, now: datetime = NOW, **changes: Any
) -> CanaryData:
    return aggregate(
        pl.DataFrame(exposures, schema=EXPOSURE_SCHEMA),
        pl.DataFrame(outcomes, schema=OUTCOME_SCHEMA),
        **{"contract": contract(), "toggle": "t", "stage_started": STARTED, "shares": SHARES, "now": now, **changes},
    )


def cost(data: CanaryData, arm: str, revision: int = HALF) -> ArmStatistics:
    return measured(data, "cost", arm, revision)


def measured(data: CanaryData, name: str, arm: str = "champion", revision: int = HALF) -> ArmStatistics:
    for one in data.measures[name].strata:
        if one.stratum.revision == revision:
            return one.champion if arm == "champion" else one.challenger
    return ArmStatistics.empty()


def test_units_are_averaged_over_their_requests_and_summed_by_arm_and_stage() -> None:
    rows = [exposed("a1", "a"), exposed("a2", "a", hours=2), exposed("b1", "b"), exposed("c1", "c", "challenger")]
    data = aggregated(rows, [observed(rows[0], 10.0), observed(rows[1], 30.0), observed(rows[2], 4.0), observed(rows[3], 7.0)])
    assert cost(data, "champion") == ArmStatistics.of_mean(2, 24.0, 416.0, outside=2)
    assert cost(data, "challenger") == ArmStatistics.of_mean(1, 7.0, 49.0, outside=1)
    half = data.stages[2]
    assert (half.revision, half.stage, half.challenger_share, half.started_at) == (HALF, "50", 0.5, STARTED[HALF])
    assert (half.champion, half.challenger) == (ArmCounts(2, 2, 2, 2), ArmCounts(1, 1, 1, 1))


def test_only_closed_outcome_windows_count() -> None:
    rows = [exposed("a", "a"), exposed("b", "b", exposed_at=NOW - timedelta(hours=23))]
    data = aggregated(rows, [observed(row) for row in rows])
    assert cost(data, "champion").n == 1
    assert data.stages[2].champion == ArmCounts(2, 1, 1, 2)
    edge = aggregated([exposed("a", "a", exposed_at=NOW - timedelta(days=1))], [])
    assert edge.stages[2].champion == ArmCounts(1, 1, 0, 1)


def test_a_unit_is_in_every_stage_it_was_served_in_with_the_arm_it_had_there() -> None:
    rows = [
        exposed("s", "a", revision=SHADOW, shadow_score=0.4),
        exposed("a", "a", revision=FIVE),
        exposed("b", "a", "challenger", revision=HALF),
    ]
    data = aggregated(rows, [observed(rows[1], 10.0), observed(rows[2], 99.0)])
    assert cost(data, "champion", FIVE) == ArmStatistics(1, (10.0,), (100.0,), 1, 0, 1, 10.0)
    assert cost(data, "challenger", HALF) == ArmStatistics(1, (99.0,), (9801.0,), 1, 0, 0, 0.0)
    assert data.measures["cost"].overlaps == (Overlap((FIVE, "champion"), (HALF, "challenger"), 1, (10.0,), (99.0,), (990.0,)),)
    assert data.cross_arm_units == 0
    assert [stage.champion.exposed for stage in data.stages] == [1, 1, 0]
    assert [stage.challenger.new for stage in data.stages[1:]] == [0, 0]


def test_shadow_counts_scored_units_and_gives_no_experiment_data() -> None:
    rows = [exposed("a", "a", revision=SHADOW, shadow_score=0.4), exposed("b", "b", revision=SHADOW)]
    data = aggregated(rows, [observed(row) for row in rows])
    assert (data.stages[0].champion.exposed, data.stages[0].challenger) == (2, ArmCounts(1, 1, 0))
    assert data.measures["cost"].strata == ()


@pytest.mark.parametrize(
    ("first", "then"),
    [((HALF, "champion"), (HALF, "challenger")), ((FIVE, "challenger"), (HALF, "champion"))],
    ids=["both arms in one revision", "back to the champion"],
)
def test_a_unit_in_both_arms_is_left_out_and_counted(first: tuple[int, str], then: tuple[int, str]) -> None:
    rows = [
        exposed("a", "a", first[1], revision=first[0]),
        exposed("b", "a", then[1], revision=then[0], hours=2),
        exposed("c", "c"),
    ]
    data = aggregated(rows, [observed(row) for row in rows])
    assert data.cross_arm_units == 1
    assert sum(stage.champion.exposed + stage.challenger.exposed for stage in data.stages) == 1
    assert cost(data, "champion").n == 1


def test_a_shrinking_share_may_send_units_back() -> None:
    rows = [exposed("a", "a", "challenger", revision=FIVE), exposed("b", "a", "champion", revision=HALF)]
    data = aggregated(rows, [observed(row) for row in rows], shares={**SHARES, HALF: 0.01})
    assert data.cross_arm_units == 0
    assert cost(data, "challenger", FIVE).n == 1


def test_the_last_report_of_a_measure_wins_whatever_the_row_order() -> None:
    row = exposed("a", "a")
    reports = [
        observed(row, 10.0, hours=2, late=1.0),
        observed(row, 30.0, hours=6, late=None),
        observed(row, 20.0, hours=4, late=0.0),
    ]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        data = aggregated([row], [reports[index] for index in order])
        assert cost(data, "champion").sum == 30.0
        assert measured(data, "late").sum == 0.0
        assert data.duplicate_outcomes == 2


def test_outcomes_out_of_place_are_ignored_and_counted() -> None:
    row, other = exposed("a", "a"), exposed("z", "z", toggle="another")
    outcomes = [
        observed(row, 1.0),
        observed(row, 100.0, hours=-1),
        observed(row, 200.0, hours=25),
        {**observed(row, 300.0), "request_id": "nobody"},
        {**observed(row, 400.0), "unit_id": "somebody else"},
        {**observed(row, 500.0), "observed_at": None},
        {**observed(row, 600.0), "observed_at": NOW + timedelta(days=1)},
        observed(other, 700.0),
    ]
    data = aggregated([row, other], outcomes)
    assert cost(data, "champion") == ArmStatistics.of_mean(1, 1.0, 1.0)
    assert (data.outcomes_before_exposure, data.late_outcomes, data.unknown_outcomes, data.future_rows) == (1, 1, 3, 1)


def test_exposures_out_of_place_are_ignored_and_counted() -> None:
    rows = [
        exposed("a", "a"),
        exposed("a", "a"),
        exposed("f", "f", exposed_at=NOW + timedelta(days=1)),
        exposed("skew", "skew", exposed_at=NOW + timedelta(minutes=1)),
        exposed("u", "u", revision=99),
        exposed("n", "n", unit_id=None),
        exposed("m", "m", model="another"),
        exposed("t", "t", toggle=None),
    ]
    data = aggregated(rows, [])
    assert (data.duplicate_exposures, data.future_rows, data.unknown_revisions) == (1, 1, 1)
    assert sum(stage.champion.exposed for stage in data.stages) == 1


def test_a_unit_without_every_outcome_is_missing_one() -> None:
    rows = [exposed("a", "a"), exposed("b", "b"), exposed("c", "c")]
    data = aggregated(rows, [observed(rows[0]), observed(rows[1], late=None)])
    assert data.stages[2].champion == ArmCounts(3, 3, 1, 3)
    assert cost(data, "champion").n == 2


def test_tails_and_errors_become_shares() -> None:
    rows = [
        exposed("a", "a", latency_ms=100.0),
        exposed("b", "b", latency_ms=100.1, error=True),
        exposed("c", "c", latency_ms=None),
    ]
    data = aggregated(rows, [])
    assert measured(data, "slow") == ArmStatistics.of_mean(2, 1.0, 1.0)
    assert measured(data, "error_rate") == ArmStatistics.of_mean(3, 1.0, 1.0)


@pytest.mark.parametrize("latency", [math.nan, math.inf, -1.0])
def test_a_latency_that_cannot_be_becomes_an_error_not_a_number(latency: float) -> None:
    data = aggregated([exposed("a", "a", latency_ms=latency), exposed("b", "b")], [])
    assert measured(data, "slow").not_finite == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_bad_outcome_never_promotes(value: float) -> None:
    """A canary that would ask for approval holds when one outcome of two thousand units is NaN or infinite."""
    rows = [exposed(str(i), str(i), ("champion", "challenger")[i % 2]) for i in range(4000)]
    good = [observed(row, 10.0 + i % 7 - 5 * (i % 2)) for i, row in enumerate(rows)]
    plan = Plan.from_contract(contract())
    actions = []
    for outcomes in (good, [observed(rows[0], value), *good[1:]]):
        data = aggregated(rows, outcomes)
        look = analyse(data, plan, stage="50", revision=HALF, stage_started_at=STARTED[HALF], armed_at=START, now=NOW)
        actions.append(look.action)
    assert actions == [Action.ASK_APPROVAL, Action.HOLD]


def test_segments_split_every_measure_and_missing_is_a_segment() -> None:
    rows = [exposed("a", "a"), exposed("b", "b", origin=None), exposed("c", "c", "challenger", origin="EWR")]
    data = aggregated(rows, [observed(row) for row in rows])
    assert list(data.segments) == ["origin=EWR", "origin=JFK", "origin=missing"]
    assert [measured.strata for measured in (one["cost"] for one in data.segments.values())] == [
        (StratumStatistics(Stratum(HALF, "50"), ArmStatistics.empty(), ArmStatistics.of_mean(1, 10.0, 100.0, outside=1)),),
        (StratumStatistics(Stratum(HALF, "50"), ArmStatistics.of_mean(1, 10.0, 100.0, outside=1), ArmStatistics.empty()),),
        (StratumStatistics(Stratum(HALF, "50"), ArmStatistics.of_mean(1, 10.0, 100.0, outside=1), ArmStatistics.empty()),),
    ]
    assert [stages[2].challenger.exposed for stages in data.segment_stages.values()] == [1, 0, 0]


def test_units_outside_the_cohort_do_not_count() -> None:
    rows = [exposed("a", "a"), exposed("b", "b", origin="EWR"), exposed("c", "c", origin=None)]
    for condition in ({"in": ["JFK"]}, {"not_in": ["EWR"]}):
        data = aggregated(rows, [], contract=contract(cohort={"origin": condition}))
        assert data.stages[2].champion.exposed == 1


@pytest.mark.parametrize(
    ("condition", "inside"),
    [
        ({"in": [2]}, 0),
        ({"in": [True]}, 0),
        ({"at_least": 3}, 0),
        ({"in": ["2"]}, 1),
        ({"not_in": [2]}, 1),
        ({"any_of": ["2"]}, 1),
    ],
    ids=str,
)
def test_the_cohort_is_the_one_routing_knows_and_never_compares_across_types(condition: dict[str, Any], inside: int) -> None:
    data = aggregated([exposed("a", "a", origin="2")], [], contract=contract(cohort={"origin": condition}))
    assert data.stages[2].champion.exposed == inside


def test_a_list_of_segments_is_read_from_the_log_as_it_was_joined() -> None:
    rows = [exposed("a", "a", origin="gold|beta"), exposed("b", "b", origin="betamax"), exposed("c", "c", origin="")]
    data = aggregated(rows, [], contract=contract(cohort={"origin": {"any_of": ["beta"]}}))
    assert data.stages[2].champion.exposed == 1


@pytest.mark.parametrize(("values", "name"), [((2, 2.0, "2"), "origin=2"), ((True, "true"), "origin=true")])
def test_a_segment_has_one_name_whatever_type_its_column_has_in_a_file(values: tuple[Any, ...], name: str) -> None:
    files = [
        pl.DataFrame([exposed(f"{place}", f"{place}")], schema=EXPOSURE_SCHEMA).with_columns(origin=pl.lit(value)).lazy()
        for place, value in enumerate(values)
    ]
    known = contract(segments=["origin"], high_value={"origin": [values[0]]})
    outcomes = pl.DataFrame([], schema=OUTCOME_SCHEMA)
    data = aggregate(files, outcomes, contract=known, toggle="t", stage_started=STARTED, shares=SHARES, now=NOW)
    assert list(data.segments) == [name]
    assert data.segment_stages[name][2].champion.exposed == len(values)
    assert Plan.from_contract(known).high_value == (name,)


def test_an_attribute_with_the_name_of_an_outcome_is_not_taken_for_it() -> None:
    row = exposed("a", "a")
    exposures = pl.DataFrame([row], schema=EXPOSURE_SCHEMA).with_columns(cost=pl.lit(99.0))
    outcomes = pl.DataFrame([observed(row, 7.0)], schema=OUTCOME_SCHEMA)
    data = aggregate(exposures, outcomes, contract=contract(), toggle="t", stage_started=STARTED, shares=SHARES, now=NOW)
    assert cost(data, "champion").mean == 7.0


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [
        exposed(f"{unit}{k}", str(unit), ("champion", "challenger")[unit % 2], hours=k) for unit in range(20) for k in (1, 2, 3)
    ]
    outcomes = [observed(row, float(index)) for index, row in enumerate(rows)]
    assert aggregated(rows, outcomes) == aggregated(rows[::-1], outcomes[::-1])


def test_empty_traffic_gives_empty_counts_and_a_holding_look() -> None:
    data = aggregated([], [])
    assert [(stage.stage, stage.champion.exposed) for stage in data.stages] == [("shadow", 0), ("5", 0), ("50", 0)]
    look = analyse(
        data, Plan.from_contract(contract()), stage="50", revision=4, stage_started_at=STARTED[HALF], armed_at=START, now=NOW
    )
    assert look.action is Action.HOLD


def test_nothing_logged_yet_is_no_fault() -> None:
    """The first look comes before the first record; columns that records will bring are not missing."""
    exposures = pl.DataFrame(schema={name: EXPOSURE_SCHEMA[name] for name in EXPOSURE_SCHEMA if name != "origin"})
    outcomes = pl.DataFrame(schema={name: OUTCOME_SCHEMA[name] for name in ("request_id", "unit_id", "observed_at")})
    tried = contract(cohort={"origin": {"in": ["JFK"]}, "age": {"at_least": 18}})
    data = aggregate(exposures, outcomes, contract=tried, toggle="t", stage_started=STARTED, shares=SHARES, now=NOW)
    assert [stage.champion.exposed for stage in data.stages] == [0, 0, 0]


def test_the_plan_of_a_contract() -> None:
    plan = Plan.from_contract(contract())
    assert plan.ramp == ("shadow", "5", "50")
    assert [(spec.name, spec.role) for spec in plan.measures][:2] == [("cost", "success"), ("error_rate", "guardrail")]
    assert plan.tuning.reference_share == 0.5
