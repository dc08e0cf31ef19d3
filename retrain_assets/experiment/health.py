"""Is the experiment sound? Checks on how units, outcomes and times came in; a failing one makes every result invalid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retrain_assets.contract import finite
from retrain_assets.experiment.data import ArmCounts, CanaryData, StageCounts
from retrain_assets.experiment.intervals import Tuning, interval_of
from retrain_assets.experiment.plan import Plan
from retrain_assets.experiment.sample_ratio import log_e_value, p_value
from retrain_assets.experiment.statistics import ArmStatistics, Stratum, StratumStatistics

SAMPLE_RATIO_ALPHA = 0.005
"""Error level of the sample-ratio test over all stages, and again of the tests of single stages together."""

MISSING_ALPHA = 0.0025
"""One-sided error level of the comparison of missing outcomes between the arms."""

MAX_CROSS_ARM_SHARE = 0.001
"""Largest share of exposed units that may have been seen in both arms (and are left out)."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One condition of a sound experiment.

    Args:
        name: what is checked.
        ok: whether it holds; True where there is nothing to check yet.
        message: one sentence with the values in it.
        observed: the measured value; None where there is nothing to check yet.
        threshold: its limit; None where the value is only reported.
    """

    name: str
    ok: bool
    message: str
    observed: float | None = None
    threshold: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return {name: finite(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> HealthCheck:
        """The inverse of :meth:`to_json`."""
        return cls(**value)


def health_checks(
    data: CanaryData, plan: Plan, *, stage_started_at: datetime, armed_at: datetime, now: datetime
) -> tuple[HealthCheck, ...]:
    """All checks, in the order they are shown. Names: ``sample_ratio``, ``sample_ratio_<stage>_r<revision>``,
    ``missing_outcomes``, ``missing_outcomes_alike``, ``cross_arm_units``, ``counts``, ``times``, and the reported
    ``duplicate_outcomes``, ``unknown_outcomes``, ``outcomes_before_exposure``, ``late_outcomes``, ``duplicate_exposures``.
    """
    impossible = _counts(data)
    checks = [impossible, _times(data, stage_started_at=stage_started_at, armed_at=armed_at, now=now)]
    if impossible.ok:
        checks += [*_sample_ratios(data), _missing(data, plan), _missing_alike(data, plan), _cross_arm(data)]
    return (*checks, *_reported(data))


def _counts(data: CanaryData) -> HealthCheck:
    for one in data.stages:
        where = f"revision {one.revision} (stage {one.stage})"
        if not 0 <= one.challenger_share <= 1:
            return HealthCheck("counts", False, f"{where}: a challenger share of {one.challenger_share} is not in 0..1")
        for arm in (one.champion, one.challenger):
            if not 0 <= arm.with_outcome <= arm.matured <= arm.exposed:
                return HealthCheck(
                    "counts",
                    False,
                    f"{where}: {arm.exposed} exposed, {arm.matured} matured and {arm.with_outcome} with outcome cannot be",
                )
    if data.unknown_revisions:
        text = f"{data.unknown_revisions} exposures carry a toggle revision the ledger does not know; they are left out"
        return HealthCheck("counts", False, text, float(data.unknown_revisions), 0.0)
    return HealthCheck("counts", True, "counts of units add up and every exposure has a known revision")


def _times(data: CanaryData, *, stage_started_at: datetime, armed_at: datetime, now: datetime) -> HealthCheck:
    started = max((one.started_at for one in data.stages), default=stage_started_at)
    if not armed_at <= stage_started_at <= now or started > now:
        begun = max(stage_started_at, started).isoformat()
        text = f"times are out of order: armed {armed_at.isoformat()}, stage started {begun}, now {now.isoformat()}"
        return HealthCheck("times", False, text)
    if data.future_rows:
        text = f"{data.future_rows} exposures or outcomes are dated in the future; they are left out until the clocks agree"
        return HealthCheck("times", False, text, float(data.future_rows), 0.0)
    return HealthCheck("times", True, "no record is dated in the future", 0.0, 0.0)


def _sample_ratios(data: CanaryData) -> Iterator[HealthCheck]:
    traffic = [one for one in data.stages if not one.is_shadow]
    counted = [one for one in traffic if one.champion.exposed + one.challenger.exposed]
    evidence = {one.revision: _ratio_evidence(one) for one in counted}
    yield _ratio_check("sample_ratio", "all stages", math.fsum(evidence.values()) if counted else None, SAMPLE_RATIO_ALPHA)
    for k, one in enumerate(traffic, start=1):
        name = f"sample_ratio_{one.stage}_r{one.revision}"
        text = (
            f"stage {one.stage}, champion {one.champion.exposed} and challenger {one.challenger.exposed} units "
            f"for a share of {one.challenger_share:.4g}"
        )
        yield _ratio_check(name, text, evidence.get(one.revision), SAMPLE_RATIO_ALPHA / (k * (k + 1)))


def _ratio_evidence(one: StageCounts) -> float:
    return log_e_value((one.champion.exposed, one.challenger.exposed), (1 - one.challenger_share, one.challenger_share))


def _ratio_check(name: str, where: str, log_e: float | None, alpha: float) -> HealthCheck:
    if log_e is None:
        return HealthCheck(name, True, f"{where}: no units yet", None, alpha)
    p = p_value(log_e)
    ok = p > alpha
    verdict = "fits the intended shares" if ok else "does not fit the intended shares: assignment or logging is broken"
    return HealthCheck(name, ok, f"{where}: the split {verdict} (sequential p = {p:.3g})", p, alpha)


def _missing(data: CanaryData, plan: Plan) -> HealthCheck:
    worst: tuple[float, str] | None = None
    for arm in ("champion", "challenger"):
        counts = [_arm(one, arm) for one in data.stages if not one.is_shadow]
        matured = sum(one.matured for one in counts)
        if matured:
            missing = 1 - sum(one.with_outcome for one in counts) / matured
            worst = max(worst or (-1.0, ""), (missing, f"{missing:.1%} of the {arm}'s {matured} matured units have no outcome"))
    limit = plan.max_missing_outcomes
    if worst is None:
        return HealthCheck("missing_outcomes", True, "no unit has matured yet", None, limit)
    return HealthCheck("missing_outcomes", worst[0] <= limit, f"{worst[1]} (limit {limit:.1%})", worst[0], limit)


def _missing_alike(data: CanaryData, plan: Plan) -> HealthCheck:
    name, text = "missing_outcomes_alike", "missing outcomes cannot be compared yet"
    strata = [
        StratumStatistics(
            Stratum(one.revision, one.stage), _missing_statistics(one.champion), _missing_statistics(one.challenger)
        )
        for one in data.stages
        if not one.is_shadow
    ]
    tuning = Tuning(MISSING_ALPHA, plan.planned_units, plan.tuning.reference_share)
    interval = interval_of(strata, tuning)
    if isinstance(interval, str):
        return HealthCheck(name, True, text)
    ok = interval.lower <= 0 <= interval.upper
    text = (
        f"outcomes are missing for {interval.champion_mean:.2%} of the champion's and {interval.challenger_mean:.2%} of the "
        f"challenger's units: {'no difference is shown' if ok else 'the arms differ, so the comparison is biased'}"
    )
    return HealthCheck(name, ok, text, interval.estimate, None)


def _missing_statistics(counts: ArmCounts) -> ArmStatistics:
    missing = float(counts.matured - counts.with_outcome)
    return ArmStatistics(counts.matured, missing, missing)


def _cross_arm(data: CanaryData) -> HealthCheck:
    exposed = sum(one.champion.exposed + one.challenger.exposed for one in data.stages if not one.is_shadow)
    if not exposed and not data.cross_arm_units:
        return HealthCheck("cross_arm_units", True, "no units yet", None, MAX_CROSS_ARM_SHARE)
    share = data.cross_arm_units / (exposed + data.cross_arm_units)
    text = f"{data.cross_arm_units} units were seen in both arms and are left out ({share:.2%}, limit {MAX_CROSS_ARM_SHARE:.2%})"
    return HealthCheck("cross_arm_units", share <= MAX_CROSS_ARM_SHARE, text, share, MAX_CROSS_ARM_SHARE)


def _reported(data: CanaryData) -> Iterator[HealthCheck]:
    for name, words in (
        ("duplicate_outcomes", "outcome rows were replaced by a later one"),
        ("unknown_outcomes", "outcome rows name a request that was not exposed; ignored"),
        ("outcomes_before_exposure", "outcome rows were observed before their exposure; ignored"),
        ("late_outcomes", "outcome rows came after the outcome window; ignored"),
        ("duplicate_exposures", "exposure rows repeat a request; the first counts"),
    ):
        number = getattr(data, name)
        yield HealthCheck(name, True, f"{number} {words}", float(number))


def _arm(counts: StageCounts, arm: str) -> ArmCounts:
    return counts.champion if arm == "champion" else counts.challenger
