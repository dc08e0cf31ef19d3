"""Units that return in every stage, on the challenger once its share reaches them: limits hold, and only with overlaps."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from retrain_assets.experiment import (
    ArmStatistics,
    MeasureSpec,
    MeasureState,
    MeasureStatistics,
    Overlap,
    Stratum,
    StratumStatistics,
    judge,
    stratified_difference,
)
from retrain_assets_tests.experiment.builders import of_units, plan_of

STAGES = ((2, "5", 0.05), (3, "25", 0.25), (4, "50", 0.5), (5, "50", 0.5), (6, "50", 0.5), (7, "50", 0.5))
"""Revisions, with the last stage held and resumed three times: each is a stratum of its own."""

UNITS = 600
LOOKS = 2
PATHS = 200
ALPHA = 0.025
PLAN = replace(plan_of(alpha=ALPHA), planned_units=1000)
SUCCESS = MeasureSpec("cost", "success", "decrease")
MARGIN = 0.1
GUARDRAIL = MeasureSpec("cost", "guardrail", "decrease", margin=MARGIN)


@cache
def ramps(effect: float, kind: str) -> list[list[MeasureStatistics]]:
    """The looks of PATHS ramps that meet the same units in every stage; units differ strongly and lastingly, the level drifts."""
    draw = np.random.default_rng(77)
    shares = np.array([share for _, _, share in STAGES])[:, None]
    level = 10 - np.arange(len(STAGES))[:, None]
    found = []
    for _ in range(PATHS):
        lasting, bucket = draw.normal(0, 2, UNITS), draw.random(UNITS)
        values = level + lasting + draw.normal(0, 0.5, (len(STAGES), UNITS)) + effect * (bucket < shares)
        if kind != "cost":
            chance = 1 / (1 + np.exp(1 + 2 * lasting)) if kind == "share" else np.where(lasting > 3.8, 0.5, 0.002)
            values = (draw.random(values.shape) < chance).astype(float)
        counts = [
            [UNITS if place < stage else UNITS * look // LOOKS for place in range(stage + 1)]
            for stage in range(len(STAGES))
            for look in range(1, LOOKS + 1)
        ]
        found.append([_statistics(values, bucket, count) for count in counts])
    return found


def _statistics(values: np.ndarray, bucket: np.ndarray, there: list[int]) -> MeasureStatistics:
    """The first ``there[s]`` units have come in stage s; a growing share only adds units to the challenger, as routing does."""
    keys, members, fresh = [], [], []
    for place, count in enumerate(there):
        revision, _, share = STAGES[place]
        come = np.arange(UNITS) < count
        new = come if place == 0 else come & (np.arange(UNITS) >= max(there[:place]))
        for name, side in (("champion", bucket >= share), ("challenger", bucket < share)):
            keys.append((revision, name))
            members.append(come & side)
            fresh.append(new & side)
    inside = np.array(members, dtype=float)
    x = inside * np.repeat(values[: len(there)], 2, axis=0)
    outside = (inside.astype(bool) & ((x < 0) | (x > 1))).sum(1)
    n, sums, products = inside @ inside.T, x @ inside.T, x @ x.T
    arms = [
        ArmStatistics(
            int(n[i, i]),
            (float(sums[i, i]),),
            (float(products[i, i]),),
            int(outside[i]),
            first_n=int(fresh[i].sum()),
            first_sum=float(x[i, fresh[i]].sum()),
        )
        for i in range(len(keys))
    ]
    return MeasureStatistics(
        strata=tuple(
            StratumStatistics(Stratum(*STAGES[place][:2]), arms[2 * place], arms[2 * place + 1]) for place in range(len(there))
        ),
        overlaps=tuple(
            Overlap(keys[i], keys[j], int(n[i, j]), (float(sums[i, j]),), (float(sums[j, i]),), (float(products[i, j]),))
            for i in range(len(keys))
            for j in range(i + 1, len(keys))
            if keys[i][0] < keys[j][0] and n[i, j]
        ),
    )


def rate(effect: float, spec: MeasureSpec, state: MeasureState, *, overlaps: bool = True, kind: str = "cost") -> float:
    """Share of ramps that show the state at some look."""
    shown = 0
    for looks in ramps(effect, kind):
        shown += any(judge(spec, look if overlaps else replace(look, overlaps=()), PLAN).state is state for look in looks)
    return shown / PATHS


def test_the_test_counts_overlaps_as_raw_rows_do() -> None:
    draw = np.random.default_rng(1)
    bucket, values = draw.random(UNITS), draw.normal(size=(3, UNITS))
    units = np.concatenate([np.arange(600), np.arange(600), np.arange(30)])
    revisions = np.repeat([2, 3, 4], [600, 600, 30])
    challenger = np.concatenate([bucket < 0.05, bucket < 0.25, bucket[:30] < 0.5])
    rows = np.concatenate([values[0], values[1], values[2][:30]])[:, None]
    slow = of_units(units, revisions, challenger, rows, stages={2: "5", 3: "25", 4: "50"})
    quick = _statistics(values, bucket, [600, 600, 30])
    one, other = stratified_difference(quick), stratified_difference(slow)
    assert one is not None
    assert other is not None
    assert one.variance == pytest.approx(other.variance, rel=1e-12)
    assert [arm.champion.first_n for arm in quick.strata] == [arm.champion.first_n for arm in slow.strata]


@pytest.mark.parametrize(
    ("effect", "spec", "state"),
    [
        (0.0, SUCCESS, MeasureState.BETTER),
        (0.0, SUCCESS, MeasureState.WORSE),
        (MARGIN, GUARDRAIL, MeasureState.NON_INFERIOR),
    ],
    ids=["better", "worse", "non-inferior at the margin"],
)
def test_each_limit_keeps_its_error_level_when_the_same_units_return_in_every_stage(
    effect: float, spec: MeasureSpec, state: MeasureState
) -> None:
    assert rate(effect, spec, state) <= ALPHA


def test_without_overlaps_the_same_units_would_be_taken_for_new_ones() -> None:
    """Taken as independent strata, the same 600 units six times over make chance an effect far too often."""
    wrong = rate(0.0, SUCCESS, MeasureState.BETTER, overlaps=False) + rate(0.0, SUCCESS, MeasureState.WORSE, overlaps=False)
    right = rate(0.0, SUCCESS, MeasureState.BETTER) + rate(0.0, SUCCESS, MeasureState.WORSE)
    assert wrong > 2 * right
    assert wrong > 2 * ALPHA


def test_the_variance_is_that_of_the_estimate_over_repetitions() -> None:
    last = [stratified_difference(looks[-1]) for looks in ramps(0.0, "cost")]
    estimates = np.array([one.estimate for one in last if one is not None])
    said = float(np.mean([one.variance for one in last if one is not None]))
    assert float(estimates.var()) == pytest.approx(said, rel=0.25)
    ignored = [stratified_difference(replace(looks[-1], overlaps=())) for looks in ramps(0.0, "cost")]
    assert float(np.mean([one.variance for one in ignored if one is not None])) < 0.5 * said


@pytest.mark.parametrize("kind", ["share", "rare"])
def test_shares_of_returning_units_keep_their_error_level_too(kind: str) -> None:
    """Rare: the same 3 % of units cause nearly all events, in every stage anew, so that events are many and their causes few."""
    for state in (MeasureState.BETTER, MeasureState.WORSE):
        assert rate(0.0, SUCCESS, state, kind=kind) <= ALPHA


def test_a_unit_that_returns_is_no_new_unit_for_the_smallest_number() -> None:
    """Twelve units in each arm over three stages are 36 rows, not the 30 units an interval needs."""
    draw = np.random.default_rng(4)
    units = np.tile(np.arange(24), 3)
    statistics = of_units(units, np.repeat([2, 3, 4], 24), units % 2 == 0, draw.normal(10, 1, (72, 1)))
    result = judge(SUCCESS, statistics, PLAN)
    assert result.state is MeasureState.INCONCLUSIVE
    assert "champion 12, challenger 12" in result.message
    assert math.isclose(sum(one.champion.n for one in statistics.strata), 36)
