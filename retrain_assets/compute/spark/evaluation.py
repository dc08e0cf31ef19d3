"""Stage ``evaluation`` on Spark: executors score the hold-out; the driver judges scores, labels and slices as without Spark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle import Bundle
from retrain_assets.compute.frames import stored_digest
from retrain_assets.compute.own_code import reads_rows
from retrain_assets.compute.parts import StoredTable
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.compute.spark.file_order import OrderedRows
from retrain_assets.compute.spark.scores import scores_in_order
from retrain_assets.compute.spark.session import session_of, steady
from retrain_assets.compute.spark.snapshots import FeatureSnapshot
from retrain_assets.compute.spark.under_way import spark_under_way
from retrain_assets.compute.stages.backtests import backtests
from retrain_assets.compute.stages.evaluation import champion_features, compared_bundles, judged, rebuilt, stale
from retrain_assets.compute.stages.latency import Latency, latency_of
from retrain_assets.compute.stages.scored import Scored
from retrain_assets.contract import Contract

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Floats = npt.NDArray[np.float64]

ROWS_TIMED = 480
"""Rows, from all over the hold-out, that the time of scoring is measured on."""


def evaluation(request: StageRequest) -> StageResult:
    """Judge the candidate on the hold-out: what :func:`retrain_assets.compute.stages.evaluation.evaluation` makes.

    The snapshot's features stay with the executors, which score them with both bundles. To the driver come the scores, 8 bytes
    each, and of the rows the columns that gate offline reads: unit, label, slices and fairness. Only a champion with a feature
    function of its own has its features built by the driver, and back-tests read the training window there.

    Raises:
        StageError: as the stage without Spark.
        CustodyError: when a bundle is not what its manifest says.
    """
    contract = request.parsed_contract()
    with steady(session_of(contract.spark)) as session, spark_under_way(session, request.directory):
        return _evaluated(request, contract, session)


def _evaluated(request: StageRequest, contract: Contract, session: SparkSession) -> StageResult:
    snapshot = FeatureSnapshot.of(request)
    about, holdout = snapshot.about, snapshot.holdout
    data = _data(request, about)
    candidate, champion = compared_bundles(request, about)
    how = champion_features(champion, candidate, about, list(holdout.schema)) if champion else None

    bundles = {"candidate": candidate}
    if champion is not None and how is not None and how.of_snapshot:
        bundles["champion"] = champion
    scores = scores_in_order(OrderedRows.stored(session, holdout), bundles)
    if champion is not None and how is not None and not how.of_snapshot:
        scores["champion"] = champion.score(rebuilt(champion, data.read(), contract, how))
    scored = Scored(
        rows=_judged_columns(data, holdout, contract),
        candidate=candidate,
        champion=champion,
        scores=scores["candidate"],
        champion_scores=scores.get("champion"),
        champion_features=how,
    )
    train = snapshot.train.read() if contract.gates.offline.backtests else pl.DataFrame()
    earlier = backtests(train, about, contract, lambda: StoredTable.at(request.input("dataset") / "train.parquet").read())
    return judged(request, contract, about, scored, earlier, _latency(candidate, holdout))


def _data(request: StageRequest, about: Mapping[str, Any]) -> StoredTable:
    folder = request.input("dataset")
    if (found := stored_digest(folder)) != about["dataset"]:
        raise stale(request, f"hold-out rows are of data set {found}, the features of {about['dataset']}")
    return StoredTable.at(folder / "holdout.parquet")


def _judged_columns(data: StoredTable, features: StoredTable, contract: Contract) -> pl.DataFrame:
    """The columns that gate offline reads: of the data set where it has them, else of the features; all where own code reads."""
    if reads_rows(contract):
        rows = data.read()
        return rows.hstack(features.scan().select(name for name in features.schema if name not in rows.columns).collect())
    offline = contract.gates.offline
    slices = offline.slices.columns if offline.slices else ()
    asked = [contract.source.unit, contract.source.label, *slices, *(limits.column for limits in offline.fairness)]
    wanted = list(dict.fromkeys(asked))
    own = [name for name in wanted if name in data.schema]
    more = [name for name in wanted if name not in data.schema and name in features.schema]
    rows = data.scan().select(own).collect()
    return rows.hstack(features.scan().select(more).collect()) if more else rows


def _latency(candidate: Bundle, holdout: StoredTable) -> Latency | None:
    names = [name for name in candidate.manifest.feature_names if name in holdout.schema]
    rows = holdout.scan().select(names).gather_every(max(1, holdout.rows // ROWS_TIMED)).collect()
    return latency_of(candidate.score, rows)
