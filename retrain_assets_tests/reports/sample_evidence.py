"""What the sample roads rest on: contract, manifest, verdicts and evaluation. Made up; a sample, not a result."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.bundle import Manifest
from retrain_assets.contract import Contract, Gate, Outcome, Verdict, digest_of
from retrain_assets.gates import Backtest, OfflineEvaluation, evaluate
from retrain_assets.ledger import Actor

MODEL = "sample_delay"
RUTH = Actor("person", "ruth.release@flights.example")
DORA = Actor("person", "dora.data@flights.example")
DRIFT = {
    "kind": "drift",
    "metric": "label_share",
    "value": 0.0913,
    "threshold": 0.06,
    "window": ["2013-06-17T00:00:00+00:00", "2013-07-01T00:00:00+00:00"],
    "above": 2,
    "of": 3,
    "history": [
        {"end": "2013-06-17T00:00:00+00:00", "value": 0.0721},
        {"end": "2013-06-24T00:00:00+00:00", "value": 0.0412},
        {"end": "2013-07-01T00:00:00+00:00", "value": 0.0913},
    ],
    "column": None,
}
RUN = {
    "started_at": "2013-07-01T06:01:00+00:00",
    "ended_at": "2013-07-01T06:01:41+00:00",
    "seconds": 41.2,
    "machine": {
        "cpu": "a processor",
        "architecture": "x86_64",
        "cores": 8,
        "usable_cores": 4,
        "memory_mb": 31744,
        "accelerators": [],
    },
    "python": "3.11.9",
    "platform": "Linux-6.1-x86_64",
    "product": "0.1.0",
    "product_digest": digest_of("the product"),
    "installed": {"digest": digest_of({"numpy": "2.3.1"}), "packages": {"numpy": "2.3.1"}},
}
CONTRACT = Contract.model_validate(
    {
        "model": MODEL,
        "task": "binary_classification",
        "purpose": "SAMPLE with made-up numbers: warn passengers when a flight will land more than 15 minutes late",
        "owners": {
            "data": "team:data-engineering",
            "training": "team:ml-engineering",
            "evaluation": "team:data-science",
            "experiment": "team:product",
            "release": "team:release",
        },
        "source": {
            "uri": "${RETRAIN_HOME}/sources/flights/*.parquet",
            "event_time": "scheduled_at",
            "unit": "flight_id",
            "label": "late",
            "label_delay": "1d",
            "schema": "flights.schema.Flights",
            "known_after_prediction": ["dep_delay"],
        },
        "window": {"train": "90d", "holdout": "14d", "backtests": 4},
        "features": "flights.features.build",
        "trainer": {
            "estimator": "lightgbm.LGBMClassifier",
            "params": {"n_estimators": 120, "learning_rate": 0.06, "num_leaves": 15},
            "calibration": "isotonic",
            "seed": 7,
        },
        "decision": {"threshold": 0.3333},
        "gates": {
            "data": {"min_rows": 60000, "max_age": "3d", "max_missing": {"late": "10%"}},
            "offline": {
                "metrics": {
                    "roc_auc": {"min": 0.62, "max_regression": 0.02},
                    "brier_score": {"max": 0.25, "max_regression": 0.01},
                },
                "slices": {"columns": ["origin", "carrier"], "metric": "brier_score", "max_regression": 0.03},
                "fairness": [{"column": "origin", "max_tpr_difference": "35%"}],
                "calibration": {"max_ece": 0.1, "max_bias": 0.06, "min_slope": 0.7, "max_slope": 1.4, "max_slice_bias": 0.08},
                "stability": {"max_flips": 0.25, "max_slice_flips": 0.3},
                "backtests": {"metric": "roc_auc", "min": 0.55, "max_spread": 0.1},
                "max_latency_ms": 50,
                "max_size_mb": 20,
            },
        },
        "experiment": {
            "ramp": ["shadow", 5, 25, 50, 100],
            "outcomes": ["cost_per_flight", "missed_late_rate"],
            "segments": ["origin"],
            "success": {"cost_per_flight": {"direction": "decrease", "min_effect": "1%"}},
            "guardrails": {
                "missed_late_rate": {"direction": "decrease", "margin": 0.05},
                "error_rate": {"column": "error", "direction": "decrease", "margin": 0.01},
                "slow_rate": {"column": "latency_ms", "above": 250, "direction": "decrease", "max_regression": "30%"},
            },
            "outcome_window": "1d",
            "min_stage": {"units": 80, "duration": "1d"},
            "max_duration": "28d",
            "expected_units_per_day": 900,
            "planned_units": 8000,
        },
        "toggle": {
            "owner": "team:product",
            "purpose": "Compare the retrained delay model with the champion on passengers' cost before it replaces it",
            "expires_after": "30d",
            "remove_after": "60d",
            "rollback": "previous_champion",
        },
        "approval": {"approvers": [RUTH.name, "paul.product@flights.example"], "required": 1, "valid_for": "3d"},
        "cadence": {"min_interval": "45d"},
    }
)
_CARRIERS = ["UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX", "FL"]


def manifest_of(key: str) -> Manifest:
    cutoff = datetime.fromisoformat(f"{key[:10]}T00:00:00+00:00")
    train_end = cutoff - timedelta(days=14)
    return Manifest(
        model=MODEL,
        retrain=key,
        task="binary_classification",
        estimator="lightgbm.LGBMClassifier",
        params={"n_estimators": 120, "learning_rate": 0.06, "num_leaves": 15, "deterministic": True, "n_jobs": 1},
        feature_names=("carrier", "origin", "dest", "hour", "weekday", "distance", "temp", "wind_speed", "visib", "pressure"),
        feature_dtypes={"hour": "numeric", "carrier": "categorical"},
        feature_function="flights.features.build",
        feature_pipeline=digest_of("features of the sample"),
        dataset=digest_of(f"data set of {key}"),
        label={"column": "late", "delay": "1d"},
        window={
            "train_start": (train_end - timedelta(days=90)).isoformat(),
            "train_end": train_end.isoformat(),
            "holdout_end": cutoff.isoformat(),
        },
        calibration={"kind": "isotonic", "fitted_on": "latest quarter of the training window, out of time"},
        decision={"threshold": 0.3333},
        classes=(0, 1),
        seed=7,
        code={
            "commit": "5f1c0d2e9a7b4c3d8e6f1a2b3c4d5e6f70819203",
            "dirty": False,
            "product": "0.1.0",
            "estimator": "lightgbm 4.6.0",
        },
        environment={
            "python": "3.11.9",
            "platform": "linux-x86_64",
            "packages": {"lightgbm": "4.6.0", "numpy": "2.3.1", "polars": "1.40.0"},
            "threads": 1,
        },
        files={"model.txt": "0" * 64},
    )


def data_verdicts(*, leak: bool = False) -> list[Verdict]:
    def passed(
        check: str, message: str, observed: float | None = None, threshold: float | None = None, **evidence: Any
    ) -> Verdict:
        return Verdict(Gate.DATA, check, Outcome.PASS, message, observed, threshold, evidence)

    features = [
        {"feature": "hour", "auc": 0.631, "auc_train": 0.628, "auc_holdout": 0.631},
        {"feature": "visib", "auc": 0.574, "auc_train": 0.574, "auc_holdout": 0.561},
        {"feature": "wind_speed", "auc": 0.552, "auc_train": 0.548, "auc_holdout": 0.552},
    ]
    verdicts = [
        passed("schema_holds", "94,108 rows are as schema Flights says", 0),
        passed("fresh_enough", "age of the newest row in hours is 1; required is at most 72", 1.0, 72.0),
        passed(
            "enough_rows", "number of labelled rows in train is 81,234; required is at least 60,000", 81234, 60000,
            labelled_rows={"train": 81234, "holdout": 12874}, required={"train": 60000, "holdout": 200},
        ),
        passed("volume_is_steady", "relative change of volume is 0.0412; required is at most 0.5", 0.0412, 0.5),
        passed("missingness_within_limits", "share of nulls in late (train) is 0.021; required is at most 0.1", 0.021, 0.1),
    ]  # fmt: skip
    if not leak:
        message = "AUC of the most separating feature (hour) is 0.631; required is at most 0.8"
        return [*verdicts, passed("no_single_feature_separates_label", message, 0.631, 0.8, features=features)]
    leaked = {"feature": "dep_delay", "auc": 0.913, "auc_train": 0.913, "auc_holdout": 0.908}
    return [
        *verdicts,
        Verdict(
            Gate.DATA, "no_single_feature_separates_label", Outcome.FAIL,
            "dep_delay (AUC 0.913) alone separates late better than 0.8; find out whether it is known before the prediction, "
            "and remove it if not", 0.913, 0.8, {"features": [leaked, *features], "features_total": 11, "above_limit": 1},
        ),
        Verdict(
            Gate.DATA, "features_are_known_in_time", Outcome.FAIL,
            "values known only after the prediction are used: dep_delay (1,987 rows); build the features without dep_delay",
            1987, 0, {"rows_changed": {"dep_delay": 1987, "hour": 0}, "known_after_prediction": ["dep_delay"]},
        ),
    ]  # fmt: skip


@cache
def evaluation(*, bootstrap: bool = False, too_high: float = 0.0) -> OfflineEvaluation:
    """Both models on made-up flights; ``too_high`` is added to every probability of the candidate."""
    draw = np.random.default_rng(5)
    rows = 12874
    carrier = draw.choice(_CARRIERS, rows, p=[0.17, 0.16, 0.16, 0.14, 0.1, 0.08, 0.06, 0.06, 0.045, 0.01, 0.015])
    known, unknown = draw.normal(0, 0.75, rows), draw.normal(0, 0.35, rows)
    logit = -1.25 + known + unknown + np.where(carrier == "EV", 0.35, 0.0)
    late = draw.random(rows) < 1 / (1 + np.exp(-logit))
    candidate = 1 / (1 + np.exp(1.22 - 0.95 * known - np.where(carrier == "EV", 0.3, 0.0)))
    champion = 1 / (1 + np.exp(1.1 - 0.8 * known - draw.normal(0, 0.35, rows)))
    frame = pl.DataFrame(
        {
            "flight_id": [f"f{k}" for k in range(rows)],
            "late": late.astype(int),
            "origin": draw.choice(["EWR", "JFK", "LGA"], rows),
            "carrier": carrier,
        }
    )
    origins = ((4, 22, 5, 6, 0.668), (5, 6, 5, 20, 0.681), (5, 20, 6, 3, 0.694), (6, 3, 6, 17, 0.701))
    found = evaluate(
        frame,
        np.clip(candidate + too_high, 0, 1),
        None if bootstrap else champion,
        contract=CONTRACT,
        seed=7,
        bootstrap=bootstrap,
        backtests=[
            Backtest(f"2013-0{month}-{day:02}T00:00:00+00:00", f"2013-0{end}-{last:02}T00:00:00+00:00", 12000 + day * 37, auc)
            for month, day, end, last, auc in origins
        ],
        latency_ms=1.4,
        size_mb=1.31,
        resamples=200,
    )
    return replace(found, latency_p95_ms=2.2)
