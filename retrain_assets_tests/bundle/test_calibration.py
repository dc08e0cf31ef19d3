from __future__ import annotations

import json

import numpy as np
import pytest

from retrain_assets.bundle import Calibration, fit_calibration

SCORES = np.random.default_rng(0).random(4000)
LABELS = (np.random.default_rng(1).random(4000) < SCORES**2).astype(np.int64)
"""Scores that are too high: the true probability is their square."""


@pytest.mark.parametrize("kind", ["isotonic", "sigmoid"])
def test_calibration_removes_most_of_the_distance_to_the_true_probability(kind: str) -> None:
    fitted = fit_calibration(kind, SCORES, LABELS)  # type: ignore[arg-type]
    grid = np.linspace(0.05, 0.95, 19)
    assert np.abs(fitted.apply(grid) - grid**2).mean() < 0.25 * np.abs(grid - grid**2).mean()


def test_isotonic_is_scikit_learns_but_never_quite_0_or_1() -> None:
    from sklearn.isotonic import IsotonicRegression

    reference = IsotonicRegression(out_of_bounds="clip").fit(SCORES, LABELS)
    grid = np.linspace(-0.1, 1.1, 501)
    expected = np.clip(reference.predict(grid), 1 / 4002, 4001 / 4002)
    assert reference.predict(grid).min() == 0
    assert np.allclose(fit_calibration("isotonic", SCORES, LABELS).apply(grid), expected, atol=1e-12)


def test_sigmoid_on_log_odds_has_the_slope_of_a_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    odds = np.log(SCORES / (1 - SCORES)).reshape(-1, 1)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(odds, LABELS)
    (curve,) = fit_calibration("sigmoid", SCORES, LABELS).curves
    assert -curve.a == pytest.approx(reference.coef_[0, 0], rel=0.01)
    assert -curve.b == pytest.approx(reference.intercept_[0], rel=0.01)


@pytest.mark.parametrize("kind", ["none", "isotonic", "sigmoid"])
def test_a_stored_calibration_gives_the_same_scores(kind: str) -> None:
    fitted = fit_calibration(kind, SCORES, LABELS)  # type: ignore[arg-type]
    again = Calibration.from_json(json.loads(json.dumps(fitted.to_json())))
    assert np.array_equal(again.apply(SCORES), fitted.apply(SCORES))


@pytest.mark.parametrize("kind", ["isotonic", "sigmoid"])
def test_multiclass_scores_are_probabilities(kind: str) -> None:
    rng = np.random.default_rng(2)
    scores = rng.dirichlet(np.ones(3), 600)
    labels = np.array([rng.choice(3, p=row) for row in scores])
    calibrated = fit_calibration(kind, scores, labels).apply(np.vstack([scores, [1.0, 0.0, 0.0]]))  # type: ignore[arg-type]
    assert np.allclose(calibrated.sum(axis=1), 1)
    assert (calibrated >= 0).all()
