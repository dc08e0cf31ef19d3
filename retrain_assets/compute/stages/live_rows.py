"""A champion's live rows: what it served, and of each row the score, the label where it is known by now, and the segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Bundle
from retrain_assets.compute.stages.segment_losses import segment_columns
from retrain_assets.compute.stages.source import bounds
from retrain_assets.contract import Contract, StageError

Floats = npt.NDArray[np.float64]

REQUEST = ["request_id", "unit_id"]
"""What one request is told by: callers may number the requests of each unit from 1."""


@dataclass(frozen=True, slots=True)
class LiveRows:
    """Scored rows of one window.

    A segment column is that of the features where it is one, otherwise of the source, otherwise what was logged with the
    exposure: as the reference takes it from the hold-out.

    Args:
        scores: (n,), or (n, classes) for several classes; finite.
        labels: (n,): 0/1, class position or number; NaN where it is not known yet.
        segments: the n rows' segment columns that the source or the exposures have.
    """

    scores: Floats
    labels: Floats
    segments: pl.DataFrame

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Where the label is known."""
        return np.isfinite(self.labels)


def served_rows(traffic: Path, digest: str, since: datetime, now: datetime, attributes: list[str]) -> pl.DataFrame:
    """What a bundle scored as champion in its reign before now; one row a request, the earliest, with the logged attributes."""
    columns = {"request_id": pl.String, "unit_id": pl.String, "exposed_at": pl.Datetime("us", "UTC"), "score": pl.Float64}
    reign = (pl.col("exposed_at") >= since) & (pl.col("exposed_at") < now)
    served = read_traffic(traffic, (pl.col("bundle") == digest) & (pl.col("arm") == "champion") & reign, columns, attributes)
    return served.sort("exposed_at", maintain_order=True).unique(REQUEST, keep="first", maintain_order=True)


def read_traffic(traffic: Path, keep: pl.Expr, columns: Mapping[str, Any], optional: list[str] | None = None) -> pl.DataFrame:
    """Some rows of a Parquet file, or a folder of them; without any file no rows.

    Raises:
        StageError: when a file cannot be read or lacks a column.
    """
    files = [traffic] if traffic.is_file() else sorted(traffic.rglob("*.parquet"))
    if not files:
        return pl.DataFrame(schema=dict(columns))
    try:
        return pl.concat([_scan(path, keep, list(columns), optional or []) for path in files], how="diagonal_relaxed").collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StageError(f"traffic cannot be read ({error})", where=str(traffic), remedy="see docs/data-formats.md") from error


def live_rows(
    window: pl.DataFrame, rows: pl.DataFrame, built: pl.DataFrame, bundle: Bundle, contract: Contract, now: datetime
) -> LiveRows:
    """The window's rows with what is known of them now.

    Of one score a row, the rows are those that were served, with the served score. Of several classes only the likeliest one's
    probability is logged, so the rows are the source's rows of the served units, scored again by the same bundle.

    Args:
        window: what was served in the window.
        rows: source rows of the window.
        built: features of these rows.
        bundle: the champion.
        contract: roles of columns, label delay, segments.
        now: labels of rows younger than the label delay are not known.
    """
    source = contract.source
    (mature,) = bounds(rows.schema[source.event_time], now - source.label_delay)
    label = pl.when(pl.col(source.event_time) <= mature).then(label_number(contract, bundle))
    segments = {name: table[name] for table in (rows, built) for name in segment_columns(contract) if name in table.columns}
    landed = rows.select(unit_id=pl.col(source.unit).cast(pl.String), _label=label).with_columns(*segments.values())
    if contract.task == "multiclass":
        served = landed["unit_id"].is_in(window["unit_id"].drop_nulls().unique().implode()).fill_null(False)
        scored = landed.filter(served)
        return LiveRows(bundle.score(built.filter(served)), _floats(scored["_label"]), scored.drop("unit_id", "_label"))
    by_unit = landed.group_by("unit_id").agg(pl.col("_label").mean(), *(pl.col(name).last() for name in segments))
    logged = window.filter(pl.col("score").is_finite()).drop(*segments, strict=False)
    both = logged.join(by_unit, on="unit_id", how="left")
    attributes = [name for name in segment_columns(contract) if name in both.columns]
    return LiveRows(_floats(both["score"]), _floats(both["_label"]), both.select(attributes))


def label_number(contract: Contract, bundle: Bundle) -> pl.Expr:
    """The label as a number: 0/1, class position, or its value; null for a class the champion does not know."""
    return label_of_classes(contract, bundle.manifest.classes)


def label_of_classes(contract: Contract, known: Sequence[str | int]) -> pl.Expr:
    """As :func:`label_number`, of a champion with these classes."""
    label = pl.col(contract.source.label)
    if contract.task != "multiclass":
        return label.cast(pl.Float64)
    classes = list(known)
    text = label if all(isinstance(name, int) for name in classes) else label.cast(pl.String)
    return text.replace_strict(classes, list(map(float, range(len(classes)))), default=None, return_dtype=pl.Float64)


def _scan(path: Path, keep: pl.Expr, columns: list[str], optional: list[str]) -> pl.LazyFrame:
    lazy = pl.scan_parquet(path, glob=False)
    there = lazy.collect_schema() if optional else {}
    return lazy.filter(keep).select(*columns, *(name for name in optional if name in there))


def _floats(values: pl.Series) -> Floats:
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()
