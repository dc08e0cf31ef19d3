"""The servers the generator is turned on, each as a process: the gateway, and MLflow's scoring server with the same model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load.flights import Flights
from benchmarks.load.running import Running, free_port, serving

MLFLOW_PATH = "/invocations"


@contextmanager
def mlflow_models_serve(flights: Flights, version: str, workers: int, folder: Path) -> Iterator[Running]:
    """``mlflow models serve`` of a registered version, in this environment, on loopback."""
    port = free_port()
    scripts = Path(sys.executable).parent
    command = [str(scripts / "mlflow"), "models", "serve", "--model-uri", f"models:/{flights.model}/{version}"]
    command += ["--port", str(port), "--host", "127.0.0.1", "--workers", str(workers), "--env-manager", "local"]
    environment = {
        "MLFLOW_TRACKING_URI": flights.home.mlflow_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "PYTHONWARNINGS": "ignore",
        "PATH": f"{scripts}:/usr/local/bin:/usr/bin:/bin",
    }
    with serving(command, port=port, health="/health", folder=folder, environment=environment) as running:
        yield running
