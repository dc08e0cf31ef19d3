"""From exposures and outcomes to the sufficient statistics of a canary: joins, de-duplication, maturity, one value per unit.

No statistics here beyond counts and sums; those are in ``experiment``. Nothing is read or written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from retrain_assets.compute.stages.canary_records import Assigned, assign_units, match_outcomes
from retrain_assets.contract import Contract, Guardrail, StageError, Success
from retrain_assets.contract.experiment import EXPOSURE_MEASURES
from retrain_assets.experiment import (
    SHADOW,
    ArmCounts,
    ArmStatistics,
    CanaryData,
    StageCounts,
    Stratum,
    StratumStatistics,
    stage_label,
)

_STRATUM = ["revision", "stage"]


def aggregate(
    exposures: pl.DataFrame,
    outcomes: pl.DataFrame,
    *,
    contract: Contract,
    toggle: str,
    stage_started: Mapping[int, datetime],
    shares: Mapping[int, float],
    now: datetime,
) -> CanaryData:
    """Count and sum what a canary has seen.

    A unit counts once, in the stratum (toggle revision) of its first exposure to real traffic, with the arm it had there; shadow
    traffic comes before and does not bind it. Its value is the mean over its matured requests in that stratum; a request is
    matured when ``exposed_at + outcome_window <= now``. Units that change arm against the ramp are left out and counted.
    The formats are those of docs/data-formats.md.

    Args:
        exposures: exposures of the model (all of them, or the toggle's own).
        outcomes: outcomes; rows of requests that are not in ``exposures`` are ignored and counted.
        contract: names the measures, the outcome window, the cohort and the segments.
        toggle: the toggle whose experiment is looked at.
        stage_started: when each revision of the toggle began.
        shares: intended share of the challenger per revision, 0..1.
        now: the time of the look (timezone-aware).

    Raises:
        StageError: for a missing column, a wrong type, an unknown arm, or a revision without a share.
    """
    if now.tzinfo is None or any(moment.tzinfo is None for moment in stage_started.values()):
        raise StageError("a time has no time zone", where="canary", remedy="pass timezone-aware UTC times")
    if missing := sorted(set(stage_started) - set(shares)):
        raise StageError(f"revision {missing[0]} has no share", where="canary shares", remedy="pass one share per revision")
    measures: dict[str, Success | Guardrail] = {**contract.experiment.success, **contract.experiment.guardrails}
    now = now.astimezone(UTC)
    assigned = assign_units(
        exposures, contract=contract, toggle=toggle, shares={revision: shares[revision] for revision in stage_started}, now=now
    )
    matched = match_outcomes(outcomes, exposures, assigned.requests, contract=contract, now=now)
    units = _values(assigned, matched.values, measures, contract, now)
    segments = contract.experiment.segments
    return CanaryData(
        stages=_stages(assigned, units.outcome_units, stage_started, shares, contract.experiment.outcome_window, now),
        measures={name: _strata(units.frame, name, assigned, None) for name in measures},
        segments={
            name: tuple(one for column in segments for one in _strata(units.frame, name, assigned, column)) for name in measures
        },
        cross_arm_units=assigned.cross_arm_units,
        duplicate_outcomes=matched.duplicates,
        unknown_outcomes=matched.unknown,
        outcomes_before_exposure=matched.before_exposure,
        late_outcomes=matched.late,
        duplicate_exposures=assigned.duplicates,
        future_rows=assigned.future + matched.future,
        unknown_revisions=assigned.unknown_revisions,
    )


@dataclass(frozen=True, slots=True)
class _Units:
    """One row per unit with a matured request: stratum, arm, segments, one column per measure; units with every outcome."""

    frame: pl.DataFrame
    outcome_units: pl.DataFrame


def _values(
    assigned: Assigned,
    values: pl.DataFrame,
    measures: Mapping[str, Success | Guardrail],
    contract: Contract,
    now: datetime,
) -> _Units:
    window, segments = contract.experiment.outcome_window, contract.experiment.segments
    logged = ["request_id", *_STRATUM, "unit_id", "arm", "exposed_at", *EXPOSURE_MEASURES, *segments]
    matured = assigned.requests.filter(pl.col("exposed_at") + window <= now).select(logged)
    requests = matured.join(values, on="request_id", how="left")  # an attribute may have the name of an outcome
    per_request = requests.select(
        *_STRATUM, "unit_id", "arm", "exposed_at", *segments, *(_measure(name, one) for name, one in measures.items())
    )
    frame = (
        per_request.sort("exposed_at", maintain_order=True)
        .group_by(*_STRATUM, "unit_id", "arm", maintain_order=True)
        .agg(*(pl.col(column).first() for column in segments), *(pl.col(_value(name)).mean() for name in measures))
    )
    needed = [_value(name) for name, one in measures.items() if one.column_of(name) not in EXPOSURE_MEASURES]
    complete = pl.all_horizontal(pl.col(name).is_not_null() for name in needed) if needed else pl.lit(True)
    return _Units(frame, frame.with_columns(complete=complete).select(*_STRATUM, "arm", "complete"))


def _measure(name: str, measure: Success | Guardrail) -> pl.Expr:
    """A measure of one request. A value that is not finite stays visible under ``above``; a negative latency becomes NaN."""
    column = measure.column_of(name)
    value = pl.col(column).cast(pl.Float64)
    if column == "latency_ms":
        value = pl.when(value < 0).then(float("nan")).otherwise(value)
    if measure.above is not None:
        value = pl.when(~value.is_finite()).then(value).otherwise((value > measure.above).cast(pl.Float64))
    return value.alias(_value(name))


def _value(name: str) -> str:
    return f"measure {name}"


def _strata(units: pl.DataFrame, name: str, assigned: Assigned, segment: str | None) -> tuple[StratumStatistics, ...]:
    """The strata of one measure, ordered by revision (and segment); a stratum with one empty arm is kept."""
    value = pl.col(_value(name))
    by = [*_STRATUM, *([segment] if segment else [])]
    sums = (
        units.filter(value.is_not_null())
        .group_by(*by, "arm")
        .agg(
            n=pl.len(),
            total=value.sum(),
            squares=(value * value).sum(),
            least=value.min(),
            greatest=value.max(),
        )
        .sort(*by, nulls_last=True)
    )
    arms: dict[tuple[object, ...], dict[str, ArmStatistics]] = {}
    for row in sums.iter_rows(named=True):
        arms.setdefault(tuple(row[key] for key in by), {})[row["arm"]] = ArmStatistics(
            row["n"], row["total"], row["squares"], row["least"], row["greatest"]
        )
    empty = ArmStatistics(0, 0.0, 0.0)
    return tuple(
        StratumStatistics(
            Stratum(int(str(key[0])), str(key[1]), f"{segment}={'missing' if key[2] is None else key[2]}" if segment else None),
            found.get("champion", empty),
            found.get("challenger", empty),
        )
        for key, found in arms.items()
    )


def _stages(
    assigned: Assigned,
    outcome_units: pl.DataFrame,
    stage_started: Mapping[int, datetime],
    shares: Mapping[int, float],
    window: timedelta,
    now: datetime,
) -> tuple[StageCounts, ...]:
    """Counts per revision, those without an exposure included."""
    matured = pl.col("exposed_at").min() + window <= now
    traffic = assigned.requests.group_by(*_STRATUM, "unit_id", "arm").agg(matured=matured)
    exposed = _counts(traffic.group_by(*_STRATUM, "arm").agg(number=pl.len()))
    ripe = _counts(traffic.group_by(*_STRATUM, "arm").agg(number=pl.col("matured").sum()))
    complete = _counts(outcome_units.group_by(*_STRATUM, "arm").agg(number=pl.col("complete").sum()))
    for row in (
        assigned.shadow.group_by("revision")
        .agg(
            champion=pl.len(),
            challenger=pl.col("scored").sum(),
            champion_ripe=pl.col("matured").sum(),
            challenger_ripe=(pl.col("matured") & pl.col("scored")).sum(),
        )
        .iter_rows(named=True)
    ):
        for arm in ("champion", "challenger"):
            exposed[row["revision"], arm] = row[arm]
            ripe[row["revision"], arm] = row[f"{arm}_ripe"]
    labels = assigned.labels

    def counts(revision: int, arm: str) -> ArmCounts:
        key = (revision, arm)
        return ArmCounts(exposed.get(key, 0), ripe.get(key, 0), complete.get(key, 0))

    return tuple(
        StageCounts(
            revision=revision,
            stage=labels.get(revision) or (stage_label(shares[revision] * 100) if shares[revision] else SHADOW),
            challenger_share=shares[revision],
            champion=counts(revision, "champion"),
            challenger=counts(revision, "challenger"),
            started_at=stage_started[revision],
        )
        for revision in sorted(stage_started)
    )


def _counts(frame: pl.DataFrame) -> dict[tuple[int, str], int]:
    return {(row["revision"], row["arm"]): row["number"] for row in frame.iter_rows(named=True)}
