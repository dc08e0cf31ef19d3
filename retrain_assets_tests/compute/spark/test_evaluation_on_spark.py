from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.contract import StageError
from retrain_assets_tests.compute.conftest import Road, run_road
from retrain_assets_tests.compute.parcels import HERE, contract_values, write_source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def assert_same(found: Any, expected: Any, path: str = "") -> None:
    """Equal values, numbers to 1e-9."""
    if isinstance(expected, dict):
        assert list(found) == list(expected), path
        for name, value in expected.items():
            assert_same(found[name], value, f"{path}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for place, value in enumerate(expected):
            assert_same(found[place], value, f"{path}[{place}]")
    elif isinstance(expected, int | float) and isinstance(found, int | float):
        assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9), (path, found, expected)
    else:
        assert found == expected, path


def evaluated(engine: Any, road: Road, folder: Path, champion: str | None = None, **parameters: Any) -> StageResult:
    inputs = road.inputs() | ({"champion": champion} if champion else {})
    request = StageRequest(
        "evaluation", "parcel_delay", "2024-03-01", road.contract, inputs, str(folder / engine), parameters, engine
    )
    return run_stage(request)


def both(road: Road, folder: Path, champion: str | None = None, **parameters: Any) -> list[Any]:
    documents = []
    for engine in ("spark", "single_node"):
        result = evaluated(engine, road, folder, champion, **parameters)
        documents.append(json.loads(Path(result.outputs["evaluation"]["uri"]).read_text()))
    return documents


def test_a_candidate_against_a_champion_of_the_same_features_is_judged_alike(
    spark: SparkSession, road: Road, tmp_path: Path
) -> None:
    found, expected = both(road, tmp_path, road.inputs()["candidate"])
    assert expected["champion_features"] == "same feature pipeline"
    assert len(expected["evaluation"]["slices"]) == 3
    assert len(expected["evaluation"]["backtests"]) == 2
    assert_same(found, expected)


def test_a_champion_with_features_of_its_own_is_judged_alike(
    spark: SparkSession, road: Road, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("smaller")
    smaller = run_road(folder, contract_values(write_source(folder / "source"), features=f"{HERE}.build_without_weight"))
    found, expected = both(road, tmp_path, smaller.inputs()["candidate"])
    assert expected["champion_features"] == "champion's own feature pipeline"
    assert_same(found, expected)


def test_a_bootstrap_has_its_latency_measured(spark: SparkSession, road: Road, tmp_path: Path) -> None:
    result = evaluated("spark", road, tmp_path, bootstrap=True)
    assert result.metadata["champion"] is None
    assert 0 < result.metadata["evaluation"]["latency_ms"] <= result.metadata["evaluation"]["latency_p95_ms"]


def test_hold_out_rows_of_another_data_set_are_refused(spark: SparkSession, road: Road, tmp_path: Path) -> None:
    other = Road(road.folder, road.contract, road.features, road.features, road.training)
    other.dataset.outputs.setdefault("dataset", road.features.outputs["features"])  # type: ignore[attr-defined]
    try:
        with pytest.raises(StageError, match="hold-out rows are of data set"):
            evaluated("spark", other, tmp_path, bootstrap=True)
    finally:
        other.dataset.outputs.pop("dataset")  # type: ignore[attr-defined]
