"""How much a measure varies: the same from a look, from the champion alone, and from the numbers that were drawn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from retrain_assets.experiment.estimation.measures import judge
from retrain_assets.experiment.estimation.quantiles import RequestHistogram, bin_of
from retrain_assets.experiment.estimation.statistics import ArmStatistics, MeasureStatistics
from retrain_assets.experiment.look import Look
from retrain_assets.experiment.planning.spreads import Spread, spread_of_champion, spread_of_look

from .builders import ARMED, COST, ERROR, arm, counts, events, measure, of_units, plan_of, stratum


def of_champion(values: np.ndarray, columns: tuple[str, ...] = ("value",)) -> MeasureStatistics:
    """The champion's units in one stratum, nobody on the challenger."""
    units = np.arange(len(values))
    return of_units(units, np.ones(len(values), dtype=int), np.zeros(len(values), dtype=bool), values, columns=columns)


@pytest.mark.parametrize("alpha", [0.025, 0.0125], ids=["one success measure", "one of two"])
def test_a_look_over_two_stages_gives_back_the_variance_of_its_units(alpha: float) -> None:
    terms = replace(plan_of(), ramp=("10", "40"), planned_units=2000)
    strata = [
        stratum(arm(900, 10, 4), arm(100, 10.2, 4), revision=1, stage="10"),
        stratum(arm(600, 11, 4), arm(400, 11.2, 4), revision=2, stage="40"),
    ]
    stages = tuple(
        counts(c, t, revision=one.stratum.revision, stage=one.stratum.stage)
        for one, (c, t) in zip(strata, [(900, 100), (600, 400)], strict=True)
    )
    result = judge(COST, measure(*strata), terms, alpha=alpha, harm_alpha=terms.alpha)
    look = Look(ARMED, "40", 2, (result,), (), stages=stages)
    spread = spread_of_look(result, look, terms.tuning)
    assert spread is not None
    assert spread.variance == pytest.approx(16, rel=1e-3)
    assert spread.units == 2000
    assert spread.champion_mean == pytest.approx(result.champion_mean)


def test_exact_bounds_of_few_events_give_no_variance() -> None:
    terms = plan_of()
    result = judge(ERROR, measure(stratum(events(900, 2), events(900, 3))), terms)
    assert result.lower is not None
    assert spread_of_look(result, Look(ARMED, "50", 4, (result,), (), stages=(counts(900, 900),)), terms.tuning) is None


def test_the_champions_units_give_mean_and_variance() -> None:
    values = np.random.default_rng(1).normal(7, 3, (500, 1))
    spread = spread_of_champion(of_champion(values))
    assert isinstance(spread, Spread)
    assert (spread.champion_mean, spread.variance) == pytest.approx((values.mean(), values.var(ddof=1)))
    assert (spread.units, spread.is_share) == (500, False)


def test_a_ratio_varies_as_its_linearised_value() -> None:
    draw = np.random.default_rng(2)
    per = draw.poisson(4, 800) + 1.0
    values = np.column_stack([per * 2 + draw.normal(0, 1, 800), per])
    spread = spread_of_champion(of_champion(values, ("value", "per")))
    assert isinstance(spread, Spread)
    ratio = values[:, 0].sum() / values[:, 1].sum()
    assert spread.champion_mean == pytest.approx(ratio)
    assert spread.variance == pytest.approx((values[:, 0] - ratio * values[:, 1]).var(ddof=1) / per.mean() ** 2, rel=1e-3)


def test_a_quantile_varies_as_its_resampled_units_do() -> None:
    draw = np.random.default_rng(3)
    units = np.repeat(np.arange(1500), draw.integers(1, 6, 1500))
    latency = draw.lognormal(3, 0.6, len(units)) * draw.lognormal(0, 0.2, 1500)[units]
    histogram = RequestHistogram.of(units, bin_of(latency))
    statistics = measure(stratum(ArmStatistics(1500, (0.0,), (0.0,), requests=histogram), ArmStatistics.empty()))
    spread = spread_of_champion(statistics, 0.9)
    assert isinstance(spread, Spread)
    assert spread.champion_mean == pytest.approx(np.quantile(latency, 0.9), rel=0.02)
    by_unit = [latency[units == unit] for unit in range(1500)]
    resampled = [np.quantile(np.concatenate([by_unit[one] for one in draw.integers(0, 1500, 1500)]), 0.9) for _ in range(150)]
    assert math.sqrt(spread.variance / 1500) == pytest.approx(np.std(resampled), rel=0.2)


def test_a_share_without_an_event_is_still_a_share() -> None:
    assert spread_of_champion(measure(stratum(events(400, 0), events(0, 0)))) == Spread(0.0, 0.0, 400, is_share=True)


@pytest.mark.parametrize(
    ("champion", "said"),
    [
        (ArmStatistics.empty(), "no matured unit"),
        (arm(29, 5), "29 matured units"),
        (arm(500, 5, 0), "all 500 values of the champion are equal"),
        (ArmStatistics(500, (math.nan,), (math.nan,), outside=1), "no real values"),
        (ArmStatistics(500, (5.0,), (9.0,), not_finite=3), "3 of the champion's 503 units"),
    ],
)
def test_what_gives_no_variance_is_said_in_words(champion: ArmStatistics, said: str) -> None:
    found = spread_of_champion(measure(stratum(champion, ArmStatistics.empty())))
    assert isinstance(found, str)
    assert said in found


def test_a_quantile_without_its_requests_or_with_too_few_is_said_in_words() -> None:
    bare = measure(stratum(arm(500, 5), ArmStatistics.empty()))
    assert spread_of_champion(bare, 0.95) == "the champion's requests are not known one by one"
    few = RequestHistogram.of(np.arange(40), bin_of(np.linspace(1, 2, 40)))
    tail = measure(stratum(ArmStatistics(40, (0.0,), (0.0,), requests=few), ArmStatistics.empty()))
    assert "too few for the quantile 0.99" in str(spread_of_champion(tail, 0.99))
