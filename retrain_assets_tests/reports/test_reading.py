"""Evidence as a person reads it: columns in order although its record has them sorted, and slices with their whole names."""

from __future__ import annotations

from typing import Any

import pytest

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.reports.evaluation_plots import slice_plot
from retrain_assets.reports.page import cell, evidence_parts
from retrain_assets.reports.reading import worst_first


def test_a_table_of_sorted_keys_reads_from_name_over_finding_to_limit() -> None:
    recorded = {"limits": [{"by_chance": 0.01, "limit": 0.08, "limit_of": "bias", "observed": 0.1, "outcome": "fail", "p": None}]}
    (table,) = evidence_parts(recorded)
    assert table["columns"] == ["limit_of", "outcome", "observed", "limit", "by_chance"]


def test_what_keeps_a_gate_closed_comes_first_and_the_rest_stays_in_order() -> None:
    given = [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.PASS, Outcome.ERROR, Outcome.NO_DATA, Outcome.FAIL]
    verdicts = [Verdict(Gate.DATA, f"check_{place}", outcome, "found") for place, outcome in enumerate(given)]
    assert [verdict.check[-1] for verdict in worst_first(verdicts)] == ["4", "2", "6", "5", "1", "0", "3"]


def test_a_message_in_a_cell_has_its_moments_in_words() -> None:
    assert cell("silent since 2013-12-08T13:00:00+00:00, two days") == "silent since 2013-12-08 13:00 UTC, two days"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("origin & carrier=LGA & AA", "origin=LGA, carrier=AA"),
        ("carrier=(none)", "carrier=(none)"),
        ("shop & brand=Marks & Spencer & Own", "shop &amp; brand=Marks &amp; Spencer &amp; Own"),
        ("merchant_category=" + "x" * 60, "merchant_category=" + "x" * 21 + "…"),
    ],
)
def test_the_label_of_a_slice_fits_left_of_its_plot(name: str, label: str) -> None:
    row: dict[str, Any] = {"slice": name, "judged": True, "worse_by": 0.01, "worse_by_at_least": 0.0, "worse_by_at_most": 0.02}
    drawn = str(slice_plot({"margin": 0.03, "rows": [row]}))
    assert f">{label}<" in drawn
    at = float(drawn.split(f">{label}<")[0].rsplit(' x="', 1)[1].split('"')[0])
    assert at >= 6.0 * len(label.replace("&amp;", "&")), "its end is far enough from the left edge"
