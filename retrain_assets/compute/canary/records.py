"""From the records of exposures and outcomes to compact rows: whose they are, hashed keys, codes instead of texts.

A request is identified by ``request_id`` and ``unit_id`` together, so that everything about a unit hangs together and nothing
else. Both are hashed to 64 bits; among ten million requests any two share a hash with a probability of 3e-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import polars as pl

from retrain_assets.compute.canary.terms import Terms
from retrain_assets.contract import StageError
from retrain_assets.experiment.plan import segment_label
from retrain_assets.routing.cohort import meeting_as_logged

CLOCK_SKEW = timedelta(minutes=5)
"""How far clocks of serving and of the analysis may differ before a record counts as dated in the future."""

PRE_PERIOD, OTHER = -1, -2
"""In place of a revision: exposures before the experiment that are covariates, and other traffic."""

_EXPOSURE = ("request_id", "model", "unit_id", "toggle", "revision", "arm", "exposed_at")
_OUTCOME = ("request_id", "unit_id", "observed_at")
REVISION_BITS = 7
"""Low bits that a unit's hash leaves free, for the number of a revision; of ten million units two share the rest with 3e-4."""

_MOMENT = pl.Datetime("us", "UTC")
_EXPOSURE_ROW = {
    "key": pl.UInt64,
    "unit": pl.UInt64,
    "at": _MOMENT,
    "revision": pl.Int32,
    "challenger": pl.Boolean,
    "scored": pl.Boolean,
}
_GREATEST_REVISION = 2**30
_UNIT_SEED, _REQUEST_SEED = 20260701, 41


@dataclass(slots=True)
class Labels:
    """Numbers for the segments of a toggle, in the order they were met.

    Args:
        of: per segment column the label of each number.
        columns: attribute and measure columns that some file had.
    """

    of: dict[str, list[str]] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)

    def codes(self, values: pl.Series, column: str) -> pl.Series:
        """The number of each value's segment; values of a type that differs between files are told apart by their text."""
        labels = self.of.setdefault(column, [])
        known = {label: code for code, label in enumerate(labels)}
        distinct = values.unique()
        codes = []
        for value in distinct:
            label = segment_label(column, value)
            if label not in known:
                known[label] = len(labels)
                labels.append(label)
            codes.append(known[label])
        if len(distinct) == 1:
            return pl.repeat(codes[0], len(values), dtype=pl.UInt32, eager=True)
        return values.replace_strict(distinct, pl.Series(codes, dtype=pl.UInt32), return_dtype=pl.UInt32)


def exposure_rows(records: pl.LazyFrame, terms: Terms, labels: Labels) -> pl.DataFrame:
    """Compact rows of one batch of exposures.

    Args:
        records: exposures as documented; attributes may be missing.
        terms: what is counted.
        labels: numbers of the segments; new ones are added.

    Returns:
        ``key``, ``unit`` (hashes), ``at`` and ``revision`` (:data:`PRE_PERIOD` and :data:`OTHER` for rows outside the experiment)
        of every row since the time before the experiment; of rows in it also ``challenger``, ``scored`` (shadow), the segments
        ``s0..`` and the columns ``e0..`` (measures) and ``c0..`` (covariates).

    Raises:
        StageError: for a missing column, a wrong type or an unknown arm.
    """
    experiment = terms.contract.experiment
    schema = records.collect_schema()
    attributes = dict.fromkeys((*terms.segments, *experiment.cohort, *terms.covariate_columns))
    _require(schema, (*_EXPOSURE, *terms.exposure_columns), "exposures")
    _require_time(schema, "exposed_at", "exposures")
    scores = [column for column in ("score", "shadow_score") if column in schema]
    wanted = [*_EXPOSURE, *terms.exposure_columns, *attributes, *scores, *(["error"] if terms.uses_champion_score else [])]
    since = terms.pre_period_from - terms.window
    frame = (
        records.select(column for column in dict.fromkeys(wanted) if column in schema)
        .filter(
            pl.col("model") == terms.contract.model,
            pl.col("exposed_at").is_null() | (pl.col("exposed_at") >= since) | (pl.col("toggle") == terms.toggle),
        )
        .collect()
    )
    if frame.height:
        labels.columns.update(column for column in attributes if column in schema)
    frame = frame.with_columns(pl.lit(None).alias(column) for column in attributes if column not in schema)
    own = (frame["toggle"] == terms.toggle).fill_null(value=False) & frame["unit_id"].is_not_null()
    for attribute, condition in experiment.cohort.items():
        own &= meeting_as_logged(frame[attribute], condition.model_dump(mode="json", by_alias=True))
    _check(frame if own.all() else frame.filter(own))
    armed, shadow = terms.armed_at, [revision for revision, share in terms.shares.items() if not share]
    measured = own
    revision = pl.when(own).then(pl.col("revision").clip(-1, _GREATEST_REVISION)).otherwise(OTHER)
    if terms.pre_period:
        before = ~own & frame["unit_id"].is_not_null() & (frame["exposed_at"] >= terms.pre_period_from)
        before &= frame["exposed_at"] < armed
        revision = pl.when(before).then(PRE_PERIOD).otherwise(revision)
        measured = own | before
    revision = pl.when(own & (pl.col("revision") < 0)).then(_GREATEST_REVISION).otherwise(revision)
    unit = pl.col("unit_id").hash(_UNIT_SEED)
    scored = pl.col("shadow_score").is_not_null() if "shadow_score" in schema else pl.lit(False)
    scored = scored & pl.col("revision").is_in(shadow) if shadow else pl.lit(False)
    rows = frame.select(
        (unit ^ pl.col("request_id").hash(_REQUEST_SEED)).alias("key"),
        _place(unit).alias("unit"),
        pl.col("exposed_at").alias("at"),
        revision.cast(pl.Int32).alias("revision"),
        (pl.col("arm") == "challenger").fill_null(value=False).alias("challenger"),
        scored.alias("scored"),
        *(pl.col(column).cast(kind).alias(f"e{place}") for place, (column, kind) in enumerate(_kinds(terms).items())),
        *(column.alias(f"c{place}") for place, column in enumerate(_covariates(terms, schema))),
    )
    nobody = not measured.any()
    codes = [
        pl.repeat(0, rows.height, dtype=pl.UInt32, eager=True) if nobody else labels.codes(frame[column], column)
        for column in terms.segments
    ]
    return rows.with_columns(code.alias(f"s{place}") for place, code in enumerate(codes)).select(no_exposures(terms).columns)


def outcome_rows(records: pl.LazyFrame, terms: Terms, labels: Labels) -> pl.DataFrame:
    """Compact rows of one batch of outcomes: ``key``, ``unit``, ``at`` (observed), the measures ``o0..`` as 64-bit floats.

    Raises:
        StageError: for a missing column or a wrong type.
    """
    schema = records.collect_schema()
    _require(schema, _OUTCOME, "outcomes")
    _require_time(schema, "observed_at", "outcomes")
    columns = terms.outcome_columns
    found = [column for column in columns if column in schema]
    unit = pl.col("unit_id").hash(_UNIT_SEED)
    rows = (
        records.select(*_OUTCOME, *found)
        .filter(pl.col("observed_at").is_null() | (pl.col("observed_at") >= terms.pre_period_from))
        .select(
            (unit ^ pl.col("request_id").hash(_REQUEST_SEED)).alias("key"),
            _place(unit).alias("unit"),
            pl.col("observed_at").alias("at"),
            *(
                (pl.col(column) if column in schema else pl.lit(None)).cast(pl.Float64).alias(f"o{place}")
                for place, column in enumerate(columns)
            ),
        )
        .collect()
    )
    if rows.height:
        labels.columns.update(found)
    return rows


def no_exposures(terms: Terms) -> pl.DataFrame:
    """No exposure rows, with their columns."""
    kinds: dict[str, Any] = {
        **_EXPOSURE_ROW,
        **{f"e{place}": kind for place, kind in enumerate(_kinds(terms).values())},
        **{f"c{place}": pl.Float64 for place in range(terms.recorded_covariates)},
        **{f"s{place}": pl.UInt32 for place in range(len(terms.segments))},
    }
    return pl.DataFrame(schema=kinds)


def no_outcomes(terms: Terms) -> pl.DataFrame:
    """No outcome rows, with their columns."""
    kinds: dict[str, Any] = {"key": pl.UInt64, "unit": pl.UInt64, "at": _MOMENT}
    return pl.DataFrame(schema=kinds | {f"o{place}": pl.Float64 for place in range(len(terms.outcome_columns))})


def require_columns(labels: Labels, terms: Terms, *, exposures: bool, outcomes: bool) -> None:
    """Refuse records of which no file has a column that is needed.

    Args:
        labels: what the files had.
        terms: what is needed.
        exposures: whether there was an exposure.
        outcomes: whether there was an outcome.

    Raises:
        StageError: naming the column.
    """
    experiment = terms.contract.experiment
    for name, any_row, columns in (
        ("exposures", exposures, (*terms.segments, *experiment.cohort, *terms.covariate_columns)),
        ("outcomes", outcomes, terms.outcome_columns),
    ):
        if any_row and (missing := [column for column in columns if column not in labels.columns]):
            raise _lacks(missing[0], name)


def _place(unit: pl.Expr) -> pl.Expr:
    return unit & pl.lit(2**64 - 2**REVISION_BITS, pl.UInt64)


def _covariates(terms: Terms, schema: pl.Schema) -> list[pl.Expr]:
    columns = [pl.col(column).cast(pl.Float64) for column in terms.covariate_columns]
    if terms.uses_champion_score:
        score, shadow = (pl.col(name) if name in schema else pl.lit(None) for name in ("score", "shadow_score"))
        answered = (pl.col("arm") == "champion") | pl.col("error")
        columns.append(pl.when(answered).then(score).otherwise(shadow).cast(pl.Float64))
    return columns


def _kinds(terms: Terms) -> dict[str, type[pl.DataType]]:
    return {column: pl.Boolean if column == "error" else pl.Float64 for column in terms.exposure_columns}


def _check(own: pl.DataFrame) -> None:
    if own["exposed_at"].null_count() or own["revision"].null_count():
        raise StageError("a record has no time or revision", where="exposures", remedy="log both for every request")
    if strange := sorted({str(arm) for arm in own["arm"].unique()} - {"champion", "challenger"}):
        raise StageError(f"arm {strange[0]!r} is unknown", where="exposures.arm", remedy="write champion or challenger")


def _require(schema: pl.Schema, columns: Sequence[str], name: str) -> None:
    if missing := [column for column in columns if column not in schema]:
        raise _lacks(missing[0], name)


def _lacks(column: str, name: str) -> StageError:
    return StageError(f"column {column!r} is missing", where=name, remedy="write records as docs/data-formats.md says")


def _require_time(schema: pl.Schema, column: str, name: str) -> None:
    kind = schema[column]
    if not (isinstance(kind, pl.Datetime) and kind.time_zone == "UTC"):
        raise StageError(f"{column} is {kind}", where=name, remedy="write timestamp[us, UTC]")
