"""Stage ``training`` on Spark: executors hold the rows of an estimator that Spark fits; any other is fitted by the driver."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Calibration, Encoding, Predictor
from retrain_assets.bundle.encoding import CATEGORICAL, kind_of
from retrain_assets.bundle.model_file import read_model
from retrain_assets.compute.clean_process import in_one_file
from retrain_assets.compute.estimator import is_fitted_by_spark
from retrain_assets.compute.fitting import Labels, calibration_of_tail, read_labels, usable_scores
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.spark.file_order import OrderedRows, in_types, placed_batches
from retrain_assets.compute.spark.fits import examples_of_rows, fit_on_spark
from retrain_assets.compute.spark.session import session_of, steady
from retrain_assets.compute.spark.sketches import sketch_files
from retrain_assets.compute.spark.snapshots import FeatureSnapshot
from retrain_assets.compute.stages.adopting import ADOPTED
from retrain_assets.compute.stages.candidate import refuse_empty_windows
from retrain_assets.compute.stages.training import trained
from retrain_assets.compute.stages.training import training as on_the_driver
from retrain_assets.contract import Contract
from retrain_assets.drift import Sketch

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

Floats = npt.NDArray[np.float64]


def training(request: StageRequest) -> StageResult:
    """Make the candidate, as :func:`retrain_assets.compute.stages.training.training`.

    Where the contract names an estimator of :data:`~retrain_assets.compute.estimator.FITTED_BY_SPARK`, executors encode, fit,
    score and sketch the training window; to the driver come its event times and labels, the sketch's sample and the scores that
    calibration is fitted on. The hold-out is on the driver, as in the clean process that tries the bundle. Every other
    estimator is fitted by the driver.

    Raises:
        StageError: as the stage without Spark.
    """
    contract = request.parsed_contract()
    if ADOPTED in request.inputs or not is_fitted_by_spark(contract.trainer):
        return on_the_driver(request)
    with steady(session_of(contract.spark)) as session, in_one_file(request.input("features") / "holdout.parquet") as holdout:
        return trained(request, contract, SparkRows.of(request, contract, session), holdout)


@dataclass(frozen=True, slots=True)
class SparkRows:
    """The rows of a feature snapshot: the training window with the executors, the hold-out here.

    Args:
        about: facts of the snapshot.
        rows: the training window.
        encoding: of it.
        known: its event times and labels.
        labels: its labels.
        holdout: the hold-out.
        unseen: matrix of the hold-out.
        judged: labels of the hold-out.
        folder: where Spark may leave files meanwhile.
    """

    about: Mapping[str, Any]
    rows: OrderedRows
    encoding: Encoding
    known: pl.DataFrame
    labels: Labels
    holdout: pl.DataFrame
    unseen: Floats
    judged: Labels
    folder: Path

    @classmethod
    def of(cls, request: StageRequest, contract: Contract, session: SparkSession) -> SparkRows:
        """The rows of the request's feature snapshot.

        Raises:
            StageError: when a window has no rows, or the labels cannot be learnt.
        """
        snapshot, source = FeatureSnapshot.of(request), contract.source
        refuse_empty_windows(snapshot.train.rows, snapshot.holdout.rows)
        known = snapshot.train.scan().select(source.event_time, source.label).collect()
        labels = read_labels(known[source.label], contract.task)
        holdout = snapshot.holdout.read()
        rows = OrderedRows.stored(session, snapshot.train)
        encoding = _encoding(rows, list(snapshot.about["feature_names"]))
        judged = read_labels(holdout[source.label], contract.task, labels.classes)
        return cls(snapshot.about, rows, encoding, known, labels, holdout, encoding.matrix(holdout), judged, request.directory)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """See :class:`~retrain_assets.compute.stages.candidate.LearningRows`."""
        return self.rows.types

    def fit(self, contract: Contract) -> Predictor:
        """See :class:`~retrain_assets.compute.stages.candidate.LearningRows`."""
        return self._fit(contract, self.rows.rows)

    def fit_calibration(self, contract: Contract) -> Calibration:
        """See :class:`~retrain_assets.compute.stages.candidate.LearningRows`."""

        def scores_of_tail(cut: int) -> Floats:
            scores = _scores_from(self.rows, self._fit(contract, cut), self.encoding, contract.task, cut)
            return usable_scores(scores, self.rows.rows - cut, contract, self.labels)

        return calibration_of_tail(contract, self.labels, scores_of_tail)

    def sketch(self) -> Sketch:
        """See :class:`~retrain_assets.compute.stages.candidate.LearningRows`."""
        return sketch_files(self.rows, list(self.encoding.names))

    def _fit(self, contract: Contract, most: int) -> Predictor:
        read = partial(_label_values, task=contract.task, classes=self.labels.classes)
        examples = examples_of_rows(self.rows, self.encoding, contract.source.label, read, most)
        return fit_on_spark(contract, self.encoding, examples, self.folder)


def _encoding(rows: OrderedRows, names: list[str]) -> Encoding:
    """As :meth:`Encoding.of`; categories are found by the executors."""
    kinds = {name: kind_of(name, rows.types[name]) for name in names}
    known: dict[str, tuple[str, ...]] = {}
    for name in names:
        if kinds[name] == CATEGORICAL:
            column = rows.frame[name].cast("string")
            found = rows.frame.select(column.alias("value")).where(column.isNotNull()).distinct().collect()
            known[name] = tuple(sorted(row.value for row in found))
    return Encoding(tuple(names), kinds, known)


def _label_values(values: pl.Series, task: str, classes: tuple[str | int, ...]) -> Floats:
    return read_labels(values, task, classes).values


def _scores_from(rows: OrderedRows, predictor: Predictor, encoding: Encoding, task: str, first: int) -> Floats:
    """Raw scores of the rows from a place on, in their order, by executors that read the model as serving will."""
    name, data = predictor.file()
    wanted = replace(rows, frame=rows.select(list(encoding.names)).frame)
    schema = f"place bigint, score {'array<double>' if task == 'multiclass' else 'double'}"
    sent = wanted.frame.mapInArrow(_scoring(wanted, name, data, encoding, task, first), schema).toArrow()
    order = np.argsort(sent.column("place").to_numpy(), kind="stable")
    scores = pl.Series(sent.column("score"))
    values = scores.to_numpy() if task != "multiclass" else np.array(scores.to_list(), dtype=np.float64)
    return np.asarray(values, dtype=np.float64)[order]


def _scoring(
    rows: OrderedRows, name: str, data: bytes, encoding: Encoding, task: str, first: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    begins, types = dict(rows.begins), dict(rows.types)

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        with tempfile.TemporaryDirectory(prefix="retrain-model-") as folder:
            Path(folder, name).write_bytes(data)
            predictor = read_model(Path(folder), task, threads=1)
        for places, batch in placed_batches(batches, begins):
            late = places >= first
            matrix = encoding.matrix(in_types(batch, types).filter(pl.Series(late)))
            scores = predictor.predict(matrix) if len(matrix) else np.empty(0)
            told = pa.array(scores.tolist(), pa.list_(pa.float64()) if task == "multiclass" else pa.float64())
            yield pa.RecordBatch.from_arrays([pa.array(places[late]), told], names=["place", "score"])

    return score
