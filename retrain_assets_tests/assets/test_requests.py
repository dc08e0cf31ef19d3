"""Where a stage runs, what a run asks ahead of it, and what Dagster shows of that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from retrain_assets.assets.gate_checks import gate_checks, specs_inside, standing_gates
from retrain_assets.assets.platform import Platform
from retrain_assets.assets.requests import adopted_model, requests_ahead, retrain_request
from retrain_assets.assets.road import STAGE_ASSETS, Road
from retrain_assets.components.retrain import definitions_of
from retrain_assets.compute import LocalCompute, StageResult
from retrain_assets.compute.databricks import DatabricksCompute
from retrain_assets.compute.local import content_digest
from retrain_assets.compute.on_spark import SparkCompute
from retrain_assets.contract import Contract, CustodyError, RetrainError
from retrain_assets.contract.compute import RETRAIN_STAGES
from retrain_assets.ledger import SYSTEM
from retrain_assets_tests.release.world import CONTRACT, World
from retrain_assets_tests.simulation.accounts import contract_with

KEY = "2024-03-01"
THERE = {"volume": "/Volumes/main/retrain/state", "cluster": {"node_type": "i3.xlarge"}, "pool": "cluster"}


def road_with(**compute: Any) -> Road:
    return Road(contract_with(compute=compute or "local"))


def there(**settings: Any) -> Road:
    return road_with(databricks={**THERE, **settings})


def keys(road: Road, *stages: str) -> set[dg.AssetKey]:
    return {road.key(STAGE_ASSETS[stage]) for stage in stages}


@pytest.fixture
def platform(retrain_home: Path) -> Platform:
    made = Platform(root=str(retrain_home))
    made.controller.ensure_launched(contract_with(), KEY, {"kind": "manual run"}, SYSTEM)
    return made


def ahead_of(platform: Platform, road: Road, stage: Any, *selected: str) -> list[str]:
    return [one.stage for one in requests_ahead(platform, road, KEY, stage, keys(road, *selected))]


def test_a_stage_runs_where_the_contract_says(platform: Platform) -> None:
    on_spark = road_with(spark={"stages": ["dataset", "features"]})
    assert isinstance(platform.place(road_with(), "training"), LocalCompute)
    assert isinstance(platform.place(on_spark, "features"), SparkCompute)
    assert isinstance(platform.place(on_spark, "training"), LocalCompute)
    assert isinstance(platform.place(there(), "training"), DatabricksCompute)
    assert isinstance(platform.place(there(), "drift"), LocalCompute)
    assert isinstance(platform.place(there(stages=["training", "drift"]), "drift"), DatabricksCompute)
    assert isinstance(platform.place(there(stages=["training"]), "dataset"), LocalCompute)


def test_what_the_run_makes_next_in_the_same_place_is_asked_ahead(platform: Platform) -> None:
    assert ahead_of(platform, there(), "dataset", *RETRAIN_STAGES) == ["features", "training", "evaluation"]
    assert ahead_of(platform, there(), "training", *RETRAIN_STAGES) == ["evaluation"]
    assert ahead_of(platform, there(), "dataset", "dataset", "features") == ["features"], "what nobody asks for is not computed"
    assert ahead_of(platform, there(), "dataset", "dataset", "training", "evaluation") == [], "a stage between is missing"
    assert ahead_of(platform, there(stages=["dataset", "training", "evaluation"]), "dataset", *RETRAIN_STAGES) == []
    assert ahead_of(platform, there(stages=["training", "evaluation"]), "training", *RETRAIN_STAGES) == ["evaluation"]
    assert ahead_of(platform, road_with(), "dataset", *RETRAIN_STAGES) == []


def test_a_champion_that_the_registry_does_not_give_holds_up_its_comparison_and_nothing_before(retrain_home: Path) -> None:
    World(retrain_home).bootstrap()
    road = Road(Contract.model_validate({**CONTRACT, "compute": {"databricks": THERE}}))
    platform = Platform(root=str(retrain_home))
    platform.controller.ensure_launched(road.contract, KEY, {"kind": "manual run"}, SYSTEM)
    assert ahead_of(platform, road, "dataset", *RETRAIN_STAGES) == ["features", "training"]
    with pytest.raises(RetrainError):
        retrain_request(platform, road, KEY, "evaluation")


def test_a_request_is_the_same_before_and_after_the_stages_it_rests_on(platform: Platform) -> None:
    """Otherwise what was sent ahead would be sent again; only the place of an input may become known."""
    road = there()
    before = {stage: retrain_request(platform, road, KEY, stage) for stage in RETRAIN_STAGES}
    for stage, output in (("dataset", "dataset"), ("features", "features"), ("training", "bundle")):
        folder = platform.home.stage_dir(road.model, KEY, stage)
        folder.mkdir(parents=True)
        uri = f"/Volumes/main/retrain/state/stages/churn/{KEY}/{stage}/{output}"
        left = uri if stage == "dataset" else str(folder / output)
        result = StageResult(stage, {output: {"uri": left, "digest": "sha256:0"}}, {}, {}, "sha256:1")
        (folder / "result.json").write_text(json.dumps(result.to_json()))
    after = {stage: retrain_request(platform, road, KEY, stage) for stage in RETRAIN_STAGES}
    assert {stage: one.digest for stage, one in after.items()} == {stage: one.digest for stage, one in before.items()}
    assert after["features"].inputs["dataset"].startswith("/Volumes/"), "it stayed there"
    assert after["training"].inputs["features"] == before["training"].inputs["features"]
    assert before["evaluation"].inputs["candidate"].endswith("/training/bundle")


def test_the_place_changes_no_request(platform: Platform) -> None:
    for stage in RETRAIN_STAGES:
        digests = {retrain_request(platform, road, KEY, stage).digest for road in (road_with(), there(), road_with(spark={}))}
        assert len(digests) == 1


def test_kinds_pools_and_checks_say_where_an_asset_is_made() -> None:
    """Gates of stages that run there are the assets' own checks; the others stay steps; none is declared twice or lost."""
    road = there(stages=["features", "training"], engine="spark")
    assets = {node.key.path[-1]: node for node in definitions_of(road.contract).resolve_asset_graph().asset_nodes}
    assert assets["feature_snapshot"].kinds == {"spark", "parquet", "databricks"}
    assert assets["candidate_model"].kinds == {"mlflow", "spark", "databricks"}
    assert assets["dataset"].kinds == {"polars", "parquet"}
    assert {name: node.pools for name, node in assets.items() if node.pools} == {
        "feature_snapshot": {"cluster"},
        "candidate_model": {"cluster"},
    }
    inside = {asset for asset in standing_gates(road) if specs_inside(road, asset)}
    steps = {spec.asset_key.path[-1] for step in gate_checks(road) for spec in step.check_specs}
    assert inside == {"feature_snapshot", "candidate_model"}
    assert steps == set(standing_gates(road)) - inside
    assert all(spec.blocking for asset in inside for spec in specs_inside(road, asset) or ())


def test_a_delta_table_is_shown_as_one() -> None:
    source = {**contract_with().to_json()["source"], "uri": None, "table": "main.accounts.rows"}
    road = Road(contract_with(source={name: value for name, value in source.items() if value is not None}))
    assets = {node.key.path[-1]: node for node in definitions_of(road.contract).resolve_asset_graph().asset_nodes}
    assert assets["source"].kinds == {"delta"}
    assert "Rows of main.accounts.rows" in (assets["source"].description or "")


@pytest.mark.parametrize("changed", ["files", "word"])
def test_an_adopted_model_is_made_only_of_the_files_and_on_the_word_that_the_ledger_has(changed: str, tmp_path: Path) -> None:
    """Whoever can write the home cannot put another model in its place, nor have a pickle loaded that nobody vouched for."""
    road, platform = road_with(), Platform(root=str(tmp_path / "home"))
    folder = platform.home.stage_dir(road.model, KEY, "adopted")
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "model.txt").write_text("tree")
    told = {"source": "models:/churn/1", "files": content_digest(folder / "model"), "trained_on": None, "trust_pickle": False}
    (folder / "adoption.json").write_text(json.dumps(told))
    platform.controller.launch_retrain(road.contract, KEY, {"kind": "adopted", **told}, SYSTEM)
    assert adopted_model(platform, road, KEY) == str(folder)
    if changed == "files":
        (folder / "model" / "model.txt").write_text("another tree")
    else:
        (folder / "adoption.json").write_text(json.dumps(told | {"trust_pickle": True}))
    with pytest.raises(CustodyError, match="files" if changed == "files" else "trust_pickle"):
        adopted_model(platform, road, KEY)
