"""Fits that a Spark session makes: rows become examples where they are, the fitted model becomes a file that needs no Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Encoding, Predictor, XGBoostPredictor
from retrain_assets.compute.estimator import make_estimator
from retrain_assets.compute.spark.file_order import OrderedRows, in_types, placed_batches
from retrain_assets.compute.spark.models import predictor_of
from retrain_assets.contract import Contract, StageError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

Floats = npt.NDArray[np.float64]

UNKNOWN_CATEGORY = -1.0
"""What Spark ML reads for a missing category or one that training never saw; of a number it reads the mean of training."""

MEAN_DIGITS = 6
"""Digits of these means: fewer than those that depend on the order in which Spark adds."""

SCHEMA = "features array<double>, label double"


def examples_of_rows(
    rows: OrderedRows, encoding: Encoding, label: str, read: Callable[[pl.Series], Floats], most: int
) -> DataFrame:
    """Features and labels of the first rows of a snapshot, encoded by the executors with the code that serving encodes with.

    Args:
        rows: rows of a feature snapshot, in the order of time.
        encoding: of the training window.
        label: the label's column.
        read: labels as numbers; it is sent to the executors.
        most: how many of the rows.
    """
    wanted = rows.select([*encoding.names, label]).frame
    return wanted.mapInArrow(_encoding(encoding, label, read, most, rows), SCHEMA)


def examples_of_matrix(session: SparkSession, matrix: Floats, targets: npt.NDArray[Any]) -> DataFrame:
    """Features and labels that the driver holds."""
    import pyarrow as pa

    columns = [_lists(matrix), pa.array(np.asarray(targets, dtype=np.float64))]
    return session.createDataFrame(pa.Table.from_arrays(columns, names=["features", "label"]))


def fit_on_spark(contract: Contract, encoding: Encoding, examples: DataFrame, folder: Path) -> Predictor:
    """One fit of the contract's estimator by the session of the examples.

    XGBoost is told which features are categories. Spark ML takes no missing values: they are read as the feature's mean in these
    examples, of categories as :data:`UNKNOWN_CATEGORY`, in scoring too; categories are read as their codes.

    Args:
        contract: task and trainer.
        encoding: of the training window.
        examples: ``features`` and ``label``.
        folder: where Spark may leave files meanwhile; the driver and every executor must reach it.

    Raises:
        StageError: with the estimator and what it said.
    """
    trainer = contract.trainer
    where = f"trainer.estimator {trainer.estimator}"
    try:
        if trainer.estimator.startswith("xgboost."):
            columns: dict[str, Any] = {"features_col": "features", "label_col": "label"}
            if encoding.categorical_positions and "feature_types" not in trainer.params:
                columns["feature_types"] = encoding.feature_types
            return XGBoostPredictor(make_estimator(trainer, **columns).fit(examples).get_booster())
        missing = _stand_ins(examples, encoding)
        model = make_estimator(trainer).fit(_vectors(examples, missing))
        return predictor_of(model, trainer.estimator.rpartition(".")[2], contract.task, missing, folder)
    except StageError:
        raise
    except Exception as error:
        said = next(iter(str(error).splitlines()), "")
        remedy = "correct trainer.params or the features"
        raise StageError(f"fit raised {type(error).__name__}: {said}", where=where, remedy=remedy) from error


def _encoding(
    encoding: Encoding, label: str, read: Callable[[pl.Series], Floats], most: int, ordered: OrderedRows
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    begins, types = dict(ordered.begins), dict(ordered.types)

    def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for places, batch in placed_batches(batches, begins):
            rows = in_types(batch, types).filter(pl.Series(places < most))
            columns = [_lists(encoding.matrix(rows)), pa.array(read(rows[label]))]
            yield pa.RecordBatch.from_arrays(columns, names=["features", "label"])

    return encode


def _lists(matrix: Floats) -> pa.ListArray:
    import pyarrow as pa

    offsets = np.arange(0, matrix.size + 1, matrix.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(matrix).ravel()))


def _stand_ins(examples: DataFrame, encoding: Encoding) -> Floats:
    from pyspark.sql import functions as f

    values = [f.col("features")[place] for place in range(len(encoding.names))]
    means = examples.select(*(f.avg(f.when(~f.isnan(value), value)) for value in values)).first()
    found = [0.0 if mean is None else float(f"{mean:.{MEAN_DIGITS}g}") for mean in means or ()]
    for place in encoding.categorical_positions:
        found[place] = UNKNOWN_CATEGORY
    return np.array(found, dtype=np.float64)


def _vectors(examples: DataFrame, missing: Floats) -> DataFrame:
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as f

    stand_ins = f.array(*(f.lit(value) for value in missing.tolist()))
    known = f.transform("features", lambda value, place: f.when(f.isnan(value), f.get(stand_ins, place)).otherwise(value))
    return examples.select(array_to_vector(known).alias("features"), "label")
