from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, StageResult, run_stage
from retrain_assets.compute.frames import read_tables
from retrain_assets.contract import CustodyError, Gate, Outcome, StageError
from retrain_assets.gates import OfflineEvaluation, metric_value
from retrain_assets_tests.compute.conftest import Road, run_road
from retrain_assets_tests.compute.parcels import HERE, contract_values, parcels, write_source


def evaluated(road: Road, folder: Path, champion: str | None = None, **parameters: Any) -> StageResult:
    inputs = road.inputs() | ({"champion": champion} if champion else {})
    return run_stage(StageRequest("evaluation", "parcel_delay", "2024-03-01", road.contract, inputs, str(folder), parameters))


@pytest.fixture(scope="module")
def smaller(tmp_path_factory: pytest.TempPathFactory) -> Road:
    """A road whose feature function leaves the weight out: an older champion with a pipeline of its own."""
    folder = tmp_path_factory.mktemp("smaller")
    return run_road(folder, contract_values(write_source(folder / "source"), features=f"{HERE}.build_without_weight"))


def test_a_bootstrap_is_judged_without_a_champion_and_says_so(road: Road, tmp_path: Path) -> None:
    result = evaluated(road, tmp_path, bootstrap=True)
    assert {verdict.outcome for verdict in result.verdicts_of(Gate.OFFLINE)} == {Outcome.PASS}
    document = json.loads((tmp_path / "evaluation.json").read_text())
    assert document["champion"] is None
    assert OfflineEvaluation.from_json(document["evaluation"]).bootstrap is True
    assert document["candidate"] == road.training.outputs["bundle"]["digest"]


def test_the_same_inputs_give_the_same_report(road: Road, tmp_path: Path) -> None:
    first, second = (evaluated(road, tmp_path / name, bootstrap=True).outputs["evaluation"]["digest"] for name in "ab")
    assert first == second


def test_latency_and_size_are_measured_and_only_the_size_is_in_the_report(road: Road, tmp_path: Path) -> None:
    shown = evaluated(road, tmp_path, bootstrap=True).metadata["evaluation"]
    assert 0 < shown["latency_ms"] <= shown["latency_p95_ms"]
    kept = json.loads((tmp_path / "evaluation.json").read_text())["evaluation"]
    assert (kept["latency_ms"], kept["latency_p95_ms"]) == (None, None)
    files = [path for path in Path(road.inputs()["candidate"]).rglob("*") if path.is_file()]
    assert kept["size_mb"] == pytest.approx(sum(len(path.read_bytes()) for path in files) / 1024**2)


def test_a_champion_with_another_pipeline_is_scored_by_its_own_features_on_the_same_rows(
    road: Road, smaller: Road, tmp_path: Path
) -> None:
    result = evaluated(road, tmp_path, smaller.inputs()["candidate"])
    own = read_tables(Path(smaller.inputs()["features"])).holdout
    champion = load_bundle(Path(smaller.inputs()["candidate"]))
    expected = metric_value("roc_auc", own["late"].to_numpy(), champion.score(own))
    evaluation = OfflineEvaluation.from_json(result.metadata["evaluation"])
    comparison = evaluation.metric("roc_auc")
    assert result.metadata["champion_features"] == "champion's own feature pipeline"
    assert comparison is not None
    assert comparison.champion == expected
    assert comparison.candidate is not None
    assert comparison.candidate > expected
    assert len(evaluation.slices) == 3


def test_a_candidate_against_itself_is_no_better(road: Road, tmp_path: Path) -> None:
    result = evaluated(road, tmp_path, road.inputs()["candidate"])
    comparison = OfflineEvaluation.from_json(result.metadata["evaluation"]).metric("roc_auc")
    assert comparison is not None
    assert comparison.champion == comparison.candidate
    assert result.metadata["champion_features"] == "same feature pipeline"


def test_a_champion_whose_code_is_gone_is_scored_on_the_candidates_columns(road: Road, smaller: Road, tmp_path: Path) -> None:
    gone = {"feature_pipeline": "sha256:0", "feature_function": "gone.build"}
    champion = changed_manifest(Path(road.inputs()["candidate"]), tmp_path / "same_columns", **gone)
    assert "candidate's features" in evaluated(road, tmp_path / "e", champion).metadata["champion_features"]
    champion = changed_manifest(Path(smaller.inputs()["candidate"]), tmp_path / "other_columns", **gone)
    with pytest.raises(StageError, match=r"cannot be scored on these rows: gone\.build cannot .*keep gone\.build and the"):
        evaluated(road, tmp_path / "e", champion)


def test_backtests_roll_through_the_end_of_the_training_window(road: Road, tmp_path: Path) -> None:
    result = evaluated(road, tmp_path, bootstrap=True)
    first, second = OfflineEvaluation.from_json(result.metadata["evaluation"]).backtests
    assert (first.start[:10], first.end[:10], second.start[:10], second.end[:10]) == (
        "2024-02-06",
        "2024-02-14",
        "2024-02-14",
        "2024-02-22",
    )
    assert (first.rows, second.rows) == (480, 480)
    assert first.value is not None
    assert first.value > 0.7


def test_without_a_champion_only_a_bootstrap_is_evaluated(road: Road, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="there is no champion to compare with; bootstrap a first champion"):
        evaluated(road, tmp_path)
    with pytest.raises(StageError, match="a bootstrap was asked for although there is a champion"):
        evaluated(road, tmp_path, road.inputs()["candidate"], bootstrap=True)


def test_a_candidate_of_another_data_set_is_refused(road: Road, tmp_path: Path) -> None:
    other = run_road(tmp_path, contract_values(write_source(tmp_path / "source", parcels(seed=9))))
    mixed = {**road.inputs(), "candidate": other.inputs()["candidate"]}
    request = StageRequest("evaluation", "parcel_delay", "r", road.contract, mixed, str(tmp_path / "e"), {"bootstrap": True})
    with pytest.raises(StageError, match="candidate was made from data set"):
        run_stage(request)


def test_a_damaged_champion_is_refused(road: Road, smaller: Road, tmp_path: Path) -> None:
    shutil.copytree(smaller.inputs()["candidate"], tmp_path / "champion")
    (tmp_path / "champion" / "model.txt").write_text("tree")
    with pytest.raises(CustodyError, match=r"model\.txt"):
        evaluated(road, tmp_path / "e", str(tmp_path / "champion"))


def test_a_champion_of_other_classes_is_not_comparable(road: Road, tmp_path: Path) -> None:
    champion = changed_manifest(Path(road.inputs()["candidate"]), tmp_path / "c", classes=["a", "b", "c"], task="multiclass")
    with pytest.raises(StageError, match="models of different classes cannot be compared"):
        evaluated(road, tmp_path / "e", champion)


def changed_manifest(bundle: Path, target: Path, **changes: Any) -> str:
    shutil.copytree(bundle, target)
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps({**manifest, **changes}))
    return str(target)
