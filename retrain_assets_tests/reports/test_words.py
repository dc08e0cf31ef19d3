"""How numbers, times and names read."""

from __future__ import annotations

import pytest

from retrain_assets.reports import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "—"), (81234, "81,234"), (-0.00886, "−0.00886"), (0.123456, "0.1235"), (1e-9, "1e−09"), (0.0, "0"), ("abc", "abc")],
)
def test_numbers_have_four_digits_and_a_true_minus(value: float | str | None, text: str) -> None:
    assert words.number(value) == text


def test_changes_carry_sign_and_interval() -> None:
    assert words.change(-0.0743, -0.116, -0.032, relative=True) == "−7.4 % [−11.6 %, −3.2 %]"
    assert words.change(0.0, -0.005, 0.003, relative=False) == "+0 [−0.005, +0.003]"
    assert words.change(None, None, None, relative=True) == "—"


def test_times_are_utc() -> None:
    assert words.moment("2013-07-01T08:00:00+02:00") == "2013-07-01 06:00 UTC"
    assert words.moment("2013-07-01T06:00:05.250000+00:00") == "2013-07-01 06:00:05 UTC"
    assert words.day("2013-07-01T01:00:00+02:00") == "2013-06-30"


@pytest.mark.parametrize(
    ("end", "text"),
    [("01T00:00:30", "30 seconds"), ("01T00:30:00", "30 minutes"), ("02T00:00:00", "24 hours"), ("06T02:24:00", "5.1 days")],
)
def test_lengths_choose_their_unit(end: str, text: str) -> None:
    assert words.lasted("2013-07-01T00:00:00+00:00", f"2013-07-{end}+00:00") == text


def test_actors_stages_and_sentences() -> None:
    assert (words.actor("person:ann@example.org"), words.actor("system:retrain_assets"), words.actor(None)) == (
        "ann@example.org",
        "the system",
        "—",
    )
    assert (words.stage("shadow"), words.stage("12.5"), words.stage(None)) == ("shadow", "12.5 %", "—")
    assert (words.sentence("cost falls"), words.sentence("roc_auc is low")) == ("Cost falls", "roc_auc is low")
