"""Are the features of a single request the ones training had? Rows go through JSON one by one, without what is known later."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict, first_line
from retrain_assets.gates.features.comparing import TEAM_CODE_ERRORS, changed_rows
from retrain_assets.gates.limits import TABLE_ROWS, counted, listed
from retrain_assets.gates.redaction import hidden_text, is_shown

Build = Callable[[pl.DataFrame], pl.DataFrame]

REQUESTS = 32
"""Rows that are built one by one."""
EXPLAINED = 4
"""Differing rows of a feature that are built once more to say why they differ."""

OTHER_ROWS = "other rows of its batch"
LATE_COLUMNS = "columns not known yet"
OTHER_KIND = "another type"
NOT_RETURNED = "not returned"


@dataclass(frozen=True, slots=True)
class Parity:
    """What :func:`serving_probe` found.

    Args:
        requests: rows built one by one.
        differences: flat rows ``feature``, ``depends_on``, ``rows``, ``batch``, ``request`` (values of the first differing row),
            one per differing feature, most rows first.
        failures: what the feature function raised on single requests, by message, with the number of requests.
    """

    requests: int = 0
    differences: Sequence[Mapping[str, Any]] = ()
    failures: Mapping[str, int] = field(default_factory=dict)


def serving_probe(
    build: Build, rows: pl.DataFrame, features: pl.DataFrame, late: Sequence[str], *, identities: Collection[str] = ()
) -> Parity:
    """Build some rows as requests, one by one, and compare them with the snapshot.

    A request holds the source's columns as JSON can carry them, with the label and every column known only later null.

    Args:
        build: from source rows to features, one row each.
        rows: source rows of a window.
        features: the snapshot's features of them, built from the whole window at once.
        late: label and columns known only after the prediction; names that are not columns have no effect.
        identities: features that are the units' ids; neither they nor texts that are no categories are shown.
    """
    places = np.unique(np.linspace(0, max(rows.height - 1, 0), min(REQUESTS, rows.height)).astype(int))
    if not places.size:
        return Parity()
    expected, sent = features[places], over_the_wire(rows[places])
    asked = sent.with_columns(pl.lit(None, dtype=sent.schema[name]).alias(name) for name in late if name in sent.columns)
    built: dict[int, pl.DataFrame] = {}
    failures: dict[str, int] = {}
    for at in range(asked.height):
        try:
            built[at] = build(asked[at : at + 1])
        except TEAM_CODE_ERRORS as error:
            words = first_line(error)[:200]
            failures[words] = failures.get(words, 0) + 1
    differences = [found for name in expected.columns if (found := _difference(name, expected, built, sent, build))]
    hidden = {name for name in features.columns if name in identities or not is_shown(features[name])}
    for found in differences:
        if found["feature"] in hidden and found["depends_on"] in (OTHER_ROWS, LATE_COLUMNS):
            found |= {side: hidden_text(found[side]) for side in ("batch", "request")}
    added = dict.fromkeys(name for made in built.values() for name in made.columns if name not in expected.columns)
    unknown = {"depends_on": "not in the snapshot", "rows": len(built), "batch": "—", "request": "returned"}
    differences += [{"feature": name, **unknown} for name in added]
    differences.sort(key=lambda row: (-row["rows"], row["feature"]))
    return Parity(asked.height, differences, failures)


def features_match_serving(found: Parity) -> Verdict:
    """Single requests get the features, names and types that training had.

    Args:
        found: what the probe saw.
    """
    check = "features_match_serving"
    wrong = len(found.differences) + len(found.failures)
    evidence: dict[str, Any] = {
        "requests": found.requests,
        "differences": [dict(row) for row in found.differences[:TABLE_ROWS]],
        "features_that_differ": len(found.differences),
        "failures": [{"message": message, "requests": count} for message, count in found.failures.items()][:TABLE_ROWS],
        "requests_that_fail": sum(found.failures.values()),
    }
    if not found.requests:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "no row to send as a request; run the probe", None, 0, evidence)
    if found.failures:
        message, count = max(found.failures.items(), key=lambda item: item[1])
        words = f"the feature function fails on {count:,} of {counted(found.requests, 'single request')}: {message}"
        return Verdict(Gate.DATA, check, Outcome.FAIL, words, wrong, 0, evidence)
    if found.differences:
        names = [f"{row['feature']} ({row['rows']} of {found.requests}; {row['depends_on']})" for row in found.differences]
        message = (
            f"a single request gets other features than training had: {listed(names)}; "
            "build each row's features from that row alone, or put what they need into the source"
        )
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, wrong, 0, evidence)
    message = f"{counted(found.requests, 'single request')} got the same features, names and types as the snapshot"
    return Verdict(Gate.DATA, check, Outcome.PASS, message, 0, 0, evidence)


def kind_of_type(dtype: pl.DataType) -> str:
    """``number``, ``truth value``, ``text`` or the type's own name: what the serving signature holds of a feature's type."""
    if dtype.is_numeric() or dtype == pl.Null:
        return "number"
    if dtype == pl.Boolean:
        return "truth value"
    return "text" if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum) else str(dtype)


def over_the_wire(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as they arrive from JSON: numbers, truth values and text as such, times as counts, decimals as text;
    what is not finite arrives as null."""
    carried: dict[str, pl.DataType] = {}
    text: dict[str, pl.Expr] = {}
    for name, dtype in rows.schema.items():
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Null):
            continue
        if dtype in (pl.String, pl.Boolean) or (dtype.is_numeric() and not dtype.is_decimal()):
            carried[name] = dtype
        elif dtype.is_temporal():
            text[name], carried[name] = pl.col(name).to_physical(), pl.Int64()
        else:
            text[name], carried[name] = pl.col(name).cast(pl.String), pl.String()
    if not carried:
        return rows
    finite = [pl.when(pl.col(name).is_finite()).then(name).alias(name) for name, dtype in carried.items() if dtype.is_float()]
    wire = rows.select(text.get(name, pl.col(name)).alias(name) for name in carried).with_columns(finite)
    back = pl.DataFrame(json.loads(json.dumps(wire.to_dicts())), schema=carried)
    return rows.with_columns(back.select(pl.col(name).cast(rows.schema[name]) for name in carried))


def _difference(
    name: str, expected: pl.DataFrame, built: Mapping[int, pl.DataFrame], sent: pl.DataFrame, build: Build
) -> dict[str, Any] | None:
    if not built:
        return None
    if all(name not in made.columns for made in built.values()):
        return {"feature": name, "depends_on": NOT_RETURNED, "rows": len(built), "batch": "returned", "request": "—"}
    kind = kind_of_type(expected.schema[name])
    kinds = {at: kind_of_type(made.schema[name]) for at, made in built.items() if name in made.columns}
    if others := [at for at, other in kinds.items() if other != kind]:
        return {"feature": name, "depends_on": OTHER_KIND, "rows": len(others), "batch": kind, "request": kinds[others[0]]}
    differs = [at for at, made in built.items() if changed_rows(expected[at : at + 1].select(name), made)[name][0]]
    if not differs:
        return None
    first = built[differs[0]]
    return {
        "feature": name,
        "depends_on": _reason(name, expected, differs, sent, build),
        "rows": len(differs),
        "batch": _shown(expected[name][differs[0]]),
        "request": _shown(first[name][0]) if name in first.columns else "—",
    }


def _reason(name: str, expected: pl.DataFrame, differs: Sequence[int], sent: pl.DataFrame, build: Build) -> str:
    """Built alone with the late columns in place: equal again means the late columns were missed."""
    for at in differs[:EXPLAINED]:
        try:
            if changed_rows(expected[at : at + 1].select(name), build(sent[at : at + 1]))[name][0]:
                return OTHER_ROWS
        except TEAM_CODE_ERRORS:
            return OTHER_ROWS
    return LATE_COLUMNS


def _shown(value: Any) -> str:
    return "no value" if value is None or value != value else f"{value:.10g}" if isinstance(value, float) else str(value)
