"""What gate DATA remembers of the data sets of earlier retrains, and how little of it is needed to see a slow change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class EarlierDataset:
    """The training window of an earlier retrain that passed gate data.

    Args:
        retrain: its key.
        rows_a_day: source rows a day in its training window, labelled or not.
        null_share: share of nulls by column.
        label_mean: mean label; None where the label has none.
    """

    retrain: str
    rows_a_day: float
    null_share: Mapping[str, float]
    label_mean: float | None

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EarlierDataset:
        """The inverse of :meth:`to_json`."""
        return cls(value["retrain"], value["rows_a_day"], dict(value["null_share"]), value["label_mean"])


def usual_rows_a_day(history: Sequence[EarlierDataset]) -> float | None:
    """Median of rows a day; None without history."""
    return median(earlier.rows_a_day for earlier in history) if history else None


def usual_null_share(history: Sequence[EarlierDataset], column: str) -> float | None:
    """Median share of nulls of one column; None where no earlier retrain had it."""
    known = [earlier.null_share[column] for earlier in history if earlier.null_share.get(column) is not None]
    return median(known) if known else None


def usual_label_mean(history: Sequence[EarlierDataset]) -> float | None:
    """Median of the mean label; None where no earlier retrain had one."""
    known = [earlier.label_mean for earlier in history if earlier.label_mean is not None]
    return median(known) if known else None
