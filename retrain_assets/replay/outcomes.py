"""What became of the units that were scored, as the contract's own function says it of rows of history."""

from __future__ import annotations

from typing import Any

import polars as pl

from retrain_assets.compute.code import import_path
from retrain_assets.contract import Contract, ContractError, StageError

ANSWER = ("score", "decision")
"""Columns that a function of outcomes gets besides the source's: the answer that was served."""


def known_outcomes(scored: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """The outcome table of scored rows, known ``source.label_delay`` after the exposure.

    Args:
        scored: source rows with ``request_id``, ``unit_id`` and ``exposed_at`` of their exposure, and the answer as ``_score``
            and ``_decision`` (a boolean; of several classes the class; null where there is none).
        contract: whose ``rehearsal.outcomes`` is asked, Python paths absolute.

    Returns:
        Rows of the outcome table (docs/data-formats.md); none for a row of which nothing is known.

    Raises:
        StageError: when the function raises, or gives something else than one number or null a row for each outcome measure.
    """
    path = outcomes_path(contract)
    measures = contract.experiment.outcomes
    given = scored.drop("request_id", "unit_id", "exposed_at").rename({f"_{name}": name for name in ANSWER})
    found = _asked(path, given, measures)
    known = pl.any_horizontal(pl.col(name).is_not_null() for name in measures)
    when = scored.select("request_id", "unit_id", observed_at=pl.col("exposed_at") + contract.source.label_delay)
    return pl.concat([when, found], how="horizontal").filter(known)


def outcomes_path(contract: Contract) -> str:
    """The import path of a contract's function of outcomes.

    Raises:
        ContractError: when the contract cannot be rehearsed.
    """
    source, experiment = contract.source, contract.experiment
    if contract.rehearsal is None:
        raise ContractError(
            "says nothing of what became of units in history",
            where=f"{contract.model}: rehearsal",
            remedy="write rehearsal: {outcomes: .schema.outcomes} and that function (docs/rehearsal.md)",
        )
    if source.label_delay > experiment.outcome_window:
        raise ContractError(
            "is shorter than source.label_delay, so no outcome of history would count",
            where=f"{contract.model}: experiment.outcome_window",
            remedy="lengthen it to source.label_delay or more",
        )
    return contract.rehearsal.outcomes


def _asked(path: str, given: pl.DataFrame, measures: list[str]) -> pl.DataFrame:
    import narwhals as nw

    function = import_path(path, "rehearsal.outcomes")
    try:
        answer: Any = function(nw.from_native(given, eager_only=True))
    except Exception as error:
        raise StageError(f"raised {type(error).__name__}: {error}", where=path, remedy="correct the function") from error
    if not isinstance(answer, nw.DataFrame):
        raise StageError(f"returned {type(answer).__name__}", where=path, remedy="return a narwhals DataFrame")
    found = answer.to_polars()
    if found.height != given.height:
        what = f"returned {found.height} rows for {given.height}"
        raise StageError(what, where=path, remedy="return one row per row, in the same order")
    if missing := [name for name in measures if name not in found.columns]:
        raise StageError(
            f"does not return {', '.join(missing)}", where=path, remedy="return a column for each of experiment.outcomes"
        )
    if texts := [name for name in measures if not (found.schema[name].is_numeric() or found.schema[name] == pl.Boolean)]:
        raise StageError(f"{texts[0]} is {found.schema[texts[0]]}", where=path, remedy="an outcome measure is a number")
    return found.select(pl.col(name).cast(pl.Float64).fill_nan(None) for name in measures)
