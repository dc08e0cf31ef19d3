"""Talking to MLflow: one client per registry, telemetry off, nothing inferred, nothing global changed."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from retrain_assets.contract import RegistryUnavailable

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def connect(tracking_uri: str, registry_uri: str | None = None) -> Any:
    """An ``MlflowClient`` of a tracking URI; the folder of a SQLite store is made.

    Args:
        tracking_uri: MLflow tracking URI.
        registry_uri: MLflow registry URI; the tracking URI by default.

    Raises:
        RegistryUnavailable: when the store cannot be opened.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # Alembic tells every migration of a new store.
    for name in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=registry_uri or tracking_uri)
        if not tracking_uri.startswith("databricks"):
            client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError) as error:
        raise RegistryUnavailable(
            f"the MLflow store does not open ({error})", where=tracking_uri, remedy="set MLFLOW_TRACKING_URI or mend the store"
        ) from error
    return client
