"""The paths below RETRAIN_HOME and the URLs that replace its local parts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from retrain_assets.home.clock import Clock, HomeClock
from retrain_assets.home.unit_key import unit_key


@dataclass(frozen=True)
class Home:
    """One place for all state; each part can be moved by its own URL."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """The home named by ``RETRAIN_HOME``, ``.retrain`` below the working directory by default."""
        return cls(Path(os.environ.get("RETRAIN_HOME") or ".retrain").absolute())

    @property
    def environment(self) -> str:
        """The environment this process works for (``RETRAIN_ENVIRONMENT``); `default` where none is set."""
        return os.environ.get("RETRAIN_ENVIRONMENT") or "default"

    @property
    def environment_path(self) -> Path:
        """The name of the environment that this home is of, written at its first use by one that is named."""
        return self.root / "environment"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger (``RETRAIN_LEDGER_URL`` or SQLite in the home)."""
        return os.environ.get("RETRAIN_LEDGER_URL") or f"sqlite:///{self.root / 'ledger.db'}"

    @property
    def mlflow_uri(self) -> str:
        """Tracking URI of MLflow (``MLFLOW_TRACKING_URI`` or SQLite in the home)."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def registry_uri(self) -> str:
        """Registry URI of MLflow (``MLFLOW_REGISTRY_URI`` where it names Databricks, else by the tracking URI).

        A workspace that tracks has its registry in Unity Catalog; every other tracking server is the registry, too.
        """
        named, tracking = os.environ.get("MLFLOW_REGISTRY_URI") or "", self.mlflow_uri
        if named.startswith("databricks"):
            return named
        scheme, _, profile = tracking.partition("://")
        if scheme != "databricks":
            return tracking
        return f"databricks-uc://{profile}" if profile else "databricks-uc"

    @property
    def registry_schema(self) -> str | None:
        """The schema of Unity Catalog that models are registered in, ``CATALOG.SCHEMA`` (``RETRAIN_REGISTRY_SCHEMA``)."""
        return os.environ.get("RETRAIN_REGISTRY_SCHEMA") or None

    @property
    def experiment_folder(self) -> str:
        """The workspace folder of the models' MLflow experiments (``RETRAIN_EXPERIMENT_FOLDER``); of Databricks only."""
        return (os.environ.get("RETRAIN_EXPERIMENT_FOLDER") or "/Shared/retrain").rstrip("/")

    @property
    def mlflow_artifacts(self) -> Path:
        """Artifact root of experiments created by the local MLflow store."""
        return self.root / "mlflow-artifacts"

    @property
    def flags_path(self) -> Path:
        """The flagd document that serving reads."""
        return self.root / "flags.json"

    @property
    def evidence_dir(self) -> Path:
        """Content-addressed evidence files."""
        return self.root / "evidence"

    @property
    def system_key_path(self) -> Path:
        """The system's private SSH key (``RETRAIN_SYSTEM_KEY``, or a file in the home)."""
        return Path(os.environ.get("RETRAIN_SYSTEM_KEY") or self.root / "keys" / "system")

    @property
    def unit_key_path(self) -> Path:
        """The secret that unit ids are named with in evidence (``RETRAIN_UNIT_KEY``, or a file in the home)."""
        return Path(os.environ.get("RETRAIN_UNIT_KEY") or self.root / "keys" / "units")

    def unit_key(self) -> bytes:
        """The secret itself; made when it is first needed."""
        return unit_key(self.unit_key_path)

    @property
    def metrics_dir(self) -> Path:
        """Files for Prometheus' textfile collector, written by sensors."""
        return self.root / "metrics"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance directory."""
        return self.root / "dagster"

    @property
    def clock(self) -> Clock:
        """The clock of this home."""
        return HomeClock(self.replay_clock_path)

    @property
    def replay_clock_path(self) -> Path:
        """Where a replay keeps its data time; its presence switches the home to data time."""
        return self.root / "clock.json"

    def stage_dir(self, model: str, retrain: str, stage: str) -> Path:
        """Directory of one stage's outputs."""
        return self.root / "stages" / model / retrain / stage

    def reports_dir(self, model: str) -> Path:
        """Directory of a model's evidence packs."""
        return self.root / "reports" / model

    @property
    def packs_url(self) -> str | None:
        """Address at which the directory of all evidence packs is served (``RETRAIN_PACKS_URL``); None where none is."""
        return (os.environ.get("RETRAIN_PACKS_URL") or "").rstrip("/") or None

    def exposures_dir(self, model: str) -> Path:
        """Directory of a model's exposure files."""
        return self.root / "traffic" / model / "exposures"

    def outcomes_dir(self, model: str) -> Path:
        """Directory of a model's outcome files."""
        return self.root / "traffic" / model / "outcomes"

    @property
    def traffic_dir(self) -> Path:
        """Directory of all models' traffic, one folder each."""
        return self.root / "traffic"

    def journal_dir(self, model: str) -> Path:
        """Directory of a model's journal: traffic that is not in exposure and outcome files yet."""
        return self.traffic_dir / model / ".journal"

    def canary_cache_dir(self, toggle: str) -> Path:
        """What is known of a toggle's traffic; derived, may be deleted at any time."""
        return self.root / "cache" / "canary" / toggle

    def traffic_cache_dir(self, model: str) -> Path:
        """What is known of a model's traffic files; derived, may be deleted at any time."""
        return self.root / "cache" / "traffic" / model

    def serving_cache_dir(self, model: str) -> Path:
        """Verified copies of a model's bundles that serving keeps, one folder per digest; derived, may be deleted at any time."""
        return self.root / "cache" / "serving" / model
