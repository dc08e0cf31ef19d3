from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.frames import read_tables
from retrain_assets.contract import CustodyError, SourceError, StageError
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF

SINCE = CUTOFF - timedelta(days=8)
"""The synthetic champion is said to have served its own hold-out: traffic whose drift is known to be none."""


def traffic(road: Road, folder: Path, shift: float = 0.0, late_cost: float = 30.0) -> dict[str, str]:
    """Exposures and outcomes of the hold-out rows, with an outcome twice, another arm and another bundle among them."""
    bundle = load_bundle(Path(road.inputs()["candidate"]))
    rows = read_tables(Path(road.inputs()["features"])).holdout
    exposures = rows.select(
        request_id=pl.concat_str(pl.lit("r"), "parcel_id"),
        unit_id="parcel_id",
        arm=pl.lit("champion"),
        bundle=pl.lit(bundle.digest),
        exposed_at="sent_at",
        score=pl.Series(bundle.score(rows) + shift),
    )
    others = pl.concat(
        [
            exposures.head(50).with_columns(arm=pl.lit("challenger"), score=pl.lit(9.0), request_id=pl.lit("c")),
            exposures.head(50).with_columns(bundle=pl.lit("sha256:0"), score=pl.lit(9.0), request_id=pl.lit("o")),
        ]
    )
    early = pl.col("sent_at") < CUTOFF - timedelta(days=4)
    cost = pl.when(early).then(10.0).otherwise(late_cost)
    outcomes = rows.select(
        request_id=pl.concat_str(pl.lit("r"), "parcel_id"), unit_id="parcel_id", observed_at="sent_at", cost=cost
    )
    first_guess = outcomes.with_columns(pl.col("observed_at") - timedelta(hours=1), cost=pl.lit(500.0))
    folder.mkdir()
    pl.concat([exposures, others]).write_parquet(folder / "exposures.parquet")
    pl.concat([outcomes, first_guess]).write_parquet(folder / "outcomes.parquet")
    return {name: str(folder / f"{name}.parquet") for name in ("exposures", "outcomes")}


def reported(
    road: Road, folder: Path, inputs: dict[str, str], window: str = "8d", now: datetime = CUTOFF, **changes: Any
) -> StageResult:
    rule = {"window": window, "limits": {"prediction_psi": 0.2, "cost": 0.1}}
    contract = {**road.contract, "cadence": {"min_interval": "7d", "on_drift": rule}, **changes}
    digest = road.training.outputs["bundle"]["digest"]
    parameters = {"now": now.isoformat(), "since": SINCE.isoformat(), "bundle_digest": digest}
    inputs = {"bundle": road.inputs()["candidate"], **inputs}
    return run_stage(StageRequest("drift", "parcel_delay", "drift", contract, inputs, str(folder), parameters))


def test_traffic_as_in_the_holdout_has_not_drifted(road: Road, tmp_path: Path) -> None:
    report = reported(road, tmp_path, traffic(road, tmp_path / "t")).metadata["report"]
    assert report["metrics"]["prediction_psi"] == pytest.approx(0, abs=1e-9)
    assert report["metrics"]["label_share"] == pytest.approx(0, abs=1e-9)
    assert 0 <= report["metrics"]["feature_psi"] < 0.2
    assert report["metric_rows"]["prediction_psi"] == 421
    assert report["metric_rows"]["feature_psi"] == 480
    reference = load_bundle(Path(road.inputs()["candidate"])).document("training_sketch.json")["reference"]
    assert report["metrics"]["calibration_bias"] == pytest.approx(abs(reference["calibration_bias"]))


def test_other_scores_are_prediction_drift(road: Road, tmp_path: Path) -> None:
    report = reported(road, tmp_path, traffic(road, tmp_path / "t", shift=0.3)).metadata["report"]
    assert report["metrics"]["prediction_psi"] > 1
    assert report["metrics"]["calibration_bias"] > 0.2


def test_a_success_measure_is_compared_with_the_champions_first_window(road: Road, tmp_path: Path) -> None:
    inputs = traffic(road, tmp_path / "t", late_cost=15.0)
    assert reported(road, tmp_path / "four", inputs, "4d").metadata["report"]["metrics"]["cost"] == pytest.approx(0.5)
    assert reported(road, tmp_path / "eight", inputs, "8d").metadata["report"]["metrics"]["cost"] is None


def test_callers_may_number_the_requests_of_each_unit_from_one(road: Road, tmp_path: Path) -> None:
    inputs = traffic(road, tmp_path / "t", late_cost=15.0)
    expected = reported(road, tmp_path / "a", inputs, "4d").metadata["report"]
    for path in inputs.values():
        pl.read_parquet(path).with_columns(request_id=pl.lit("1")).write_parquet(path)
    assert reported(road, tmp_path / "b", inputs, "4d").metadata["report"] == expected


def test_of_a_request_in_two_files_the_earliest_exposure_counts(road: Road, tmp_path: Path) -> None:
    inputs = traffic(road, tmp_path / "t")
    expected = reported(road, tmp_path / "a", inputs).metadata["report"]
    path = Path(inputs["exposures"])
    known = pl.read_parquet(path)
    later = known.with_columns(pl.col("exposed_at") + timedelta(seconds=1), score=pl.lit(9.0))
    pl.concat([later, known]).write_parquet(path)
    assert reported(road, tmp_path / "b", inputs).metadata["report"] == expected


def test_a_measure_nobody_has_reported_yet_has_no_value_and_takes_nothing_from_the_rest(road: Road, tmp_path: Path) -> None:
    inputs = traffic(road, tmp_path / "t")
    expected = reported(road, tmp_path / "a", inputs).metadata["report"]["metrics"]
    path = Path(inputs["outcomes"])
    known = pl.read_parquet(path)
    for other in (known.rename({"cost": "another"}), known.drop("cost").clear()):
        other.write_parquet(path)
        found = reported(road, tmp_path / "b", inputs).metadata
        assert found["report"]["metrics"] == {**expected, "cost": None}
        assert found["undefined"]["cost"] == "no outcome of the window is known yet"


def test_the_future_does_not_count(road: Road, tmp_path: Path) -> None:
    report = reported(road, tmp_path, traffic(road, tmp_path / "t"), "4d", CUTOFF - timedelta(days=4)).metadata["report"]
    assert report["metric_rows"]["prediction_psi"] == 240
    assert report["metric_rows"]["label_share"] == 180 + 1


def test_traffic_may_be_a_folder_or_not_there_yet(road: Road, tmp_path: Path) -> None:
    traffic(road, tmp_path / "t")
    for name in ("exposures", "outcomes"):
        (tmp_path / name).mkdir()
    (tmp_path / "t" / "exposures.parquet").rename(tmp_path / "exposures" / "1.parquet")
    inputs = {name: str(tmp_path / name) for name in ("exposures", "outcomes")}
    assert reported(road, tmp_path / "a", inputs).metadata["report"]["metric_rows"]["prediction_psi"] == 421
    (tmp_path / "exposures" / "1.parquet").unlink()
    report = reported(road, tmp_path / "b", inputs).metadata["report"]
    assert report["metrics"]["prediction_psi"] is None
    assert report["metric_rows"]["label_share"] == 0


def test_what_cannot_be_reported_is_refused(road: Road, tmp_path: Path) -> None:
    inputs = traffic(road, tmp_path / "t")
    with pytest.raises(StageError, match=r"parcel_delay: cadence\.on_drift is not set"):
        reported(road, tmp_path / "a", inputs, cadence={"min_interval": "7d"})
    with pytest.raises(CustodyError, match="recorded is"):
        reported(road, tmp_path / "b", {**inputs, "bundle": other_bundle(road, tmp_path / "other")})
    with pytest.raises(SourceError, match="no such file"):
        reported(road, tmp_path / "c", inputs, source={**road.contract["source"], "uri": "nowhere.parquet"})
    Path(inputs["exposures"]).write_bytes(b"broken")
    with pytest.raises(StageError, match=r"exposures\.parquet: traffic cannot be read"):
        reported(road, tmp_path / "d", inputs)


def other_bundle(road: Road, folder: Path) -> str:
    contract = {**road.contract, "trainer": {**road.contract["trainer"], "seed": 8}}
    request = StageRequest("training", "parcel_delay", "r", contract, {"features": road.inputs()["features"]}, str(folder))
    return run_stage(request).outputs["bundle"]["uri"]
