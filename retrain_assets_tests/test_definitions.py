"""The code location as Dagster loads it: quick to load, and the asset graph of the flights model as it is meant to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

LOADS = """
import json, sys
import retrain_assets.definitions
definitions = retrain_assets.definitions.defs()
modules = sorted(sys.modules)
graph, repository = definitions.resolve_asset_graph(), definitions.get_repository_def()
nodes = {key: graph.get(key) for key in graph.get_all_asset_keys()}
checks = {key: graph.get(key) for key in graph.asset_check_keys}
name = lambda key: "/".join(key.path)
partitions = lambda node: node.partitions_def.name if node.partitions_def else None
print(json.dumps({
    "modules": modules,
    "assets": {name(key): {
        "deps": sorted(name(parent) for parent in node.parent_keys),
        "owners": sorted(node.owners),
        "group": node.group_name,
        "kinds": sorted(node.kinds),
        "tags": {tag: value for tag, value in node.tags.items() if not tag.startswith("dagster/kind")},
        "partitions": partitions(node),
        "materializable": node.is_materializable,
        "described": bool(node.description),
        "code_version": node.code_version if node.is_materializable else None,
    } for key, node in nodes.items()},
    "checks": [[name(key.asset_key), key.name, node.blocking, partitions(node)] for key, node in checks.items()],
    "sensors": {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs},
    "schedules": {one.name: [one.default_status.value, one.cron_schedule] for one in repository.schedule_defs},
    "jobs": {job.name: job.tags for job in repository.get_all_jobs() if not job.name.startswith("__")},
}))
"""

MODEL = "flight_delay"
MODELS = {"flight_delay", "air_time", "arrival_band"}
BOARD = "release_board"
RETRAINS = "flight_delay_retrains"

HEAVY = {
    "mlflow",
    "pyspark",
    "lightgbm",
    "matplotlib",
    "databricks",
    "dagster_databricks",
    "pandera",
    "sklearn",
    "scipy.stats",
    "skops",
    "openfeature",
    "apprise",
}

# asset: what it stands on, owner, kinds, partitions
ROAD: dict[str, tuple[list[str], str, list[str], str | None]] = {
    "source": ([], "team:data-engineering", ["parquet"], None),
    "live_traffic": ([], "team:product", ["parquet"], None),
    "dataset": (["source"], "team:data-engineering", ["parquet", "polars"], RETRAINS),
    "feature_snapshot": (["dataset"], "team:data-engineering", ["parquet", "polars"], RETRAINS),
    "candidate_model": (["feature_snapshot"], "team:ml-engineering", ["mlflow"], RETRAINS),
    "evaluation_report": (["candidate_model", "feature_snapshot"], "team:data-science", ["sklearn"], RETRAINS),
    "canary_report": (["evaluation_report", "live_traffic"], "team:product", ["polars"], RETRAINS),
    "promotion_decision": (["canary_report", "evaluation_report"], "team:release", ["mlflow"], RETRAINS),
    "audit_record": (["promotion_decision"], "team:release", ["html"], RETRAINS),
    "release_review": (["audit_record"], "team:release", ["html"], RETRAINS),
    "capacity_forecast": (["audit_record"], "team:ml-engineering", ["table"], None),
    "drift_report": (["live_traffic", "source"], "team:data-science", ["polars"], None),
    "toggle_debt": ([], "team:release", ["table"], None),
    "retrains": (["audit_record"], "team:release", ["table"], None),
}
EXTERNAL = {"source", "live_traffic"}

WARNINGS = {"experiment_can_conclude"}
NOT_BLOCKING = {"promotion_decision", "toggle_debt", "audit_record"}

CHECKS = {
    "toggle_debt": {"no_toggle_debt"},
    "audit_record": {f"gate_{gate}_opened" for gate in ("data", "training", "offline", "canary", "promotion")} | {"went_live"},
    "dataset": {
        "schema_holds",
        "fresh_enough",
        "source_keeps_its_cadence",
        "enough_rows",
        "volume_is_steady",
        "days_are_complete",
        "missingness_within_limits",
        "missingness_is_steady",
        "categories_are_known",
        "label_balance_is_steady",
        "labels_arrive",
        "columns_are_known_in_time",
        "keys_are_unique",
        "time_order_holds",
        "labels_are_mature",
        "both_classes_present",
    },
    "feature_snapshot": {
        "no_single_feature_separates_label",
        "no_value_determines_label",
        "features_are_known_in_time",
        "features_match_serving",
        "no_rows_shared_across_split",
        "features_vary",
        "holdout_resembles_training",
    },
    "candidate_model": {
        "training_succeeded",
        "artifact_loads",
        "predictions_survive_reload",
        "signature_matches_features",
        "refit_reproduces",
        "recorded_for_reproduction",
        "beats_baseline",
        "within_budget",
    },
    "evaluation_report": {
        "experiment_can_conclude",
        "meets_roc_auc",
        "not_worse_roc_auc",
        "not_worse_brier_score",
        "slices_hold",
        "fairness_holds_origin",
        "calibrated",
        "decisions_are_stable",
        "backtests_hold",
        "latency_within_budget",
        "size_within_budget",
    },
    "canary_report": {
        "sample_ratio_holds",
        "outcomes_arrive",
        "records_are_sound",
        "units_stay_in_one_arm",
        "enough_units",
        "wins_cost_per_flight",
        "full_weeks_seen",
        "keeps_missed_late_rate",
        "keeps_missed_late_rate_in_segments",
        "keeps_false_warning_rate",
        "keeps_error_rate",
        "keeps_latency_p95",
        "worth_its_cost",
    },
    "promotion_decision": {
        "all_gates_passed",
        "verdicts_match_bundle",
        "approved_by_enough",
        "approved_by_each_role",
        "approver_is_not_the_launcher",
        "approval_is_fresh_and_for_this_evidence",
        "approvals_are_signed",
        "not_in_change_freeze",
        "toggle_awaits_approval",
        "policy_allows",
    },
}


@pytest.fixture(scope="module")
def location() -> dict[str, Any]:
    """What a fresh process finds after loading the code location."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADS], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_loading_the_definitions_imports_nothing_heavy(location: dict[str, Any]) -> None:
    """Every Dagster process loads the code location, some once a tick; what is heavy is imported where it is used."""
    assert HEAVY & set(location["modules"]) == set()


def test_the_road_of_the_flights_model_is_complete(location: dict[str, Any]) -> None:
    """Keys, dependencies, owners, group, kinds, tags and partitions of every asset."""
    expected = {
        f"{MODEL}/{asset}": {
            "deps": [f"{MODEL}/{dep}" for dep in deps],
            "owners": [owner],
            "group": MODEL,
            "kinds": kinds,
            "tags": {"retrain/model": MODEL, "retrain/task": "binary_classification"},
            "partitions": partitions,
            "materializable": asset not in EXTERNAL,
            "described": True,
        }
        for asset, (deps, owner, kinds, partitions) in ROAD.items()
    }
    found = {
        key: {name: value for name, value in node.items() if name != "code_version"} for key, node in location["assets"].items()
    }
    assert {key: node for key, node in found.items() if key.startswith(f"{MODEL}/")} == expected


def test_the_board_stands_once_for_all_models_and_depends_on_none(location: dict[str, Any]) -> None:
    assert {key.partition("/")[0] for key in location["assets"]} == {BOARD, *MODELS}
    assert location["assets"][BOARD]["deps"] == []
    assert location["assets"][BOARD]["group"] == "releases"
    assert location["assets"][BOARD]["described"]
    assert [BOARD, "nothing_waits_for_a_person", False, None] in location["checks"]


def test_every_made_asset_has_the_code_version_of_its_contract(location: dict[str, Any]) -> None:
    """A change of the contract makes every asset of the model stale."""
    versions: dict[str, set[str]] = {}
    for key, node in location["assets"].items():
        if node["materializable"] and key != BOARD:
            versions.setdefault(key.partition("/")[0], set()).add(node["code_version"])
    assert versions.keys() == MODELS
    assert all(len(of_model) == 1 and "+" in min(of_model) for of_model in versions.values())
    assert len(set.union(*versions.values())) == len(MODELS)


def test_every_gate_stands_on_its_asset_and_blocks_before_the_decision(location: dict[str, Any]) -> None:
    """A check has its asset's partitions, else its results lose theirs; the decision's own checks and warnings do not block."""
    expected = [
        [f"{MODEL}/{asset}", check, asset not in NOT_BLOCKING and check not in WARNINGS, ROAD[asset][3]]
        for asset, names in CHECKS.items()
        for check in names
    ]
    found = [check for check in location["checks"] if check[0].startswith(f"{MODEL}/")]
    assert sorted(found) == sorted(expected)


def test_sensors_schedules_and_jobs_are_there_and_start_by_themselves(location: dict[str, Any]) -> None:
    """A failed gate is not retried: no job retries on an asset's failure."""
    assert location["sensors"] == {
        f"retrain_{name}_sensor": "RUNNING" for name in ("canary", "decision", "drift", "override", "upkeep")
    }
    assert location["schedules"] == {
        "air_time_cadence_schedule": ["RUNNING", "0 6 1 * *"],
        "arrival_band_drift_schedule": ["RUNNING", "0 6 * * 1"],
        f"{MODEL}_drift_schedule": ["RUNNING", "0 6 * * 1"],
    }
    tags = {"retrain/model": MODEL, "dagster/retry_on_asset_or_op_failure": "false"}
    of_model = {name: found for name, found in location["jobs"].items() if found["retrain/model"] == MODEL}
    jobs = {name: {tag: value for tag, value in found.items() if tag in tags} for name, found in of_model.items()}
    assert jobs == {f"{MODEL}_{name}": tags for name in ("retrain", "canary", "decision", "drift", "toggle_debt")}
    assert {found["retrain/model"] for found in location["jobs"].values()} == MODELS
