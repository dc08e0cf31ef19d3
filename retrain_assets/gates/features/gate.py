"""Gate DATA on the features: do they know the future, can they be served, does the hold-out stand in training, do they vary?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.contract.unit_names import UNLINKABLE, UnitNames
from retrain_assets.gates.features.agreement import no_value_determines_label
from retrain_assets.gates.features.availability import Availability, features_are_known_in_time
from retrain_assets.gates.features.cells import Cells, binary_targets, sampled
from retrain_assets.gates.features.known_label import area_of_known_labels
from retrain_assets.gates.features.resemblance import holdout_resembles_training
from retrain_assets.gates.features.separation import no_single_feature_separates_label
from retrain_assets.gates.features.serving import Parity, features_match_serving
from retrain_assets.gates.features.split import no_rows_shared_across_split
from retrain_assets.gates.features.variation import features_vary
from retrain_assets.gates.limits import listed
from retrain_assets.gates.redaction import copies_of

FEATURE_CHECKS = (
    "no_single_feature_separates_label",
    "no_value_determines_label",
    "features_are_known_in_time",
    "features_match_serving",
    "no_rows_shared_across_split",
    "features_vary",
    "holdout_resembles_training",
)
"""The checks :func:`features_gate` gives, in this order, always all of them. They belong to gate DATA."""

JUDGED_ROWS = 100_000
"""Most labelled rows of a window in which leaks are looked for; a seeded random sample where there are more."""
JUDGED_ROWS_OF_MANY_CLASSES = 25_000
"""The same where the label has more than two classes, each of which is looked for."""


def features_gate(
    train: pl.DataFrame,
    holdout: pl.DataFrame,
    *,
    contract: Contract,
    unit: str,
    label: str,
    availability: Availability,
    parity: Parity,
    names: UnitNames = UNLINKABLE,
) -> list[Verdict]:
    """Judge the feature snapshot of one retrain.

    Args:
        train: features of the training window in order of time, with unit and label; every column but unit, label and the
            contract's event time is a feature.
        holdout: the same of the held-out window.
        contract: thresholds in ``gates.data``, task, columns known only after the prediction.
        unit: column of the unit.
        label: column of the label, null where it is not known.
        availability: what :func:`~retrain_assets.gates.features.availability.availability_probe` found in the training rows.
        parity: what :func:`~retrain_assets.gates.features.serving.serving_probe` found in the hold-out rows.
        names: what units are called in evidence.

    Returns:
        One verdict per name in ``FEATURE_CHECKS``. Without rows or features they are ``no_data``; windows with
        different features, or without a label column, are ``error``.
    """
    roles = {unit, label, contract.source.event_time}
    features = [column for column in train.columns if column not in roles]
    if problem := _unusable(train, holdout, features, label, contract):
        outcome, message = problem
        return [Verdict(Gate.DATA, check, outcome, message) for check in FEATURE_CHECKS]
    return [
        *_leaks(train, holdout, features, unit, label, contract),
        features_are_known_in_time(features, availability, contract),
        features_match_serving(parity),
        no_rows_shared_across_split(train, holdout, features, unit, contract, names),
        features_vary(train, holdout, features),
        holdout_resembles_training(train, holdout, features, contract),
    ]


def _unusable(
    train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str], label: str, contract: Contract
) -> tuple[Outcome, str] | None:
    for name, frame in (("training", train), ("hold-out", holdout)):
        if label not in frame.columns:
            return Outcome.ERROR, f"the {name} features have no label column {label}"
        if absent := [column for column in features if column not in frame.columns]:
            return Outcome.ERROR, f"the {name} features lack {listed(absent)}; both windows must come from one feature function"
    if unknown := [name for name in contract.gates.data.vetted_features if features and name not in features]:
        return (
            Outcome.ERROR,
            f"gates.data.vetted_features names no feature: {listed(unknown)}; the features are {listed(features)}",
        )
    if types := [column for column in features if train.schema[column] != holdout.schema[column]]:
        return Outcome.ERROR, f"type differs between training and hold-out: {listed(types)}; cast in the feature function"
    if not features:
        return Outcome.NO_DATA, "there are no features to judge"
    if train.height == 0 or holdout.height == 0:
        return Outcome.NO_DATA, "one window has no rows"
    return None


def _leaks(
    train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str], unit: str, label: str, contract: Contract
) -> list[Verdict]:
    """The two checks that look for the label in the features; both count over the same cells."""
    most = JUDGED_ROWS
    if contract.task == "multiclass" and train[label].n_unique() > 2:
        most = JUDGED_ROWS_OF_MANY_CLASSES
    parts = [sampled(frame.filter(_has_label(frame, label)).select(*features, label), most) for frame in (train, holdout)]
    plain = [frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String)) for frame in parts]
    rows = pl.concat(plain)
    copies = copies_of(train[unit], train.select(features)) if unit in train.columns else frozenset()
    cells: Mapping[str, Cells] = {name: Cells.of(rows[name], identity=name in copies) for name in features}
    windows = {"train": slice(0, parts[0].height), "holdout": slice(parts[0].height, rows.height)}
    targets = {window: binary_targets(rows[label][place], contract.task) for window, place in windows.items()}

    def known_label() -> float | None:
        return area_of_known_labels(train.filter(_has_label(train, label)), contract, unit, label)

    return [
        no_single_feature_separates_label(cells, windows, targets, contract, known_label),
        no_value_determines_label(cells, rows[label], contract),
    ]


def _has_label(frame: pl.DataFrame, label: str) -> pl.Expr:
    known = pl.col(label).is_not_null()
    return known & pl.col(label).is_not_nan() if frame.schema[label].is_float() else known
