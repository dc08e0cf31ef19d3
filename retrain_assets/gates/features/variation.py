"""Features that carry nothing or cannot be numbers: empty, constant, stuck, infinite, or one text for every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.limits import TABLE_ROWS, counted, listed
from retrain_assets.gates.redaction import hidden_text

ABSURD = 1e20
"""A number of this size is no measurement; nanoseconds since 1970 and 64-bit hashes stay below."""
MIN_STUCK_ROWS = 50
"""Fewest hold-out rows with a value that tell a stuck feature."""
STUCK_RUNS = 3
"""A hold-out without any change is stuck when it is this many times as long as training's longest run of the same value; one
without any value is empty when it is as much longer than training's longest run without one."""
MIN_IDENTIFIERS = 100
"""Fewest training rows with a text that tell an identifier."""
IDENTIFIER_SHARE = 0.9
"""Share of distinct texts from which on a text feature is an identifier."""


def features_vary(train: pl.DataFrame, holdout: pl.DataFrame, features: Sequence[str]) -> Verdict:
    """Every feature has finite values that differ, and still differ in the hold-out; no text feature is an identifier.

    Args:
        train: features in order of time.
        holdout: the same of the window after it.
        features: their names.
    """
    faults = [fault for name in features if (fault := _fault(name, train[name], holdout[name]))]
    waking = [name for name in features if _constant(train[name]) and name not in {fault["feature"] for fault in faults}]
    evidence: dict[str, Any] = {
        "faults": faults[:TABLE_ROWS],
        "faults_total": len(faults),
        "constant_in_training_only": waking,
        "features_total": len(features),
    }
    check = "features_vary"
    if faults:
        words = [f"{fault['feature']} {fault['fault']}" for fault in faults]
        message = f"{listed(words)}; repair the source or feature function, or remove the feature"
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, len(faults), 0, evidence)
    message = f"{counted(len(features), 'feature')} vary and are finite"
    message += f"; constant in training, so of no use yet: {listed(waking)}" if waking else ""
    return Verdict(Gate.DATA, check, Outcome.PASS, message, 0, 0, evidence)


def _fault(name: str, train: pl.Series, holdout: pl.Series) -> dict[str, Any] | None:
    found = _empty(train, holdout) or _infinite(train, holdout) or _still(train, holdout) or _identifier(train)
    if found is None:
        return None
    fault, window, value = found
    return {"feature": name, "fault": fault, "window": window, "value": value}


Found = tuple[str, str, str] | None
"""The fault in words, its window and the value that shows it."""


def _empty(train: pl.Series, holdout: pl.Series) -> Found:
    windows = [name for name, values in (("train", train), ("holdout", holdout)) if _known(values).is_empty()]
    if windows == ["holdout"] and len(holdout) <= STUCK_RUNS * _longest_run(_missing(train)):
        return None
    return (f"has no value at all ({' and '.join(windows)})", " and ".join(windows), "no value") if windows else None


def _infinite(train: pl.Series, holdout: pl.Series) -> Found:
    if not train.dtype.is_float() and not train.dtype.is_integer():
        return None
    for window, values in (("train", train), ("holdout", holdout)):
        if (known := _known(values)).is_empty():
            continue
        low, high = (float(known.min()), float(known.max()))  # type: ignore[arg-type]
        worst = max(low, high, key=abs)
        if abs(worst) >= ABSURD:
            rows = int((known.cast(pl.Float64).abs() >= ABSURD).sum())
            return f"is infinite or beyond {ABSURD:g} ({counted(rows, 'row')}, {window})", window, str(worst)
    return None


def _still(train: pl.Series, holdout: pl.Series) -> Found:
    if not _constant(holdout):
        return None
    value = _known(holdout)[0]
    if _constant(train):
        if _known(train)[0] != value:
            return (f"is constant in each window, {_known(train)[0]} and then {value}", "train and holdout", str(value))
        return (f"is constant ({value})", "train and holdout", str(value))
    rows = len(holdout)
    if rows >= MIN_STUCK_ROWS and rows > STUCK_RUNS * _longest_run(_known(train) == value):
        return (f"is stuck at {value} in the hold-out, but varies in training", "holdout", str(value))
    return None


def _identifier(train: pl.Series) -> Found:
    if not (train.dtype == pl.String or isinstance(train.dtype, pl.Categorical | pl.Enum)):
        return None
    known = train.drop_nulls()
    if len(known) < MIN_IDENTIFIERS:
        return None
    distinct = known.n_unique()
    if distinct < IDENTIFIER_SHARE * len(known):
        return None
    return (f"is an identifier ({distinct:,} texts in {counted(len(known), 'row')})", "train", hidden_text(known[0]))


def _missing(values: pl.Series) -> pl.Series:
    return (values.fill_nan(None) if values.dtype.is_float() else values).is_null()


def _known(values: pl.Series) -> pl.Series:
    return (values.fill_nan(None) if values.dtype.is_float() else values).drop_nulls()


def _constant(values: pl.Series) -> bool:
    """Whether every row has the same value; missing values beside a single one are a difference."""
    known = _known(values)
    return len(known) == len(values) and len(known) > 0 and bool((known == known[0]).all())


def _longest_run(held: pl.Series) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], held.to_numpy().astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
