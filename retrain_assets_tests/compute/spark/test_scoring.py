"""A batch is routed as serving routes and scored by the routed arm; both engines write the same rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.stages import scoring_parts
from retrain_assets.contract import RetrainError
from retrain_assets.routing import RoutingRule, VersionRef, assign_frame, flag_document
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import HERE, parcels

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOW = datetime(2024, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def challenger(road: Road, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a feature function of its own."""
    folder, contract = tmp_path_factory.mktemp("challenger"), {**road.contract, "features": f"{HERE}.build_without_weight"}
    inputs = {"dataset": road.dataset.outputs["dataset"]["uri"]}
    for stage, output in (("features", "features"), ("training", "bundle")):
        result = run_stage(StageRequest(stage, "parcel_delay", "2024-03-02", contract, inputs, str(folder / stage)))
        inputs = {output: result.outputs[output]["uri"]}
    return Path(inputs["bundle"])


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    frame = parcels(days=10, seed=9).drop("late", "transit_hours")
    tiers = pl.Series(["gold", "plain", None] * (frame.height // 3))
    frame = frame.with_columns(tier=tiers, late=pl.lit(None, pl.Int8), transit_hours=pl.lit(None, pl.Float64))
    frame[:250].write_parquet(folder / "1.parquet")
    frame[250:].write_parquet(folder / "2.parquet")
    return folder


def rule(road: Road, challenger: Path, **changes: Any) -> RoutingRule:
    values: dict[str, Any] = {
        "model": "parcel_delay",
        "champion": VersionRef("1", load_bundle(Path(road.training.outputs["bundle"]["uri"])).digest),
        "challenger": VersionRef("2", load_bundle(challenger).digest),
        "toggle": "parcel_delay-2024-03-02",
        "revision": 4,
        "stage": "50",
        "salt": "parcel_delay-2024-03-02:",
        "share": 0.5,
        "state": "ramping",
        "cohort": {"tier": {"in": ["gold", "plain"]}},
        "expires_at": datetime(2024, 4, 1, tzinfo=UTC),
    }
    return RoutingRule(**{**values, **changes})


def score(road: Road, challenger: Path, rows: Path, output: Path, engine: str, asked: RoutingRule, **changes: Any) -> StageResult:
    contract = {**road.contract, "experiment": {**road.contract["experiment"], "cohort": {"tier": {"in": ["gold", "plain"]}}}}
    parameters = {"flags": flag_document([asked], metadata={}), "now": NOW.isoformat(), "batch": "b1", **changes}
    inputs = {"rows": str(rows), "champion": road.training.outputs["bundle"]["uri"], "challenger": str(challenger)}
    request = StageRequest("scoring", "parcel_delay", "2024-03-02", contract, inputs, str(output), parameters)
    return run_stage(replace(request, engine=engine))  # type: ignore[arg-type]


def written(result: StageResult, output: str) -> list[pl.DataFrame]:
    return [pl.read_parquet(path) for path in sorted(Path(result.outputs[output]["uri"]).glob("*.parquet"))]


def test_both_engines_write_the_same_files_and_the_same_batch_again_changes_nothing(
    spark: SparkSession, road: Road, challenger: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring_parts, "ROWS_PER_PART", 200)
    asked = rule(road, challenger)
    here, there, again = (
        score(road, challenger, rows, tmp_path / name, engine, asked)
        for name, engine in (("here", "single_node"), ("there", "spark"), ("there", "spark"))
    )
    assert here.metadata["parts"] == 4
    assert here.outputs["scores"]["digest"] == there.outputs["scores"]["digest"] == again.outputs["scores"]["digest"]
    assert here.metadata["content"] == there.metadata["content"] == again.metadata["content"]
    assert not list((tmp_path / "there").glob(".pieces*"))
    for one, other in zip(written(here, "exposures"), written(there, "exposures"), strict=True):
        assert one.drop("latency_ms").equals(other.drop("latency_ms"))
        assert one.schema == other.schema
    for name in ("rows", "challenger", "champion_errors", "challenger_errors"):
        assert here.metadata[name] == there.metadata[name]


@pytest.mark.parametrize("engine", ["single_node", "spark"])
def test_a_request_that_stands_there_twice_is_refused(
    spark: SparkSession, road: Road, challenger: Path, rows: Path, tmp_path: Path, engine: str
) -> None:
    frame = pl.read_parquet(rows / "1.parquet")
    pl.concat([frame, frame[:1]]).write_parquet(tmp_path / "twice.parquet")
    with pytest.raises(RetrainError, match=r"request_id 'b1-p00000-\d+' stands there twice; write one row per scored request"):
        score(road, challenger, tmp_path / "twice.parquet", tmp_path / "out", engine, rule(road, challenger))


def test_rows_get_the_arm_of_the_rule_and_the_score_of_that_arms_bundle(
    road: Road, challenger: Path, rows: Path, tmp_path: Path
) -> None:
    asked = rule(road, challenger)
    found = pl.concat(written(score(road, challenger, rows, tmp_path, "single_node", asked), "exposures")).sort("unit_id")
    source = pl.read_parquet(rows / "*.parquet").sort("parcel_id")
    assert found["arm"].to_list() == assign_frame(asked, source, "parcel_id", NOW)["arm"].to_list()
    assert set(found["arm"]) == {"champion", "challenger"}
    built = source.select("depot", "weight", "rain", heavy=pl.col("weight") > 8.0, wet=pl.col("rain") * 2.0)
    for arm, path in (("champion", Path(road.training.outputs["bundle"]["uri"])), ("challenger", challenger)):
        mine = (found["arm"] == arm).to_numpy()
        assert found["score"].to_numpy()[mine] == pytest.approx(load_bundle(path).score(built)[mine], abs=1e-12)
    assert not found["error"].any()
    assert found["exposed_at"].unique().to_list() == [NOW]
    assert found.filter(pl.col("tier").is_null())["toggle"].is_null().all()


@pytest.mark.parametrize("engine", ["single_node", "spark"])
@pytest.mark.parametrize(
    ("changes", "asked", "says"),
    [
        ({"batch": "../b"}, {}, "'../b' is no name"),
        ({"now": "2024-03-02T12:00:00"}, {}, "parameter now: has no time zone"),
        ({"flags": {}}, {}, "parameter flags: "),
        ({"request_id": "order"}, {}, "column order is missing"),
        ({}, {"champion": VersionRef("1", "sha256:another")}, "recorded is sha256:another"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    spark: SparkSession,
    road: Road,
    challenger: Path,
    rows: Path,
    tmp_path: Path,
    engine: str,
    changes: Any,
    asked: Any,
    says: str,
) -> None:
    with pytest.raises(RetrainError) as refusal:
        score(road, challenger, rows, tmp_path, engine, rule(road, challenger, **asked), **changes)
    assert says in refusal.value.line
    assert "\n" not in refusal.value.line
