"""Ratios, covariates and units that return: the variance of the difference against the influence of every single unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from retrain_assets.experiment import (
    ArmStatistics,
    MeasureSpec,
    MeasureState,
    MeasureStatistics,
    Stratum,
    StratumStatistics,
    judge,
    radius,
    stratified_difference,
)
from retrain_assets.experiment.estimation.covariates import adjustment
from retrain_assets_tests.experiment.builders import of_units, plan_of

Oracles = Callable[[str], list[dict[str, Any]]]
COLUMNS = {
    "mean": ("value",),
    "ratio": ("value", "per"),
    "one covariate": ("value", "before"),
    "three covariates": ("value", "before", "score", "age"),
    "ratio with covariates": ("value", "per", "before", "score"),
}


class Rows:
    """Random units over three strata of a growing share, some of them in several, a few of which change their arm."""

    def __init__(self, columns: tuple[str, ...], *, returning: bool, seed: int, units: int = 120) -> None:
        draw = np.random.default_rng(seed)
        lasting, bucket = draw.normal(3, 1, units), draw.random(units)
        parts = []
        for revision, share in ((2, 0.2), (3, 0.35), (4, 0.5)):
            there = draw.random(units) < 0.6 if returning else np.arange(units) % 3 == revision - 2
            unit = np.flatnonzero(there)
            x = np.empty((len(unit), len(columns)))
            for place, name in enumerate(columns):
                x[:, place] = 0.7 * lasting[unit] + draw.normal(revision, 1, len(unit))
                if name == "per":
                    x[:, place] = draw.integers(1, 9, len(unit))
            parts.append((unit, np.full(len(unit), revision), bucket[unit] < share, x))
        self.units, self.revisions, self.challenger, self.values = (np.concatenate(part) for part in zip(*parts, strict=True))
        self.columns = columns
        self.statistics = of_units(self.units, self.revisions, self.challenger, self.values, columns=columns)

    def means(self, theta: np.ndarray, weights: np.ndarray) -> tuple[complex, complex]:
        """Adjusted means of champion and challenger when row i counts weights[i] times, theta and the strata given."""
        first = len(self.columns) - len(theta)
        n = {r: [((self.revisions == r) & (self.challenger == arm)).sum() for arm in (False, True)] for r in (2, 3, 4)}
        information = {r: c * t / (c + t) for r, (c, t) in n.items()}
        out = []
        for arm in (False, True):
            total = 0j
            for r in (2, 3, 4):
                stratum = self.revisions == r
                cell = stratum & (self.challenger == arm)
                sums = weights[cell] @ self.values[cell]
                mean = sums[0] / (sums[1] if first == 2 else weights[cell].sum())
                centre = weights[stratum] @ self.values[stratum, first:] / weights[stratum].sum()
                mean -= theta @ (sums[first:] / weights[cell].sum() - centre)
                total += mean * information[r] / sum(information.values())
            out.append(total)
        return out[0], out[1]

    def influence(self, theta: np.ndarray) -> np.ndarray:
        """(2, m) derivative of both means by each row's weight, by complex steps: exact to rounding, no formula of ours in it."""
        step, rows = 1e-30, len(self.units)
        found = np.empty((2, rows))
        for row in range(rows):
            weights = np.ones(rows, dtype=complex)
            weights[row] += step * 1j
            found[:, row] = np.imag(self.means(theta, weights)) / step
        return found

    def variance(self, influence: np.ndarray) -> float:
        """Sum over units of their squared influence over all their rows, each cell's own part times n / (n - 1).

        Counts of cells are given, so what all units of a cell have in common does not vary.
        """
        cells = self.revisions * 2 + self.challenger
        n = np.array([(cells == cell).sum() for cell in cells])
        influence = influence - np.array([influence[cells == cell].mean() for cell in cells])
        return float((np.bincount(self.units, influence) ** 2).sum() + (influence**2 / (n - 1)).sum())


@pytest.mark.parametrize("returning", [False, True], ids=["new units", "returning units"])
@pytest.mark.parametrize("kind", COLUMNS)
def test_means_and_variances_are_those_of_the_influence_of_every_unit(kind: str, returning: bool) -> None:
    """The centre of the covariates is random too: it is in the variance of each mean, and not in that of the difference."""
    for seed in range(4):
        rows = Rows(COLUMNS[kind], returning=returning, seed=seed)
        theta = np.array(adjustment(rows.statistics, rows.statistics.strata))
        difference = stratified_difference(rows.statistics)
        assert difference is not None
        assert bool(rows.statistics.overlaps) is returning
        assert (theta != 0).all()
        champion, challenger = rows.means(theta, np.ones(len(rows.units), dtype=complex))
        assert difference.champion_mean == pytest.approx(champion.real, rel=1e-12)
        assert difference.challenger_mean == pytest.approx(challenger.real, rel=1e-12)
        influence = rows.influence(theta)
        assert difference.variance == pytest.approx(rows.variance(influence[1] - influence[0]), rel=1e-10)
        assert difference.champion_variance == pytest.approx(rows.variance(influence[0]), rel=1e-10)
        assert difference.challenger_variance == pytest.approx(rows.variance(influence[1]), rel=1e-10)


@pytest.mark.parametrize("kind", ["one covariate", "three covariates", "ratio with covariates"])
def test_coefficients_are_those_of_least_squares_within_strata(kind: str) -> None:
    """For a ratio on the value linearised at the stratum's ratio over both arms."""
    rows = Rows(COLUMNS[kind], returning=False, seed=5)
    value, first = rows.values[:, 0].copy(), 1
    covariates = rows.values[:, 1:]
    if kind.startswith("ratio"):
        first, covariates = 2, rows.values[:, 2:]
    covariates = covariates.copy()
    for revision in (2, 3, 4):
        stratum = rows.revisions == revision
        if first == 2:
            top, bottom = rows.values[stratum, 0], rows.values[stratum, 1]
            value[stratum] = (top - top.sum() / bottom.sum() * bottom) / bottom.mean()
        value[stratum] -= value[stratum].mean()
        covariates[stratum] -= covariates[stratum].mean(0)
    expected, *_ = np.linalg.lstsq(covariates, value, rcond=None)
    assert adjustment(rows.statistics, rows.statistics.strata) == pytest.approx(expected, rel=1e-9)


def test_covariates_save_what_their_correlation_says() -> None:
    """With correlation 0.7 half of the variance is gone, and the mean stays on the scale of the measure."""
    draw = np.random.default_rng(3)
    units = np.arange(20_000)
    before = draw.normal(100, 5, len(units))
    value = 50 + 0.7 * (before - 100) / 5 + math.sqrt(1 - 0.49) * draw.normal(size=len(units))
    challenger = draw.random(len(units)) < 0.5
    statistics = _quick(challenger, np.column_stack([value + 0.1 * challenger, before]))
    difference = stratified_difference(statistics)
    assert difference is not None
    assert difference.variance_saved == pytest.approx(0.49, abs=0.02)
    assert difference.champion_mean == pytest.approx(50, abs=0.05)
    assert difference.estimate == pytest.approx(0.1, abs=0.04)
    assert difference.champion_variance > difference.variance / 2  # the centre of the covariates is random too


@pytest.mark.parametrize("case", ["missing for the challenger's dear requests", "changed by the arm"])
def test_covariates_that_the_arm_has_changed_do_not_adjust_its_effect_away(case: str) -> None:
    """A challenger that costs 10 % more must not win because its covariates differ: nothing is adjusted, and it is said."""
    draw = np.random.default_rng(1)
    challenger = np.arange(8_000) % 2 == 1
    cost = draw.exponential(10, 8_000) * (1 + 0.1 * challenger)
    score = 0.7 * cost + draw.normal(0, 3, 8_000)
    lost = challenger & (cost > 20) & case.startswith("missing")
    score += 2 * challenger * (not lost.any())
    values = np.column_stack([cost, np.where(lost, 0.0, score), lost])
    found = _quick(challenger, values, ("value", "score", "score missing"))
    result = judge(MeasureSpec("cost", "success", "decrease"), found, plan_of())
    assert result.state is not MeasureState.BETTER
    assert result.estimate == pytest.approx(cost[challenger].mean() - cost[~challenger].mean())
    assert result.variance_saved == 0.0
    assert "not adjusted: the arms differ in their covariates by " in result.message


@pytest.mark.parametrize("case", ["constant", "a copy", "a sum of others"])
def test_a_covariate_that_brings_nothing_drops_out(case: str) -> None:
    rows = Rows(("value", "before", "score"), returning=True, seed=7)
    extra = {
        "constant": np.full(len(rows.units), 1e6 / 3),
        "a copy": rows.values[:, 1],
        "a sum of others": rows.values[:, 1] * 3 - rows.values[:, 2],
    }[case]
    more = of_units(
        rows.units,
        rows.revisions,
        rows.challenger,
        np.column_stack([rows.values, extra]),
        columns=("value", "before", "score", "extra"),
    )
    without, with_ = stratified_difference(rows.statistics), stratified_difference(more)
    assert without is not None
    assert with_ is not None
    assert 0.0 in adjustment(more, more.strata)
    for name in ("champion_mean", "challenger_mean", "variance", "champion_variance", "variance_saved"):
        assert getattr(with_, name) == pytest.approx(getattr(without, name), rel=1e-7), name


def test_a_covariate_that_is_nearly_another_does_not_blow_up_the_coefficients() -> None:
    draw = np.random.default_rng(9)
    rows = Rows(("value", "before"), returning=False, seed=7)
    nearly = rows.values[:, 1] + 1e-6 * draw.normal(size=len(rows.units))
    columns = ("value", "before", "nearly")
    values = np.column_stack([rows.values, nearly])
    found = of_units(rows.units, rows.revisions, rows.challenger, values, columns=columns)
    theta = adjustment(found, found.strata)
    assert 0.0 in theta
    assert max(map(abs, theta)) < 2


def test_few_units_are_not_adjusted_and_say_that_nothing_was_saved() -> None:
    rows = Rows(COLUMNS["one covariate"], returning=False, seed=2, units=18)
    difference = stratified_difference(rows.statistics)
    plain = stratified_difference(of_units(rows.units, rows.revisions, rows.challenger, rows.values[:, :1]))
    assert difference is not None
    assert plain is not None
    assert (difference.variance, difference.variance_saved) == (pytest.approx(plain.variance, rel=1e-12), 0.0)


def test_ratios_equal_gbstats(oracles: Oracles) -> None:
    compared = 0
    for case in oracles("gbstats_ratio_cuped"):
        if case["kind"] != "ratio" or case["degenerate"]:
            continue
        difference = stratified_difference(_ratio(case))
        assert difference is not None
        for side, mean, variance in (
            ("a", difference.champion_mean, difference.champion_variance),
            ("b", difference.challenger_mean, difference.challenger_variance),
        ):
            assert mean == pytest.approx(case[f"mean_{side}"], rel=1e-9), case["id"]
            assert variance * case[f"arm_{side}"]["n"] == pytest.approx(case[f"var_{side}"], rel=1e-9), case["id"]
        estimate, squared = difference.estimate, difference.variance
        if case["difference_type"] == "relative":
            estimate, squared = (
                difference.relative_estimate,
                _relative(
                    difference.champion_variance,
                    difference.challenger_variance,
                    difference.champion_mean,
                    difference.challenger_mean,
                ),
            )
        _equal(case, estimate, squared)
        compared += 1
    assert compared > 10


def test_adjusted_means_equal_gbstats(oracles: Oracles) -> None:
    """Its theta, means, variances and sequential limits; a proportion's covariate has divisor N where we have N - 1."""
    compared = 0
    for case in oracles("gbstats_ratio_cuped"):
        if case["kind"] != "cuped" or case["degenerate"]:
            continue
        statistics = _adjusted(case)
        (stratum,) = statistics.strata
        units = stratum.champion.n + stratum.challenger.n
        (theta,) = adjustment(statistics, statistics.strata)
        theta *= units / (units - 1) if case["pre_type"] == "proportion" else 1.0
        assert theta == pytest.approx(case["theta"], rel=1e-9), case["id"]
        centre = sum(case[f"arm_{side}"]["pre_sum"] for side in "ab") / units
        difference = stratified_difference(statistics)
        assert difference is not None
        variances, means = [], []
        for side in ("a", "b"):
            arm = _spread_as_gbstats(case, side)
            variances.append(_adjusted_variance(arm, theta) / arm.n)
            means.append(arm.sums[0] / arm.n)
            assert variances[-1] * arm.n == pytest.approx(case[f"var_{side}"], rel=1e-9), case["id"]
            assert means[-1] == pytest.approx(case[f"unadjusted_mean_{side}"], rel=1e-9), case["id"]
        if (case["post_type"], case["pre_type"]) == ("mean", "mean"):
            assert difference.champion_mean == pytest.approx(case["mean_a"] + theta * centre, rel=1e-9), case["id"]
            assert difference.challenger_mean == pytest.approx(case["mean_b"] + theta * centre, rel=1e-9), case["id"]
            assert difference.variance == pytest.approx(sum(variances), rel=1e-9), case["id"]
            assert difference.estimate == pytest.approx(case["mean_b"] - case["mean_a"], rel=1e-9, abs=1e-12), case["id"]
        estimate, squared = case["mean_b"] - case["mean_a"], sum(variances)
        if case["difference_type"] == "relative":
            estimate, squared = estimate / means[0], _relative(*variances, *means)
        _equal(case, estimate, squared)
        compared += 1
    assert compared > 10


def test_what_gbstats_declines_is_never_taken_for_a_win(oracles: Oracles) -> None:
    declined = [case for case in oracles("gbstats_ratio_cuped") if case["degenerate"]]
    assert declined
    for case in declined:
        for direction in ("increase", "decrease"):
            spec = MeasureSpec("m", "success", direction, min_effect=0.01)
            result = judge(spec, _ratio(case) if case["kind"] == "ratio" else _adjusted(case), plan_of(spec))
            assert result.state is MeasureState.INCONCLUSIVE, (case["id"], result)
            assert result.lower is None or result.upper is None or result.lower < result.upper, case["id"]


def _adjusted_variance(arm: ArmStatistics, theta: float) -> float:
    post, both, pre = (
        arm.products[place] - arm.sums[i] * arm.sums[j] / arm.n for place, (i, j) in enumerate([(0, 0), (0, 1), (1, 1)])
    )
    return (post - 2 * theta * both + theta**2 * pre) / (arm.n - 1)


def _relative(champion_variance: float, challenger_variance: float, champion: float, challenger: float) -> float:
    """gbstats' variance of a relative change: V_t / m_c^2 + V_c m_t^2 / m_c^4."""
    return challenger_variance / champion**2 + champion_variance * challenger**2 / champion**4


def _equal(case: dict[str, Any], estimate: float, variance: float) -> None:
    assert estimate == pytest.approx(case["point_estimate"], rel=1e-9), case["id"]
    assert math.sqrt(variance) == pytest.approx(case["std_err"], rel=1e-9), case["id"]
    clock = case["arm_a"]["n"] + case["arm_b"]["n"]
    half = radius(variance, clock=clock, alpha=case["alpha"], planned_units=case["n_star"], two_sided=True)
    width = case["seq_ci_high"] - case["seq_ci_low"]
    assert estimate - half == pytest.approx(case["seq_ci_low"], abs=1e-9 * width), case["id"]
    assert estimate + half == pytest.approx(case["seq_ci_high"], abs=1e-9 * width), case["id"]


def _quick(challenger: np.ndarray, values: np.ndarray, columns: tuple[str, ...] = ("value", "before")) -> MeasureStatistics:
    arms = []
    for x in (values[~challenger], values[challenger]):
        products = tuple((x.T @ x)[np.triu_indices(len(columns))].tolist())
        arms.append(ArmStatistics(len(x), tuple(x.sum(0).tolist()), products, outside=len(x), first_n=len(x)))
    return MeasureStatistics(columns, (StratumStatistics(Stratum(2, "50"), *arms),))


def _ratio(case: dict[str, Any]) -> MeasureStatistics:
    arms = []
    for side in ("arm_a", "arm_b"):
        one = case[side]
        squares = [_square_as_gbstats(one, column, case[f"{column}_type"]) for column in ("num", "den")]
        products = (squares[0], one["num_den_sum_products"], squares[1])
        arms.append(ArmStatistics(one["n"], (one["num_sum"], one["den_sum"]), products))
    return MeasureStatistics(("value", "per"), (StratumStatistics(Stratum(2, "50"), *arms),))


def _adjusted(case: dict[str, Any]) -> MeasureStatistics:
    arms = []
    for side in ("arm_a", "arm_b"):
        one = case[side]
        products = (one["post_sumsq"], one["post_pre_sum_products"], one["pre_sumsq"])
        arms.append(ArmStatistics(one["n"], (one["post_sum"], one["pre_sum"]), products))
    return MeasureStatistics(("value", "before"), (StratumStatistics(Stratum(2, "50"), *arms),))


def _spread_as_gbstats(case: dict[str, Any], side: str) -> ArmStatistics:
    one = case[f"arm_{side}"]
    squares = [_square_as_gbstats(one, column, case[f"{column}_type"]) for column in ("post", "pre")]
    return ArmStatistics(one["n"], (one["post_sum"], one["pre_sum"]), (squares[0], one["post_pre_sum_products"], squares[1]))


def _square_as_gbstats(arm: dict[str, Any], column: str, kind: str) -> float:
    """A column's sum of squares; a proportion's is moved so that its variance has gbstats' divisor n."""
    n, total, square = arm["n"], arm[f"{column}_sum"], arm[f"{column}_sumsq"]
    return square if kind == "mean" else (square - total * total / n) / n * (n - 1) + total * total / n
