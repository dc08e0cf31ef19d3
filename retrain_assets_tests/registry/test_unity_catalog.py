from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retrain_assets.bundle import load_bundle
from retrain_assets.home import Home
from retrain_assets.registry import Registry
from retrain_assets_tests.workspace import Workspace

from .test_registry import FRAME, bundle

MODEL, SCHEMA = "parcel_delay", "main.models"


@pytest.fixture
def catalog(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    """The registry of a home whose settings name a workspace."""
    workspace.parts["unity_catalog"].add_schema(SCHEMA)
    for name, value in {
        **workspace.environment,
        "DATABRICKS_CONFIG_FILE": str(tmp_path / "none"),
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_REGISTRY_URI": "databricks-uc",
        "RETRAIN_REGISTRY_SCHEMA": SCHEMA,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    }.items():
        monkeypatch.setenv(name, value)
    return Registry.of(Home(tmp_path / "home"))


def test_a_bundle_comes_back_as_it_went_in(catalog: Registry, tmp_path: Path) -> None:
    directory, manifest, digest = bundle(tmp_path)
    version = catalog.register(
        directory, manifest, digest, metrics={"roc_auc": 0.8, "undefined": None}, tags={"trigger": "drift"}
    )
    back = load_bundle(catalog.download(MODEL, version), digest)
    assert np.array_equal(back.score(FRAME), load_bundle(directory).score(FRAME))
    assert catalog.manifest(MODEL, version) == json.loads(json.dumps(manifest))
    assert catalog.tags(MODEL, version) == {
        "status": "candidate",
        "retrain": "2024-03-01",
        "trigger": "drift",
        "bundle_digest": digest,
    }
