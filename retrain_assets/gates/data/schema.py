"""Whether source rows are what the team's pandera schema says. The other checks of gate DATA are in data.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.limits import TABLE_ROWS, counted, listed

if TYPE_CHECKING:
    import pandera.polars


def schema_holds(windows: dict[str, pl.DataFrame], schema: type[pandera.polars.DataFrameModel]) -> Verdict:
    """Validate every window against the schema and report all violations, not the first one.

    Args:
        windows: name of the window (``train``, ``holdout``) to its rows.
        schema: pandera model of one source row.

    Returns:
        ``pass``; ``fail`` with a table of at most 20 failure cases (and the full count); ``error`` when the schema cannot
        be used, or its own checks raised and nothing else was found; ``no_data`` when every window is empty.
    """
    from pandera.errors import SchemaDefinitionError, SchemaErrors, SchemaInitError

    rows = sum(frame.height for frame in windows.values())
    if rows == 0:
        return Verdict(Gate.DATA, "schema_holds", Outcome.NO_DATA, "there are no rows to validate", threshold=schema.__name__)
    try:
        schema.to_schema()
    except (SchemaDefinitionError, SchemaInitError, TypeError, ValueError) as fault:
        message = f"schema {schema.__name__} cannot be used: {fault}"
        return Verdict(Gate.DATA, "schema_holds", Outcome.ERROR, message, threshold=schema.__name__)
    tables: list[dict[str, Any]] = []
    reasons: set[str] = set()
    for name, frame in windows.items():
        try:
            schema.validate(frame, lazy=True)
        except SchemaErrors as problems:
            tables.extend({"window": name, **case} for case in _cases(problems.failure_cases))
            reasons.update(str(problem.reason_code.name) for problem in problems.schema_errors if problem.reason_code)
    if not tables:
        message = f"{counted(rows, 'row')} are as schema {schema.__name__} says"
        return Verdict(Gate.DATA, "schema_holds", Outcome.PASS, message, observed=0, threshold=schema.__name__)
    outcome = Outcome.ERROR if reasons == {"CHECK_ERROR"} else Outcome.FAIL
    what = "could not be evaluated" if outcome is Outcome.ERROR else "is violated"
    broken = sorted({f"{case['column']}: {case['check']}" for case in tables})
    return Verdict(
        Gate.DATA,
        "schema_holds",
        outcome,
        f"schema {schema.__name__} {what} in {counted(len(tables), 'case')} ({listed(broken)})",
        observed=len(tables),
        threshold=schema.__name__,
        evidence={"failure_cases": tables[:TABLE_ROWS], "failure_cases_total": len(tables), "reasons": sorted(reasons)},
    )


def _cases(failures: pl.DataFrame) -> list[dict[str, Any]]:
    return failures.select(
        pl.col("column").cast(pl.String),
        pl.col("check").cast(pl.String),
        pl.col("failure_case").cast(pl.String),
        row=pl.col("index").cast(pl.Int64),
    ).to_dicts()
