"""What the board says of a champion's drift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from retrain_assets.assets.champion_drift import drift_words
from retrain_assets.contract import DriftRule
from retrain_assets.drift import DriftReport

RULE = DriftRule(limits={"calibration_bias": 0.1, "feature_psi": 0.2}, min_rows=50, window=timedelta(days=10))


@pytest.mark.parametrize(
    ("metrics", "rows", "words"),
    [
        ({"calibration_bias": 0.05, "feature_psi": 0.15}, 60, "feature_psi 0.15 within 0.2, 2024-03-02"),
        ({"calibration_bias": 0.1534, "feature_psi": 0.25}, 60, "calibration_bias 0.153 above 0.1, 2024-03-02"),
        ({"calibration_bias": 0.5, "feature_psi": None}, 49, "too few rows for a verdict, 2024-03-02"),
    ],
)
def test_the_metric_furthest_above_its_limit_or_nearest_to_it_is_named(
    metrics: dict[str, float | None], rows: int, words: str
) -> None:
    end = datetime(2024, 3, 2, tzinfo=UTC)
    assert drift_words(DriftReport(end, end, rows, metrics), RULE) == words
