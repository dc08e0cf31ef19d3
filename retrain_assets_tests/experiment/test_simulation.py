"""Whole ramps on simulated traffic: no false promotion under drift, harm is rolled back, a real gain is found."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

import numpy as np

from retrain_assets.experiment import (
    Action,
    ArmStatistics,
    CanaryData,
    MeasureSpec,
    StageCounts,
    Stratum,
    StratumStatistics,
    analyse,
    judge,
)
from retrain_assets_tests.experiment.builders import ARMED, counts, measure, plan_of

COST = MeasureSpec("cost", "success", "decrease")
PLAN = plan_of(COST, min_units=200)
STAGES = (("5", 0.05, 6_000), ("50", 0.5, 24_000))
LOOKS = 12
PATHS = 300


@cache
def ramps(effect: float, drift: float) -> list[list[tuple[str, CanaryData]]]:
    """Looks of PATHS ramps: cost is 0, 10 or 30 per unit; its level falls by ``drift`` from stage to stage.

    Units are drawn for all paths at once, summed per look, then packed into the values the analysis takes.
    """
    rng = np.random.default_rng(2013)
    sums: list[dict[str, np.ndarray]] = []
    for index, (_, share, units) in enumerate(STAGES):
        block = units // LOOKS
        n = np.empty((2, PATHS, LOOKS), dtype=np.int64)
        n[1] = rng.binomial(block, share, (PATHS, LOOKS))
        n[0] = block - n[1]
        level = np.array([1.0, 1.0 + effect])[:, None, None] * (1 - drift * index)
        tens = rng.binomial(n, 0.25 * level)
        thirties = rng.binomial(n - tens, 0.15 * level / (1 - 0.25 * level))
        total, squares = tens * 10 + thirties * 30, tens * 100 + thirties * 900
        sums.append({"n": n.cumsum(-1), "total": total.cumsum(-1), "squares": squares.cumsum(-1)})
    return [[_look(sums, path, stage, look) for stage in range(len(STAGES)) for look in range(LOOKS)] for path in range(PATHS)]


def _look(sums: list[dict[str, np.ndarray]], path: int, stage: int, look: int) -> tuple[str, CanaryData]:
    strata: list[StratumStatistics] = []
    seen: list[StageCounts] = []
    for index in range(stage + 1):
        label, share, _ = STAGES[index]
        at = look if index == stage else LOOKS - 1
        one = sums[index]
        arms = [
            ArmStatistics.of_mean(
                int(one["n"][side, path, at]), *(float(one[name][side, path, at]) for name in ("total", "squares")), outside=1
            )
            for side in (0, 1)
        ]
        strata.append(StratumStatistics(Stratum(index + 2, label), *arms))
        seen.append(counts(arms[0].n, arms[1].n, revision=index + 2, stage=label, share=share))
    return STAGES[stage][0], CanaryData(tuple(seen), {"cost": measure(*strata)})


def first_decision(path: list[tuple[str, CanaryData]]) -> Action:
    """What the canary ends with, looked at twelve times a stage."""
    for number, (stage, data) in enumerate(path):
        now = ARMED + timedelta(days=2 + number)
        started = ARMED + timedelta(days=0 if stage == STAGES[0][0] else LOOKS)
        look = analyse(data, PLAN, stage=stage, revision=3, stage_started_at=started, armed_at=ARMED, now=now)
        if look.action in (Action.ASK_APPROVAL, Action.ROLL_BACK, Action.REJECT):
            return look.action
    return Action.HOLD


def pooled_wins(path: list[tuple[str, CanaryData]]) -> bool:
    """Whether the same sequence on arms pooled over stages would have called the challenger better at some look."""
    for stage, data in path:
        strata = data.measures["cost"].strata
        champion, challenger = strata[0].champion, strata[0].challenger
        for one in strata[1:]:
            champion, challenger = champion + one.champion, challenger + one.challenger
        pooled = StratumStatistics(Stratum(2, stage), champion, challenger)
        if stage == STAGES[-1][0] and judge(COST, measure(pooled), PLAN).state == "better":
            return True
    return False


def test_a_drifting_baseline_promotes_when_pooled_and_does_not_when_stratified() -> None:
    """The champion has more units early, when cost is high; pooled, the challenger looks cheaper without being it."""
    paths = ramps(0.0, 0.3)
    promoted = sum(first_decision(path) is Action.ASK_APPROVAL for path in paths) / PATHS
    assert promoted <= PLAN.alpha
    assert sum(pooled_wins(path) for path in paths) / PATHS > 0.4


def test_harm_of_a_tenth_is_rolled_back() -> None:
    decisions = [first_decision(path) for path in ramps(0.1, 0.1)]
    assert decisions.count(Action.ROLL_BACK) / PATHS > 0.95
    assert Action.ASK_APPROVAL not in decisions


def test_a_gain_of_a_tenth_asks_for_approval() -> None:
    decisions = [first_decision(path) for path in ramps(-0.1, 0.1)]
    assert decisions.count(Action.ASK_APPROVAL) / PATHS > 0.95
    assert Action.ROLL_BACK not in decisions
