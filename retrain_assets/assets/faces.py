"""What a person sees in Dagster: verdicts and results translated into check results and metadata."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.reports.reading import readable, reading_place, worst_first

TABLE_ROWS = 50
"""Rows of a table shown in metadata; the rest stays in the evidence."""


def check_result(verdict: Verdict, *, asset: dg.AssetKey, owner: str, fallback: str, overridden: str = "") -> dg.AssetCheckResult:
    """A verdict as Dagster shows it. What canary and promotion still wait for is a warning, everything else an error.

    What two approvers have overridden is a warning that says by whom and why: it did not pass, and nothing waits for it.
    """
    waiting = verdict.gate in (Gate.CANARY, Gate.PROMOTION) and verdict.outcome in (Outcome.INCONCLUSIVE, Outcome.NO_DATA)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=verdict.check,
        passed=bool(verdict.passed),
        severity=dg.AssetCheckSeverity.WARN if waiting or overridden else dg.AssetCheckSeverity.ERROR,
        description=f"OVERRIDDEN by {overridden}. It did not pass: {readable(verdict.message)}"
        if overridden
        else readable(verdict.message),
        metadata={
            "outcome": verdict.outcome.value,
            "observed": scalar(verdict.observed),
            "threshold": scalar(verdict.threshold),
            **evidence_metadata(verdict.evidence),
            "owner": owner,
            "fallback": fallback,
        },
    )


def not_asked_result(check: str, why: str, *, asset: dg.AssetKey) -> dg.AssetCheckResult:
    """A check that cannot be asked of a retrain: not passed, and nothing waits for it."""
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=check,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Not asked of an adopted model: {why}.",
        metadata={"outcome": "not asked"},
    )


def evidence_metadata(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Evidence as metadata: lists of flat dicts and flat dicts become tables, numbers and text stay; what is nested
    deeper is left to the evidence files."""
    shown: dict[str, Any] = {}
    for name, value in evidence.items():
        if isinstance(value, (list, tuple)) and value and all(isinstance(row, Mapping) for row in value):
            shown[name] = table(value)
        elif isinstance(value, (bool, int, float, str)):
            shown[name] = scalar(value)
        elif (
            isinstance(value, Mapping) and value and not any(isinstance(item, (Mapping, list, tuple)) for item in value.values())
        ):
            shown[name] = table({"name": key, "value": "—" if item is None else str(item)} for key, item in value.items())
        elif isinstance(value, (list, tuple)) and value:
            shown[name] = ", ".join(map(str, value))
    return shown


def table(rows: Iterable[Mapping[str, Any]], *, as_written: bool = False) -> dg.MetadataValue:
    """Flat dicts as a table; columns of text first, as they name the row, then numbers, each in reading order.

    Columns without any value are left out. ``as_written`` keeps the order of the columns as it is.
    """
    listed = [{name.replace("_", " "): value for name, value in row.items()} for row in rows][:TABLE_ROWS]
    columns: dict[str, str] = {}
    for row in listed:
        for name, value in row.items():
            kind = "bool" if isinstance(value, bool) else "float" if isinstance(value, (int, float)) else "string"
            if columns.get(name) in (None, kind) or value is None:
                columns.setdefault(name, kind)
            else:
                columns[name] = "string"
    filled = {name: kind for name, kind in columns.items() if any(row.get(name) is not None for row in listed)}
    ordered = sorted(filled.items(), key=lambda column: (column[1] != "string", reading_place(column[0])))
    columns = filled if as_written else dict(ordered)
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: cell(row.get(name), kind) for name, kind in columns.items()}) for row in listed],
        schema=dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()]),
    )


def cell(value: Any, kind: str) -> str | int | float | bool | None:
    """One table cell: fractions to four significant digits, moments to the second, everything unusual as text."""
    if value is None or isinstance(value, bool):
        return value
    if kind == "float":
        return value if isinstance(value, int) else significant(float(value), 4)
    return readable(str(value))


def significant(value: float, digits: int) -> float:
    """A number with at most so many significant digits; digits before the point are all kept."""
    return round(value, 1) if abs(value) >= 10**digits else float(f"{value:.{digits}g}")


def scalar(value: float | str | bool | None) -> Any:
    """One number or text; None as an explicit dash so that the reader sees that there is none."""
    if value is None:
        return "—"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return significant(float(value), 6)
    return readable(value) if isinstance(value, str) else value


def brief(value: float | str | None) -> str | None:
    """A value or threshold in a table: numbers to four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else None if value is None else str(value)


def gate_metadata(verdicts: Sequence[Verdict], *, owner: str, fallback: str) -> dict[str, Any]:
    """What an asset's page says of its gate: first whether it opens, then who acts and what happens, then every check."""
    closed = sum(not verdict.passed for verdict in verdicts)
    if not closed:
        return {"verdict": f"all {len(verdicts)} checks hold", "gate": verdict_table(verdicts)}
    line = f"{closed} of {len(verdicts)} checks do not hold"
    return {"verdict": line, "owner": owner, "fallback": fallback, "gate": verdict_table(verdicts)}


def verdict_table(verdicts: Sequence[Verdict]) -> dg.MetadataValue:
    """All verdicts of a gate as one table, those that keep it closed first; the message has value and limit in words."""
    return table(
        (
            {"check": verdict.check, "outcome": verdict.outcome.value, "message": verdict.message}
            for verdict in worst_first(verdicts)
        ),
        as_written=True,
    )


def kept(uri: str) -> dg.MetadataValue:
    """Where something is: a path to copy, of object storage as text."""
    return dg.MetadataValue.text(uri) if "://" in uri else dg.MetadataValue.path(uri)


def cut(text: str, letters: int = 240) -> str:
    """A reason for a table: most of it, the rest stands on the page it is about."""
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"
