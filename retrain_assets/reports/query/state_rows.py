"""Rows of the tables that say what the events amount to: retrains, toggles, reigns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

from retrain_assets.contract import Gate, Outcome
from retrain_assets.ledger import EventKind
from retrain_assets.release import ModelState, RetrainState, ToggleStatus
from retrain_assets.reports.query.records import Records, Row

ENDS = (EventKind.PROMOTED, EventKind.ROLLED_BACK, EventKind.REJECTED)
"""Events by which a toggle leaves its ramp."""


def retrain_rows(records: Records) -> Iterator[Row]:
    """Every retrain."""
    for state in records.states.values():
        for known in state.retrains.values():
            candidate, decision = known.candidate, known.decision
            yield {
                "model": state.model,
                "retrain": known.key,
                "launched_at": known.launched_at,
                "launched_by": known.launched_by,
                "trigger_kind": known.trigger.get("kind"),
                "trigger": json.dumps(dict(known.trigger), ensure_ascii=False),
                "contract": known.contract_digest,
                **subjects_of(known),
                "version": candidate.version if candidate else None,
                "stopped_at": _stopped_at(known),
                "decision": decision.decision if decision else None,
                "decided_at": known.decided_at,
                "decision_reason": decision.reason if decision else None,
                "ended": known.ended.value if known.ended else None,
                "ended_at": known.ended_at,
                "failure": known.failure,
                "pack": known.audit,
            }


def toggle_rows(records: Records) -> Iterator[Row]:
    """Every toggle."""
    ended: dict[tuple[str, str | None], datetime] = {}
    retired: dict[tuple[str, str | None], datetime] = {}
    for event in records.of(*ENDS):
        ended.setdefault((event.model, event.toggle), event.at)
    for event in records.by_kind[EventKind.TOGGLE_RETIRED]:
        retired[event.model, event.toggle] = event.at
    for state in records.states.values():
        for toggle in state.toggles.values():
            yield {
                "toggle": toggle.name,
                "model": state.model,
                "retrain": toggle.retrain,
                "state": toggle.state.value,
                "open": toggle.state is not ToggleStatus.RETIRED,
                "active": toggle.active,
                "stage": toggle.stage,
                "share": toggle.share,
                "revision": toggle.revision,
                "owner": toggle.owner,
                "purpose": toggle.purpose,
                "challenger": toggle.challenger.version,
                "challenger_bundle": toggle.challenger.bundle,
                "previous_champion": toggle.previous_champion.version,
                "created_at": toggle.created_at,
                "armed_at": toggle.armed_at,
                "expires_at": toggle.expires_at,
                "remove_by": toggle.remove_by,
                "state_since": toggle.status_since,
                "ended_at": ended.get((state.model, toggle.name)),
                "retired_at": retired.get((state.model, toggle.name)),
                "ended_because": toggle.ended_because,
            }


def reign_rows(records: Records) -> Iterator[Row]:
    """Every time a version was champion, with until when."""
    for state in records.states.values():
        yield from _reigns(state)


def subjects_of(known: RetrainState) -> dict[str, str | None]:
    """Digests of what a retrain made; before there is a candidate, those its gates judged."""
    judged: dict[str, str] = {}
    for record in known.verdicts.values():
        judged |= dict(record.subjects)
    found = {**judged, **known.subjects}
    return {name: found.get(name) for name in ("dataset", "features", "bundle")}


def _reigns(state: ModelState) -> Iterator[Row]:
    for reign, after in pairwise((*state.champion_history, None)):
        if reign is not None:
            yield {
                "model": state.model,
                "valid_from": reign.since,
                "valid_to": after.since if after else None,
                "version": reign.version.version,
                "bundle": reign.version.bundle,
                "retrain": reign.retrain,
                "how": reign.how,
                "sequence": reign.sequence,
            }


def _stopped_at(known: RetrainState) -> str | None:
    """The first gate of the road that is recorded and did not pass, of a retrain that did not go live."""
    if known.ended is None or known.ended.value in ("promoted", "bootstrapped"):
        return None
    closed = (gate for gate in Gate if gate in known.verdicts and known.verdicts[gate].outcome is not Outcome.PASS)
    return next((gate.value for gate in closed), None)
