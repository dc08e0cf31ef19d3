"""The checks of gate DATA on the label: it varies, its distribution is like before, and it arrives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.data.history import EarlierDataset, usual_label_mean
from retrain_assets.gates.data.rows import SourceRows
from retrain_assets.gates.limits import TABLE_ROWS, at_least, at_most, counted, listed


def both_classes_present(rows: SourceRows) -> Verdict:
    """The label varies in both windows, has two classes in a binary task, and no class that training never saw."""
    check, contract = "both_classes_present", rows.contract
    label = contract.source.label
    labels = {name: frame[label].drop_nulls() for name, frame in rows.windows.items()}
    if unlabelled := [name for name, values in labels.items() if values.len() == 0]:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, f"no row of {' and '.join(unlabelled)} has a label", 0, 2)
    distinct = {name: values.n_unique() for name, values in labels.items()}
    fewest = min(distinct, key=lambda name: distinct[name])
    if contract.task == "regression":
        return at_least(Gate.DATA, check, distinct[fewest], 2, what=f"number of different labels in {fewest}")
    counts = {name: _class_counts(values) for name, values in labels.items()}
    evidence = {"classes": _class_table(counts)}
    if contract.task == "binary_classification" and max(distinct.values()) > 2:
        many = max(distinct, key=lambda name: distinct[name])
        message = f"{label} has {distinct[many]} classes in {many}, a binary label has 2; correct task or label"
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, distinct[many], 2, evidence=evidence)
    if unseen := sorted(set(counts["holdout"]) - set(counts["train"])):
        message = f"the hold-out has classes training never saw: {listed(unseen)}"
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, distinct["train"], distinct["holdout"], evidence=evidence)
    return at_least(Gate.DATA, check, distinct[fewest], 2, what=f"number of classes in {fewest}", evidence=evidence)


def label_balance_is_steady(rows: SourceRows, history: Sequence[EarlierDataset]) -> Verdict:
    """The label's distribution changes by at most ``gates.data.max_label_shift``.

    Classes: the largest change of a class's share, hold-out against training. Regression: the change of the mean in standard
    deviations of training. A binary or regression label of training is also compared with the median mean of earlier
    retrains, which sees a label that is turned round in the whole source.
    """
    check, contract = "label_balance_is_steady", rows.contract
    limit, label = contract.gates.data.max_label_shift, contract.source.label
    labels = {name: frame[label].drop_nulls() for name, frame in rows.windows.items()}
    if unlabelled := [name for name, values in labels.items() if values.len() == 0]:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, f"no row of {' and '.join(unlabelled)} has a label", None, limit)
    unit, evidence = 1.0, dict[str, Any]()
    changes: list[dict[str, Any]] = []
    if contract.task == "regression":
        numbers = {name: values.cast(pl.Float64).fill_nan(None).drop_nulls() for name, values in labels.items()}
        means = rows.label_mean
        unit = _deviation(numbers["train"])
        if means["train"] is not None and means["holdout"] is not None and unit:
            changes.append(_change("mean", "hold-out against training", means["train"], means["holdout"], unit))
    else:
        counts = {name: _class_counts(values) for name, values in labels.items()}
        evidence["classes"] = _class_table(counts)
        for level in sorted(set(counts["train"]) | set(counts["holdout"])):
            before, after = (counts[name].get(level, 0) / labels[name].len() for name in ("train", "holdout"))
            changes.append(_change(f"class {level}", "hold-out against training", before, after, unit))
    if (usual := usual_label_mean(history)) is not None and (now := rows.label_mean["train"]) is not None and unit:
        changes.append(_change("mean", "training against earlier retrains", usual, now, unit))
    if not changes:
        message = f"{label} does not vary in training, so a change of it has no measure"
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, message, None, limit)
    changes.sort(key=lambda row: (round(abs(row["change"]), 12), row["of"]), reverse=True)
    worst = changes[0]
    evidence |= {
        "changes": changes[:TABLE_ROWS],
        "changes_total": len(changes),
        "earlier_label_means": [{"retrain": each.retrain, "label_mean": each.label_mean} for each in history],
    }
    measured = "share of a class" if contract.task != "regression" else "mean label in standard deviations"
    span = f"{worst['of']}, {worst['compared']}: {worst['before']:.4g} to {worst['after']:.4g}"
    return at_most(
        Gate.DATA, check, abs(worst["change"]), limit, what=f"largest change of the {measured} ({span})", evidence=evidence
    )


def labels_arrive(rows: SourceRows) -> Verdict:
    """Of the rows of each window whose label should be known by the cut-off, at most ``gates.data.max_unlabelled`` have none.

    Such rows are not in the snapshot. Rows too young to have a label are counted apart and not judged.
    """
    check, limit = "labels_arrive", rows.contract.gates.data.max_unlabelled
    label = rows.contract.source.label
    table: list[dict[str, Any]] = []
    for name, frame in rows.windows.items():
        without = rows.unlabelled[name] + frame[label].null_count()
        due = frame.height + rows.unlabelled[name]
        if due:
            table.append({"window": name, "rows_due": due, "without_label": without, "share": without / due})
    if not table:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "no row is old enough to have a label", None, limit)
    worst = max(table, key=lambda row: row["share"])
    evidence = {"windows": table, "label_not_known_yet": rows.left_out.too_young.height}
    what = (
        f"share of rows without a label that should have one in {worst['window']} "
        f"({worst['without_label']:,} of {counted(worst['rows_due'], 'row')})"
    )
    return at_most(Gate.DATA, check, worst["share"], limit, what=what, evidence=evidence)


def _class_counts(values: pl.Series) -> dict[str, int]:
    counts = values.alias("level").value_counts().sort("count", "level", descending=[True, False])
    return dict(zip(counts["level"].cast(pl.String).to_list(), counts["count"].to_list(), strict=True))


def _class_table(counts: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    levels = list(dict.fromkeys([*counts["train"], *counts["holdout"]]))[:TABLE_ROWS]
    return [{"class": level, **{name: counts[name].get(level, 0) for name in ("train", "holdout")}} for level in levels]


def _change(of: str, compared: str, before: float, after: float, unit: float) -> dict[str, Any]:
    return {"of": of, "compared": compared, "before": before, "after": after, "change": (after - before) / unit}


def _deviation(values: pl.Series) -> float:
    deviation = values.std() if values.len() > 1 else None
    found = float(deviation) if isinstance(deviation, int | float) else 0.0
    return found if math.isfinite(found) else 0.0
