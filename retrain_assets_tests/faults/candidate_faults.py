"""Candidates that are wrong although their training was not, and evaluations that compare the wrong things."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from retrain_assets.bundle import Calibration
from retrain_assets.compute.frames import Tables, read_tables, write_tables
from retrain_assets_tests.faults.fault import Fault, InCandidate, InEvaluation, refused

GRID = np.concatenate([[0.0], np.linspace(0.005, 0.995, 199), [1.0]])


def scores(change: Callable[[np.ndarray], np.ndarray]) -> InCandidate:
    """A candidate whose calibrated scores are changed by a last step, as a bundle that is sound in itself."""

    def rewrite(bundle: Path) -> None:
        before = Calibration.from_json(json.loads((bundle / "calibration.json").read_bytes()))
        values = change(before.apply(GRID))
        curve = {"x": GRID.tolist(), "y": [float(value) for value in values], "a": 0.0, "b": 0.0}
        document = json.dumps({"kind": "isotonic", "curves": [curve]}).replace("Infinity", "1e999").encode()
        (bundle / "calibration.json").write_bytes(document)
        manifest = json.loads((bundle / "manifest.json").read_bytes())
        manifest["files"]["calibration.json"] = sha256(document).hexdigest()
        (bundle / "manifest.json").write_text(json.dumps(manifest))

    return InCandidate(rewrite)


def sharpened(values: np.ndarray) -> np.ndarray:
    """Odds to the third power: the same ranks, far too sure."""
    odds = (values / (1 - values).clip(1e-9)) ** 3
    return np.asarray(odds / (1 + odds))


def change_one_weight(bundle: Path) -> None:
    model = bundle / "model.txt"
    model.write_text(model.read_text().replace("leaf_value=", "leaf_value=9", 1))


def remove_calibration(bundle: Path) -> None:
    (bundle / "calibration.json").unlink()


def damaged_champion(inputs: dict[str, str]) -> dict[str, str]:
    change_one_weight(Path(inputs["champion"]))
    return inputs


def no_champion(inputs: dict[str, str]) -> dict[str, str]:
    return {name: path for name, path in inputs.items() if name != "champion"}


def rebuilt_dataset(inputs: dict[str, str]) -> dict[str, str]:
    """A late correction of the source rewrote the snapshot after the candidate was fitted."""
    folder = Path(inputs["dataset"])
    tables = read_tables(folder)
    write_tables(folder, Tables(tables.train, tables.holdout.head(tables.holdout.height - 100), tables.about))
    return inputs


def half_of_the_snapshot(inputs: dict[str, str]) -> dict[str, str]:
    path = Path(inputs["features"]) / "holdout.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return inputs


def candidate_is_the_champion_of_another_retrain(inputs: dict[str, str]) -> dict[str, str]:
    shutil.rmtree(inputs["candidate"])
    shutil.copytree(inputs["champion"], inputs["candidate"])
    return inputs


OVER_PREDICTS = Fault(
    "over_predicts_by_ten_points",
    "A margin of safety of ten points was added to every score.",
    scores(lambda p: np.minimum(p + 0.1, 1.0)),
    ("calibrated",),
)

FAULTS = (
    OVER_PREDICTS,
    Fault(
        "under_predicts_by_ten_points",
        "Ten points were taken off, so that fewer passengers complain.",
        scores(lambda p: np.maximum(p - 0.1, 0.001)),
        ("calibrated",),
    ),
    Fault(
        "scores_too_sure",
        "Odds were cubed in a port to another language: same ranks, far too sure.",
        scores(sharpened),
        ("calibrated",),
    ),
    Fault("scores_reversed", "The probability of the other class is served.", scores(lambda p: 1 - p), ("meets_roc_auc",)),
    Fault("scores_constant", "Every flight gets the overall share.", scores(lambda p: np.full_like(p, 0.25)), ("meets_roc_auc",)),
    Fault("scores_outside_probability", "Scores are in per cent.", scores(lambda p: p * 100), ("meets_roc_auc",)),
    Fault(
        "scores_not_finite",
        "An overflow gives infinity for the upper half of scores.",
        scores(lambda p: np.where(p > 0.3, np.inf, p)),
        ("meets_roc_auc",),
    ),
    Fault(
        "two_levels_only",
        "Scores are rounded to quarters to save space in the feature store.",
        scores(lambda p: np.round(p * 4) / 4),
        ("calibrated", "meets_roc_auc"),
    ),
    Fault(
        "weights_corrupted",
        "One weight of the model file changed after it was logged.",
        InCandidate(change_one_weight),
        (refused("evaluation"),),
    ),
    Fault(
        "file_of_the_bundle_missing",
        "The upload lost a file of the bundle.",
        InCandidate(remove_calibration),
        (refused("evaluation"),),
    ),
    Fault(
        "champion_damaged",
        "The champion to compare with is not the one that was recorded.",
        InEvaluation(damaged_champion),
        (refused("evaluation"),),
    ),
    Fault(
        "champion_missing",
        "The registry gave no champion, and nobody said that this is a first one.",
        InEvaluation(no_champion),
        (refused("evaluation"),),
    ),
    Fault(
        "dataset_rebuilt_after_training",
        "The snapshot was written anew between training and evaluation.",
        InEvaluation(rebuilt_dataset),
        (refused("evaluation"),),
    ),
    Fault(
        "feature_snapshot_truncated",
        "The copy of the feature snapshot stopped half-way.",
        InEvaluation(half_of_the_snapshot),
        (refused("evaluation"),),
    ),
    Fault(
        "candidate_of_another_retrain",
        "The evaluation was given the bundle of an earlier retrain.",
        InEvaluation(candidate_is_the_champion_of_another_retrain),
        (refused("evaluation"),),
    ),
)
