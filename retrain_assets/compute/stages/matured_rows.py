"""Matured requests of an experiment with their outcomes and, where known, their labels: a systematic sample of bounded size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from retrain_assets.compute.stages.live_rows import REQUEST
from retrain_assets.compute.stages.source import bounds
from retrain_assets.contract import Contract
from retrain_assets.experiment.estimation.statistics import SHADOW

MOST_ROWS = 300_000
"""Most requests that are joined with outcomes and labels, whatever the traffic: they tell the mean of a score to 0.001."""


@dataclass(frozen=True, slots=True)
class MaturedRows:
    """Sampled requests whose outcome window has closed.

    Args:
        frame: ``request_id``, ``unit_id``, ``revision``, ``stage``, ``arm``, ``exposed_at``, ``score``, ``shadow_score``,
            ``error``, ``decision`` (null where none was logged), segment columns; then ``label`` and ``outcome X`` per outcome.
        step: every how many-th request was taken.
    """

    frame: pl.DataFrame
    step: int


def sampled(exposures: pl.LazyFrame, segments: Sequence[str], contract: Contract, now: datetime) -> MaturedRows:
    """Every k-th matured request in the order of the files, k the smallest number that keeps at most :data:`MOST_ROWS`."""
    there = exposures.collect_schema()
    ripe = exposures.filter(pl.col("exposed_at") + contract.experiment.outcome_window <= now)
    rows = ripe.select(pl.len()).collect(engine="streaming").item()
    step = max(1, -(-rows // MOST_ROWS))
    decision = pl.col("decision") if "decision" in there else pl.lit(None, dtype=pl.Boolean).alias("decision")
    columns = ["request_id", "unit_id", "revision", "stage", "arm", "exposed_at", "score", "shadow_score", "error"]
    frame = ripe.select(*columns, decision, *segments).gather_every(step).collect(engine="streaming")
    return MaturedRows(frame.unique(REQUEST, keep="first", maintain_order=True), step)


def with_outcomes(sample: MaturedRows, outcomes: pl.LazyFrame, contract: Contract, now: datetime) -> MaturedRows:
    """The sample with what became of each request; per request and measure the last report inside the outcome window counts."""
    there, wanted = outcomes.collect_schema(), contract.experiment.outcomes
    known = [name for name in (*wanted, contract.source.label) if name in there]
    window = contract.experiment.outcome_window
    seen = (
        outcomes.filter(pl.col("observed_at") <= now)
        .select(*REQUEST, "observed_at", *dict.fromkeys(known))
        .join(sample.frame.lazy().select(*REQUEST, "exposed_at"), on=REQUEST, how="inner")
        .filter((pl.col("observed_at") >= pl.col("exposed_at")) & (pl.col("observed_at") <= pl.col("exposed_at") + window))
        .collect(engine="streaming")
        .sort("observed_at")
        .group_by(REQUEST)
        .agg(pl.col(name).drop_nulls().last().cast(pl.Float64).alias(f"outcome {name}") for name in dict.fromkeys(known))
    )
    missing = [pl.lit(None, dtype=pl.Float64).alias(f"outcome {name}") for name in wanted if name not in known]
    frame = sample.frame.join(seen, on=REQUEST, how="left", maintain_order="left").with_columns(*missing)
    label = f"outcome {contract.source.label}"
    return MaturedRows(
        frame.with_columns(label=pl.col(label) if label in frame.columns else pl.lit(None, dtype=pl.Float64)), sample.step
    )


def with_source_labels(sample: MaturedRows, rows: pl.DataFrame, label: pl.Expr, contract: Contract, now: datetime) -> MaturedRows:
    """The sample with labels of the source, as the drift stage has them, where outcomes carry none.

    Of a unit with several source rows the row of the request's own moment is meant, else their mean; of a classification such a
    mean is no label unless they all agree.

    Args:
        sample: the requests.
        rows: source rows of the time of the requests.
        label: expression of the label as a number over the source rows.
        contract: roles of columns, label delay, task.
        now: labels of rows younger than the label delay are not known.
    """
    source = contract.source
    (mature,) = bounds(rows.schema[source.event_time], now - source.label_delay)
    known = rows.filter(pl.col(source.event_time) <= mature).select(
        unit_id=pl.col(source.unit).cast(pl.String), at=pl.col(source.event_time), found=label
    )
    by_unit = known.group_by("unit_id").agg(found=pl.col("found").mean())
    frame = sample.frame.join(by_unit, on="unit_id", how="left", maintain_order="left")
    if rows.schema[source.event_time] == frame.schema["exposed_at"]:
        exact = known.unique(["unit_id", "at"], keep="last").rename({"found": "exact"})
        frame = frame.join(
            exact, left_on=["unit_id", "exposed_at"], right_on=["unit_id", "at"], how="left", maintain_order="left"
        ).with_columns(found=pl.coalesce("exact", "found"))
    value = pl.coalesce("label", "found")
    if contract.task != "regression":
        value = pl.when(value.is_in([0.0, 1.0])).then(value)
    return MaturedRows(frame.with_columns(label=value).select(sample.frame.columns), sample.step)


def by_arm(sample: MaturedRows) -> pl.DataFrame:
    """One row per score: of a request in shadow one for each arm; the column ``score`` is that of the arm ``arm``.

    What an arm failed on is left out, as is what has no finite score. ``real`` tells real traffic from shadow scoring.
    """
    frame = sample.frame
    answered = frame.filter(~((pl.col("arm") == "challenger") & pl.col("error").fill_null(True)))
    real = answered.with_columns(real=pl.col("stage") != SHADOW)
    beside = frame.filter(pl.col("stage") == SHADOW).with_columns(
        arm=pl.lit("challenger"), score=pl.col("shadow_score"), decision=pl.lit(None, dtype=pl.Boolean), real=pl.lit(False)
    )
    return pl.concat([real, beside]).filter(pl.col("score").is_finite())
