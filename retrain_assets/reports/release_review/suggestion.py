"""What a review suggests to change in the contract: only where the history supports it, with what it would have done before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrain_assets.contract import Contract, ContractError
from retrain_assets.reports.release_review.contract_change import Change, ContractFile, diff_of
from retrain_assets.reports.release_review.design import AS_PLANNED
from retrain_assets.reports.release_review.quantities import limit_at

FEWEST_KEPT = 3
"""Kept retrains with a value below which a limit is only named: with fewer, every other number separates by chance."""
MOST = 2
"""Limits that are suggested at once; more would fit the past, not the future."""
LONG_ENOUGH = 7.0
"""Days of traffic from which on the units a day are known well enough to correct the contract."""


def suggestions_of(
    earlier: Mapping[str, Any] | None, design: Mapping[str, Any] | None, contract: Contract, file: ContractFile
) -> dict[str, Any]:
    """Suggested changes, as JSON: ``changes`` (``path``, ``now``, ``to``, ``because``, ``would_have``), ``diff``, ``considered``
    (limits that would have helped and are not suggested, each with ``why_not``) and ``sentence``.

    Args:
        earlier: see :func:`retrain_assets.reports.release_review.earlier.earlier_of`.
        design: see :func:`retrain_assets.reports.release_review.design.design_of`.
        contract: the contract in force now.
        file: its YAML.
    """
    document = contract.to_json()
    changes: list[dict[str, Any]] = []
    considered: list[dict[str, Any]] = []
    made: list[Change] = []
    for one in earlier["limits"] if earlier else ():
        reason = _why_not(one, document) or ("two other limits do it already" if len(made) == MOST else None)
        change = Change(tuple(one["at"]), one["limit"])
        reason = reason or _cannot_be_written(file, contract.model, [*made, change])
        if reason is not None:
            considered.append({**_said(one, document), "why_not": reason})
        else:
            made.append(change)
            changes.append(_said(one, document))
    for found in _traffic(design, document):
        change = Change(("experiment", "expected_units_per_day"), found["to"])
        if _cannot_be_written(file, contract.model, [*made, change]) is None:
            made.append(change)
            changes.append(found)
    return {
        "changes": changes,
        "considered": considered,
        "diff": diff_of(file, contract.model, made) if made else "",
        "file": file.name,
        "sentence": _sentence(changes, considered),
    }


def _why_not(limit: Mapping[str, Any], contract: Mapping[str, Any]) -> str | None:
    """Why the history does not support a limit; None where it does."""
    now = limit_at(contract, tuple(limit["at"]))
    if now is not None and (now >= limit["limit"] if limit["worse"] == "lower" else now <= limit["limit"]):
        return f"the contract is as strict already ({now:g})"
    if limit["kept"] < FEWEST_KEPT:
        kept = f"{limit['kept']} kept retrain{'s'[: limit['kept'] != 1]} with this number"
        return f"{kept}, {FEWEST_KEPT} are needed to tell it from chance"
    if wrongly := limit["left_out"]["wrongly_stopped"]:
        return f"chosen without them, it would have stopped {wrongly} of {limit['left_out']['kept']} that were kept"
    return None


def _cannot_be_written(file: ContractFile, model: str, changes: Sequence[Change]) -> str | None:
    try:
        diff_of(file, model, changes)
    except ContractError as error:
        return error.what
    return None


def _said(limit: Mapping[str, Any], contract: Mapping[str, Any]) -> dict[str, Any]:
    stopped = [one for one in limit["stopped"] if one["stopped"]]
    passed = [one["retrain"] for one in limit["stopped"] if not one["stopped"]]
    left = limit["left_out"]
    return {
        "path": limit["path"],
        "now": limit_at(contract, tuple(limit["at"])),
        "to": limit["limit"],
        "because": f"{limit['name']} was {limit['value']:.4g}, the worst kept retrain had {limit['worst_kept']:.4g}",
        "would_have": "; ".join(
            [
                "stopped " + ", ".join(["this one", *(f"{one['retrain']} ({one['why']})" for one in stopped)]),
                f"let pass {', '.join(passed)}" if passed else "let pass no other",
                f"chosen without each in turn: {left['wrongly_stopped']} of {left['kept']} kept stopped, "
                f"{left['caught']} of {left['harmed']} harmful caught",
            ]
        ),
    }


def _traffic(design: Mapping[str, Any] | None, contract: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The units a day that came, where they were far from those the plan rests on."""
    units = design["units_a_day"] if design else None
    if units is None or units["ratio"] is None or units["days"] < LONG_ENOUGH or AS_PLANNED[0] <= units["ratio"] <= AS_PLANNED[1]:
        return []
    share, now = contract["experiment"].get("cohort_share", 1.0), contract["experiment"]["expected_units_per_day"]
    to = float(f"{units['came'] / share:.2g}")
    if AS_PLANNED[0] <= to / now <= AS_PLANNED[1]:
        return []
    return [
        {
            "path": "experiment.expected_units_per_day",
            "now": now,
            "to": to,
            "because": f"{units['came']:,.0f} units a day came over {units['days']:.0f} days",
            "would_have": "changed no verdict; the plan of units and days rests on it (retrain plan)",
        }
    ]


def _sentence(changes: Sequence[Mapping[str, Any]], considered: Sequence[Mapping[str, Any]]) -> str:
    if changes:
        named = ", ".join(f"{one['path']} to {one['to']:g}" for one in changes)
        return f"Suggested, for a person to weigh and apply: {named}."
    if considered:
        return f"Nothing is suggested: of {len(considered)} limits that would have stopped it the history supports none."
    return "Nothing is suggested."
