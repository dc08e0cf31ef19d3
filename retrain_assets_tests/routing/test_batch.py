"""A frame is routed as its rows would be one by one, whatever its size, its types and its moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from retrain_assets.contract import RetrainError
from retrain_assets.routing import Reason, assign_frame, compile_rule
from retrain_assets.routing.batch import CHUNK

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)


def singly(rule, frame: pl.DataFrame, moments: list[datetime]) -> list[tuple[str, str]]:
    route = compile_rule(rule)
    rows = zip(frame.iter_rows(named=True), moments, strict=True)
    return [(one.arm, one.reason.value) for one in (route(row["unit"], row, now) for row, now in rows)]


def test_units_of_several_chunks_are_each_routed_as_alone(rule_of) -> None:
    ids = [f"Zoë {number}" if number % 9000 == 0 else f"unit {number}" for number in range(2 * CHUNK + 3)]
    frame = pl.DataFrame({"unit": [None, "", *ids]})
    rule = rule_of(share=0.5, stage="50")
    assigned = assign_frame(rule, frame, "unit", NOW)
    assert list(assigned.select("arm", "reason").iter_rows()) == singly(rule, frame, [NOW] * frame.height)
    assert assigned["reason"].value_counts().height == 2


@pytest.mark.parametrize(
    "condition",
    [
        {"at_least": 2},
        {"below": 2.5},
        {"at_least": 1, "below": 3},
        {"in": [1.0, True]},
        {"not_in": [2.0]},
        {"at_least": -1e300},
        {"below": 1e300, "not_in": []},
        {"in": ["2"]},
    ],
)
@pytest.mark.parametrize(
    "values",
    [
        pl.Series([0.5, 1.0, 2.0, 2.5, float("nan"), float("inf"), float("-inf"), None]),
        pl.Series([0.5, 1.0, 2.5, None], dtype=pl.Float32),
        pl.Series([0, 1, 2, 3, None]),
        pl.Series([True, False, None]),
        pl.Series(["1", "2", "", None]),
        pl.Series(["1", "2", None], dtype=pl.Categorical),
        pl.Series([None, None]),
        pl.Series([datetime(2013, 7, 1), None]),  # noqa: DTZ001 (a type no condition speaks of)
    ],
    ids=lambda values: str(values.dtype),
)
def test_a_condition_holds_for_a_column_where_it_holds_for_each_value(rule_of, condition, values) -> None:
    rule = rule_of(share=0.5, stage="50", cohort={"tier": condition})
    frame = pl.DataFrame({"unit": [f"u{number}" for number in range(len(values))], "tier": values})
    assigned = assign_frame(rule, frame, "unit", NOW)
    assert list(assigned.select("arm", "reason").iter_rows()) == singly(rule, frame, [NOW] * frame.height)


@pytest.mark.parametrize("precision", ["ms", "us", "ns"])
def test_each_row_is_routed_at_its_own_moment(rule_of, precision) -> None:
    rule = rule_of(share=1.0, expires_at=NOW + timedelta(microseconds=500_000))
    moments = pl.Series([NOW - timedelta(seconds=1), NOW - timedelta(milliseconds=1), NOW, NOW + timedelta(days=1)])
    frame = pl.DataFrame({"unit": ["a", "b", "c", "d"]})
    assigned = assign_frame(rule, frame, "unit", moments.dt.cast_time_unit(precision).dt.convert_time_zone("America/New_York"))
    assert list(assigned.select("arm", "reason").iter_rows()) == singly(rule, frame, moments.to_list())
    assert assigned["reason"].to_list() == [Reason.RAMP, Reason.RAMP, Reason.EXPIRED, Reason.EXPIRED]


def test_a_time_without_a_zone_is_refused_for_one_unit_and_for_many(rule_of) -> None:
    naive = NOW.replace(tzinfo=None)
    frame = pl.DataFrame({"unit": ["a"]})
    for rule in (rule_of(), rule_of(expires_at=NOW)):
        with pytest.raises(RetrainError, match="time zone"):
            compile_rule(rule)("a", {}, naive)
        with pytest.raises(RetrainError, match="time zone"):
            assign_frame(rule, frame, "unit", naive)
        for moments in (pl.Series([naive]), pl.Series([None], dtype=pl.Datetime("us", "UTC"))):
            with pytest.raises(RetrainError, match="moments of type"):
                assign_frame(rule, frame, "unit", moments)


def test_a_frame_without_rows_gets_its_columns(rule_of) -> None:
    frame = pl.DataFrame({"unit": []}, schema={"unit": pl.String})
    for rule in (rule_of(), rule_of(state="rolled_back")):
        assigned = assign_frame(rule, frame, "unit", NOW)
        assert assigned.schema == {"unit": pl.String, "arm": pl.String, "reason": pl.String}
        assert assigned.height == 0
