"""A home whose settings name an emulated workspace."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_assets.home import Home
from retrain_assets_tests.workspace import Workspace

MODEL, SCHEMA = "parcel_delay", "main.models"
NAME = f"{SCHEMA}.{MODEL}"


def home_of(workspace: Workspace, patch: pytest.MonkeyPatch, folder: Path, **settings: str) -> Home:
    """A home below the folder, its environment as a person would set it; ``settings`` change it, an empty one is not set."""
    workspace.parts["unity_catalog"].add_schema(SCHEMA)
    environment = {
        **workspace.environment,
        "DATABRICKS_CONFIG_FILE": str(folder / "none"),
        "DATABRICKS_CONFIG_PROFILE": "",
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_REGISTRY_URI": "databricks-uc",
        "RETRAIN_REGISTRY_SCHEMA": SCHEMA,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        **settings,
    }
    for name, value in environment.items():
        patch.setenv(name, value)
        if not value:
            patch.delenv(name)
    return Home(folder / "home")
