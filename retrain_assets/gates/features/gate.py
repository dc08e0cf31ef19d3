"""Gate DATA on the features: do they know the future, does the hold-out stand in training, do they vary?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.gates.features.availability import FAILS_WITHOUT
from retrain_assets.gates.features.separation import binary_targets, single_feature_auc
from retrain_assets.gates.limits import TABLE_ROWS, at_most, counted, listed, number

FEATURE_CHECKS = (
    "no_single_feature_separates_label",
    "features_are_known_in_time",
    "no_rows_shared_across_split",
    "features_vary",
)
"""The checks :func:`features_gate` gives, in this order, always all of them. They belong to gate DATA."""


def features_gate(
    train: pl.DataFrame,
    holdout: pl.DataFrame,
    *,
    contract: Contract,
    unit: str,
    label: str,
    lookahead: Mapping[str, int],
) -> list[Verdict]:
    """Judge the feature snapshot of one retrain.

    Args:
        train: features of the training window with unit and label; every column but unit, label and the contract's
            event time is a feature.
        holdout: the same of the held-out window.
        contract: thresholds in ``gates.data``, task, columns known only after the prediction.
        unit: column of the unit.
        label: column of the label, null where it is not known.
        lookahead: as :func:`~retrain_assets.gates.features.availability.availability_probe` gives it: feature to number of rows
            whose value changed when the columns known only after the prediction were blanked out. May be empty when the
            contract names no such column.

    Returns:
        One verdict per name in ``FEATURE_CHECKS``. Without rows or features they are ``no_data``; windows with
        different features, or without a label column, are ``error``.
    """
    roles = {unit, label, contract.source.event_time}
    features = [column for column in train.columns if column not in roles]
    if problem := _unusable(train, holdout, features, label):
        outcome, message = problem
        return [Verdict(Gate.DATA, check, outcome, message) for check in FEATURE_CHECKS]
    return [
        _separation(train, holdout, features, label, contract),
        _known_in_time(features, lookahead, contract),
        _shared(train, holdout, features, contract),
        _vary(train, holdout, features),
    ]


def _unusable(train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str], label: str) -> tuple[Outcome, str] | None:
    for name, frame in (("training", train), ("hold-out", holdout)):
        if label not in frame.columns:
            return Outcome.ERROR, f"the {name} features have no label column {label}"
        if absent := [column for column in features if column not in frame.columns]:
            return Outcome.ERROR, f"the {name} features lack {listed(absent)}; both windows must come from one feature function"
    if types := [column for column in features if train.schema[column] != holdout.schema[column]]:
        return Outcome.ERROR, f"type differs between training and hold-out: {listed(types)}; cast in the feature function"
    if not features:
        return Outcome.NO_DATA, "there are no features to judge"
    if train.height == 0 or holdout.height == 0:
        return Outcome.NO_DATA, "one window has no rows"
    return None


def _separation(train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str], label: str, contract: Contract) -> Verdict:
    check, limit = "no_single_feature_separates_label", contract.gates.data.max_feature_auc
    areas: dict[str, dict[str, float | None]] = {name: {} for name in features}
    for window, frame in (("train", train), ("holdout", holdout)):
        labelled = frame.filter(pl.col(label).is_not_null())
        targets = binary_targets(labelled[label], contract.task)
        for name in features:
            areas[name][window] = single_feature_auc(labelled[name], targets)
    table: list[dict[str, Any]] = [
        {"feature": name, "auc": max(known), "auc_train": area["train"], "auc_holdout": area["holdout"]}
        for name, area in areas.items()
        if (known := [value for value in area.values() if value is not None])
    ]
    if not table:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "no window has labels of two kinds to separate", threshold=limit)
    table.sort(key=lambda row: (-row["auc"], row["feature"]))
    leaks = [f"{row['feature']} (AUC {number(row['auc'])})" for row in table if row["auc"] > limit]
    evidence = {"features": table[:TABLE_ROWS], "features_total": len(table), "above_limit": len(leaks)}
    if leaks:
        message = (
            f"{listed(leaks)} alone separates {label} better than {number(limit)}; "
            "find out whether it is known before the prediction, and remove it if not"
        )
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, table[0]["auc"], limit, evidence)
    what = f"AUC of the most separating feature ({table[0]['feature']})"
    return at_most(Gate.DATA, check, table[0]["auc"], limit, what=what, evidence=evidence)


def _known_in_time(features: Sequence[str], lookahead: Mapping[str, int], contract: Contract) -> Verdict:
    check, late = "features_are_known_in_time", contract.source.known_after_prediction
    evidence = {"rows_changed": dict(sorted(lookahead.items())), "known_after_prediction": list(late)}
    dependent = sorted((name for name, rows in lookahead.items() if rows), key=lambda name: (-lookahead[name], name))
    if dependent:
        words = [name if name.startswith(FAILS_WITHOUT) else f"{name} ({counted(lookahead[name], 'row')})" for name in dependent]
        message = f"values known only after the prediction are used: {listed(words)}; build the features without {listed(late)}"
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, lookahead[dependent[0]], 0, evidence)
    if not late and not lookahead:
        message = "source.known_after_prediction names no column, so no feature can depend on one"
        return Verdict(Gate.DATA, check, Outcome.PASS, message, 0, 0, evidence)
    if unprobed := [name for name in features if name not in lookahead]:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, f"not probed: {listed(unprobed)}; run the probe", None, 0, evidence)
    message = f"no feature changes without {listed(late)}" if late else "no feature changed in the probe"
    return Verdict(Gate.DATA, check, Outcome.PASS, message, 0, 0, evidence)


def _shared(train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str], contract: Contract) -> Verdict:
    texts = [pl.col(name).cast(pl.String) for name in features if isinstance(train.schema[name], pl.Categorical | pl.Enum)]
    left = holdout.select(features).with_columns(texts)
    right = train.select(features).with_columns(texts).unique()
    shared = left.join(right, on=list(features), how="semi", nulls_equal=True).height
    evidence = {"shared_rows": shared, "holdout_rows": holdout.height, "train_rows": train.height}
    limit = contract.gates.data.max_duplicate_share
    what = "share of hold-out rows that stand, feature by feature, in training"
    return at_most(Gate.DATA, "no_rows_shared_across_split", shared / holdout.height, limit, what=what, evidence=evidence)


def _vary(train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str]) -> Verdict:
    check = "features_vary"
    empty = {
        name: [window for window, frame in (("train", train), ("holdout", holdout)) if _empty(frame[name])] for name in features
    }
    dead = [f"{name} ({' and '.join(windows)})" for name, windows in empty.items() if windows]
    constant = [name for name in features if not empty[name] and train[name].n_unique() == 1]
    evidence = {"empty": dead, "constant": constant, "features": len(features)}
    if dead:
        message = f"no value at all in {listed(dead)}; repair or remove it"
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, len(dead), 0, evidence)
    if len(constant) == len(features):
        return Verdict(Gate.DATA, check, Outcome.FAIL, "every feature is constant in training", len(constant), 0, evidence)
    message = "every feature has values"
    message += f"; constant in training: {listed(constant)}" if constant else " and varies"
    return Verdict(Gate.DATA, check, Outcome.PASS, message, 0, 0, evidence)


def _empty(values: pl.Series) -> bool:
    return (values.fill_nan(None) if values.dtype.is_float() else values).null_count() == values.len()
