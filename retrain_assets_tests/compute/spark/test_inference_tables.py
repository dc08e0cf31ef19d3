"""An inference table of Model Serving as exposures: who answered whom, and everything such a table cannot tell."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from retrain_assets.compute import StageRequest, run_stage
from retrain_assets.compute.canary.inference import InferenceTable, exposures_of
from retrain_assets.compute.canary.payloads import Unreadable, rows_of, scores_of
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.contract import StageError
from retrain_assets.experiment import CanaryData
from retrain_assets_tests.compute.spark.test_canary_on_spark import data_of
from retrain_assets_tests.compute.test_canary_aggregation import FIVE, HALF, HOUR, NOW, SHARES, START, STARTED, contract

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMA: dict[str, Any] = {
    "request_date": pl.Date,
    "databricks_request_id": pl.String,
    "client_request_id": pl.String,
    "request_time": pl.Datetime("us", "UTC"),
    "status_code": pl.Int32,
    "sampling_fraction": pl.Float64,
    "execution_duration_ms": pl.Int64,
    "request": pl.String,
    "response": pl.String,
    "served_entity_id": pl.String,
    "logging_error_codes": pl.List(pl.String),
    "requester": pl.String,
}
TOLD: dict[str, Any] = {
    "served_entities": {"old": "3", "new": "4", "other": "1"},
    "champion": {"version": "3", "bundle": "sha256:champion"},
    "challenger": {"version": "4", "bundle": "sha256:challenger"},
    "routed_by": "application",
    "unit": "flight",
}


def logged(number: int, **changes: Any) -> dict[str, Any]:
    """One request of two rows in the stage of 50 %, answered by the challenger."""
    at = STARTED[HALF] + number * HOUR / 60
    rows = [{"flight": f"f{number}-{row}", "origin": "JFK", "distance": 100.0} for row in range(2)]
    return {
        "request_date": at.date(),
        "databricks_request_id": f"d{number}",
        "client_request_id": None,
        "request_time": at,
        "status_code": 200,
        "sampling_fraction": 1.0,
        "execution_duration_ms": 12,
        "request": json.dumps({"dataframe_records": rows}),
        "response": json.dumps({"predictions": [0.25, 0.75]}),
        "served_entity_id": "new",
        "logging_error_codes": None,
        "requester": "app",
        **changes,
    }


def table(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def terms(**experiment: Any) -> Terms:
    return Terms(contract(**experiment), "t", STARTED, SHARES, START)


def exposures(*rows: dict[str, Any], **changes: Any) -> pl.DataFrame:
    return exposures_of(table(*rows), InferenceTable.from_json({**TOLD, **changes}), terms())


def test_each_row_of_a_request_is_an_exposure_of_the_arm_that_answered() -> None:
    found = exposures(logged(1), logged(2, served_entity_id="old", client_request_id="mine"))
    assert found["request_id"].to_list() == ["d1-0", "d1-1", "mine-0", "mine-1"]
    assert found["unit_id"].to_list() == ["f1-0", "f1-1", "f2-0", "f2-1"]
    assert found["arm"].to_list() == ["challenger", "challenger", "champion", "champion"]
    assert found["version"].to_list() == ["4", "4", "3", "3"]
    assert found["score"].to_list() == [0.25, 0.75, 0.25, 0.75]
    assert found["latency_ms"].to_list() == [6.0] * 4
    assert found["origin"].unique().to_list() == ["JFK"]
    assert found["stage"].unique().to_list() == ["50"]
    assert found["shadow_score"].null_count() == 4


def test_the_revision_is_the_one_in_force_at_the_request() -> None:
    rows = [logged(n, request_time=at) for n, at in enumerate([START - HOUR, STARTED[FIVE] - HOUR, STARTED[FIVE], STARTED[HALF]])]
    found = exposures(*rows).unique("exposed_at", maintain_order=True)
    assert found["revision"].to_list() == [0, 2, 3, 4]
    assert found["toggle"].to_list() == [None, "t", "t", "t"]
    settled = exposures(*rows, settled_at={str(HALF): (STARTED[HALF] + HOUR).isoformat()})
    assert settled["revision"].unique().sort().to_list() == [0, 2, 3]


def test_a_failed_answer_is_an_error_of_its_arm_and_one_before_the_model_is_none() -> None:
    found = exposures(
        logged(1, status_code=500, response='{"error_code": "INTERNAL"}'), logged(2, status_code=429, response=None)
    )
    assert found["error"].to_list() == [True, True]
    assert found["score"].to_list() == [None, None]
    assert exposures(logged(1, status_code=400, request="{not json")).is_empty()


def test_a_lost_request_is_nobodys_and_a_lost_answer_has_no_score() -> None:
    found = exposures(
        logged(1, request=None, logging_error_codes=["MAX_REQUEST_SIZE_EXCEEDED"]),
        logged(2, response=None, logging_error_codes=["MAX_RESPONSE_SIZE_EXCEEDED"]),
    )
    assert found["request_id"].to_list() == ["d2-0", "d2-1"]
    assert found["score"].null_count() == 2
    assert not found["error"].any()


@pytest.mark.parametrize(
    ("changes", "experiment", "says"),
    [
        ({"routed_by": "databricks"}, {}, "'flight' is not sticky and cannot be a unit"),
        ({"served_entities": {"old": "3"}}, {}, "no served entity is version 4"),
        ({"routed_by": "nobody"}, {}, "routed_by is 'nobody'"),
        ({"surprise": 1}, {}, "surprise"),
        ({}, {"adjust_for": {"champion_score": True}}, "needs the champion's score of every request"),
    ],
)
def test_what_such_a_table_cannot_tell_is_refused(changes: dict[str, Any], experiment: dict[str, Any], says: str) -> None:
    with pytest.raises(StageError) as refusal:
        exposures_of(table(logged(1)), InferenceTable.from_json({**TOLD, **changes}), terms(**experiment))
    assert says in refusal.value.line
    assert "; " in refusal.value.line


def test_a_request_may_be_its_own_unit_where_the_endpoint_draws() -> None:
    found = exposures(logged(1), routed_by="databricks", unit=None)
    assert found["unit_id"].to_list() == found["request_id"].to_list() == ["d1-0", "d1-1"]


def test_a_legacy_table_is_refused_by_its_columns() -> None:
    old = table(logged(1)).rename({"request_time": "timestamp_ms"})
    with pytest.raises(StageError, match="has no column request_time; name the AI Gateway-enabled inference table"):
        exposures_of(old, InferenceTable.from_json(TOLD), terms())


def test_every_form_of_request_and_answer_is_read() -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    split = {"columns": ["a", "b"], "data": [[1, "x"], [2, "y"]]}
    forms: list[dict[str, Any]] = [{"dataframe_records": rows}, {"instances": rows}, {"inputs": rows}, {"dataframe_split": split}]
    for form in [*forms, {"inputs": {"a": [1, 2], "b": ["x", "y"]}}]:
        assert rows_of(json.dumps(form)) == rows
    assert scores_of('{"predictions": [[0.2, 0.8], [0.6, 0.4]]}', 2, None) == [0.8, 0.6]
    assert scores_of('{"predictions": [{"p": 1}, {"p": null}]}', 2, "p") == [1.0, None]
    assert scores_of('{"predictions": {"p": [1, 2]}}', 2, "p") == [1.0, 2.0]
    for wrong in ("", "[]", '{"dataframe_records": []}', '{"inputs": [1, 2]}', '{"inputs": {"a": [1], "b": [1, 2]}}'):
        with pytest.raises(Unreadable):
            rows_of(wrong)
    with pytest.raises(Unreadable):
        scores_of('{"predictions": [1]}', 2, None)


def request(folder: Path, engine: str) -> StageRequest:
    asked = terms()
    parameters = {**asked.parameters, "now": NOW.isoformat(), "inference_table": TOLD}
    inputs = {"exposures": str(folder / "payload"), "outcomes": str(folder / "outcomes")}
    return StageRequest(
        "canary",
        "flight_delay",
        "2013-07-01",
        asked.contract.to_json(),
        inputs,
        str(folder / engine),
        parameters,
        engine=engine,  # type: ignore[arg-type]
    )


def write(folder: Path, *rows: dict[str, Any]) -> None:
    import deltalake

    deltalake.write_deltalake(str(folder / "payload"), table(*rows).to_arrow())
    reports = [
        {"request_id": f"d{n}-0", "unit_id": f"f{n}-0", "observed_at": STARTED[HALF] + n * HOUR, "cost": float(n)}
        for n in range(1, 9)
    ]
    (folder / "outcomes").mkdir()
    schema: dict[str, Any] = {
        "request_id": pl.String,
        "unit_id": pl.String,
        "observed_at": pl.Datetime("us", "UTC"),
        "cost": pl.Float64,
    }
    pl.DataFrame(reports, schema=schema, orient="row").with_columns(late=pl.lit(0.0)).write_parquet(
        folder / "outcomes" / "1.parquet"
    )


def test_both_engines_count_a_delta_inference_table_alike(spark: SparkSession, tmp_path: Path) -> None:
    rows = [logged(n, served_entity_id="new" if n % 2 else "old", status_code=500 if n == 5 else 200) for n in range(1, 9)]
    rows += [
        logged(20, served_entity_id="other"),
        logged(21, status_code=403),
        logged(22, request=None, logging_error_codes=["MAX_REQUEST_SIZE_EXCEEDED"]),
        logged(23, request_time=NOW - timedelta(minutes=1)),
        rows[0],
    ]
    write(tmp_path, *rows)
    found: dict[str, CanaryData] = {}
    for engine in ("single_node", "spark"):
        result = run_stage(request(tmp_path, engine))
        found[engine] = data_of(result.outputs["data"]["uri"])
        assert result.metadata["delivered"] == {
            **{
                "requests": 13,
                "other_entities": 1,
                "never_scored": 1,
                "failed": 1,
                "oversized": 1,
                "scores_lost": 0,
                "sampled": 0,
            },
            "newest_request_at": (NOW - timedelta(minutes=1)).isoformat(),
        }
    assert found["spark"] == found["single_node"]
    stage = found["spark"].stages[-1]
    assert (stage.champion.exposed, stage.challenger.exposed, stage.challenger.matured) == (8, 10, 8)
    assert found["spark"].duplicate_exposures == 2
    assert found["spark"].measures["error_rate"].strata[0].challenger.sum == 2


@pytest.mark.parametrize("engine", ["single_node", "spark"])
def test_an_answered_request_that_cannot_be_read_is_named_in_one_line(spark: SparkSession, tmp_path: Path, engine: str) -> None:
    write(tmp_path, logged(1), logged(2, request="{not json"))
    with pytest.raises(StageError, match="request d2 cannot be read") as refusal:
        run_stage(request(tmp_path, engine))
    assert "\n" not in refusal.value.line


@pytest.mark.parametrize("engine", ["single_node", "spark"])
def test_a_sampled_table_is_refused_on_both_engines(spark: SparkSession, tmp_path: Path, engine: str) -> None:
    write(tmp_path, logged(1), logged(2, sampling_fraction=0.5))
    with pytest.raises(StageError, match="1 of 2 requests say that only a sample was logged") as refusal:
        run_stage(request(tmp_path, engine))
    assert "\n" not in refusal.value.line
