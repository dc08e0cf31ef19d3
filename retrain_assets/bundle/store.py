"""A bundle as a directory: writing it, reading it back, and refusing one that is not what its digest says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.bundle.calibration import Calibration
from retrain_assets.bundle.encoding import Encoding
from retrain_assets.bundle.manifest import Manifest
from retrain_assets.bundle.model_file import Predictor, read_model
from retrain_assets.bundle.rows import RowEncoder, Scalar
from retrain_assets.contract import CustodyError, StageError, canonical_json, sha256_hex

MANIFEST = "manifest.json"
CATEGORIES = "categories.json"
CALIBRATION = "calibration.json"
IMPORTANCE = "feature_importance.json"
SKETCH = "training_sketch.json"


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle: what serving, evaluation and reports score with."""

    manifest: Manifest
    encoding: Encoding
    predictor: Predictor
    calibration: Calibration
    path: Path

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return self.manifest.digest

    def score(self, features: pl.DataFrame) -> npt.NDArray[np.float64]:
        """Scores of feature rows, in their order.

        Args:
            features: one row a prediction; needs the columns ``manifest.feature_names``, others are ignored.

        Returns:
            (n,) calibrated probability of the positive class, or regression value; (n, classes) for a multiclass task.

        Raises:
            StageError: when a feature is missing or of another kind than in training.
        """
        return self.score_matrix(self.encoding.matrix(features))

    @cached_property
    def rows(self) -> RowEncoder:
        """Makes the model's matrix of rows."""
        return RowEncoder(self.encoding)

    def score_rows(self, rows: Sequence[Mapping[str, Scalar]]) -> npt.NDArray[np.float64]:
        """Scores of rows that carry the features by name, to the last bit what :meth:`score` gives for a frame of them.

        Args:
            rows: exactly the features ``manifest.feature_names`` by name; None for a value that is not known.

        Raises:
            SignatureError: naming row and feature, where a row has not the model's features or a value is of another kind.
        """
        return self.score_matrix(self.rows.matrix(rows))

    def score_matrix(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Scores of a matrix that :attr:`encoding` or :attr:`rows` made; shapes as of :meth:`score`."""
        if not len(matrix):
            shape = (0, len(self.manifest.classes)) if self.manifest.task == "multiclass" else (0,)
            return np.empty(shape)
        return self.calibration.apply(self.predictor.predict(matrix))

    def decide(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """The positive decision per score: at or above the threshold of the manifest.

        Raises:
            StageError: when the bundle has no decision rule.
        """
        if self.manifest.decision is None:
            raise StageError(f"task {self.manifest.task} has no decision rule", where=f"bundle {self.digest}")
        return np.asarray(scores >= self.manifest.decision["threshold"], dtype=np.bool_)

    def document(self, name: str) -> Any:
        """One of the bundle's JSON files, e.g. ``training_sketch.json``."""
        return json.loads((self.path / name).read_text())


def save_bundle(
    directory: Path,
    manifest: Manifest,
    *,
    predictor: Predictor,
    encoding: Encoding,
    calibration: Calibration,
    documents: Mapping[str, Any],
) -> Manifest:
    """Write a bundle; an existing directory of that name is replaced.

    Args:
        directory: where; its parent must exist.
        manifest: everything but ``files``, which is filled in here.
        predictor: the fitted model.
        encoding: the encoding of the training frame.
        calibration: the calibration.
        documents: further JSON files by name, ``feature_importance.json`` and ``training_sketch.json`` among them.

    Returns:
        The complete manifest, with ``files``.

    Raises:
        StageError: when the model cannot be stored without pickle.
    """
    model_name, model_bytes = predictor.file()
    contents = {model_name: model_bytes}
    values = {CATEGORIES: encoding.to_json(), CALIBRATION: calibration.to_json(), **documents}
    contents.update({name: canonical_json(value) for name, value in values.items()})
    complete = replace(manifest, files={name: sha256_hex(data) for name, data in sorted(contents.items())})

    scratch = directory.with_name(directory.name + ".writing")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name, data in contents.items():
        (scratch / name).write_bytes(data)
    (scratch / MANIFEST).write_bytes(canonical_json(complete.to_json()))
    if directory.exists():
        shutil.rmtree(directory)
    scratch.rename(directory)
    return complete


def load_bundle(directory: Path, expected_digest: str | None = None, *, threads: int | None = None) -> Bundle:
    """Read a bundle and check every file against the manifest before anything in it is used.

    Args:
        directory: the bundle's directory.
        expected_digest: the digest on record (ledger, registry tag); compared when given.
        threads: threads a LightGBM model scores with; None: one for few rows, all cores otherwise.

    Raises:
        CustodyError: when the digest differs, a file is missing, added or changed, or nothing readable is there.
    """
    manifest = verify_bundle(directory, expected_digest)
    encoding = Encoding.from_json(manifest.feature_names, manifest.feature_dtypes, _json(directory / CATEGORIES))
    calibration = Calibration.from_json(_json(directory / CALIBRATION))
    packages = {path.partition(".")[0] for path in (manifest.estimator, manifest.feature_function)}
    predictor = read_model(directory, manifest.task, threads, encoding=encoding, packages=packages)
    return Bundle(manifest, encoding, predictor, calibration, directory)


def verify_bundle(directory: Path, expected_digest: str | None = None) -> Manifest:
    """The manifest of a bundle directory whose files are exactly what it says; loads no model.

    Raises:
        CustodyError: as :func:`load_bundle`.
    """
    manifest = Manifest.from_json(_json(directory / MANIFEST))
    if expected_digest is not None and manifest.digest != expected_digest:
        raise CustodyError(
            f"bundle has digest {manifest.digest}, recorded is {expected_digest}",
            where=str(directory),
            remedy="it is refused; take the recorded version from the registry again",
        )
    present = {path.name for path in directory.iterdir()} - {MANIFEST}
    for name in sorted(present.symmetric_difference(manifest.files)):
        what = "is missing" if name in manifest.files else "is not in the manifest"
        raise CustodyError(what, where=str(directory / name), remedy="the bundle is refused; take it from the registry again")
    for name, recorded in manifest.files.items():
        if (found := sha256_hex((directory / name).read_bytes())) != recorded:
            raise CustodyError(
                f"SHA-256 is {found}, the manifest says {recorded}",
                where=str(directory / name),
                remedy="the file was changed after the bundle was written; it is refused",
            )
    return manifest


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CustodyError("is missing", where=str(path), remedy="this directory is not a complete bundle") from error
    except ValueError as error:
        raise CustodyError(f"is not JSON ({error})", where=str(path), remedy="the bundle is refused") from error
