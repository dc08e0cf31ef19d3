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


@contextmanager
def retrain_serve(flights: Flights, workers: int, folder: Path, *options: str) -> Iterator[Running]:
    """``retrain serve`` of the home, on loopback, without a token."""
    port = free_port()
    command = ["retrain_assets.cli", "serve", "--port", str(port), "--workers", str(workers), *options]
    with _of_the_home(flights, command, port, folder) as running:
        yield running


@contextmanager
def plain_gateway(flights: Flights, workers: int, folder: Path) -> Iterator[Running]:
    """The same application without routing and logging."""
    port = free_port()
    with _of_the_home(flights, ["benchmarks.load.plain_gateway", str(port), str(workers)], port, folder) as running:
        yield running


def predict_path(flights: Flights) -> str:
    """Path of the gateway's predictions."""
    return f"/v1/models/{flights.model}/predict"


@contextmanager
def _of_the_home(flights: Flights, module: list[str], port: int, folder: Path) -> Iterator[Running]:
    environment = {"RETRAIN_HOME": str(flights.home.root), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", *module]
    with serving(command, port=port, health="/readyz", folder=folder, environment=environment) as running:
        yield running
