"""A small synthetic data set for tests: parcels that arrive late or not. Made by a seeded generator; no real parcel is in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import narwhals as nw
import numpy as np
import pandera.polars as pa
import polars as pl

CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)
HERE = "retrain_assets_tests.compute.parcels"


class Parcels(pa.DataFrameModel):
    parcel_id: str
    sent_at: Annotated[pl.Datetime, "us", "UTC"]
    depot: str = pa.Field(nullable=True)
    weight: float = pa.Field(gt=0)
    rain: float = pa.Field(nullable=True)
    transit_hours: float
    late: pl.Int8 = pa.Field(nullable=True, isin=[0, 1])


def parcels(days: int = 60, a_day: int = 60, seed: int = 3) -> pl.DataFrame:
    """Synthetic parcels of the days before the cut-off; lateness depends on rain, weight and depot."""
    rng = np.random.default_rng(seed)
    n = days * a_day
    sent = [CUTOFF - timedelta(days=days) + timedelta(minutes=index * 1440 / a_day) for index in range(n)]
    depot = rng.choice(["north", "south", "harbour"], n)
    weight, rain = rng.gamma(2.0, 2.0, n) + 0.1, rng.normal(size=n)
    late = rng.random(n) < 1 / (1 + np.exp(-(1.4 * rain + 0.2 * weight - 1.4 + 0.8 * (depot == "harbour"))))
    return pl.DataFrame(
        {
            "parcel_id": [f"p{index:05d}" for index in range(n)],
            "sent_at": pl.Series(sent, dtype=pl.Datetime("us", "UTC")),
            "depot": depot,
            "weight": weight,
            "rain": rain,
            "transit_hours": 20 + 30 * late + rng.normal(size=n),
            "late": late.astype(np.int8),
        }
    )


def build(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id", "depot", "weight", "rain", heavy=nw.col("weight") > 8.0)


def build_without_weight(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id", "depot", wet=nw.col("rain") * 2.0)


def build_leaky(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id", "rain", "transit_hours")


def build_fewer_rows(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return build(rows).filter(nw.col("rain") > 0)


def build_other_order(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return build(rows).sort("rain")


def build_without_unit(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("rain", "weight")


def build_with_label(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id", "rain", "late")


def build_nothing(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id")


def build_twice(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id", nw.col("rain"), nw.col("weight").alias("rain"))


def build_empty_column(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    return rows.select("parcel_id", "rain", empty=nw.lit(None))


def build_native(rows: nw.DataFrame[Any]) -> Any:
    return rows.to_native()


def build_raises(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    raise ZeroDivisionError("no depot today")


class Stubborn:
    """An estimator that cannot be fitted."""

    def fit(self, matrix: Any, labels: Any) -> Stubborn:
        raise RuntimeError("I will not converge")


class Homemade:
    """An estimator of the team's own, which no format but pickle can hold."""

    def fit(self, matrix: Any, labels: Any) -> Homemade:
        self.rate = lambda: float(np.mean(labels))
        return self

    def predict_proba(self, matrix: Any) -> Any:
        return np.column_stack([np.full(len(matrix), 1 - self.rate()), np.full(len(matrix), self.rate())])


class Restless:
    """An estimator that ignores its seed: it learns from a half of the rows that is drawn anew each time."""

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, matrix: Any, labels: Any) -> Any:
        return _half(matrix, labels, np.random.default_rng().random(len(labels)) < 0.5)


class Global:
    """An estimator that draws from numpy's global generator, and leaves it elsewhere than it was."""

    def fit(self, matrix: Any, labels: Any) -> Any:
        return _half(matrix, labels, np.random.random(len(labels)) < 0.5)


class Bad:
    """An estimator whose scores are of a kind of their own."""

    def __init__(self, scores: str) -> None:
        self.scores = scores

    def fit(self, matrix: Any, labels: Any) -> Bad:
        return self

    def predict_proba(self, matrix: Any) -> Any:
        half = np.full((len(matrix), 2), 0.5)
        return {
            "nan": np.where(np.arange(len(matrix))[:, None] % 4 == 0, np.nan, half),
            "flat": half[:, 0],
            "one row": half[:1],
            "margins": half * 8 - 7,
            "none": None,
        }[self.scores]


def _half(matrix: Any, labels: Any, rows: Any) -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_estimators=9, num_threads=1, verbosity=-1).fit(matrix[rows], labels[rows])


def write_source(folder: Path, rows: pl.DataFrame | None = None) -> Path:
    """The source as two files below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = parcels() if rows is None else rows
    half = rows.height // 2
    rows.head(half).write_parquet(folder / "a.parquet")
    rows.tail(rows.height - half).write_parquet(folder / "b.parquet")
    return folder


def contract_values(folder: Path, **changes: Any) -> dict[str, Any]:
    """The contract of the synthetic model; ``changes`` replace top-level sections."""
    team = dict.fromkeys(("data", "training", "evaluation", "experiment", "release"), "team:parcels")
    values: dict[str, Any] = {
        "model": "parcel_delay",
        "task": "binary_classification",
        "purpose": "Warn when a parcel will be late (synthetic)",
        "owners": team,
        "source": source_values(folder),
        "window": {"train": "40d", "holdout": "8d", "backtests": 2},
        "features": f"{HERE}.build",
        "trainer": {
            "estimator": "lightgbm.LGBMClassifier",
            "params": {"n_estimators": 12, "num_leaves": 7, "min_child_samples": 20, "num_threads": 1},
            "calibration": "sigmoid",
            "seed": 7,
        },
        "decision": {"threshold": 0.5},
        "gates": {
            "data": {"max_feature_auc": 0.9, "min_rows": 1000, "min_holdout_rows": 100, "max_age": "3d"},
            "offline": {
                "metrics": {"roc_auc": {"min": 0.6, "max_regression": 0.05}, "brier_score": {"max": 0.25}},
                "slices": {"columns": ["depot"], "metric": "roc_auc", "max_regression": 0.2, "min_support": 50},
                "backtests": {"metric": "roc_auc", "min": 0.6},
                "calibration": {"max_ece": 0.3},
                "max_latency_ms": 500,
            },
        },
        "experiment": {
            "ramp": ["shadow", 50, 100],
            "outcomes": ["cost"],
            "success": {"cost": {"direction": "decrease"}},
            "guardrails": {"errors": {"column": "error", "direction": "decrease", "margin": 0.01}},
            "outcome_window": "1d",
            "min_stage": {"units": 50, "duration": "1d"},
            "max_duration": "20d",
            "expected_units_per_day": 60,
        },
        "toggle": {
            "owner": "team:parcels",
            "purpose": "Compare",
            "expires_after": "30d",
            "remove_after": "60d",
            "rollback": "previous_champion",
        },
        "approval": {"approvers": ["a@parcels.example"], "valid_for": "3d"},
        "cadence": {"min_interval": "7d", "on_drift": {"window": "7d", "limits": {"prediction_psi": 0.2, "cost": 0.1}}},
    }
    return {**values, **changes}


def source_values(folder: Path) -> dict[str, Any]:
    return {
        "uri": f"{folder}/*.parquet",
        "event_time": "sent_at",
        "unit": "parcel_id",
        "label": "late",
        "label_delay": "1d",
        "schema": f"{HERE}.Parcels",
        "known_after_prediction": ["transit_hours"],
    }
