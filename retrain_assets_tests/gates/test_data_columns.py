"""Gate DATA on columns against before: missing values, categories, and columns that are known too late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from retrain_assets.contract import Contract, Outcome, Verdict
from retrain_assets.contract.unit_names import UNLINKABLE
from retrain_assets.gates import EarlierDataset, LeftOut
from retrain_assets.gates.data.availability import _chance
from retrain_assets_tests.gates.conftest import CUTOFF, sent, verdict
from retrain_assets_tests.gates.data_rows import Windows, judged, windows

Build = Callable[[dict[str, Any]], Contract]
PLACE = pl.int_range(pl.len())


@pytest.fixture(scope="module")
def sound() -> Windows:
    return windows(a_day=200)


@pytest.fixture(scope="module")
def young() -> pl.DataFrame:
    """A day's rows whose label is not known at the cut-off."""
    return sent(60, CUTOFF - timedelta(hours=23), days=0.9, seed=9).with_columns(late=pl.lit(None, dtype=pl.Boolean))


def check(name: str, frames: Windows, contract: Contract, **changes: Any) -> Verdict:
    return verdict(judged(*frames, contract, **changes), name)


def blanked(frame: pl.DataFrame, column: str, where: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(pl.when(where).then(None).otherwise(pl.col(column)).alias(column))


def had(**null_share: float) -> EarlierDataset:
    return EarlierDataset("earlier", 200, null_share, 0.4)


class TestMissingnessIsSteady:
    def test_a_column_that_loses_values_in_the_holdout_fails_and_is_named(self, contract: Contract, sound: Windows) -> None:
        train, holdout = sound
        found = check("missingness_is_steady", (train, blanked(holdout, "region", PLACE % 5 == 0)), contract)
        assert found.outcome is Outcome.FAIL
        assert found.observed == pytest.approx(0.2)
        assert "region, hold-out against training: 0.0% to 20.0%" in found.message
        assert found.evidence["columns_over"] == 1

    def test_a_rise_within_the_limit_passes(self, contract: Contract, sound: Windows) -> None:
        train, holdout = sound
        found = check("missingness_is_steady", (train, blanked(holdout, "region", PLACE % 20 == 0)), contract)
        assert (found.outcome, found.observed) == (Outcome.PASS, pytest.approx(0.05))

    def test_a_share_that_creeps_up_from_retrain_to_retrain_fails_against_history(
        self, contract: Contract, sound: Windows
    ) -> None:
        frames = tuple(blanked(frame, "region", PLACE % 5 == 0) for frame in sound)
        assert check("missingness_is_steady", frames, contract).passed
        found = check("missingness_is_steady", frames, contract, history=[had(region=0.01), had(region=0.02), had(region=0.9)])
        assert found.outcome is Outcome.FAIL
        assert found.observed == pytest.approx(0.18)
        assert "against earlier retrains" in found.message

    def test_history_that_did_not_have_the_column_says_nothing(self, contract: Contract, sound: Windows) -> None:
        assert check("missingness_is_steady", sound, contract, history=[had(height=0.0)]).passed

    def test_not_a_number_is_a_null(self, contract: Contract, sound: Windows) -> None:
        train, holdout = sound
        gone = holdout.with_columns(delay=pl.when(PLACE % 3 == 0).then(float("nan")).otherwise("delay"))
        assert check("missingness_is_steady", (train, gone), contract).observed == pytest.approx(1 / 3, abs=0.01)

    def test_a_rise_in_a_handful_of_rows_is_chance(self, contract: Contract) -> None:
        train, holdout = (blanked(frame, "region", PLACE % 4 == 0) for frame in windows(a_day=5))
        more = blanked(holdout, "region", PLACE % 2 == 0)
        found = check("missingness_is_steady", (train, more), contract)
        assert found.passed
        assert found.evidence["columns"][0]["rise"] == pytest.approx(0.25)

    @pytest.mark.parametrize(("column", "empty"), [("region", None), ("delay", float("nan"))])
    def test_a_column_that_goes_missing_for_whole_days_now_and_then_has_room_for_one_more(
        self, contract: Contract, sound: Windows, column: str, empty: float | None
    ) -> None:
        """Each third day of training is blank; a steady column with the same share of nulls has no such room."""

        def emptied(frame: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
            return frame.with_columns(pl.when(where).then(empty).otherwise(pl.col(column)).alias(column))

        train, holdout = sound
        bursts = emptied(train, pl.col("sent_at").dt.ordinal_day() % 3 == 0)
        steady = emptied(train, PLACE % 3 == 0)
        two_days = emptied(holdout, pl.col("sent_at").dt.ordinal_day() % 2 == 0)
        assert check("missingness_is_steady", (bursts, two_days), contract).passed
        assert check("missingness_is_steady", (steady, two_days), contract).outcome is Outcome.FAIL

    def test_a_column_with_its_own_limit_is_left_to_it(self, contract_with: Build, sound: Windows) -> None:
        own = contract_with({"gates.data.max_missing": {"region": 0.4}})
        train, holdout = sound
        assert check("missingness_is_steady", (train, blanked(holdout, "region", PLACE % 3 == 0)), own).passed
        assert (
            check("missingness_within_limits", (train, blanked(holdout, "region", PLACE % 2 == 0)), own).outcome is Outcome.FAIL
        )


class TestCategories:
    def test_a_new_category_above_the_limit_fails_and_is_named(self, contract: Contract, sound: Windows) -> None:
        train, holdout = sound
        new = holdout.with_columns(region=pl.when(PLACE % 50 == 0).then(pl.lit("Île-de-France")).otherwise("region"))
        found = check("categories_are_known", (train, new), contract)
        assert (found.outcome, found.observed) == (Outcome.FAIL, pytest.approx(0.02))
        assert "region (Île-de-France)" in found.message
        assert found.evidence["columns_judged"] == [{"column": "region", "levels_in_training": 2}]
        rare = holdout.with_columns(region=pl.when(PLACE < 8).then(pl.lit("west")).otherwise("region"))
        assert check("categories_are_known", (train, rare), contract).passed

    def test_a_category_that_vanished_fails_and_is_named(self, contract: Contract, sound: Windows) -> None:
        train, holdout = sound
        found = check("categories_are_known", (train, holdout.filter(pl.col("region") == "north")), contract)
        assert found.outcome is Outcome.FAIL
        assert found.observed == pytest.approx((train["region"] == "south").mean())
        assert "no longer has in region (south)" in found.message

    def test_a_category_that_is_a_unit_of_either_window_is_told_by_its_name(self, contract: Contract, sound: Windows) -> None:
        train, holdout = sound
        unit = train[contract.source.unit][0]
        assert unit not in holdout[contract.source.unit]
        former = train.with_columns(region=pl.when(pl.col("region") == "south").then(pl.lit(unit)).otherwise("region"))
        found = check("categories_are_known", (former, holdout), contract)
        levels = {row["kind"]: row["levels"] for row in found.evidence["changes"]}
        assert levels == {"new": "south", "vanished": UNLINKABLE.of(unit)}

    def test_renamed_categories_are_both_new_and_vanished(self, contract: Contract, sound: Windows) -> None:
        train, holdout = sound
        found = check("categories_are_known", (train, holdout.with_columns(pl.col("region").str.to_uppercase())), contract)
        assert {row["kind"] for row in found.evidence["changes"]} == {"new", "vanished"}
        assert found.evidence["changes_over"] == 2

    def test_a_rare_category_may_stay_away(self, contract: Contract, sound: Windows) -> None:
        """2 % of training is above the limit of 1 %, but of 800 hold-out rows 16 are not enough to tell."""
        train, holdout = sound
        rare = train.with_columns(region=pl.when(PLACE % 50 == 0).then(pl.lit("islands")).otherwise("region"))
        assert check("categories_are_known", (rare, holdout), contract).passed

    def test_categories_that_training_saw_once_let_expect_new_ones(self, contract: Contract) -> None:
        """A long tail: each level once in training; new levels of the same tail are what such a column does."""
        draw = np.random.default_rng(2)
        train, holdout = windows(a_day=200)
        tail = np.minimum(draw.geometric(0.035, train.height + holdout.height), 190)
        train = train.with_columns(region=pl.Series(tail[: train.height]).cast(pl.String))
        holdout = holdout.with_columns(region=pl.Series(tail[train.height :]).cast(pl.String))
        strict = contract.model_copy(
            update={
                "gates": contract.gates.model_copy(
                    update={"data": contract.gates.data.model_copy(update={"max_new_categories": 0})}
                )
            }
        )
        found = check("categories_are_known", (train, holdout), strict)
        assert [row["kind"] for row in found.evidence["changes"]] == ["new"]
        assert found.passed

    def test_identifiers_and_free_text_are_not_categories(self, contract: Contract, sound: Windows) -> None:
        train, holdout = (frame.with_columns(note=pl.concat_str(pl.lit("n"), "parcel")) for frame in sound)
        found = check("categories_are_known", (train, holdout), contract)
        assert found.passed
        assert found.evidence["text_columns_not_judged"] == ["note"]

    @pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Enum(["north", "south", "west"])], ids=["categorical", "enum"])
    def test_categorical_and_enum_columns_are_judged_by_their_words(
        self, contract: Contract, sound: Windows, dtype: pl.DataType
    ) -> None:
        train, holdout = sound
        frames = (train.with_columns(pl.col("region").cast(dtype)), holdout.with_columns(region=pl.lit("west").cast(dtype)))
        found = check("categories_are_known", frames, contract)
        assert found.outcome is Outcome.FAIL
        assert "west" in found.message

    def test_a_column_of_nulls_is_no_category(self, contract: Contract, sound: Windows) -> None:
        train, holdout = (frame.with_columns(region=pl.lit(None, dtype=pl.String)) for frame in sound)
        found = check("categories_are_known", (train, holdout), contract)
        assert found.passed
        assert "nothing was judged" in found.message


class TestKnownInTime:
    def test_a_column_that_is_empty_on_the_youngest_rows_fails_and_is_named(
        self, contract: Contract, sound: Windows, young: pl.DataFrame
    ) -> None:
        late = LeftOut(too_young=young.with_columns(weight=pl.lit(None, dtype=pl.Float64)))
        found = check("columns_are_known_in_time", sound, contract, left_out=late)
        assert (found.outcome, found.observed) == (Outcome.FAIL, 1)
        assert "1 column empty until the label is known: weight" in found.message
        assert "100.0% of 60 rows (too young for a label)" in found.message

    def test_columns_that_are_filled_on_the_youngest_rows_pass(
        self, contract: Contract, sound: Windows, young: pl.DataFrame
    ) -> None:
        found = check("columns_are_known_in_time", sound, contract, left_out=LeftOut(too_young=young))
        assert found.passed
        assert "seen on 60 rows (too young for a label)" in found.message

    def test_a_declared_column_may_be_empty(self, contract: Contract, sound: Windows, young: pl.DataFrame) -> None:
        late = LeftOut(too_young=young.with_columns(delay=pl.lit(None, dtype=pl.Float64)))
        assert check("columns_are_known_in_time", sound, contract, left_out=late).passed

    def test_a_column_that_is_always_mostly_empty_passes(self, contract: Contract, sound: Windows, young: pl.DataFrame) -> None:
        frames = tuple(blanked(frame, "weight", PLACE % 50 != 0) for frame in sound)
        late = LeftOut(too_young=young.with_columns(weight=pl.lit(None, dtype=pl.Float64)))
        assert check("columns_are_known_in_time", frames, contract, left_out=late).passed

    def test_a_column_that_is_null_exactly_where_the_label_is_fails(self, contract: Contract, sound: Windows) -> None:
        never = sound[0].head(40).with_columns(late=pl.lit(None, dtype=pl.Boolean), region=pl.lit(None, dtype=pl.String))
        found = check("columns_are_known_in_time", sound, contract, left_out=LeftOut(unlabelled=never))
        assert found.outcome is Outcome.FAIL
        assert "label never came" in found.message

    def test_too_few_rows_pass_and_say_that_nothing_was_judged(
        self, contract: Contract, sound: Windows, young: pl.DataFrame
    ) -> None:
        late = LeftOut(too_young=young.head(29).with_columns(weight=pl.lit(None, dtype=pl.Float64)))
        found = check("columns_are_known_in_time", sound, contract, left_out=late)
        assert found.passed
        assert "could not tell" in found.message
        assert [pattern["judged"] for pattern in found.evidence["patterns"]] == [False, False]

    def test_young_rows_that_have_a_label_say_nothing(self, contract: Contract, sound: Windows, young: pl.DataFrame) -> None:
        """A source read months later is filled throughout: a column known late looks known in time."""
        backfilled = LeftOut(too_young=young.with_columns(late=pl.lit(True)))
        assert "could not tell" in check("columns_are_known_in_time", sound, contract, left_out=backfilled).message

    @pytest.mark.parametrize(("empty", "filled", "count"), [(1.0, 0.5, 30), (0.95, 0.8, 200), (0.96, 0.9, 500)])
    def test_the_chance_is_never_below_the_exact_binomial(self, empty: float, filled: float, count: int) -> None:
        exact = stats.binom.sf(np.ceil(empty * count) - 1, count, filled)
        assert exact <= _chance(empty, filled, count) <= 30 * exact
