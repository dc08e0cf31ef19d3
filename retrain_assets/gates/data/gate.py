"""Gate DATA on the source rows: is this data fit to train on, and to judge on? Leakage by features is in features.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.gates.data.schema import schema_holds
from retrain_assets.gates.data.timing import fresh_enough, labels_are_mature, time_order_holds
from retrain_assets.gates.limits import TABLE_ROWS, at_least, at_most, counted, listed

if TYPE_CHECKING:
    import pandera.polars

DATA_CHECKS = (
    "schema_holds",
    "fresh_enough",
    "enough_rows",
    "volume_is_steady",
    "missingness_within_limits",
    "both_classes_present",
    "keys_are_unique",
    "time_order_holds",
    "labels_are_mature",
)
"""The checks :func:`data_gate` gives, in this order, always all of them."""


def data_gate(
    train: pl.DataFrame,
    holdout: pl.DataFrame,
    *,
    contract: Contract,
    schema: type[pandera.polars.DataFrameModel],
    cutoff: datetime,
    history: Sequence[int] = (),
) -> list[Verdict]:
    """Judge the rows of one retrain.

    Args:
        train: source rows of the training window, as the schema describes them.
        holdout: source rows of the held-out window after it.
        contract: thresholds (``gates.data``), roles of the columns (``source``) and length of the windows.
        schema: pandera model of one source row.
        cutoff: the moment of the retrain, timezone-aware; nothing after it may be known.
        history: training rows of earlier retrains of this contract; empty when there were none.

    Returns:
        One verdict per name in ``DATA_CHECKS``. A check that needs a column which is not there, or has a type it
        cannot use, is ``error``; one that needs rows and has none is ``no_data``.

    Raises:
        ValueError: when ``cutoff`` has no timezone.
    """
    if cutoff.tzinfo is None:
        raise ValueError("cutoff has no timezone; pass a timezone-aware datetime")
    windows = {"train": train, "holdout": holdout}
    source = contract.source
    judged = {
        "schema_holds": lambda: schema_holds(windows, schema),
        "fresh_enough": lambda: fresh_enough(windows, contract, cutoff),
        "enough_rows": lambda: _rows(windows, contract),
        "volume_is_steady": lambda: _volume(windows, contract, history),
        "missingness_within_limits": lambda: _missing(windows, contract),
        "both_classes_present": lambda: _classes(windows, contract),
        "keys_are_unique": lambda: _keys(windows, contract),
        "time_order_holds": lambda: time_order_holds(windows, source.event_time),
        "labels_are_mature": lambda: labels_are_mature(windows, contract, cutoff),
    }
    needs = {
        "fresh_enough": (source.event_time,),
        "enough_rows": (source.label,),
        "missingness_within_limits": tuple(contract.gates.data.max_missing),
        "both_classes_present": (source.label,),
        "keys_are_unique": (source.unit, source.event_time),
        "time_order_holds": (source.event_time,),
        "labels_are_mature": (source.event_time, source.label),
    }
    return [_unusable(check, needs.get(check, ()), windows, contract) or judged[check]() for check in DATA_CHECKS]


def _unusable(check: str, columns: Sequence[str], windows: dict[str, pl.DataFrame], contract: Contract) -> Verdict | None:
    absent = sorted(
        {f"{column} ({name})" for column in columns for name, frame in windows.items() if column not in frame.columns}
    )
    if absent:
        return _verdict(
            check, Outcome.ERROR, f"needs columns the rows do not have: {listed(absent)}; correct the source or contract"
        )
    if contract.source.event_time in columns:
        for name, frame in windows.items():
            dtype = frame.schema[contract.source.event_time]
            if not isinstance(dtype, pl.Datetime | pl.Date):
                return _verdict(
                    check, Outcome.ERROR, f"{contract.source.event_time} in {name} is {dtype}, not a time; read it as a datetime"
                )
    if check not in ("schema_holds", "enough_rows") and all(frame.height == 0 for frame in windows.values()):
        return _verdict(check, Outcome.NO_DATA, "there are no rows in either window")
    return None


def _rows(windows: dict[str, pl.DataFrame], contract: Contract) -> Verdict:
    limits = {"train": contract.gates.data.min_rows, "holdout": contract.gates.data.min_holdout_rows}
    label = contract.source.label
    found = {name: frame.height - frame[label].null_count() for name, frame in windows.items()}
    worst = min(limits, key=lambda name: found[name] / limits[name])
    evidence = {"labelled_rows": found, "required": limits, "rows": {name: frame.height for name, frame in windows.items()}}
    what = f"number of labelled rows in {worst}"
    return at_least(Gate.DATA, "enough_rows", found[worst], limits[worst], what=what, evidence=evidence)


def _volume(windows: dict[str, pl.DataFrame], contract: Contract, history: Sequence[int]) -> Verdict:
    if windows["train"].height == 0:
        return _verdict("volume_is_steady", Outcome.NO_DATA, "there are no training rows to compare the hold-out with")
    day = timedelta(days=1)  # the hold-out ends a label delay before the cut-off: later rows have no label yet
    daily = {
        "train": windows["train"].height / (contract.window.train / day),
        "holdout": windows["holdout"].height / ((contract.window.holdout - contract.source.label_delay) / day),
    }
    changes = {"hold-out against training": daily["holdout"] / daily["train"] - 1}
    if usual := median(history) if history else None:
        changes["training against earlier retrains"] = windows["train"].height / usual - 1
    worst = max(changes, key=lambda name: abs(changes[name]))
    evidence = {"rows_a_day": daily, "changes": changes, "earlier_training_rows": list(history)}
    what = f"relative change of volume ({worst})"
    limit = contract.gates.data.max_volume_change
    return at_most(Gate.DATA, "volume_is_steady", abs(changes[worst]), limit, what=what, evidence=evidence)


def _missing(windows: dict[str, pl.DataFrame], contract: Contract) -> Verdict:
    limits = contract.gates.data.max_missing
    if not limits:
        message = "gates.data.max_missing sets no limit; null shares are in the evidence"
        shares = {name: {column: _null_share(frame, column) for column in frame.columns} for name, frame in windows.items()}
        return _verdict("missingness_within_limits", Outcome.PASS, message, evidence={"null_share": shares})
    table: list[dict[str, Any]] = [
        {"column": column, "window": name, "null_share": share, "limit": limit}
        for column, limit in limits.items()
        for name, frame in windows.items()
        if (share := _null_share(frame, column)) is not None
    ]
    table.sort(key=lambda row: row["null_share"] - row["limit"], reverse=True)
    worst = table[0]
    what = f"share of nulls in {worst['column']} ({worst['window']})"
    evidence = {"null_share": table[:TABLE_ROWS], "over": sum(row["null_share"] > row["limit"] for row in table)}
    return at_most(Gate.DATA, "missingness_within_limits", worst["null_share"], worst["limit"], what=what, evidence=evidence)


def _classes(windows: dict[str, pl.DataFrame], contract: Contract) -> Verdict:
    check, label = "both_classes_present", contract.source.label
    labels = {name: frame[label].drop_nulls() for name, frame in windows.items()}
    if unlabelled := [name for name, values in labels.items() if values.len() == 0]:
        return _verdict(check, Outcome.NO_DATA, f"no row of {' and '.join(unlabelled)} has a label", 0, 2)
    distinct = {name: values.n_unique() for name, values in labels.items()}
    fewest = min(distinct, key=lambda name: distinct[name])
    if contract.task == "regression":
        return at_least(Gate.DATA, check, distinct[fewest], 2, what=f"number of different labels in {fewest}")
    counts = {
        name: {str(row[label]): row["count"] for row in values.value_counts().sort(label).head(TABLE_ROWS).to_dicts()}
        for name, values in labels.items()
    }
    evidence = {"rows_by_class": counts}
    if contract.task == "binary_classification" and max(distinct.values()) > 2:
        many = max(distinct, key=lambda name: distinct[name])
        message = f"{label} has {distinct[many]} classes in {many}, a binary label has 2; correct task or label"
        return _verdict(check, Outcome.FAIL, message, distinct[many], 2, evidence=evidence)
    if unseen := sorted(set(labels["holdout"].unique()) - set(labels["train"].unique()), key=str):
        message = f"the hold-out has classes training never saw: {listed([str(value) for value in unseen])}"
        return _verdict(check, Outcome.FAIL, message, distinct["train"], distinct["holdout"], evidence=evidence)
    return at_least(Gate.DATA, check, distinct[fewest], 2, what=f"number of classes in {fewest}", evidence=evidence)


def _keys(windows: dict[str, pl.DataFrame], contract: Contract) -> Verdict:
    check, key = "keys_are_unique", [contract.source.unit, contract.source.event_time]
    keys = pl.concat([frame.select(key) for frame in windows.values() if frame.height], how="vertical_relaxed")
    if nulls := keys.filter(pl.col(key[0]).is_null()).height:
        return _verdict(check, Outcome.FAIL, f"{counted(nulls, 'row')} have no {key[0]}", nulls, 0)
    repeated = (
        keys.group_by(key).agg(rows=pl.len()).filter(pl.col("rows") > 1).sort("rows", *key, descending=[True, False, False])
    )
    surplus = int(repeated["rows"].sum()) - repeated.height
    examples = repeated.head(TABLE_ROWS).with_columns(pl.col(key).cast(pl.String)).to_dicts()
    what = f"number of surplus rows with the same {key[0]} and {key[1]}"
    return at_most(Gate.DATA, check, surplus, 0, what=what, evidence={"repeated_keys": examples, "keys": repeated.height})


def _null_share(frame: pl.DataFrame, column: str) -> float | None:
    if frame.height == 0:
        return None
    empty = pl.col(column).is_null()
    if frame.schema[column].is_float():
        empty = empty | pl.col(column).is_nan()
    return float(frame.select(empty.mean()).item())


def _verdict(
    check: str,
    outcome: Outcome,
    message: str,
    observed: float | None = None,
    threshold: float | None = None,
    *,
    evidence: Mapping[str, Any] | None = None,
) -> Verdict:
    return Verdict(Gate.DATA, check, outcome, message, observed=observed, threshold=threshold, evidence=evidence or {})
