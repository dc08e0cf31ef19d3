"""What a person reads on a check's or an asset's page: the worst first, few digits, no empty columns, plain moments."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from retrain_assets.assets.faces import check_result, evidence_metadata, gate_metadata, significant, table
from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.reports.reading import readable


def verdict(check: str, outcome: Outcome, message: str = "as it should be") -> Verdict:
    return Verdict(Gate.DATA, check, outcome, message, observed=0.123456789, threshold=0.1)


def names(value: Any) -> list[str]:
    assert isinstance(value, dg.TableMetadataValue)
    return [column.name for column in value.schema.columns]


def test_the_page_of_a_gate_says_first_which_checks_keep_it_closed_and_who_acts() -> None:
    verdicts = [
        verdict("holds", Outcome.PASS),
        verdict("unclear", Outcome.INCONCLUSIVE),
        verdict("broken", Outcome.FAIL),
        verdict("crashed", Outcome.ERROR),
    ]
    shown = gate_metadata(verdicts, owner="team:data", fallback="block the retrain")
    assert list(shown) == ["verdict", "owner", "fallback", "gate"]
    assert shown["verdict"] == "3 of 4 checks do not hold"
    assert (shown["owner"], shown["fallback"]) == ("team:data", "block the retrain")
    assert [record.data["check"] for record in shown["gate"].records] == ["crashed", "broken", "unclear", "holds"]
    assert names(shown["gate"]) == ["check", "outcome", "message"], "value and limit are in the message, and the page is not cut"
    assert gate_metadata(verdicts[:1], owner="team:data", fallback="block")["verdict"] == "all 1 checks hold"


def test_columns_without_any_value_are_left_out_and_heads_are_words() -> None:
    shown = table([{"rows_of": "all", "p_value": None, "share": 0.25}, {"rows_of": "EWR", "p_value": None, "share": None}])
    assert names(shown) == ["rows of", "share"]
    assert shown.value.records[1].data == {"rows of": "EWR", "share": None}  # type: ignore[union-attr]


def test_a_list_of_names_and_values_begins_with_the_names() -> None:
    assert names(evidence_metadata({"kinds": {"carrier": "categorical", "temp": "numeric"}})["kinds"]) == ["name", "value"]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (0.6278529460615663, 0.6279),
        (1018.4444, 1018.0),
        (-0.0, 0.0),
        (81629.0, 81629.0),
        (123456.78, 123456.8),
        (5.6637e-48, 5.664e-48),
        (0.0, 0.0),
    ],
)
def test_numbers_keep_what_a_person_can_use(value: float, read: float) -> None:
    assert significant(value, 4) == read


def test_a_count_in_a_column_of_fractions_is_exact_and_a_tiny_probability_is_not_zero() -> None:
    shown = table([{"rows": 1234567, "p": 1e-12}, {"rows": 0.5, "p": None}])
    assert [record.data["rows"] for record in shown.value.records] == [1234567, 0.5]  # type: ignore[union-attr]
    assert shown.value.records[0].data["p"] == 1e-12  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("21 h from 2013-12-08T13:00:00+00:00 on", "21 h from 2013-12-08 13:00 UTC on"),
        ("2013-12-08 13:00:07.25+00:00", "2013-12-08 13:00:07 UTC"),
        ("2013-05-06T00:00:00Z", "2013-05-06"),
        ("2013-05-06T00:00:00+02:00", "2013-05-06T00:00:00+02:00"),
        ("2013-12-05|US|1895|EWR", "2013-12-05|US|1895|EWR"),
    ],
)
def test_moments_are_written_as_people_write_them(written: str, read: str) -> None:
    assert readable(written) == read


def test_a_check_shows_its_value_without_a_tail_of_digits() -> None:
    failed = verdict("fresh", Outcome.FAIL, "silent since 2013-12-08T13:00:00+00:00")
    result = check_result(failed, asset=dg.AssetKey(["m", "dataset"]), owner="team:data", fallback="block the retrain")
    assert result.metadata["observed"].value == 0.123457
    assert result.metadata["owner"].value == "team:data"
    assert result.description == "silent since 2013-12-08 13:00 UTC"
