"""Gate DATA on features: outcomes may be used once they are known, and not a moment earlier."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.contract import Contract, Outcome, RetrainError
from retrain_assets.gates import Availability, availability_probe
from retrain_assets.gates.features.availability import Dependence, features_are_known_in_time

DAY = timedelta(days=1)
HOURS = 2000


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """A parcel an hour, some at the same moment."""
    draw = np.random.default_rng(6)
    return pl.DataFrame(
        {
            "sent_at": [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour // 2 * 2) for hour in range(HOURS)],
            "region": draw.choice(["north", "south"], HOURS),
            "weight": draw.gamma(2.0, 2.0, HOURS),
            "delay": draw.normal(10, 5, HOURS),
            "late": draw.random(HOURS) < 0.3,
        }
    )


def plain(given: pl.DataFrame) -> pl.DataFrame:
    return given.select("weight", heavy=pl.col("weight") > 5)


def with_(**made: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda given: plain(given).with_columns(given.select(**made))


def history(given: pl.DataFrame, *, after: timedelta) -> pl.Series:
    """Share of late parcels so far, as known ``after`` the event."""
    known = given.select(known_at=pl.col("sent_at") + after, late=pl.col("late").cast(pl.Float64))
    known = (
        known.with_columns(pl.col("late").cum_sum() / pl.int_range(1, pl.len() + 1))
        .unique("known_at", keep="last")
        .sort("known_at")
    )
    asked = given.select(at=pl.col("sent_at") - timedelta(microseconds=1))
    return asked.join_asof(known.sort("known_at"), left_on="at", right_on="known_at")["late"].alias("rate")


def probe(build: Callable[[pl.DataFrame], pl.DataFrame], rows: pl.DataFrame, *, delay: timedelta = DAY) -> Availability:
    return availability_probe(build, rows, ["delay", "late"], event_time="sent_at", label_delay=delay)


def test_features_without_late_columns_know_nothing_early(rows: pl.DataFrame, contract: Contract) -> None:
    found = probe(plain, rows)
    assert {name: seen.changed + seen.by_history for name, seen in found.features.items()} == {"weight": 0, "heavy": 0}
    verdict = features_are_known_in_time(["weight", "heavy"], found, contract)
    assert (verdict.outcome, verdict.observed) == (Outcome.PASS, 0)


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(hours=5), DAY, timedelta(days=400)])
@pytest.mark.parametrize(
    ("made", "whose"),
    [
        (pl.col("delay"), "its own row's outcome"),
        (pl.col("delay").fill_null(0) > 12, "its own row's outcome"),
        (pl.col("late").fill_null(False), "its own row's outcome"),
        (pl.col("late").is_null(), "its own row's outcome"),
        (pl.col("late").cast(pl.Float64).mean().over("region"), "outcomes of other rows"),
        (pl.col("late").shift(-1), "outcomes of other rows"),
    ],
    ids=["late column", "truth value of it", "label", "null pattern", "target encoding", "next row"],
)
def test_an_outcome_that_is_not_known_yet_is_found_and_its_owner_named(
    rows: pl.DataFrame, contract: Contract, delay: timedelta, made: pl.Expr, whose: str
) -> None:
    found = probe(with_(leak=made), rows, delay=delay)
    assert found.features["weight"].changed == 0
    assert found.features["leak"].changed > 0
    verdict = features_are_known_in_time(["weight", "heavy", "leak"], found, contract)
    assert verdict.outcome is Outcome.FAIL
    assert f"leak ({found.features['leak'].changed:,} row" in verdict.message
    assert whose in verdict.message


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(hours=5), DAY, timedelta(days=10)])
def test_history_that_was_known_by_then_passes_and_is_told(rows: pl.DataFrame, contract: Contract, delay: timedelta) -> None:
    found = probe(lambda given: plain(given).with_columns(history(given, after=delay)), rows, delay=delay)
    assert found.features["rate"].changed == 0
    assert found.features["rate"].by_history > 0
    verdict = features_are_known_in_time(["weight", "heavy", "rate"], found, contract)
    assert verdict.passed
    assert "rate use what was known by then" in verdict.message


def test_history_that_is_used_before_it_is_known_fails(rows: pl.DataFrame) -> None:
    found = probe(lambda given: plain(given).with_columns(history(given, after=timedelta(hours=6))), rows, delay=DAY)
    assert found.features["rate"].changed > 0


def test_a_leak_beside_honest_history_is_not_covered_by_it(rows: pl.DataFrame) -> None:
    def build(given: pl.DataFrame) -> pl.DataFrame:
        return plain(given).with_columns(history(given, after=DAY), leak=given["delay"].fill_null(0) > 18)

    found = probe(build, rows)
    assert (found.features["rate"].changed, found.features["leak"].changed > 0) == (0, True)


@pytest.mark.parametrize(
    "label",
    [
        pl.col("delay"),
        pl.col("delay").cast(pl.Int32),
        pl.when(pl.col("delay") > 12)
        .then(pl.lit("late"))
        .when(pl.col("delay") > 8)
        .then(pl.lit("fair"))
        .otherwise(pl.lit("early")),
        pl.col("late").cast(pl.Int8),
        pl.col("delay").cast(pl.Decimal(10, 2)),
        pl.date(2024, 1, 1) + pl.duration(days=pl.col("delay").cast(pl.Int32)),
    ],
    ids=["number", "whole number", "class", "0 and 1", "decimal", "date"],
)
def test_labels_of_every_task_are_taken_away(rows: pl.DataFrame, label: pl.Expr) -> None:
    found = probe(with_(leak=pl.col("late").rank("dense")), rows.with_columns(late=label))
    assert found.features["leak"].changed > 0
    assert found.features["weight"].changed == 0


def test_a_function_that_fails_without_an_outcome_is_named_with_it(rows: pl.DataFrame, contract: Contract) -> None:
    def needy(given: pl.DataFrame) -> pl.DataFrame:
        if given["delay"].null_count():
            raise RetrainError("delay has nulls")
        return plain(given)

    found = probe(needy, rows)
    assert found.fails_without == ["delay"]
    verdict = features_are_known_in_time(["weight", "heavy"], found, contract)
    assert verdict.outcome is Outcome.FAIL
    assert "the function fails without delay" in verdict.message


def test_a_function_that_fails_only_without_several_columns_names_all_of_them(rows: pl.DataFrame) -> None:
    def either(given: pl.DataFrame) -> pl.DataFrame:
        if given["delay"].null_count() and given["late"].null_count():
            raise ValueError("nothing left")
        return plain(given)

    assert probe(either, rows).fails_without == ["delay and late"]


def test_a_fault_on_the_rows_as_they_are_is_the_teams_own_and_is_raised(rows: pl.DataFrame) -> None:
    def broken(given: pl.DataFrame) -> pl.DataFrame:
        raise ValueError("never worked")

    with pytest.raises(ValueError, match="never worked"):
        probe(broken, rows)


def test_a_feature_that_vanishes_without_outcomes_changed_in_every_row(rows: pl.DataFrame) -> None:
    def dropping(given: pl.DataFrame) -> pl.DataFrame:
        return plain(given).drop("heavy") if given["delay"].null_count() else plain(given)

    found = probe(dropping, rows)
    assert found.features["heavy"].changed > 0
    assert found.features["weight"].changed == 0


def test_the_last_bits_of_a_number_and_nan_for_null_are_no_change(rows: pl.DataFrame) -> None:
    def unsteady(given: pl.DataFrame) -> pl.DataFrame:
        made = plain(given).with_columns(gap=pl.lit(None, dtype=pl.Float64), endless=pl.lit(float("-inf")))
        if given["delay"].null_count():
            return made.with_columns(pl.col("weight") * (1 + 1e-13), gap=pl.lit(float("nan")))
        return made

    assert {seen.changed for seen in probe(unsteady, rows).features.values()} == {0}


def test_the_function_is_called_at_most_eleven_times_on_two_thousand_rows(rows: pl.DataFrame) -> None:
    seen: list[int] = []

    def counting(given: pl.DataFrame) -> pl.DataFrame:
        seen.append(given.height)
        return plain(given).with_columns(history(given, after=DAY), leak=given["late"].cast(pl.Float64).mean())

    probe(counting, pl.concat([rows] * 5))
    assert len(seen) <= 12
    assert max(seen) <= 1000


@pytest.mark.parametrize(
    "moment",
    [pl.col("sent_at").dt.date(), pl.col("sent_at").dt.replace_time_zone(None), pl.col("sent_at").dt.cast_time_unit("ns")],
)
def test_event_times_of_any_type_order_the_rows(rows: pl.DataFrame, moment: pl.Expr) -> None:
    found = probe(with_(leak=pl.col("late")), rows.with_columns(sent_at=moment).sample(fraction=1.0, shuffle=True, seed=1))
    assert found.features["leak"].changed > 0
    assert found.features["weight"].changed == 0


def test_without_rows_nothing_was_probed_and_nothing_passes(rows: pl.DataFrame, contract: Contract) -> None:
    for empty in (rows.clear(), rows.with_columns(sent_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")))):
        found = probe(plain, empty)
        assert features_are_known_in_time(["weight", "heavy"], found, contract).outcome is Outcome.NO_DATA


def test_a_single_row_is_probed_too(rows: pl.DataFrame) -> None:
    assert probe(with_(leak=pl.col("late")), rows.head(1)).features["leak"].changed == 1


def test_the_evidence_names_every_feature_worst_first(rows: pl.DataFrame, contract: Contract) -> None:
    found = Availability(10, {"a": Dependence(10, 0, 0, 3), "b": Dependence(10, 4), "c": Dependence(10)})
    verdict = features_are_known_in_time(["a", "b", "c"], found, contract)
    assert [row["feature"] for row in verdict.evidence["features"]] == ["b", "a", "c"]
    assert [row["uses"] for row in verdict.evidence["features"]] == ["its own row's outcome", "known history", "nothing late"]
    assert verdict.evidence["leaking"] == 1


def test_a_date_as_late_column_is_exchanged_and_blanked(rows: pl.DataFrame) -> None:
    dated = rows.with_columns(delay=pl.lit(date(2024, 1, 1)) + pl.duration(days=pl.int_range(pl.len()) % 7))
    found = probe(with_(leak=pl.col("delay").dt.weekday()), dated)
    assert found.features["leak"].changed > 0


def test_a_dependence_that_blanking_hides_is_found_by_exchanged_values(rows: pl.DataFrame) -> None:
    def careful(given: pl.DataFrame) -> pl.DataFrame:
        known = given["late"] if given["late"].null_count() == 0 else pl.Series([None] * given.height, dtype=pl.Boolean)
        return plain(given).with_columns(leak=known if known.null_count() == 0 else rows_as_they_were(given))

    originals: dict[Any, bool] = dict(zip(rows["weight"], rows["late"], strict=True))

    def rows_as_they_were(given: pl.DataFrame) -> pl.Series:
        return pl.Series([originals[weight] for weight in given["weight"]])

    assert probe(careful, rows).features["leak"].changed > 0
