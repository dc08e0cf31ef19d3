"""A bundle in MLflow's model format: the bundle's directory as it is, an ``MLmodel`` beside it that says how to load it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from retrain_assets import __version__
from retrain_assets.bundle import signature_columns

BUNDLE_PATH = "data/bundle"
"""Where the bundle lies inside the MLflow model."""

LOADER = "retrain_assets.bundle.pyfunc"


def package(bundle_dir: Path, manifest: Mapping[str, Any], digest: str, target: Path, *, run_id: str, model_id: str) -> None:
    """Write the MLflow model of a bundle.

    ``mlflow.pyfunc.save_model`` is not used: it resolves the environment with pip and asks for an input example, while the
    manifest already knows signature and versions. Nor is ``mlflow.pyfunc`` imported, which takes seconds and warns.

    Args:
        bundle_dir: the bundle.
        manifest: its manifest as JSON.
        digest: its digest.
        target: directory to write; must not exist.
        run_id: MLflow run it belongs to.
        model_id: MLflow logged model it becomes.
    """
    from mlflow.models import Model

    shutil.copytree(bundle_dir, target / BUNDLE_PATH)
    packages = manifest["environment"]["packages"]
    requirements = [f"retrain-assets=={__version__}", *(f"{name}=={version}" for name, version in sorted(packages.items()))]
    (target / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))
    python_env = {"python": manifest["environment"]["python"], "dependencies": ["-r requirements.txt"]}
    (target / "python_env.yaml").write_text(yaml.safe_dump(python_env))
    model = Model(
        artifact_path="model",
        run_id=run_id,
        model_id=model_id,
        signature=_signature(manifest),
        metadata={"bundle_digest": digest},
    )
    model.add_flavor(
        "python_function",
        loader_module=LOADER,
        data=BUNDLE_PATH,
        python_version=python_env["python"],
        env={"virtualenv": "python_env.yaml"},
        streamable=False,
    )
    model.save(str(target / "MLmodel"))


def _signature(manifest: Mapping[str, Any]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs, outputs = signature_columns(manifest)
    return ModelSignature(
        inputs=Schema([ColSpec(kind, name, required=False) for name, kind in inputs]),
        outputs=Schema([ColSpec(kind, name) for name, kind in outputs]),
    )
