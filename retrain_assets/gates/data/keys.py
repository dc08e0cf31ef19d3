"""The checks of gate DATA on identity: no row twice, no group on both sides of the split."""

from __future__ import annotations

import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.data.rows import SourceRows
from retrain_assets.gates.limits import TABLE_ROWS, at_most, counted, listed
from retrain_assets.gates.redaction import RowWords

COUNT = "rows with this key"


def keys_are_unique(rows: SourceRows) -> Verdict:
    """No unit, event time and ``source.key`` stands twice, in one window or across both, and every row has a unit."""
    check, source = "keys_are_unique", rows.contract.source
    key = [source.unit, source.event_time, *source.key]
    keys = pl.concat([frame.select(key) for frame in rows.windows.values() if frame.height], how="vertical_relaxed")
    if nulls := keys[key[0]].null_count():
        return Verdict(Gate.DATA, check, Outcome.FAIL, f"{counted(nulls, 'row')} have no {key[0]}", nulls, 0)
    repeated = _repeated(keys)
    surplus = int(repeated[COUNT].sum()) - repeated.height
    words = RowWords(keys, source, rows.names)
    shown = repeated.head(TABLE_ROWS).with_columns(pl.col(key).cast(pl.String)).to_dicts()
    examples = [row | {name: words.of(row, name) for name in key if name != source.event_time} for row in shown]
    first = f" (first {examples[0][key[0]]} at {examples[0][key[1]]})" if examples else ""
    what = f"number of surplus rows with the same {listed(key, most=10)}{first}"
    if surplus:
        what += ", which source.key may tell apart,"
    evidence = {"repeated_keys": examples, "keys": repeated.height, "rows": keys.height}
    return at_most(Gate.DATA, check, surplus, 0, what=what, evidence=evidence)


def groups_are_separate(rows: SourceRows) -> Verdict:
    """No value of ``source.group`` stands in both windows; rows without a group belong to none."""
    check, group = "groups_are_separate", rows.contract.source.group or ""
    if not rows.train.height or not rows.holdout.height:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "one window has no rows, so there are no groups to compare")
    held, seen = (_plain(frame[group]).drop_nulls() for frame in (rows.holdout, rows.train))
    found = held.filter(held.is_in(seen.unique().implode())).alias("group").value_counts(name="holdout_rows")
    shared = found.sort("holdout_rows", "group", descending=[True, False])
    shown = shared.head(TABLE_ROWS).iter_rows()
    examples = [{group: rows.names.of(value, "group"), "holdout_rows": count} for value, count in shown]
    evidence = {
        "shared_groups": examples,
        "holdout_rows_of_shared_groups": int(shared["holdout_rows"].sum()),
        "holdout_rows_left_out": rows.left_out.group_in_training.height,
        "rows_without_group": sum(frame[group].null_count() for frame in rows.windows.values()),
    }
    names = f" ({listed([str(row[group]) for row in examples])})" if examples else ""
    what = f"number of values of {group} on both sides of the split{names}"
    return at_most(Gate.DATA, check, shared.height, 0, what=what, evidence=evidence)


def _plain(values: pl.Series) -> pl.Series:
    """Categories as text, because their codes may differ between frames."""
    return values.cast(pl.String) if isinstance(values.dtype, pl.Categorical | pl.Enum) else values


def _repeated(keys: pl.DataFrame) -> pl.DataFrame:
    """Keys that stand more than once with their number of rows, most first. A hash finds who may repeat; they are then counted
    exactly, so that sound data costs one pass over integers."""
    unit, *others = keys.columns
    hashed = keys.select(pl.struct(pl.col(unit).hash(1), *others).hash(2)).to_series()
    suspects = keys.clear() if hashed.n_unique() == keys.height else keys.filter(hashed.is_duplicated())
    counts = suspects.group_by(keys.columns).agg(pl.len().alias(COUNT)).filter(pl.col(COUNT) > 1)
    return counts.sort(COUNT, *keys.columns, descending=[True, *(False for _ in keys.columns)])
