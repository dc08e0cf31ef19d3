"""Features of the live rows of an experiment against what a bundle was trained on, in total and segment by segment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.bundle import IMPORTANCE, SKETCH, Bundle, load_bundle, verify_bundle
from retrain_assets.bundle.manifest import Manifest
from retrain_assets.compute.code import import_path
from retrain_assets.compute.parts import StoredTable
from retrain_assets.compute.stages.building import build_features
from retrain_assets.compute.stages.source import read_source
from retrain_assets.contract import Contract
from retrain_assets.drift import ColumnDrift, Sketch, adjusted_p_values, column_drift, sketch_frame
from retrain_assets.drift.batches import SAMPLE_ROWS
from retrain_assets.gates.technical_health import SHIFT_ALPHA
from retrain_assets.gates.technical_side import FeatureShift

LEAST_ROWS = 100
"""Rows a segment needs, live and in training, to be compared."""

SHIFTS_KEPT = 10
"""Features a row of the view keeps, the largest shifts first."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a bundle keeps of its training; its model is not read.

    Args:
        manifest: its manifest.
        digest: of the manifest.
        path: its directory.
    """

    manifest: Manifest
    digest: str
    path: Path

    @classmethod
    def of(cls, directory: Path, digest: str) -> Trained:
        """The bundle of a directory, checked against the digest on record.

        Raises:
            CustodyError: when it is another one, or a file was changed.
        """
        manifest = verify_bundle(directory, digest)
        return cls(manifest, digest, directory)

    def document(self, name: str) -> Any:
        """One of the bundle's JSON files."""
        return json.loads((self.path / name).read_bytes())

    def load(self) -> Bundle:
        """The whole bundle, to score with."""
        return load_bundle(self.path, self.digest)


@dataclass(frozen=True, slots=True)
class LiveFeatures:
    """Source rows of the units that an experiment met, with features.

    Args:
        rows: the source rows.
        built: features by bundle digest, in the order of the rows.
        segments: segment columns of the rows, from features, source or exposures, in that order.
    """

    rows: pl.DataFrame
    built: Mapping[str, pl.DataFrame]
    segments: pl.DataFrame


def live_features(
    bundles: Sequence[Trained], exposed: pl.DataFrame, contract: Contract, segments: Sequence[str], start: datetime, now: datetime
) -> LiveFeatures:
    """The features each bundle's own function builds from the source rows of the exposed units, at most 262,144 rows.

    Args:
        bundles: champion and challenger, as far as they are there.
        exposed: ``unit_id`` and segment columns of the exposures.
        contract: the source.
        segments: segment columns.
        start: first moment of the source rows.
        now: moment after the last.

    Raises:
        SourceError: when the source is not what the contract says.
        StageError: when a feature function does not build features.
    """
    source = contract.source
    rows = read_source(source, import_path(source.schema_, "source.schema"), start, now)
    rows = rows.filter(pl.col(source.unit).cast(pl.String).is_in(exposed["unit_id"].unique().implode()))
    rows = rows.gather_every(max(1, -(-rows.height // SAMPLE_ROWS)))
    built: dict[str, pl.DataFrame] = {}
    for bundle in bundles:
        function = bundle.manifest.feature_function
        built[bundle.digest] = (
            build_features(import_path(function, "the bundle's features"), rows, source, function)
            if rows.height
            else pl.DataFrame(schema=dict.fromkeys(bundle.manifest.feature_names, pl.Null()))
        )
    return LiveFeatures(rows, built, _segments(rows, built, exposed, segments, source.unit))


def training_rows(features: Path, dataset: Path, segments: Sequence[str]) -> pl.DataFrame | None:
    """Training features of a retrain with their segment columns, a systematic sample; None where they are not kept here.

    Args:
        features: output folder of stage ``features``.
        dataset: output folder of stage ``dataset``, which has segment columns that are no features.
        segments: segment columns.
    """
    path, beside = features / "train.parquet", dataset / "train.parquet"
    if not path.exists():
        return None
    stored = StoredTable.at(path)
    step = max(1, -(-stored.rows // SAMPLE_ROWS))
    found = stored.scan().gather_every(step).collect()
    missing = [name for name in segments if name not in found.columns]
    if missing and beside.exists():
        there = StoredTable.at(beside)
        more = there.scan().select(name for name in missing if name in there.schema).gather_every(step).collect()
        if more.height == found.height:
            found = found.hstack(more)
    return found


def feature_shifts(built: pl.DataFrame, bundle: Trained, training: pl.DataFrame | None = None) -> tuple[FeatureShift, ...]:
    """Every feature of live rows against training, the largest shift (by importance) first; empty without enough rows.

    Args:
        built: live feature rows.
        bundle: whose training.
        training: its training rows of the same segment; None: the sketch of all of them.
    """
    document = bundle.document(SKETCH)["features"]
    sketch = Sketch.from_json(document)
    names = [name for name in sketch.columns if name in built.columns]
    if built.height < LEAST_ROWS or (training is not None and training.height < LEAST_ROWS):
        return ()
    reference = sketch if training is None else sketch_frame(training, columns=names, edges=sketch)
    live = sketch_frame(built, columns=names, edges=sketch)
    importance = _relative(bundle)
    drifts = {
        name: column_drift(reference.columns[name], live.columns[name], importance=importance.get(name), weight=1.0)
        for name in names
    }
    adjusted = adjusted_p_values({name: drift.p_value for name, drift in drifts.items() if drift.p_value is not None})
    shifts = [_shift(name, drift, adjusted.get(name), live.rows) for name, drift in drifts.items() if drift.psi is not None]
    ordered = sorted(shifts, key=lambda one: -one.corrected_psi * (1.0 if one.importance is None else one.importance))
    return tuple(ordered[:SHIFTS_KEPT])


def _shift(name: str, drift: ColumnDrift, p_value: float | None, rows: int) -> FeatureShift:
    return FeatureShift(
        feature=name,
        psi=drift.psi or 0.0,
        corrected_psi=drift.corrected_psi or 0.0,
        shown=p_value is not None and p_value <= SHIFT_ALPHA,
        rows=rows,
        mean_before=drift.mean_before,
        mean_after=drift.mean_after,
        importance=drift.importance,
    )


def _relative(bundle: Trained) -> dict[str, float]:
    """Importance relative to the most important feature, 0..1; empty where it was not measured."""
    known: Mapping[str, float] = bundle.document(IMPORTANCE)["importance"] or {}
    largest = max(known.values(), default=0.0)
    return {name: max(0.0, value) / largest for name, value in known.items()} if largest > 0 else {}


def _segments(
    rows: pl.DataFrame, built: Mapping[str, pl.DataFrame], exposed: pl.DataFrame, segments: Sequence[str], unit: str
) -> pl.DataFrame:
    logged = exposed.group_by("unit_id").agg(pl.col(name).last() for name in segments if name in exposed.columns)
    joined = rows.select(unit_id=pl.col(unit).cast(pl.String)).join(logged, on="unit_id", how="left", maintain_order="left")
    found = [next((table[name] for table in (*built.values(), rows, joined) if name in table.columns), None) for name in segments]
    return pl.DataFrame([column for column in found if column is not None])
