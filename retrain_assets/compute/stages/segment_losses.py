"""Loss of a model in segments of its rows: of the hold-out when it is trained, of a live window when its labels are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import Contract
from retrain_assets.drift import SegmentLoss

Floats = npt.NDArray[np.float64]
Losses = dict[str, dict[str, dict[str, Any]]]
"""By column and value: ``rows``, ``mean`` and ``variance`` (divisor n - 1, None below two rows) of the loss."""

SEGMENTS_KEPT = 50
"""Segments per column that a reference keeps, largest first; rarer values say too little."""

NO_VALUE = "(none)"
"""Segment of the rows without a value, as in gate offline."""


def segment_columns(contract: Contract) -> list[str]:
    """The columns whose values are segments: those of the experiment, then the slices of gate offline."""
    slices = contract.gates.offline.slices
    return list(dict.fromkeys([*contract.experiment.segments, *(slices.columns if slices else ())]))


def row_losses(task: str, scores: Floats, labels: Floats, label_std: float | None = None) -> Floats | None:
    """One loss a row, lower is better.

    Args:
        task: the contract's.
        scores: (n,) or, for several classes, (n, classes).
        labels: (n,): 0/1, class position, or number.
        label_std: standard deviation of the hold-out labels, the unit of a regression's error.

    Returns:
        Squared error of the probability (Brier), log loss of several classes, squared error in label variances; None for a
        regression whose labels do not vary.
    """
    if task == "multiclass":
        chosen = scores[np.arange(len(labels)), labels.astype(np.int64)]
        return np.asarray(-np.log(np.maximum(chosen, np.finfo(np.float64).eps)))
    squared = (scores - labels) ** 2
    if task == "regression":
        return squared / label_std**2 if label_std else None
    return squared


def losses_by_segment(rows: pl.DataFrame, columns: Iterable[str], losses: Floats) -> Losses:
    """Losses per value of each column that the rows have; rows with a loss that is not finite are left out."""
    found: Losses = {}
    for column in columns:
        if column not in rows.columns or rows.schema[column].is_nested():
            continue
        frame = pl.DataFrame({"segment": rows[column].cast(pl.String).fill_null(NO_VALUE), "loss": losses})
        summed = (
            frame.filter(pl.col("loss").is_finite())
            .group_by("segment")
            .agg(rows=pl.len(), mean=pl.col("loss").mean(), variance=pl.col("loss").var())
            .sort(["rows", "segment"], descending=[True, False])
        )
        found[column] = {row.pop("segment"): row for row in summed.iter_rows(named=True)}
    return found


def largest(losses: Losses) -> Losses:
    """The :data:`SEGMENTS_KEPT` segments of each column with the most rows."""
    return {column: dict(list(segments.items())[:SEGMENTS_KEPT]) for column, segments in losses.items()}


def against_reference(losses: Losses, reference: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[SegmentLoss]:
    """Every segment of the reference with what the window says of it; a segment only the window has cannot be compared."""
    nothing: dict[str, Any] = {"rows": 0, "mean": None, "variance": None}
    return [
        SegmentLoss(
            column=column,
            value=value,
            **losses[column].get(value, nothing),
            reference_rows=known["rows"],
            reference_mean=known["mean"],
            reference_variance=known["variance"],
        )
        for column, segments in reference.items()
        if column in losses
        for value, known in segments.items()
    ]
