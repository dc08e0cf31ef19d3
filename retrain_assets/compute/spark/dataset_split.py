"""The rows of a snapshot's windows as Spark frames, and what is left out of them: the same split as without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.compute.parts import in_type
from retrain_assets.compute.spark.dataset_parts import not_computed
from retrain_assets.compute.spark.session import moment
from retrain_assets.compute.stages.dataset import Windows, refuse_group
from retrain_assets.contract import Contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Split:
    """Rows between the start of training and the cut-off.

    Args:
        train: labelled rows of the training window.
        holdout: labelled rows after it, without those of a group that training has.
        unlabelled_or_young: rows whose label is not known, or cannot be yet.
        group_in_training: labelled rows after training of a group that training has; None where the contract has no group.
    """

    train: DataFrame
    holdout: DataFrame
    unlabelled_or_young: DataFrame
    group_in_training: DataFrame | None

    @classmethod
    def of(cls, rows: DataFrame, contract: Contract, windows: Windows) -> Split:
        """Split the rows of both windows, as :func:`retrain_assets.compute.stages.dataset.split` does.

        Raises:
            SourceError: when ``source.group`` is not a column of the rows.
        """
        from pyspark.sql import functions as sf
        from pyspark.sql.types import DoubleType, FloatType

        source = contract.source
        refuse_group(source, rows.columns)
        label, at = rows[source.label], rows[source.event_time]
        missing = label.isNull()
        if isinstance(rows.schema[source.label].dataType, DoubleType | FloatType):
            missing = missing | sf.isnan(label)
        known = ~missing & (at <= moment(rows, source.event_time, windows.cutoff - source.label_delay))
        early = at < moment(rows, source.event_time, windows.train_end)
        train, holdout, shared = rows.where(known & early), rows.where(known & ~early), None
        if source.group is not None:
            groups = train.select(source.group).distinct()
            shared = holdout.join(groups, source.group, "left_semi").select(*rows.columns)
            holdout = holdout.join(groups, source.group, "left_anti").select(*rows.columns)
        return cls(train, holdout, rows.where(~known), shared)


def collected(frame: DataFrame, types: Mapping[str, pl.DataType], order: list[str]) -> pl.DataFrame:
    """The rows of a frame, all of them here, sorted and in the types they have without Spark.

    Raises:
        StageError: when an executor cannot compute a row.
    """
    from pyspark.errors import PySparkException

    try:
        rows = pl.DataFrame(frame.toArrow())
    except PySparkException as error:
        raise not_computed(error, "engine spark") from error
    return rows.select(in_type(name, rows.schema[name], dtype) for name, dtype in types.items()).sort(order, nulls_last=True)
