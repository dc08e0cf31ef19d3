"""Gate DATA on features: a value that decides the label is found, whatever share of rows has it; chance is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import Contract, Outcome, Verdict
from retrain_assets.gates.features.agreement import no_value_determines_label
from retrain_assets.gates.features.cells import Cells

ROWS = 6000
ContractWith = Callable[[dict[str, Any]], Contract]


def judged(labels: pl.Series, contract: Contract, **features: Any) -> Verdict:
    return no_value_determines_label(
        {name: Cells.of(pl.Series(name, values)) for name, values in features.items()}, labels, contract
    )


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(5)


def late(draw: np.random.Generator, share: float = 0.25) -> pl.Series:
    return pl.Series("late", draw.random(ROWS) < share)


def test_a_code_that_only_late_parcels_have_is_found_though_it_hardly_separates(
    contract: Contract, draw: np.random.Generator
) -> None:
    label = late(draw)
    coded = label.to_numpy() & (draw.random(ROWS) < 0.3)
    found = judged(label, contract, refund=np.where(coded, "R1", None).tolist())
    assert found.outcome is Outcome.FAIL
    (cell, *_) = found.evidence["cells"]
    assert (cell["feature"], cell["value"], cell["rows"], cell["agreement"]) == ("refund", "R1", int(coded.sum()), 1.0)
    assert cell["base_rate"] == pytest.approx(label.mean())
    assert "refund = R1" in found.message


@pytest.mark.parametrize(
    ("kind", "made", "value"),
    [
        ("amount", lambda coded, number: np.where(coded, number, np.nan), "any value"),
        ("other code", lambda coded, number: np.where(coded, None, "none"), "no value"),
        ("sentinel", lambda coded, number: np.where(coded, -1.0, number), "-1.0"),
        ("range", lambda coded, number: np.where(coded, 7.0 + number, number), " to "),
        ("truth", lambda coded, number: coded, "True"),
    ],
)
def test_a_sentinel_a_range_a_gap_and_any_value_at_all_are_values_too(
    contract: Contract, draw: np.random.Generator, kind: str, made: Callable[..., Any], value: str
) -> None:
    label = late(draw)
    coded = label.to_numpy() & (draw.random(ROWS) < 0.4)
    found = judged(label, contract, leak=made(coded, draw.random(ROWS)).tolist())
    assert found.outcome is Outcome.FAIL
    assert any(value in cell["value"] for cell in found.evidence["cells"])


def test_thousands_of_values_do_not_alarm_by_chance(contract: Contract, draw: np.random.Generator) -> None:
    features = {f"f{index}": draw.integers(0, 150, ROWS) for index in range(30)}
    for share in (0.5, 0.21, 0.03):
        assert judged(late(draw, share), contract, **features).passed


def test_pure_values_among_thousands_of_small_ones_are_no_more_than_permuted_labels_reach(
    contract: Contract, draw: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MIN_ROWS": 10, "MIN_OTHERS": 1, "MIN_SHARE": 0.0}.items():
        monkeypatch.setattr(f"retrain_assets.gates.features.agreement.{name}", value)
    label = late(draw, 0.75)
    codes = draw.integers(0, 450, ROWS)
    pure = [code for code in range(450) if label.filter(pl.Series(codes == code)).all() and (codes == code).sum() >= 10]
    assert pure
    assert judged(label, contract, place=[f"p{code}" for code in codes]).passed


def test_a_value_in_which_few_rows_of_other_labels_were_due_is_not_judged(contract: Contract) -> None:
    label = pl.Series("late", np.arange(ROWS) % 4 < 3)
    code = np.where((np.arange(ROWS) % 4 < 3) & (np.arange(ROWS) % 160 == 0), "x", "other")
    assert judged(label, contract, code=code.tolist()).passed
    assert (code == "x").sum() >= 30


def test_a_strong_honest_feature_of_rare_events_is_no_leak(contract: Contract, draw: np.random.Generator) -> None:
    risk = draw.random(ROWS)
    label = pl.Series("late", draw.random(ROWS) < np.where(risk > 0.9, 0.25, 0.001))
    assert judged(label, contract, risk=risk, tier=np.where(risk > 0.9, "high", "low").tolist()).passed


def test_the_far_end_of_a_strong_honest_feature_is_no_leak(contract: Contract, draw: np.random.Generator) -> None:
    rain = draw.normal(size=ROWS)
    label = pl.Series("late", draw.random(ROWS) < 1 / (1 + np.exp(-2 * rain)))
    found = judged(label, contract, rain=rain, millimetres=np.round(rain * 4))
    assert label.filter(pl.Series(rain > 2.0)).mean() > 0.98
    assert found.passed


def test_a_value_of_one_moment_is_a_storm_and_no_leak(contract: Contract, draw: np.random.Generator) -> None:
    moment = np.arange(ROWS) // 100
    label = pl.Series("late", (draw.random(ROWS) < 0.25) | (moment == 13))
    assert judged(label, contract, pressure=950.0 + moment).passed
    scattered = draw.permutation(ROWS)
    assert judged(label[scattered], contract, pressure=950.0 + moment[scattered]).outcome is Outcome.FAIL


def test_each_class_of_several_is_looked_for(contract_with: ContractWith, draw: np.random.Generator) -> None:
    several = contract_with({"task": "multiclass", "gates.offline": {"metrics": {"accuracy": {"min": 0.1}}}, "decision": None})
    kinds = draw.choice(["lost", "late", "early"], ROWS, p=[0.1, 0.3, 0.6])
    leak = np.where((kinds == "lost") & (draw.random(ROWS) < 0.5), "claim", "none")
    found = judged(pl.Series("fate", kinds), several, leak=leak.tolist(), noise=draw.normal(size=ROWS))
    assert found.outcome is Outcome.FAIL
    assert found.evidence["cells"][0]["label"] == "fate = lost"
    assert judged(pl.Series("fate", kinds), several, noise=draw.normal(size=ROWS)).passed


def test_a_number_is_decided_where_labels_hardly_differ(contract_with: ContractWith, draw: np.random.Generator) -> None:
    amounts = contract_with({"task": "regression", "gates.offline": {"metrics": {"r2": {"min": 0.1}}}, "decision": None})
    driver = draw.normal(size=ROWS)
    price = np.exp(driver + draw.normal(size=ROWS))
    invoiced = np.where(draw.random(ROWS) < 0.2, price * 1.1, np.nan)
    label = pl.Series("price", price)
    assert judged(label, amounts, driver=driver, noise=draw.integers(0, 40, ROWS)).passed
    assert judged(label, amounts, invoiced=invoiced).outcome is Outcome.FAIL


def test_labels_all_alike_and_rows_too_few_are_no_data(contract: Contract) -> None:
    assert judged(pl.Series("late", [True] * 100), contract, weight=range(100)).outcome is Outcome.NO_DATA
    assert judged(pl.Series("late", [True, False] * 5), contract, weight=range(10)).outcome is Outcome.NO_DATA


def test_a_limit_of_one_is_never_passed_over(contract_with: ContractWith, draw: np.random.Generator) -> None:
    label = late(draw)
    assert judged(label, contract_with({"gates.data.max_value_agreement": 1.0}), leak=label.to_list()).passed


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["x", "y", "ü"]), pl.Date, pl.Decimal(10, 2), pl.UInt64])
def test_any_type_has_cells(dtype: Any) -> None:
    values = ["x", None, "ü", "x"] if dtype in (pl.Categorical,) or isinstance(dtype, pl.Enum) else [1, None, 2, 1]
    cells = Cells.of(pl.Series("f", values).cast(dtype))
    assert cells.codes.tolist() == [1, 0, 2, 1]
    assert cells.name_of(0) == "no value"
