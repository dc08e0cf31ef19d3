"""A newcomer's project: a plain dg project, a Parquet file of simulated accounts, and the folder that the scaffold writes."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl

from retrain_assets.components import RetrainComponent
from retrain_assets.components.scaffolding import RetrainScaffolder
from retrain_assets.components.scaffolding.params import RetrainParams
from retrain_assets_tests.simulation import accounts

PROJECT = """\
[project]
name = "shop"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{module}"
"""
ANN = "ann@example.org"


def new_project(folder: Path, module: str, rows: pl.DataFrame | None = None) -> Path:
    """A dg project with ``data/accounts.parquet`` and no model.

    Args:
        folder: where.
        module: its root module; one of its own for each project that a process imports code of.
        rows: of the source; simulated accounts by default.
    """
    defs = folder / module / "defs"
    defs.mkdir(parents=True)
    for package in (defs.parent, defs):
        (package / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(PROJECT.format(module=module))
    (folder / "data").mkdir()
    (accounts(days=90, per_day=60) if rows is None else rows).write_parquet(folder / "data" / "accounts.parquet")
    return folder


def scaffold(project: Path, name: str = "churn", **params: str) -> Path:
    """What ``dg scaffold defs retrain_assets.components.RetrainComponent NAME`` does, in this process; the model's folder."""
    (module,) = (path for path in project.iterdir() if (path / "defs").is_dir())
    target = module / "defs" / name
    target.mkdir(exist_ok=True)  # as dg does
    options = {"source": str(project / "data" / "accounts.parquet"), "label": "churned", "owner": ANN, **params}
    RetrainScaffolder().scaffold(
        dg.ScaffoldRequest(
            type_name=f"{RetrainComponent.__module__}.{RetrainComponent.__name__}",
            target_path=target,
            scaffold_format="yaml",
            project_root=project,
            params=RetrainParams.model_validate(options),
        )
    )
    return target
