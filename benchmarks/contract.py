"""The contract the canary benchmarks run under: three success measures and two guardrails, one segment column."""

from __future__ import annotations

from retrain_assets.contract import Contract

TEAM = "team:benchmarks"
STAGES = {2: ("shadow", 0.0), 3: ("5", 0.05), 4: ("25", 0.25), 5: ("50", 0.5)}
"""Stage label and share of the challenger by toggle revision."""
OUTCOMES = ("revenue", "converted", "minutes", "complained")


def canary_contract() -> Contract:
    """A valid contract; only its experiment matters here."""
    return Contract.model_validate(
        {
            "model": "benchmark",
            "task": "binary_classification",
            "purpose": "Measure the cost of a look",
            "owners": dict.fromkeys(("data", "training", "evaluation", "experiment", "release"), TEAM),
            "source": {
                "uri": "rows.parquet",
                "event_time": "at",
                "unit": "user",
                "label": "converted",
                "label_delay": "1d",
                "schema": ".schema.Rows",
            },
            "window": {"train": "90d", "holdout": "14d"},
            "features": ".features.build",
            "trainer": {"estimator": "lightgbm.LGBMClassifier"},
            "decision": {"threshold": 0.5},
            "gates": {"data": {"min_rows": 1, "max_age": "2d"}, "offline": {"metrics": {"roc_auc": {"min": 0.6}}}},
            "experiment": {
                "ramp": ["shadow", 5, 25, 50, 100],
                "outcomes": list(OUTCOMES),
                "segments": ["region"],
                "success": {
                    "revenue": {"direction": "increase", "min_effect": 0.01},
                    "converted": {"direction": "increase"},
                    "minutes": {"direction": "increase"},
                },
                "guardrails": {
                    "complained": {"direction": "decrease", "margin": 0.01},
                    "error_rate": {"column": "error", "direction": "decrease", "margin": 0.01},
                },
                "outcome_window": "1d",
                "min_stage": {"units": 1000, "duration": "1d"},
                "max_duration": "28d",
                "expected_units_per_day": 100_000,
            },
            "toggle": {
                "owner": TEAM,
                "purpose": "Measure",
                "expires_after": "30d",
                "remove_after": "60d",
                "rollback": "previous_champion",
            },
            "approval": {"approvers": ["ann@example.org"], "valid_for": "2d"},
            "cadence": {"min_interval": "7d"},
        }
    )
