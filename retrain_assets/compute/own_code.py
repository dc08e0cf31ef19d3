"""The team's own checks and metrics where a gate is judged: imported, and only as the very code that the contract says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl

from retrain_assets.compute.code import import_path
from retrain_assets.contract import Contract, Gate, Outcome, RetrainError, StageError, Verdict
from retrain_assets.contract.own_checks import SCORED, OwnCode
from retrain_assets.contract.own_code import own_function
from retrain_assets.gates.offline.own_metrics import OwnMeasure
from retrain_assets.gates.own import Evidence
from retrain_assets.gates.own_verdicts import own_verdict
from retrain_assets.gates.redaction import scrubbed


def own_verdicts(
    contract: Contract, gate: Gate, evidence: Callable[[], Evidence], *rows: Callable[[], pl.DataFrame]
) -> list[Verdict]:
    """One verdict for each own check of a gate, in the contract's order.

    Args:
        contract: the contract.
        gate: the gate.
        evidence: makes what the checks are given; not called where there are none.
        rows: rows that the checks meet, which the message of an error must not show.
    """
    checks = contract.gates.own_in(gate.value)
    if not checks:
        return []
    given = evidence()
    found = []
    for own in checks:
        try:
            function = function_of(own, f"gates.own {own.check}")
        except RetrainError as error:
            found.append(Verdict(gate, own.check, Outcome.ERROR, error.line))
            continue
        found.append(own_verdict(own, function, replace(given, check=own.check), lambda text: _scrubbed(text, contract, rows)))
    return found


def own_measures(contract: Contract, rows: Callable[[], pl.DataFrame]) -> tuple[dict[str, OwnMeasure], dict[str, str]]:
    """The contract's own offline metrics, ready to be called, and what is wrong with those that are not, by their names.

    Args:
        contract: the contract.
        rows: rows that they meet, which the message of an error must not show.
    """
    found: dict[str, OwnMeasure] = {}
    problems: dict[str, str] = {}
    for name, own in contract.gates.offline.own_metrics.items():
        try:
            function = function_of(own, f"gates.offline.own_metrics.{name}")
        except RetrainError as error:
            problems[name] = error.line
            continue
        names = own_function(own.function).names
        found[name] = OwnMeasure(
            name=name,
            function=function,
            takes=frozenset(SCORED) & names if names & {*SCORED} else frozenset(SCORED),
            parameters=own.parameters,
            lower_is_better=own.direction == "decrease",
            scrub=lambda text: _scrubbed(text, contract, (rows,)),
        )
    return found, problems


def reads_rows(contract: Contract) -> bool:
    """Whether own checks or metrics of gate offline may read any column of the rows."""
    return bool(contract.gates.own_in(Gate.OFFLINE.value) or contract.gates.offline.own_metrics)


def function_of(own: OwnCode, where: str) -> Callable[..., Any]:
    """The function of an own check or metric, imported.

    Args:
        own: as the contract has it, its path absolute.
        where: its place in the contract, for messages.

    Raises:
        RetrainError: when it cannot be imported, or its code is not the contract's.
    """
    if own.code is None:
        raise StageError(
            f"the contract does not say which code {own.function} is",
            where=where,
            remedy="load the contract from its defs.yaml (retrain_assets.contract.paths.in_module)",
        )
    here = own_function(own.function).code
    if here != own.code:
        raise StageError(
            f"the code of {own.function} was changed since the contract was loaded or armed",
            where=where,
            remedy="reload the definitions and judge again; for an armed toggle bring the code of then back",
        )
    try:
        function: Callable[..., Any] = import_path(own.function, where)
    except StageError:
        raise
    except Exception as error:
        raise StageError(
            f"{own.function} cannot be imported ({type(error).__name__}: {error})", where=where, remedy="correct its file"
        ) from error
    return function


def _scrubbed(text: str, contract: Contract, rows: tuple[Callable[[], pl.DataFrame], ...]) -> str:
    for some in rows:
        text = scrubbed(text, some(), contract.source)
    return text
