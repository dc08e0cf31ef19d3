"""Stage ``features``: the feature snapshot, features with their key and label, and what gate data says of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.bundle.encoding import kind_of
from retrain_assets.compute.code import import_path, source_digest
from retrain_assets.compute.frames import Tables, read_tables, write_tables
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.building import Build, build_features
from retrain_assets.contract import Contract, Gate, StageError, Verdict
from retrain_assets.contract.unit_names import UNLINKABLE, UnitNames
from retrain_assets.gates import availability_probe, features_gate, serving_probe
from retrain_assets.gates.redaction import copies_of


def features(request: StageRequest) -> StageResult:
    """Build the features of a data set.

    Input ``dataset``. Output ``features``: folder with ``train.parquet`` and ``holdout.parquet``: unit, event time, label and
    features, the data set's rows in their order; the files say of themselves ``feature_names``, ``feature_dtypes``,
    ``feature_function``, ``feature_pipeline`` (version of the feature code), ``dataset`` (digest) and ``window``, as the metadata
    does. The feature function sees each window alone, and is called again on a few rows to see what it depends on. Verdicts: gate
    data.

    Raises:
        StageError: when the feature function does not do what :func:`build_features` asks.
    """
    contract = request.parsed_contract()
    data = read_tables(request.input("dataset"))
    build: Build = import_path(contract.features, "features")
    train = build_features(build, data.train, contract.source, contract.features)
    holdout = build_features(build, data.holdout, contract.source, contract.features)
    names = same_features(train.columns, holdout.columns, contract)
    about = about_features(contract, names, train.schema, data.digest, data.about["window"])
    keys = key_columns(contract)
    tables = Tables(data.train.select(keys).hstack(train), data.holdout.select(keys).hstack(holdout), about)
    folder = request.directory / "features"
    write_tables(folder, tables)
    return judged(request, contract, tables, data, tables.digest, folder)


def key_columns(contract: Contract) -> list[str]:
    """The columns of a feature snapshot before the features."""
    return [contract.source.unit, contract.source.event_time, contract.source.label]


def about_features(
    contract: Contract, names: list[str], types: Mapping[str, pl.DataType], dataset: str, window: Mapping[str, str]
) -> dict[str, Any]:
    """The facts that are kept with a feature snapshot and are part of its digest.

    Args:
        contract: the contract.
        names: the features, in order.
        types: their types.
        dataset: digest of the data set they are of.
        window: its windows.
    """
    return {
        "feature_names": names,
        "feature_dtypes": {name: kind_of(name, types[name]) for name in names},
        "feature_function": contract.features,
        "feature_pipeline": source_digest(contract.features, "features"),
        "dataset": dataset,
        "window": dict(window),
    }


def judged(request: StageRequest, contract: Contract, tables: Tables, data: Tables, digest: str, folder: Path) -> StageResult:
    """The stage's result, once the snapshot is written: gate data judges it with its data set."""
    metadata = {**tables.about, "rows": {"train": tables.train.height, "holdout": tables.holdout.height}}
    verdicts = judged_features(tables, data, contract, request.unit_names)
    return answer(request, {"features": (folder, digest)}, metadata, {Gate.DATA: verdicts})


def read_features(request: StageRequest) -> Tables:
    """The feature snapshot of a request's input ``features``.

    Raises:
        StageError: when it is missing, unreadable or no feature snapshot.
    """
    tables = read_tables(request.input("features"))
    if "feature_names" not in tables.about:
        raise StageError(
            "is no feature snapshot", where=request.inputs["features"], remedy="pass the output of the features stage"
        )
    return tables


def same_features(train: list[str], holdout: list[str], contract: Contract) -> list[str]:
    """The features, which must be the same of both windows.

    Raises:
        StageError: when they are not.
    """
    if train != holdout:
        other = sorted(set(train).symmetric_difference(holdout)) or ["their order"]
        raise StageError(
            f"returns other columns for the hold-out than for the training window: {', '.join(other)}",
            where=f"feature function {contract.features}",
            remedy="return the same columns whatever the rows are",
        )
    return train


def judged_features(tables: Tables, data: Tables, contract: Contract, names: UnitNames = UNLINKABLE) -> list[Verdict]:
    """Gate data on a feature snapshot, with the probes that call the feature function again.

    Args:
        tables: the snapshot.
        data: the data set it was built from.
        contract: the contract.
        names: what units are called in evidence.
    """
    source = contract.source
    build: Build = import_path(contract.features, "features")
    late = list(dict.fromkeys([*source.known_after_prediction, source.label]))

    def build_again(rows: pl.DataFrame) -> pl.DataFrame:
        return build_features(build, rows, source, contract.features)

    availability = availability_probe(build_again, data.train, late, event_time=source.event_time, label_delay=source.label_delay)
    snapshot = tables.holdout.select(tables.about["feature_names"])
    identities = copies_of(tables.holdout[source.unit], snapshot)
    parity = serving_probe(build_again, data.holdout, snapshot, late, identities=identities)
    return features_gate(
        tables.train,
        tables.holdout,
        contract=contract,
        unit=source.unit,
        label=source.label,
        availability=availability,
        parity=parity,
        names=names,
    )
