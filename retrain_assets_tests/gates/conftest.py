"""The smallest contract and the smallest rows the gates can judge; a test changes the one thing it is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import Contract, Verdict

CUTOFF = datetime(2024, 3, 1, tzinfo=UTC)
CONTRACT: dict[str, Any] = {
    "model": "late_parcels",
    "task": "binary_classification",
    "purpose": "Tell a customer when a parcel will be late",
    "owners": dict.fromkeys(("data", "training", "evaluation", "experiment", "release"), "team:parcels"),
    "source": {
        "uri": "parcels.parquet",
        "event_time": "sent_at",
        "unit": "parcel",
        "label": "late",
        "label_delay": "1d",
        "schema": ".schema.Parcels",
        "known_after_prediction": ["delay"],
    },
    "window": {"train": "20d", "holdout": "5d", "backtests": 2},
    "features": ".features.build",
    "trainer": {"estimator": "sklearn.linear_model.LogisticRegression"},
    "decision": {"threshold": 0.5},
    "gates": {
        "data": {
            "min_rows": 500,
            "min_holdout_rows": 100,
            "max_age": "2d",
            "max_missing": {"weight": 0.1},
            "max_volume_change": 0.5,
            "max_feature_auc": 0.8,
            "max_duplicate_share": 0.01,
        },
        "training": {"max_duration": "10m", "min_gain_over_baseline": 0.05},
        "offline": {
            "metrics": {"roc_auc": {"min": 0.6, "max_regression": 0.02}, "log_loss": {"max": 0.7, "min_improvement": 0.0}},
            "slices": {"columns": ["region"], "metric": "roc_auc", "max_regression": 0.05, "min_support": 200},
            "fairness": [{"column": "region", "max_selection_rate_difference": 0.2, "max_tpr_difference": 0.25}],
            "calibration": {"max_ece": 0.05, "max_bias": 0.04},
            "backtests": {"metric": "roc_auc", "min": 0.6},
            "max_latency_ms": 5.0,
        },
    },
    "experiment": {
        "ramp": ["shadow", 50, 100],
        "outcomes": ["cost"],
        "success": {"cost": {"direction": "decrease"}},
        "guardrails": {"error": {"direction": "decrease", "margin": 0.01}},
        "outcome_window": "1d",
        "min_stage": {"units": 10, "duration": "1d"},
        "max_duration": "10d",
        "expected_units_per_day": 100,
    },
    "toggle": {
        "owner": "team:parcels",
        "purpose": "Release the retrained model",
        "expires_after": "12d",
        "remove_after": "30d",
        "rollback": "previous_champion",
    },
    "approval": {"approvers": ["ann@parcels.example", "bob@parcels.example"], "valid_for": "2d"},
    "cadence": {"min_interval": "7d"},
}


@pytest.fixture(scope="session")
def contract_with() -> Callable[[dict[str, Any]], Contract]:
    """The contract with other values: ``contract_with({"gates.data.min_rows": 5})``; None as a value removes the field."""

    def build(changes: dict[str, Any]) -> Contract:
        values = deepcopy(CONTRACT)
        for path, value in changes.items():
            *parents, last = path.split(".")
            part = values
            for name in parents:
                part = part[name]
            if value is None:
                del part[last]
            else:
                part[last] = value
        return Contract.model_validate(values)

    return build


@pytest.fixture(scope="session")
def contract(contract_with: Callable[[dict[str, Any]], Contract]) -> Contract:
    return contract_with({})


@pytest.fixture(scope="session")
def parcels() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and held-out source rows that every check of gate DATA passes."""
    return sent(1000, CUTOFF - timedelta(days=27), days=20, seed=1), sent(250, CUTOFF - timedelta(days=7), days=5.5, seed=2)


def sent(count: int, start: datetime, *, days: float, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    weight = draw.gamma(2.0, 2.0, count)
    late = draw.random(count) < 1 / (1 + np.exp(1.5 - 0.3 * weight))
    return pl.DataFrame(
        {
            "parcel": [f"{seed}-{number}" for number in range(count)],
            "sent_at": [start + timedelta(days=days * number / count) for number in range(count)],
            "weight": weight,
            "region": draw.choice(["north", "south"], count),
            "delay": np.where(late, 60.0, 0.0) + draw.normal(0, 5, count),
            "late": late,
        }
    )


def verdict(verdicts: Sequence[Verdict], check: str) -> Verdict:
    """The one verdict of that name."""
    (found,) = [each for each in verdicts if each.check == check]
    return found
