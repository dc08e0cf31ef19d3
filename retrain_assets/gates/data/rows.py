"""The rows gate DATA judges: both windows, what was left out of them, and what a later retrain compares itself with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import polars as pl

from retrain_assets.contract import Contract
from retrain_assets.contract.unit_names import UNLINKABLE, UnitNames
from retrain_assets.gates.data.history import EarlierDataset
from retrain_assets.gates.redaction import RowWords

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Source rows between the start of training and the cut-off that are in neither window, by reason. Any may be empty.

    Args:
        too_young: the label cannot be known at the cut-off.
        unlabelled: the label should be known and is not there.
        group_in_training: hold-out rows of a group (``source.group``) that training has.
        without_time: number of rows in all files without an event time, which belong to no window.
    """

    too_young: pl.DataFrame = field(default_factory=pl.DataFrame)
    unlabelled: pl.DataFrame = field(default_factory=pl.DataFrame)
    group_in_training: pl.DataFrame = field(default_factory=pl.DataFrame)
    without_time: int = 0


@dataclass(frozen=True)
class SourceRows:
    """The source rows of one retrain.

    Args:
        train: rows of the training window, as the schema describes them.
        holdout: rows of the held-out window after it.
        contract: thresholds (``gates.data``), roles of the columns (``source``) and length of the windows.
        cutoff: the moment of the retrain, timezone-aware; nothing after it may be known.
        left_out: rows of the same time that are in neither window.
        names: what units and groups are called in evidence.

    Raises:
        ValueError: when ``cutoff`` has no timezone.
    """

    train: pl.DataFrame
    holdout: pl.DataFrame
    contract: Contract
    cutoff: datetime
    left_out: LeftOut = field(default_factory=LeftOut)
    names: UnitNames = UNLINKABLE

    def __post_init__(self) -> None:
        if self.cutoff.tzinfo is None:
            raise ValueError("cutoff has no timezone; pass a timezone-aware datetime")

    @property
    def windows(self) -> Mapping[str, pl.DataFrame]:
        """Name of a window to its rows."""
        return {"train": self.train, "holdout": self.holdout}

    def words(self, frame: pl.DataFrame) -> RowWords:
        """How rows are told in evidence: the frame decides what is a category, both windows what is a unit or a group."""
        return RowWords(frame, self.contract.source, self.names, tuple(self.windows.values()))

    @property
    def train_end(self) -> datetime:
        """End of training and start of the hold-out."""
        return self.cutoff - self.contract.window.holdout

    @property
    def labels_known_until(self) -> datetime:
        """The last event time whose label can be known at the cut-off."""
        return self.cutoff - self.contract.source.label_delay

    @cached_property
    def train_times(self) -> pl.Series:
        """Event times of all training rows, labelled or not, UTC, ascending, without nulls."""
        return self._times([self.train, self._unlabelled(train=True)])

    @cached_property
    def holdout_times(self) -> pl.Series:
        """Event times of all rows after training, in the snapshot or left out, UTC, ascending, without nulls."""
        return self._times(
            [self.holdout, self._unlabelled(train=False), self.left_out.group_in_training, self.left_out.too_young]
        )

    @cached_property
    def unlabelled(self) -> Mapping[str, int]:
        """Rows of each window that should have a label and have none."""
        return {"train": self._unlabelled(train=True).height, "holdout": self._unlabelled(train=False).height}

    @cached_property
    def null_share(self) -> Mapping[str, Mapping[str, float]]:
        """Share of nulls (NaN counts) of every column of each window that has rows."""
        return {name: null_shares(frame) for name, frame in self.windows.items() if frame.height}

    @property
    def rows_a_day(self) -> Mapping[str, float]:
        """Source rows a day, labelled or not, over the part of each window whose labels can be known."""
        window, delay = self.contract.window, self.contract.source.label_delay
        judged = {name: frame.height + self.unlabelled[name] for name, frame in self.windows.items()}
        judged["holdout"] += self.left_out.group_in_training.height
        return {"train": judged["train"] / (window.train / DAY), "holdout": judged["holdout"] / ((window.holdout - delay) / DAY)}

    @cached_property
    def label_mean(self) -> Mapping[str, float | None]:
        """Mean label of each window: share of positives of a binary task; None where there is none, or more classes."""
        return {name: self._label_mean(frame) for name, frame in self.windows.items()}

    def as_history(self, retrain: str) -> EarlierDataset:
        """What later retrains of the model compare themselves with."""
        return EarlierDataset(retrain, self.rows_a_day["train"], dict(self.null_share.get("train", {})), self.label_mean["train"])

    def _label_mean(self, frame: pl.DataFrame) -> float | None:
        label = self.contract.source.label
        if self.contract.task == "multiclass" or label not in frame.columns or frame.is_empty():
            return None
        dtype = frame.schema[label]
        if not (dtype.is_numeric() or dtype == pl.Boolean):
            return None
        mean = frame.select(pl.col(label).cast(pl.Float64).fill_nan(None).mean()).item()
        return None if mean is None else float(mean)

    def _unlabelled(self, *, train: bool) -> pl.DataFrame:
        frame, column = self.left_out.unlabelled, self.contract.source.event_time
        if frame.is_empty():
            return frame
        early = utc(frame, column) < self.train_end
        return frame.filter(early if train else ~early)

    def _times(self, frames: list[pl.DataFrame]) -> pl.Series:
        column = self.contract.source.event_time
        parts = [frame.select(utc(frame, column).alias("time")).to_series() for frame in frames if frame.height]
        if not parts:
            return pl.Series("time", [], dtype=pl.Datetime("us", "UTC"))
        return pl.concat(parts).drop_nulls().sort()


def utc(frame: pl.DataFrame, column: str) -> pl.Expr:
    """A time column as UTC microseconds; a type without a timezone is taken as UTC."""
    dtype = frame.schema[column]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return pl.col(column).dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))
    return pl.col(column).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def null_shares(frame: pl.DataFrame) -> dict[str, float]:
    """Share of nulls of every column, NaN counted as null; the frame has rows."""
    missing = [
        (pl.col(name).is_null() | pl.col(name).is_nan()).mean() if dtype.is_float() else pl.col(name).null_count() / frame.height
        for name, dtype in frame.schema.items()
    ]
    return dict(zip(frame.columns, frame.select(share.alias(str(at)) for at, share in enumerate(missing)).row(0), strict=True))
