"""A frame is routed as its rows would be one by one, whatever its size, its types and its moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain_assets.contract import RetrainError
from retrain_assets.routing import Reason, assign_frame, compile_rule
from retrain_assets.routing.batch import CHUNK

from .requests import attributes, cohort_shares, cohorts, expiries, salts, shares, stages, states, units

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)


def singly(rule, frame: pl.DataFrame, moments: list[datetime]) -> list[tuple[str, str]]:
    route = compile_rule(rule)
    rows = zip(frame.iter_rows(named=True), moments, strict=True)
    return [(one.arm, one.reason.value) for one in (route(row["unit"], row, now) for row, now in rows)]


def test_units_of_several_chunks_are_each_routed_as_alone(rule_of) -> None:
    ids = [f"Zoë {number}" if number % 9000 == 0 else f"unit {number}" for number in range(2 * CHUNK + 3)]
    frame = pl.DataFrame({"unit": [None, "", *ids]})
    rule = rule_of(share=0.5, stage="50", cohort_share=0.9)
    assigned = assign_frame(rule, frame, "unit", NOW)
    assert list(assigned.select("arm", "reason").iter_rows()) == singly(rule, frame, [NOW] * frame.height)
    assert assigned["reason"].value_counts().height == 3


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(units, attributes), min_size=1, max_size=20),
    cohorts,
    shares,
    cohort_shares,
    salts,
    stages,
    states,
    expiries,
)
def test_a_batch_gives_what_each_single_call_gives(
    rule_of, rows, cohort, share, cohort_share, salt, stage, state, expiry
) -> None:
    rule = rule_of(cohort=cohort, share=share, cohort_share=cohort_share, salt=salt, stage=stage, state=state, expires_at=expiry)
    frame = pl.DataFrame(
        {
            "unit": [None if unit is None else unit.encode("utf-8", "replace").decode() for unit, _ in rows],
            "origin": [str(facts["origin"]) if "origin" in facts else None for _, facts in rows],
            "distance": [facts["distance"] if isinstance(facts.get("distance"), float) else None for _, facts in rows],
            "tier": [facts["tier"] if isinstance(facts.get("tier"), bool) else None for _, facts in rows],
            "segments": [
                list(map(str, facts["segments"])) if isinstance(facts.get("segments"), list) else None for _, facts in rows
            ],
        },
        schema={
            "unit": pl.String,
            "origin": pl.String,
            "distance": pl.Float64,
            "tier": pl.Boolean,
            "segments": pl.List(pl.String),
        },
    )
    assigned = assign_frame(rule, frame, "unit", NOW)
    assert list(assigned.select("arm", "reason").iter_rows()) == singly(rule, frame, [NOW] * frame.height)
    assert assigned.drop("arm", "reason").equals(frame)


@pytest.mark.parametrize("kind", [pl.Int8, pl.UInt64, pl.Int128, pl.Categorical, pl.Null])
def test_units_of_any_kind_that_names_one_count_as_their_text(rule_of, kind) -> None:
    ids = {pl.Categorical: ["a", None, "b"], pl.Null: [None, None]}.get(kind, [7, None, 100])
    frame = pl.DataFrame({"unit": pl.Series(ids, dtype=kind)})
    rule = rule_of(share=0.5, stage="50", cohort_share=0.9)
    assigned = assign_frame(rule, frame, "unit", NOW)
    assert list(assigned.select("arm", "reason").iter_rows()) == singly(rule, frame, [NOW] * frame.height)
    assert assigned["unit"].dtype == kind


@pytest.mark.parametrize("salt", ["{}", "{0}", "%s", "a{}b:", ""])
def test_a_salt_is_never_read_as_a_pattern(rule_of, salt) -> None:
    frame = pl.DataFrame({"unit": [f"u{number}" for number in range(300)]})
    rule = rule_of(share=0.5, stage="50", salt=salt, cohort_share=0.5)
    assigned = assign_frame(rule, frame, "unit", NOW)
    assert list(assigned.select("arm", "reason").iter_rows()) == singly(rule, frame, [NOW] * frame.height)


def test_columns_named_as_the_answer_are_conditions_first_and_answers_after(rule_of) -> None:
    frame = pl.DataFrame({"unit": ["a", "b"], "arm": ["left", "right"], "reason": [1, 2]})
    rule = rule_of(share=1.0, stage="100", cohort={"arm": {"in": ["left"]}})
    assert assign_frame(rule, frame, "unit", NOW).rows() == [("a", "challenger", "ramp"), ("b", "champion", "cohort_excluded")]


def test_a_frame_without_the_columns_of_the_rule_is_refused(rule_of) -> None:
    rule = rule_of(cohort={"tier": {"in": ["gold"]}})
    with pytest.raises(RetrainError, match="column tier is missing"):
        assign_frame(rule, pl.DataFrame({"unit": ["a"]}), "unit", NOW)
    with pytest.raises(RetrainError, match="text or integers"):
        assign_frame(rule_of(), pl.DataFrame({"unit": [1.5]}), "unit", NOW)


def test_integer_units_count_as_their_decimal_text_and_each_row_may_have_its_own_time(rule_of) -> None:
    rule = rule_of(share=1.0, stage="100", expires_at=NOW)
    moments = pl.Series([NOW - timedelta(seconds=1), NOW]).dt.cast_time_unit("us")
    assigned = assign_frame(rule, pl.DataFrame({"unit": [17, 17]}), "unit", moments)
    assert assigned["arm"].to_list() == ["challenger", "champion"]
    assert assigned["reason"].to_list() == ["ramp", "expired"]


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
