"""The parcels as a bundle would have served them, as inputs of the drift stage, and what the stage says of them."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.bundle import load_bundle
from retrain_assets.compute import StageRequest, run_stage
from retrain_assets.compute.frames import read_tables
from retrain_assets.contract import canonical_json, sha256_hex
from retrain_assets_tests.compute.conftest import Road
from retrain_assets_tests.compute.parcels import CUTOFF

DAY = timedelta(days=1)


def bundle_of(road: Road) -> Path:
    return Path(road.training.outputs["bundle"]["uri"])


def served(road: Road, bundle: Path, folder: Path, change: Any = None) -> dict[str, str]:
    """Inputs of the stage: the hold-out as this bundle would have served it; ``change`` alters the exposures."""
    loaded, rows = load_bundle(bundle), read_tables(Path(road.features.outputs["features"]["uri"])).holdout
    scores = loaded.score(rows)
    exposures = rows.select(
        request_id=pl.concat_str(pl.lit("r"), "parcel_id"),
        unit_id="parcel_id",
        arm=pl.lit("champion"),
        bundle=pl.lit(loaded.digest),
        exposed_at="sent_at",
        score=pl.Series(scores.max(axis=1) if scores.ndim == 2 else scores),
    )
    folder.mkdir(parents=True)
    (exposures if change is None else change(exposures, rows)).write_parquet(folder / "exposures.parquet")
    outcomes = exposures.select("request_id", "unit_id", observed_at="exposed_at", cost=pl.lit(1.0))
    outcomes.write_parquet(folder / "outcomes.parquet")
    return {"bundle": str(bundle), **{name: str(folder / f"{name}.parquet") for name in ("exposures", "outcomes")}}


def reported(
    road: Road,
    inputs: dict[str, str],
    folder: Path,
    limits: tuple[str, ...] = ("feature_psi",),
    now: datetime = CUTOFF,
    **changes: Any,
) -> dict[str, Any]:
    """The stage's metadata over a window of eight days."""
    rule = {"window": "8d", "limits": dict.fromkeys(limits, 0.1)}
    contract = {**road.contract, "cadence": {"min_interval": "7d", "on_drift": rule}, **changes}
    parameters = {
        "now": now.isoformat(),
        "since": (CUTOFF - 8 * DAY).isoformat(),
        "bundle_digest": load_bundle(Path(inputs["bundle"])).digest,
    }
    request = StageRequest("drift", contract["model"], "drift", contract, inputs, str(folder), parameters)
    return dict(run_stage(request).metadata)


def unlabelled(road: Road) -> dict[str, Any]:
    """The contract's source, with labels that nobody knows for a month."""
    return {
        "source": {**road.contract["source"], "label_delay": "30d"},
        "window": {"train": "90d", "holdout": "40d", "backtests": 2},
        "gates": {**road.contract["gates"], "data": {**road.contract["gates"]["data"], "max_age": "40d"}},
    }


def holdout(road: Road) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Hold-out rows with their labels and scores."""
    rows = read_tables(Path(road.features.outputs["features"]["uri"])).holdout
    label = rows[road.contract["source"]["label"]]
    return rows, label.to_numpy(), load_bundle(bundle_of(road)).score(rows)


def facts_of(bundle: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_bundle(bundle).document("training_sketch.json")["reference"]
    return found


def older(bundle: Path, target: Path) -> Path:
    """The bundle as it was written before estimates, segments and label spread were kept."""
    shutil.copytree(bundle, target)
    sketch = json.loads((target / "training_sketch.json").read_text())
    for name in ("label", "estimates", "segments"):
        sketch["reference"].pop(name)
    for column in (*sketch["features"].values(), *sketch["predictions"].values()):
        for name in ("skewness", "minimum", "maximum", "whole", "fitted_on"):
            column.pop(name)
    data = canonical_json(sketch)
    (target / "training_sketch.json").write_bytes(data)
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["files"]["training_sketch.json"] = sha256_hex(data)
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target
