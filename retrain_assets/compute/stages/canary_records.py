"""Which exposure records count for a toggle's experiment, and which outcome belongs to which of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from retrain_assets.contract import Contract, StageError
from retrain_assets.experiment import SHADOW
from retrain_assets.routing.cohort import meeting

CLOCK_SKEW = timedelta(minutes=5)
"""How far clocks of serving and of the analysis may differ before a record counts as dated in the future."""

_EXPOSURE = ("request_id", "model", "unit_id", "toggle", "revision", "stage", "arm", "exposed_at", "latency_ms", "error")
_OUTCOME = ("request_id", "unit_id", "observed_at")


@dataclass(frozen=True, slots=True)
class Assigned:
    """Exposures of an experiment, each unit in its stratum and arm.

    Args:
        requests: exposure rows that count: real traffic, in the unit's stratum, units that kept their arm.
        shadow: one row per revision and unit of shadow traffic: ``scored`` by the challenger, ``matured``.
        labels: stage label per revision.
        cross_arm_units: units left out because they changed arm against the ramp.
        duplicates: rows that repeat a request.
        future: rows dated in the future.
        unknown_revisions: rows of a revision the ledger does not know.
    """

    requests: pl.DataFrame
    shadow: pl.DataFrame
    labels: dict[int, str]
    cross_arm_units: int
    duplicates: int
    future: int
    unknown_revisions: int


@dataclass(frozen=True, slots=True)
class Matched:
    """The outcome of each request, one column per outcome measure, and how many rows were not used for which reason."""

    values: pl.DataFrame
    duplicates: int
    unknown: int
    before_exposure: int
    late: int
    future: int


def assign_units(
    exposures: pl.DataFrame, *, contract: Contract, toggle: str, shares: Mapping[int, float], now: datetime
) -> Assigned:
    """The exposures of one toggle's experiment.

    Args:
        exposures: exposure records.
        contract: names the model, the cohort, the segments and the outcome window.
        toggle: the toggle.
        shares: share of the challenger per revision the ledger knows, 0..1.
        now: the time of the look.

    Raises:
        StageError: for a missing column, a wrong type or an unknown arm.
    """
    experiment = contract.experiment
    exposures = _complete(exposures, (*_EXPOSURE, *experiment.segments, *experiment.cohort), "exposures")
    _require_times(exposures, "exposed_at", "exposures")
    own = exposures.filter((pl.col("model") == contract.model) & (pl.col("toggle") == toggle) & pl.col("unit_id").is_not_null())
    for attribute, condition in experiment.cohort.items():
        own = own.filter(meeting(own[attribute], condition.model_dump(mode="json", by_alias=True)))
    if strange := sorted({str(arm) for arm in own["arm"].unique()} - {"champion", "challenger"}):
        raise StageError(f"arm {strange[0]!r} is unknown", where="exposures.arm", remedy="write champion or challenger")
    if own["exposed_at"].null_count() or own["stage"].null_count() or own["revision"].null_count():
        raise StageError("a record has no time, stage or revision", where="exposures", remedy="log all three for every request")
    future = own.filter(pl.col("exposed_at") > now + CLOCK_SKEW).height
    known = own.filter(pl.col("exposed_at") <= now)
    unknown_revisions = known.filter(~pl.col("revision").is_in(sorted(shares))).height
    ordered = known.filter(pl.col("revision").is_in(sorted(shares))).sort("exposed_at", "revision", "request_id")
    unique = ordered.unique("request_id", keep="first", maintain_order=True)
    labels = {row[0]: row[1] for row in unique.select("revision", "stage").unique(maintain_order=True).iter_rows()}
    traffic = unique.filter(pl.col("stage") != SHADOW)
    crossing = _crossing(ordered.filter(pl.col("stage") != SHADOW), shares)
    first = traffic.group_by("unit_id", maintain_order=True).agg(pl.col("revision").first().alias("_first"))
    requests = (
        traffic.join(crossing, on="unit_id", how="anti")
        .join(first, on="unit_id", how="left", maintain_order="left")
        .filter(pl.col("revision") == pl.col("_first"))
        .drop("_first")
    )
    scored = pl.col("shadow_score").is_not_null() if "shadow_score" in unique.columns else pl.lit(False)
    shadow = (
        unique.filter(pl.col("stage") == SHADOW)
        .group_by("revision", "unit_id")
        .agg(scored=scored.any(), matured=pl.col("exposed_at").min() + experiment.outcome_window <= now)
    )
    return Assigned(requests, shadow, labels, crossing.height, ordered.height - unique.height, future, unknown_revisions)


def match_outcomes(
    outcomes: pl.DataFrame, exposures: pl.DataFrame, requests: pl.DataFrame, *, contract: Contract, now: datetime
) -> Matched:
    """The outcomes of the counted requests; per request and measure the last ``observed_at`` wins.

    Args:
        outcomes: outcome records.
        exposures: every exposure record, so that an outcome of other traffic is not called unknown.
        requests: the requests that count, from :func:`assign_units`.
        contract: names the outcome measures and the outcome window.
        now: the time of the look.

    Raises:
        StageError: for a missing column or a wrong type.
    """
    columns = contract.experiment.outcomes
    outcomes = _complete(outcomes, (*_OUTCOME, *columns), "outcomes")
    _require_times(outcomes, "observed_at", "outcomes")
    future = outcomes.filter(pl.col("observed_at") > now + CLOCK_SKEW).height
    seen = outcomes.filter(pl.col("observed_at") <= now).with_row_index("_row")
    everyone = exposures.select("request_id", pl.col("unit_id").alias("_unit")).unique("request_id", keep="first")
    known = seen.join(everyone, on="request_id", how="inner").filter(
        pl.col("unit_id").eq_missing(pl.col("_unit")) | pl.col("unit_id").is_null()
    )
    mine = known.join(requests.select("request_id", "exposed_at"), on="request_id", how="inner")
    early = pl.col("observed_at") < pl.col("exposed_at")
    late = pl.col("observed_at") > pl.col("exposed_at") + contract.experiment.outcome_window
    usable = mine.filter(~early & ~late)
    repeated = pl.col("request_id").is_duplicated()
    single = usable.filter(~repeated).select("request_id", *(pl.col(column).cast(pl.Float64) for column in columns))
    several, duplicates = _last_reports(usable.filter(repeated), columns)
    return Matched(
        values=pl.concat([single, several]),
        duplicates=duplicates,
        unknown=seen.height - known.height + outcomes["observed_at"].null_count(),
        before_exposure=mine.filter(early).height,
        late=mine.filter(late).height,
        future=future,
    )


def _last_reports(usable: pl.DataFrame, columns: Sequence[str]) -> tuple[pl.DataFrame, int]:
    """Per request and measure the last report, and how many rows were replaced by a later one."""
    reports = (
        usable.unpivot(columns, index=["request_id", "observed_at", "_row"], variable_name="_measure", value_name="_value")
        .filter(pl.col("_value").is_not_null())
        .sort("observed_at", "_value", "_row")
    )
    last = reports.unique(["request_id", "_measure"], keep="last", maintain_order=True)
    replaced = reports.join(last.select("_row", "_measure"), on=["_row", "_measure"], how="anti")
    values = last.select("request_id").unique(maintain_order=True)
    for column in columns:
        one = last.filter(pl.col("_measure") == column).select("request_id", pl.col("_value").cast(pl.Float64).alias(column))
        values = values.join(one, on="request_id", how="left")
    return values, replaced["_row"].n_unique()


def _crossing(traffic: pl.DataFrame, shares: Mapping[int, float]) -> pl.DataFrame:
    """Units seen in both arms under one revision, or back on the champion although the challenger's share did not shrink.

    A ramp that grows moves units from champion to challenger; that is no fault, and the unit stays where it first was.
    """
    challenged = pl.col("arm") == "challenger"
    both_arms = traffic.group_by("unit_id").agg(any=challenged.any(), all=challenged.all()).filter(pl.col("any") & ~pl.col("all"))
    candidates = traffic.join(both_arms, on="unit_id", how="semi")
    per_revision = candidates.group_by("unit_id", "revision").agg(
        both=pl.col("arm").n_unique() > 1,
        on_challenger=challenged.any(),
        share=pl.col("revision").first().replace_strict(dict(shares), return_dtype=pl.Float64),
    )
    return (
        per_revision.sort("unit_id", "revision")
        .with_columns(
            before=pl.col("on_challenger").shift(1, fill_value=False).over("unit_id"),
            shrunk=(pl.col("share") < pl.col("share").shift(1).over("unit_id")).fill_null(False),
        )
        .filter(pl.col("both") | (pl.col("before") & ~pl.col("on_challenger") & ~pl.col("shrunk")))
        .select(pl.col("unit_id").unique())
    )


def _complete(frame: pl.DataFrame, columns: Sequence[str], name: str) -> pl.DataFrame:
    """The frame with the columns that records must have; where nothing is recorded yet, nobody has named any."""
    missing = [column for column in dict.fromkeys(columns) if column not in frame.columns]
    if frame.is_empty():
        return frame.with_columns(pl.lit(None).alias(column) for column in missing)
    if missing:
        raise StageError(
            f"column {missing[0]!r} is missing",
            where=name,
            remedy=f"write records as docs/data-formats.md says; {name} has {', '.join(frame.columns) or 'no column'}",
        )
    return frame


def _require_times(frame: pl.DataFrame, column: str, name: str) -> None:
    kind = frame.schema[column]
    if not (isinstance(kind, pl.Datetime) and kind.time_zone == "UTC"):
        raise StageError(f"{column} is {kind}", where=name, remedy="write timestamp[us, UTC]")
