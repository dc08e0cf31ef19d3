"""Simulated accounts and the release contract of their churn model; small enough to train in a blink."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import Contract

START = datetime(2024, 1, 1, tzinfo=UTC)

CONTRACT: dict[str, Any] = {
    "model": "churn",
    "task": "binary_classification",
    "purpose": "Offer help to accounts that are about to leave",
    "owners": dict.fromkeys(("data", "training", "evaluation", "experiment", "release"), "team:accounts"),
    "source": {
        "uri": "${RETRAIN_HOME}/sources/accounts.parquet",
        "event_time": "seen_at",
        "unit": "account",
        "label": "churned",
        "label_delay": "1d",
        "schema": "retrain_assets_tests.simulation.schema.Accounts",
        "known_after_prediction": ["exit_interview"],
    },
    "window": {"train": "40d", "holdout": "10d", "backtests": 2},
    "features": "retrain_assets_tests.simulation.features.build",
    "trainer": {"estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": 1.0}, "seed": 3},
    "decision": {"threshold": 0.5},
    "gates": {
        "data": {"min_rows": 500, "min_holdout_rows": 100, "max_age": "2d"},
        "training": {"max_duration": "5m"},
        "offline": {"metrics": {"roc_auc": {"min": 0.6, "max_regression": 0.05}}},
    },
    "experiment": {
        "ramp": ["shadow", 50, 100],
        "outcomes": ["cost", "complaint"],
        "success": {"cost": {"direction": "decrease"}},
        "guardrails": {"complaint": {"direction": "decrease", "margin": 0.1}},
        "outcome_window": "1d",
        "min_stage": {"units": 20, "duration": "1d"},
        "max_duration": "14d",
        "expected_units_per_day": 100,
        "planned_units": 1000,
    },
    "toggle": {
        "owner": "team:accounts",
        "purpose": "Compare the retrained churn model with the champion",
        "expires_after": "20d",
        "remove_after": "30d",
        "rollback": "previous_champion",
    },
    "approval": {"approvers": ["ruth@example.org", "paul@example.org"], "valid_for": "2d"},
    "cadence": {"min_interval": "7d", "on_drift": {"window": "10d", "limits": {"calibration_bias": 0.1}, "min_rows": 50}},
}


def accounts(days: int = 70, per_day: int = 60, seed: int = 11, *, signal: float = 1.2) -> pl.DataFrame:
    """Simulated account rows from 2024-01-01 on.

    Args:
        days: length of the history.
        per_day: rows a day.
        seed: seed of the draw.
        signal: log odds of churn per standard deviation of ``silence``.
    """
    rng = np.random.default_rng(seed)
    n = days * per_day
    silence, tenure = rng.normal(size=n), rng.exponential(2.0, size=n)
    churned = rng.random(n) < 1 / (1 + np.exp(-(signal * silence - 0.3 * tenure)))
    minutes = np.arange(n) * (24 * 60 // per_day)
    return pl.DataFrame(
        {
            "account": [f"a{index:06d}" for index in range(n)],
            "seen_at": [START + timedelta(minutes=int(minute)) for minute in minutes],
            "silence": silence,
            "tenure": tenure,
            "region": rng.choice(["north", "south"], size=n),
            "exit_interview": np.where(churned, rng.normal(3, 0.5, size=n), rng.normal(0, 0.5, size=n)),
            "churned": churned.astype(np.int8),
        },
        schema_overrides={"seen_at": pl.Datetime("us", "UTC")},
    )


def contract_with(**changes: Any) -> Contract:
    """The simulation's contract with some values replaced; ``__`` goes one level down: ``trainer__seed=4``."""
    values = copy.deepcopy(CONTRACT)
    for path, value in changes.items():
        *sections, last = path.split("__")
        section = values
        for name in sections:
            section = section[name]
        section[last] = value
    return Contract.model_validate(values)
