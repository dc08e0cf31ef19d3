"""The five gates of a pack: every check with what was observed, the limit, the tables behind it, the owner and the fallback."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from retrain_assets.contract import Gate, Outcome, overall
from retrain_assets.gates.training import NOT_ASKED_OF_ADOPTED
from retrain_assets.ledger import timestamp
from retrain_assets.release import CheckRecord
from retrain_assets.reports.emergencies import overridden_checks
from retrain_assets.reports.reading import worst_first
from retrain_assets.reports.record import Record

QUESTIONS: Mapping[Gate, str] = {
    Gate.DATA: "Is this data fit to train on, and to judge on?",
    Gate.TRAINING: "Is the model sound and repeatable?",
    Gate.OFFLINE: "Is the candidate good enough to meet traffic?",
    Gate.CANARY: "Does it hold on live traffic?",
    Gate.PROMOTION: "May this very bundle become champion?",
}

FALLBACKS: Mapping[Gate, str] = {
    Gate.DATA: "block the retrain; the champion goes on serving",
    Gate.TRAINING: "discard the candidate and keep its record; the champion goes on serving",
    Gate.OFFLINE: "the candidate stays registered and is not activated",
    Gate.CANARY: "roll the toggle back to the champion",
    Gate.PROMOTION: "the champion stays; the challenger waits or is rejected",
}
"""What happens when a gate does not open."""

_OWNERS = {
    Gate.DATA: "data",
    Gate.TRAINING: "training",
    Gate.OFFLINE: "evaluation",
    Gate.CANARY: "experiment",
    Gate.PROMOTION: "release",
}


def gates_of(record: Record) -> list[dict[str, Any]]:
    """The five gates in the order of the road; one that was not reached has outcome None and no checks;
    checks that keep a gate closed come first.

    Promotion is judged at every decision; it counts as reached only where a toggle was armed, else its verdicts only say that the
    earlier gates did not open. They stay in the decision.
    """
    owners, overridden = record.contract.get("owners", {}), overridden_checks(record)
    return [
        {
            "gate": gate.value,
            "question": QUESTIONS[gate],
            "owner": owners.get(_OWNERS[gate]),
            "fallback": FALLBACKS[gate],
            **_judged(record, gate, overridden),
            "not_asked": _not_asked(record, gate),
        }
        for gate in Gate
    ]


def _not_asked(record: Record, gate: Gate) -> list[dict[str, str]]:
    """Checks that cannot be asked of this retrain, and why: those of a fit, where a model was adopted."""
    if gate is not Gate.TRAINING or record.known.trigger.get("kind") != "adopted" or gate not in record.known.verdicts:
        return []
    return [{"check": check, "why": why} for check, why in NOT_ASKED_OF_ADOPTED.items()]


def _judged(record: Record, gate: Gate, overridden: Collection[str]) -> dict[str, Any]:
    known = record.known.verdicts.get(gate)
    if known is not None:
        order = [verdict.check for verdict in worst_first([check.verdict for check in known.checks.values()])]
        checks = [_check(record, gate, known.checks[name]) for name in order]
        named = [one["check"] for one in checks if f"{gate}.{one['check']}" in overridden and one["outcome"] != Outcome.PASS]
        return {
            "overridden": named,
            "outcome": known.outcome.value,
            "at": timestamp(known.at),
            "sequences": sorted({check.sequence for check in known.checks.values()}),
            "subjects": dict(known.subjects),
            "checks": checks,
        }
    decision = record.known.decision
    if gate is Gate.PROMOTION and decision is not None and decision.verdicts and record.toggle is not None:
        verdicts = [verdict for verdict in decision.verdicts if verdict.gate is gate]
        at = record.known.decided_at
        return {
            "overridden": [],
            "outcome": overall(verdicts).value,
            "at": timestamp(at) if at else None,
            "sequences": [],
            "subjects": {},
            "checks": [{**verdict.to_json(), "evidence_digest": None, "sequence": None} for verdict in verdicts],
        }
    return {"overridden": [], "outcome": None, "at": None, "sequences": [], "subjects": {}, "checks": []}


def _check(record: Record, gate: Gate, check: CheckRecord) -> dict[str, Any]:
    full = _full(record.read(check.evidence, f"verdicts of gate {gate.value}"), check.verdict.check)
    return {
        **check.verdict.to_json(),
        "evidence": full,
        "evidence_digest": check.evidence,
        "sequence": check.sequence,
    }


def _full(stored: Any, check: str) -> dict[str, Any]:
    """The tables of one check out of the stored verdicts of its gate."""
    verdicts = stored.get("verdicts", []) if isinstance(stored, Mapping) else stored or []
    found = next((one for one in verdicts if one.get("check") == check), None)
    return dict(found.get("evidence") or {}) if found else {}
