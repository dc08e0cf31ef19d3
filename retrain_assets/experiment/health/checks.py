"""Is the experiment sound? Checks on how units, outcomes and times came in; a failing one makes every result invalid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from retrain_assets.experiment.data import ArmCounts, CanaryData, StageCounts
from retrain_assets.experiment.estimation.intervals import Interval, Tuning, interval_of
from retrain_assets.experiment.estimation.statistics import ArmStatistics, MeasureStatistics, Stratum, StratumStatistics
from retrain_assets.experiment.health.health_check import HealthCheck
from retrain_assets.experiment.health.records import record_checks
from retrain_assets.experiment.health.split import PREFIX, sample_ratios
from retrain_assets.experiment.plan import Plan

MISSING_ALPHA = 0.0025
"""One-sided error level of the comparisons of missing outcomes between the arms, of all stages together."""

MAX_CROSS_ARM_SHARE = 0.001
"""Largest share of exposed units that may have been seen in both arms (and are left out)."""

STAGE_UNITS = 500
"""Matured units of an arm from which on missing outcomes of the present stage are looked at by themselves."""

UNREADABLE = frozenset({"records", "counts", "times"})
"""Checks without which no number of a look means anything; when one fails, not even harm is read from it."""


def health_checks(
    data: CanaryData,
    plan: Plan,
    *,
    stage_started_at: datetime,
    armed_at: datetime,
    now: datetime,
    before: Sequence[HealthCheck] = (),
) -> tuple[HealthCheck, ...]:
    """All checks, in the order they are shown.

    ``records`` (could they be read), ``counts``, ``times``, then ``sample_ratio``, ``sample_ratio_<stage>_r<revision>`` and
    ``sample_ratio_segments`` (see :mod:`split`), ``missing_outcomes``, ``missing_outcomes_alike``,
    ``cross_arm_units``, and the shares of odd records (see :mod:`records`). None raises, whatever the
    counts are.

    Args:
        data: the aggregated canary.
        plan: the largest share of missing outcomes.
        stage_started_at: when the present stage began.
        armed_at: when the toggle was armed.
        now: the time of the look.
        before: the checks of the look before; alarms of the split stay.
    """
    first = (_records(data), _counts(data), _times(data, stage_started_at=stage_started_at, armed_at=armed_at, now=now))
    if not (first[0].ok and first[1].ok):
        return (*first, *(check for check in before if check.name.startswith(PREFIX)))
    return (
        *first,
        *sample_ratios(data.stages, data.segment_stages, before),
        _missing(data, plan),
        _missing_alike(data, plan),
        _cross_arm(data),
        *record_checks(data),
    )


def _records(data: CanaryData) -> HealthCheck:
    if data.problem is not None:
        return HealthCheck("records", False, f"the records cannot be read: {data.problem}")
    return HealthCheck("records", True, "the records could be read")


def _counts(data: CanaryData) -> HealthCheck:
    for where, stages in (("", data.stages), *((f"segment {name}, ", stages) for name, stages in data.segment_stages.items())):
        for one in stages:
            if wrong := _impossible(one):
                text = f"{where}revision {one.revision} (stage {one.stage}): {wrong}; the records of this stage are broken"
                return HealthCheck("counts", False, text)
    return HealthCheck("counts", True, "counts of units add up")


def _impossible(counts: StageCounts) -> str:
    if not 0 <= counts.challenger_share <= 1:
        return f"a challenger share of {counts.challenger_share} is not in 0..1"
    for arm in (counts.champion, counts.challenger):
        if not 0 <= arm.with_outcome <= arm.matured <= arm.exposed < float("inf"):
            return f"{arm.exposed} exposed, {arm.matured} matured and {arm.with_outcome} with outcome cannot be"
    return ""


def _times(data: CanaryData, *, stage_started_at: datetime, armed_at: datetime, now: datetime) -> HealthCheck:
    started = max((one.started_at for one in data.stages), default=stage_started_at)
    if armed_at <= stage_started_at <= now and started <= now:
        return HealthCheck("times", True, "arming, stage and look are in order")
    begun = max(stage_started_at, started).isoformat()
    text = f"times are out of order: armed {armed_at.isoformat()}, stage started {begun}, now {now.isoformat()}"
    return HealthCheck("times", False, f"{text}; set this machine's clock right")


def _missing(data: CanaryData, plan: Plan) -> HealthCheck:
    worst: tuple[float, str] | None = None
    traffic = [one for one in data.stages if not one.is_shadow]
    for arm in ("champion", "challenger"):
        for where, those in (("", traffic), (" of the present stage", traffic[-1:])):
            counts = [_arm(one, arm) for one in those]
            matured = sum(one.matured for one in counts)
            if matured and (not where or matured >= STAGE_UNITS):
                missing = 1 - sum(one.with_outcome for one in counts) / matured
                text = f"{missing:.1%} of the {arm}'s {matured} matured units{where} have no outcome"
                worst = max(worst or (-1.0, ""), (missing, text))
    limit = plan.max_missing_outcomes
    if worst is None:
        return HealthCheck("missing_outcomes", True, "no unit has matured yet", None, limit)
    ok = worst[0] <= limit
    unknown = f"; {data.unknown_outcomes} outcome rows name a request that was not exposed" if data.unknown_outcomes else ""
    remedy = "" if ok else f"{unknown}: find out whether outcomes are late or do not join"
    return HealthCheck("missing_outcomes", ok, f"{worst[1]} (limit {limit:.1%}){remedy}", worst[0], limit)


def _missing_alike(data: CanaryData, plan: Plan) -> HealthCheck:
    """Each stage by itself, as units that never have an outcome come back: the k-th gets 1 / (k (k + 1)) of the level."""
    name = "missing_outcomes_alike"
    compared = []
    for k, one in enumerate((one for one in data.stages if not one.is_shadow), start=1):
        stratum = StratumStatistics(Stratum(one.revision, one.stage), _missing_of(one.champion), _missing_of(one.challenger))
        tuning = Tuning(MISSING_ALPHA / (k * (k + 1)), plan.planned_units, plan.tuning.reference_share)
        interval = interval_of(MeasureStatistics(strata=(stratum,)), tuning)
        if isinstance(interval, Interval):
            compared.append((interval.lower <= 0 <= interval.upper, one.stage, interval))
    if not compared:
        return HealthCheck(name, True, "missing outcomes cannot be compared yet")
    ok, stage, found = next((one for one in compared if not one[0]), compared[-1])
    text = (
        f"in stage {stage} outcomes are missing for {found.champion_mean:.2%} of the champion's and "
        f"{found.challenger_mean:.2%} of the challenger's units: "
        f"{'no difference is shown' if ok else 'the arms differ, so the comparison is biased'}"
    )
    return HealthCheck(name, ok, text, found.estimate, None)


def _missing_of(counts: ArmCounts) -> ArmStatistics:
    missing = float(counts.matured - counts.with_outcome)
    return ArmStatistics.of_mean(counts.matured, missing, missing)


def _cross_arm(data: CanaryData) -> HealthCheck:
    exposed = sum(one.champion.exposed + one.challenger.exposed for one in data.stages if not one.is_shadow)
    if not exposed and not data.cross_arm_units:
        return HealthCheck("cross_arm_units", True, "no units yet", None, MAX_CROSS_ARM_SHARE)
    if data.cross_arm_units < 0:
        text = f"{data.cross_arm_units} units in both arms: that cannot be; the records were counted wrongly"
        return HealthCheck("cross_arm_units", False, text, None, MAX_CROSS_ARM_SHARE)
    share = data.cross_arm_units / (exposed + data.cross_arm_units)
    text = f"{data.cross_arm_units} units were seen in both arms and are left out ({share:.2%}, limit {MAX_CROSS_ARM_SHARE:.2%})"
    return HealthCheck("cross_arm_units", share <= MAX_CROSS_ARM_SHARE, text, share, MAX_CROSS_ARM_SHARE)


def _arm(counts: StageCounts, arm: str) -> ArmCounts:
    return counts.champion if arm == "champion" else counts.challenger
