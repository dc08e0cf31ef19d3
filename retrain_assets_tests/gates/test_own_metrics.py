"""A metric of the team's own is compared as the shipped ones are: by the same numbers where it gives a value a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from retrain_assets.gates.offline.comparison import Pair
from retrain_assets.gates.offline.own_comparison import OwnPair
from retrain_assets.gates.offline.own_metrics import LabelledRows, MetricFault, OwnMeasure
from retrain_assets.gates.offline.slice_members import SliceMembers

ROWS = 1200


def squared_error(labels: Any, scores: Any) -> Any:
    """The Brier score, a value a row."""
    return (scores - labels) ** 2


def share_right(labels: Any, decisions: Any) -> float:
    """The accuracy, one number."""
    return float((decisions == labels).mean())


def by_weight(labels: Any, decisions: Any, rows: Any) -> float | None:
    weight = rows["weight"].to_numpy()
    return float(weight[decisions == labels].sum() / weight.sum()) if len(weight) else None


def measure(function: Callable[..., Any], *takes: str, lower_is_better: bool = False, **parameters: Any) -> OwnMeasure:
    return OwnMeasure("own", function, frozenset(takes), parameters, lower_is_better)


def pair_of(units: Any = None, rows: int = ROWS) -> Pair:
    draw = np.random.default_rng(5)
    truth = draw.random(rows)
    labels = (draw.random(rows) < truth).astype(float)
    candidate, champion = np.clip(truth + draw.normal(0, 0.1, rows), 0, 1), np.clip(truth + draw.normal(0, 0.25, rows), 0, 1)
    return Pair(labels, candidate, champion, units, 0.95, 0.5, 7, 1000)


def own_pair(pair: Pair, one: OwnMeasure) -> OwnPair:
    weight = np.random.default_rng(9).gamma(2.0, 2.0, len(pair.labels))
    return OwnPair(one, LabelledRows(pair.labels, pl.DataFrame({"weight": weight}), "binary_classification", 0.5), pair)


def members(rows: int = ROWS) -> list[SliceMembers]:
    half = rows // 2
    return [
        SliceMembers("depot", "north", np.arange(half), judged=True),
        SliceMembers("depot", "south", np.arange(half, rows), judged=True),
        SliceMembers("depot", "one", np.array([3]), judged=False),
    ]


@pytest.mark.parametrize("units", [None, np.arange(ROWS) // 3, np.arange(ROWS) // 40])
def test_a_metric_of_values_a_row_has_the_very_numbers_of_the_shipped_one(units: Any) -> None:
    pair = pair_of(units)
    own = own_pair(pair, measure(squared_error, "labels", "scores", lower_is_better=True))
    shipped = pair.compared("brier_score")
    assert replace(own.compared(), metric="brier_score") == shipped
    assert shipped.improvement.estimate is not None
    assert shipped.improvement.estimate > 0
    slices = [replace(one, comparison=replace(one.comparison, metric="brier_score")) for one in own.slices(members())]
    assert tuple(slices) == pair.slices("brier_score", members())


@pytest.mark.parametrize("units", [None, np.arange(ROWS) // 3])
def test_a_metric_of_one_number_is_resampled_as_the_shipped_one_is(units: Any) -> None:
    pair = pair_of(units)
    own, shipped = own_pair(pair, measure(share_right, "labels", "decisions")).compared(), pair.compared("accuracy")
    assert replace(own, metric="accuracy", improvement=shipped.improvement) == shipped
    found, known = own.improvement, shipped.improvement
    assert (found.estimate, found.lower, found.upper) == pytest.approx((known.estimate, known.lower, known.upper), abs=1e-12)


def test_slices_and_few_units_of_one_number_are_jackknifed_near_the_shipped_bounds() -> None:
    pair = pair_of()
    own, shipped = own_pair(pair, measure(share_right, "labels", "decisions")), pair.slices("accuracy", members())
    for mine, known in zip(own.slices(members())[:2], shipped[:2], strict=True):
        assert mine.comparison.improvement.estimate == pytest.approx(known.comparison.improvement.estimate)
        for bound in ("lower", "upper"):
            gap = getattr(mine.comparison.improvement, bound) - getattr(known.comparison.improvement, bound)
            assert abs(gap) < 0.01
        assert mine.adjusted_p_value == pytest.approx(known.adjusted_p_value, abs=0.1)
    few = pair_of(np.arange(ROWS) // 40)
    clustered, known = own_pair(few, measure(share_right, "labels", "decisions")).compared(), few.compared("accuracy")
    assert clustered.method == "jackknife, by unit"
    assert clustered.improvement.lower == pytest.approx(known.improvement.lower, abs=0.003)


def test_a_ratio_of_the_rows_own_columns_has_bounds_around_its_estimate() -> None:
    found = own_pair(pair_of(), measure(by_weight, "labels", "decisions", "rows")).compared()
    assert found.method == "paired bootstrap, 1,000 resamples"
    assert found.improvement.lower < found.improvement.estimate < found.improvement.upper  # type: ignore[operator]


def test_smaller_is_better_where_the_contract_says_so() -> None:
    pair = pair_of()
    rises = own_pair(pair, measure(share_right, "labels", "decisions")).compared().improvement.estimate
    falls = own_pair(pair, measure(share_right, "labels", "decisions", lower_is_better=True)).compared().improvement.estimate
    assert rises is not None
    assert falls == -rises


def test_without_a_champion_there_is_a_value_and_nothing_is_compared() -> None:
    alone = replace(pair_of(), champion=None)
    for function, takes in ((squared_error, ("labels", "scores")), (share_right, ("labels", "decisions"))):
        own = own_pair(alone, measure(function, *takes))
        found = own.compared()
        assert found.candidate is not None
        assert (found.champion, found.improvement.estimate) == (None, None)
        assert [one.adjusted_p_value for one in own.slices(members())] == [None, None, None]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (lambda labels: "good", "returned str; return one number, or one number for each row"),
        (lambda labels: True, "returned bool"),
        (lambda labels: float("nan"), "returned nan; return None where the metric is undefined"),
        (
            lambda labels: labels[:3],
            f"returned an array of float64 of shape (3,); return one number, or one number for each of {ROWS} rows",
        ),
        (lambda labels: np.where(labels > 0, np.inf, 1.0), "returned no finite number for "),
        (lambda labels: labels / labels.item(), "raised ValueError"),
        (lambda labels: labels.sort(), "raised ValueError: sort array is read-only"),
    ],
)
def test_an_answer_that_is_no_metric_is_a_fault_that_names_function_and_line(said: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(MetricFault) as caught:
        own_pair(pair_of(), measure(said, "labels")).compared()
    assert words in str(caught.value)
    assert "(test_own_metrics.py:" in str(caught.value)


def test_a_metric_that_is_undefined_is_none() -> None:
    found = own_pair(pair_of(), measure(lambda labels: None, "labels")).compared()
    assert (found.candidate, found.improvement.estimate) == (None, None)


def test_one_number_for_one_model_and_many_for_the_other_is_a_fault() -> None:
    pair = pair_of()

    def turncoat(scores: Any) -> Any:
        return scores if scores[0] == pair.candidate[0] else float(scores.mean())

    with pytest.raises(MetricFault, match="one number for one model and a number a row for the other"):
        own_pair(pair, measure(turncoat, "scores")).compared()
