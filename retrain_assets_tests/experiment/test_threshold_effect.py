"""What an effect would have been at another decision threshold."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from retrain_assets.experiment.loss.threshold_effect import (
    DecidedRows,
    Reestimate,
    Rule,
    ThresholdEffect,
    reestimate,
    threshold_of_probability,
    threshold_of_share,
)


def requests(seed: int, *, n: int = 4000, theirs: float = 0.15, moved: float = 0.35, of_unit: float = 3.0) -> DecidedRows:
    """Two stages, two requests a unit, one model for both arms; the challenger acts at ``theirs``, the champion at 0.35.

    An action costs 10, a positive label without one 30; stages and units have costs of their own.
    """
    rng = np.random.default_rng(seed)
    unit, stratum = np.arange(n) // 2, np.repeat(rng.integers(0, 2, n // 2), 2)
    challenger = np.repeat(rng.random(n // 2) < np.where(stratum[::2] == 0, 0.2, 0.5), 2)
    probability = rng.beta(2, 5, n)
    label = rng.random(n) < probability
    decision = probability >= np.where(challenger, theirs, 0.35)
    outcome = np.where(decision, 10.0, np.where(label, 30.0, 0.0)) + 5 * stratum + np.repeat(rng.normal(0, of_unit, n // 2), 2)
    return DecidedRows(stratum + 4, unit, challenger, label, decision, probability >= moved, outcome)


def found(rows: DecidedRows) -> Reestimate:
    result = reestimate(rows)
    assert isinstance(result, Reestimate), result
    return result


def test_a_model_that_only_decides_at_the_wrong_threshold_has_no_effect_at_the_right_one() -> None:
    result = found(requests(3))
    assert result.effect > 4 * result.effect_error
    assert abs(result.rechosen_effect) < 3 * result.rechosen_error
    assert result.change == pytest.approx(result.rechosen_effect - result.effect)
    assert result.changed > 0


def test_standard_errors_are_the_spread_over_repeated_experiments() -> None:
    """Requests of one unit share most of their cost, and the challenger acts on nearly all: what its other decision would have
    cost is known from the champion's requests alone."""
    many = [found(requests(seed, n=2000, theirs=0.02, of_unit=15.0)) for seed in range(300)]
    for value, error in (("effect", "effect_error"), ("rechosen_effect", "rechosen_error"), ("change", "change_error")):
        spread = np.std([getattr(one, value) for one in many])
        assert np.mean([getattr(one, error) for one in many]) == pytest.approx(spread, rel=0.12)


def test_the_effect_before_is_the_stratified_difference_of_means() -> None:
    rows = requests(5)
    by_stage, weights = [], []
    for stage in np.unique(rows.stratum):
        arms = [(rows.stratum == stage) & (rows.challenger == arm) for arm in (False, True)]
        units = [len(np.unique(rows.unit[arm])) for arm in arms]
        by_stage.append(rows.outcome[arms[1]].mean() - rows.outcome[arms[0]].mean())
        weights.append(units[0] * units[1] / sum(units))
    assert found(rows).effect == pytest.approx(np.average(by_stage, weights=weights))


def test_the_same_threshold_changes_nothing() -> None:
    rows = requests(7)
    result = found(replace(rows, moved=rows.decision))
    assert (result.change, result.change_error, result.changed) == (0.0, 0.0, 0)
    assert result.rechosen_error == pytest.approx(result.effect_error)


def test_the_champions_requests_keep_their_decision() -> None:
    rows = requests(7)
    other = replace(rows, moved=np.where(rows.challenger, rows.moved, ~rows.moved))
    assert found(other) == found(rows)


def test_an_outcome_nobody_has_seen_is_not_invented() -> None:
    """Where no request shows what a positive decision on a positive label costs, the re-chosen effect is not said."""
    rows = requests(9)
    keep = ~(rows.label & rows.decision)
    some = DecidedRows(*(getattr(rows, name)[keep] for name in DecidedRows.__slots__))
    said = reestimate(replace(some, moved=some.label | some.decision))
    assert isinstance(said, str)
    assert "positive decision on a positive label" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: replace(rows, outcome=np.full(len(rows.outcome), np.nan)),
        lambda rows: replace(rows, outcome=np.full(len(rows.outcome), np.inf)),
        lambda rows: replace(rows, challenger=np.zeros(len(rows.unit), dtype=bool)),
        lambda rows: replace(rows, challenger=np.ones(len(rows.unit), dtype=bool)),
        lambda rows: replace(rows, unit=np.zeros(len(rows.unit), dtype=np.int64)),
        lambda rows: DecidedRows(*(getattr(rows, name)[:0] for name in DecidedRows.__slots__)),
    ],
    ids=["all missing", "all infinite", "no challenger", "no champion", "one unit", "no rows"],
)
def test_rows_that_say_nothing_give_a_reason_instead_of_a_number(change) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(reestimate(change(requests(1, n=200))), str)


def test_missing_outcomes_are_left_out_and_nothing_else() -> None:
    rows = requests(2)
    holes = rows.outcome.copy()
    holes[::7] = np.nan
    kept = ~np.isnan(holes)
    fewer = DecidedRows(*(getattr(rows, name)[kept] for name in DecidedRows.__slots__))
    assert found(replace(rows, outcome=holes)) == found(fewer)


def test_the_threshold_of_the_champions_calibration_means_the_same_probability() -> None:
    """The champion's scores are too high by 0.5 on the logit, the challenger's too extreme by a factor of two."""
    threshold = threshold_of_probability((-0.5, 1.0), 0.4, (0.2, 0.5))
    assert threshold is not None

    def meant(intercept: float, slope: float, score: float) -> float:
        return 1 / (1 + math.exp(-(intercept + slope * math.log(score / (1 - score)))))

    assert meant(0.2, 0.5, threshold) == pytest.approx(meant(-0.5, 1.0, 0.4))
    assert threshold_of_probability((0.0, 1.0), 0.3, (0.0, 1.0)) == pytest.approx(0.3)


@pytest.mark.parametrize("fit", [(0.0, 0.0), (0.0, -1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_scores_that_mean_nothing_have_no_such_threshold(fit: tuple[float, float]) -> None:
    assert threshold_of_probability(fit, 0.3, (0.0, 1.0)) is None
    assert threshold_of_probability((0.0, 1.0), 0.3, fit) is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.37, 0.9, 1.0])
def test_the_threshold_of_a_share_decides_on_that_share(share: float) -> None:
    scores = np.random.default_rng(3).random(1000)
    threshold = threshold_of_share(scores, np.ones(1000), share)
    assert np.mean(scores >= threshold) == pytest.approx(share, abs=0.001)


def test_ties_come_as_near_to_the_share_as_they_can() -> None:
    scores = np.repeat([0.2, 0.5, 0.9], [50, 30, 20])
    assert np.mean(scores >= threshold_of_share(scores, np.ones(100), 0.45)) == 0.5
    assert threshold_of_share(np.full(10, 0.4), np.ones(10), 0.3) > 0.4  # nobody is nearer to 30 % than everybody


def test_an_effect_is_stored_and_read_back() -> None:
    one = ThresholdEffect(
        "cost", "decrease", Rule.SAME_SHARE, 0.3, 0.4, 0.3, 0.2, 0.5, 0.21, 1.0, 0.1, -0.5, 0.2, -1.5, 0.15, 4000, 700
    )
    assert ThresholdEffect.from_json(one.to_json()) == one
    assert one.changes_sign
    assert one.z == pytest.approx(10.0)
    assert not replace(one, direction="increase").changes_sign
    assert replace(one, change_error=0.0).z == math.inf
