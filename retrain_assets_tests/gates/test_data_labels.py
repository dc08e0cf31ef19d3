"""Gate DATA on the label's distribution and arrival, and on groups, keys and types that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from retrain_assets.assets.gate_rules import dataset_rules
from retrain_assets.contract import Contract, Outcome, Verdict, canonical_json
from retrain_assets.contract.unit_names import UNLINKABLE
from retrain_assets.gates import EarlierDataset, LeftOut, data_checks
from retrain_assets_tests.gates.conftest import verdict
from retrain_assets_tests.gates.data_rows import Windows, judged, windows

Build = Callable[[dict[str, Any]], Contract]
PLACE = pl.int_range(pl.len())


@pytest.fixture(scope="module")
def sound() -> Windows:
    return windows()


def check(name: str, frames: Windows, contract: Contract, **changes: Any) -> Verdict:
    return verdict(judged(*frames, contract, **changes), name)


def had(label_mean: float | None) -> EarlierDataset:
    return EarlierDataset("earlier", 50, {}, label_mean)


class TestBalance:
    def test_a_class_whose_share_moves_too_far_fails(self, contract: Contract, sound: Windows) -> None:
        train, holdout = (frame.with_columns(late=PLACE % 5 == 0) for frame in sound)
        found = check("label_balance_is_steady", (train, holdout.with_columns(late=PLACE % 5 < 3)), contract)
        assert (found.outcome, found.observed) == (Outcome.FAIL, pytest.approx(0.4))
        assert "hold-out against training: 0.2 to 0.6" in found.message
        assert check("label_balance_is_steady", (train, holdout.with_columns(late=PLACE % 5 < 2)), contract).passed

    def test_any_class_of_many_counts(self, contract_with: Build, sound: Windows) -> None:
        many = contract_with({"task": "multiclass", "decision": None, "gates.offline": {"metrics": {"log_loss": {"max": 1.0}}}})
        train = sound[0].with_columns(late=pl.when(PLACE % 10 < 5).then(pl.lit("a")).otherwise(pl.lit("b")))
        holdout = sound[1].with_columns(late=pl.when(PLACE % 10 < 1).then(pl.lit("a")).otherwise(pl.lit("b")))
        found = check("label_balance_is_steady", (train, holdout), many)
        assert (found.outcome, found.observed) == (Outcome.FAIL, pytest.approx(0.4))

    def test_a_regression_label_is_measured_in_standard_deviations(self, contract_with: Build, sound: Windows) -> None:
        amounts = contract_with({"task": "regression", "decision": None, "gates.offline": {"metrics": {"r2": {"min": 0.1}}}})
        train, holdout = (frame.with_columns(late=pl.col("weight") * 1000) for frame in sound)
        shift = 0.5 * train["late"].std() + train["late"].mean() - holdout["late"].mean()
        found = check("label_balance_is_steady", (train, holdout.with_columns(pl.col("late") + shift)), amounts)
        assert (found.outcome, found.observed) == (Outcome.FAIL, pytest.approx(0.5))
        assert check("label_balance_is_steady", (train, holdout), amounts).passed
        still = check("label_balance_is_steady", (train.with_columns(late=pl.lit(3.0)), holdout), amounts)
        assert still.outcome is Outcome.NO_DATA

    def test_a_label_turned_round_in_the_whole_source_is_seen_against_history(self, contract: Contract, sound: Windows) -> None:
        turned = tuple(frame.with_columns(late=PLACE % 5 != 0) for frame in sound)
        assert check("label_balance_is_steady", turned, contract).passed
        found = check("label_balance_is_steady", turned, contract, history=[had(0.2), had(0.21), had(None)])
        assert found.outcome is Outcome.FAIL
        assert "training against earlier retrains: 0.205 to 0.8" in found.message


class TestArrival:
    def test_labels_that_stop_coming_fail(self, contract: Contract, sound: Windows) -> None:
        train, holdout = sound
        late = holdout.head(60)
        found = check("labels_arrive", (train, holdout.tail(140)), contract, left_out=LeftOut(unlabelled=late))
        assert (found.outcome, found.observed) == (Outcome.FAIL, pytest.approx(0.3))
        assert "60 of 200 rows" in found.message

    def test_a_source_without_any_label_says_so_and_is_still_judged_on_its_rows(self, contract: Contract, sound: Windows) -> None:
        train, holdout = sound
        verdicts = judged(train.clear(), holdout.clear(), contract, left_out=LeftOut(unlabelled=pl.concat([train, holdout])))
        outcomes = {each.check: each.outcome for each in verdicts}
        assert verdict(verdicts, "labels_arrive").observed == 1
        assert outcomes["labels_arrive"] is outcomes["enough_rows"] is Outcome.FAIL
        assert outcomes["fresh_enough"] is outcomes["days_are_complete"] is outcomes["source_keeps_its_cadence"] is Outcome.PASS
        assert outcomes["schema_holds"] is outcomes["keys_are_unique"] is Outcome.NO_DATA

    def test_rows_too_young_for_a_label_are_counted_apart(self, contract: Contract, sound: Windows) -> None:
        found = check("labels_arrive", sound, contract, left_out=LeftOut(too_young=sound[1]))
        assert (found.outcome, found.observed, found.evidence["label_not_known_yet"]) == (Outcome.PASS, 0, 200)


class TestGroups:
    def test_the_check_is_there_only_where_the_contract_asks_for_it(
        self, contract: Contract, contract_with: Build, sound: Windows
    ) -> None:
        grouped = contract_with({"source.group": "region"})
        assert "groups_are_separate" not in {each.check for each in judged(*sound, contract)}
        assert [each.check for each in judged(*sound, grouped)] == list(data_checks(grouped))
        assert set(dataset_rules(grouped)) == set(data_checks(grouped))
        assert set(dataset_rules(contract)) == set(data_checks(contract))

    def test_a_group_on_both_sides_fails_and_is_named(self, contract_with: Build, sound: Windows) -> None:
        grouped = contract_with({"source.group": "household"})
        train, holdout = (frame.with_columns(household=PLACE // 10 + start) for frame, start in zip(sound, (0, 95), strict=True))
        found = check("groups_are_separate", (train, holdout), grouped)
        assert (found.outcome, found.observed) == (Outcome.FAIL, 5)
        assert found.evidence["shared_groups"][0] == {"household": UNLINKABLE.of(95, "group"), "holdout_rows": 10}
        assert found.evidence["holdout_rows_of_shared_groups"] == 50
        assert check("groups_are_separate", (train, holdout.with_columns(pl.col("household") + 5)), grouped).passed

    def test_rows_without_a_group_share_none(self, contract_with: Build, sound: Windows) -> None:
        grouped = contract_with({"source.group": "household"})
        frames = tuple(frame.with_columns(household=pl.lit(None, dtype=pl.String)) for frame in sound)
        found = check("groups_are_separate", frames, grouped)
        assert (found.outcome, found.evidence["rows_without_group"]) == (Outcome.PASS, 1200)

    def test_a_group_that_is_no_column_is_an_error(self, contract_with: Build, sound: Windows) -> None:
        assert check("groups_are_separate", sound, contract_with({"source.group": "household"})).outcome is Outcome.ERROR


ODD_COLUMNS: dict[str, Callable[[], pl.Expr]] = {
    "all null": lambda: pl.lit(None),
    "date": lambda: pl.lit(date(2024, 1, 1)),
    "decimal": lambda: pl.lit(Decimal("1.50")),
    "huge integers": lambda: pl.lit(2**100, dtype=pl.Int128),
    "list": lambda: pl.concat_list("weight", "weight"),
    "struct": lambda: pl.struct("weight", "region"),
    "unicode": lambda: pl.lit("Ω\u0000\n\U0001f4a9"),
    "infinite": lambda: pl.lit(float("inf")),
    "duration": lambda: pl.lit(timedelta(days=3)),
    "binary": lambda: pl.lit(b"\xff"),
}


@pytest.mark.parametrize("column", ODD_COLUMNS)
def test_columns_of_any_type_are_judged_without_a_crash(contract: Contract, sound: Windows, column: str) -> None:
    frames = tuple(frame.with_columns(ODD_COLUMNS[column]().alias("odd")) for frame in sound)
    young = frames[1].head(40).with_columns(pl.col("sent_at") + timedelta(days=4), late=pl.lit(None, dtype=pl.Boolean))
    verdicts = judged(*frames, contract, left_out=LeftOut(too_young=young, unlabelled=frames[0].gather_every(30)))
    assert [each for each in verdicts if each.outcome not in (Outcome.PASS,)] == []
    assert canonical_json([each.to_json() for each in verdicts])


@pytest.mark.parametrize("column", ["late", "parcel"])
@pytest.mark.parametrize("values", ["date", "decimal", "huge integers", "list", "struct", "all null", "infinite"])
def test_roles_of_any_type_give_verdicts_and_no_crash(contract: Contract, sound: Windows, column: str, values: str) -> None:
    frames = tuple(frame.with_columns(ODD_COLUMNS[values]().alias(column)) for frame in sound)
    verdicts = judged(*frames, contract)
    assert [each.check for each in verdicts] == list(data_checks(contract))
    assert not all(each.passed for each in verdicts)
    assert canonical_json([each.to_json() for each in verdicts])
