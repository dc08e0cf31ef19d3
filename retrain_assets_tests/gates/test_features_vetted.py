"""Gate DATA on features that separate the label honestly: what units were like before, and what somebody has vouched for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import Contract, Outcome, Verdict
from retrain_assets.gates import Availability, Parity, features_gate
from retrain_assets.gates.features.availability import Dependence
from retrain_assets.gates.features.known_label import area_of_known_labels
from retrain_assets_tests.gates.conftest import verdict

SHOPS, DAYS, HELD = 40, 100, 14
REGRESSION: dict[str, Any] = {
    "task": "regression",
    "decision": None,
    "gates.offline": {"metrics": {"r2": {"min": 0}}},
    "source.label_delay": "1d",
}


@pytest.fixture
def contract(contract_with: Callable[[dict[str, Any]], Contract]) -> Contract:
    return contract_with(REGRESSION)


@pytest.fixture(scope="module")
def sales() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A row a day for each shop: big and small shops, sales of a week ago, closed on Sundays."""
    draw = np.random.default_rng(3)
    size = draw.lognormal(4, 0.7, SHOPS)
    made = size * draw.gamma(20, 1 / 20, (DAYS, SHOPS))
    opened = np.arange(DAYS) % 7 != 6
    made = np.where(opened[:, None], made, 0.0)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "parcel": [f"shop {shop}" for _ in range(DAYS) for shop in range(SHOPS)],
            "sent_at": [start + timedelta(days=day) for day in range(DAYS) for _ in range(SHOPS)],
            "open": np.repeat(opened, SHOPS),
            "a_week_ago": np.roll(made, 7, axis=0).ravel(),
            "area": np.tile(size * draw.normal(1, 0.1, SHOPS), DAYS),
            "late": made.ravel(),
        }
    ).slice(7 * SHOPS)
    return frame.head(-HELD * SHOPS), frame.tail(HELD * SHOPS)


def judged(windows: tuple[pl.DataFrame, pl.DataFrame], contract: Contract) -> list[Verdict]:
    names = [name for name in windows[0].columns if name not in ("parcel", "sent_at", "late")]
    sound = Availability(100, {name: Dependence(100) for name in names})
    return features_gate(*windows, contract=contract, unit="parcel", label="late", availability=sound, parity=Parity(10))


def test_a_feature_that_separates_as_well_as_known_labels_is_no_leak(
    sales: tuple[pl.DataFrame, pl.DataFrame], contract: Contract
) -> None:
    found = verdict(judged(sales, contract), "no_single_feature_separates_label")
    assert found.passed
    assert found.evidence["features"][0]["auc"] > 0.8
    history = found.evidence["auc_of_known_labels"]
    assert found.threshold == pytest.approx((1 + history) / 2)
    leak = [frame.with_columns(area=pl.col("late") * 1.01 + 1) for frame in sales]
    assert verdict(judged((leak[0], leak[1]), contract), "no_single_feature_separates_label").outcome is Outcome.FAIL


def test_only_labels_known_by_then_count_as_history(contract_with: Callable[[dict[str, Any]], Contract]) -> None:
    """Every label is that of the unit's row before: known after a day, not after three, and never by the row itself."""
    draw = np.random.default_rng(5)
    late = np.repeat(draw.integers(0, 2, (200, 50)).astype(bool), 2, axis=0)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "parcel": [f"{unit}" for _ in range(400) for unit in range(50)],
            "sent_at": [start + timedelta(days=day) for day in range(400) for _ in range(50)],
            "late": late.ravel(),
        }
    )
    areas = {}
    for delay in ("0s", "1d", "3d"):
        contract = contract_with({"source.label_delay": delay})
        areas[delay] = area_of_known_labels(frame, contract, "parcel", "late")
    assert areas["0s"] == pytest.approx(0.75, abs=0.02)
    assert areas["1d"] == pytest.approx(0.75, abs=0.02)
    assert areas["3d"] == pytest.approx(0.5, abs=0.02)
    assert area_of_known_labels(frame.drop("sent_at"), contract, "parcel", "late") is None


def test_a_vetted_feature_may_determine_the_label_and_others_may_not(
    sales: tuple[pl.DataFrame, pl.DataFrame], contract_with: Callable[[dict[str, Any]], Contract]
) -> None:
    """A closed shop sells nothing, and that it will be closed is known before."""
    plain = verdict(judged(sales, contract_with(REGRESSION)), "no_value_determines_label")
    assert plain.outcome is Outcome.FAIL
    assert "open = false" in plain.message.lower()
    assert "gates.data.vetted_features" in plain.message
    vetted = contract_with({**REGRESSION, "gates.data.vetted_features": ["open"]})
    assert verdict(judged(sales, vetted), "no_value_determines_label").passed
    leak = [frame.with_columns(told=pl.col("late") == 0) for frame in sales]
    assert verdict(judged((leak[0], leak[1]), vetted), "no_value_determines_label").outcome is Outcome.FAIL
    known = [frame.with_columns(told=pl.col("late") * 1.01 + 1) for frame in sales]
    told = contract_with({**REGRESSION, "gates.data.vetted_features": ["open", "told", "a_week_ago", "area"]})
    separated = verdict(judged((known[0], known[1]), told), "no_single_feature_separates_label")
    assert separated.passed
    assert "nothing was judged" in separated.message


def test_a_vetted_name_that_is_no_feature_is_an_error(
    sales: tuple[pl.DataFrame, pl.DataFrame], contract_with: Callable[[dict[str, Any]], Contract]
) -> None:
    found = judged(sales, contract_with({**REGRESSION, "gates.data.vetted_features": ["opne"]}))
    assert {each.outcome for each in found} == {Outcome.ERROR}
    assert "opne" in found[0].message
