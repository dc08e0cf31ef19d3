"""Which overrides are in force: two approvers let one named check of one candidate count as open. Pure; ``overriding`` signs.

An override is about the very verdict it was signed on: when the check is judged again, it is void. One of a gate before
traffic is used at arming: what was armed while it held stays armed, and withdrawing it closes the gate again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retrain_assets.contract import Gate, Outcome
from retrain_assets.contract.approval import folded
from retrain_assets.release.signed_override import SignedOverride
from retrain_assets.release.state import CheckRecord, RetrainState

SIGNERS = 2
"""Approvers an override takes, whatever the contract asks of an approval."""


@dataclass(frozen=True, slots=True)
class Override:
    """An override in force.

    Args:
        record: the check as it was judged; its outcome is not ``pass``.
        words: what was signed, the oldest first.
    """

    record: CheckRecord
    words: tuple[SignedOverride, ...]

    @property
    def name(self) -> str:
        """``GATE.CHECK``."""
        return f"{self.record.verdict.gate}.{self.record.verdict.check}"

    @property
    def by(self) -> tuple[str, ...]:
        """Who signed it."""
        return tuple(word.signer for word in self.words)

    @property
    def sequence(self) -> int:
        """The ledger event that put it in force, which is the number of its follow-up."""
        return self.words[SIGNERS - 1].sequence

    @property
    def why(self) -> str:
        """Who and why: ``A and B: reason``; their reasons where they differ."""
        return f"{' and '.join(self.by)}: {'; '.join(dict.fromkeys(word.reason for word in self.words))}"

    @property
    def sentence(self) -> str:
        """As every report has to say it: ``overridden: GATE.CHECK by A and B: reason``."""
        return f"overridden: {self.name} by {self.why}"


def overrides_in_force(retrain: RetrainState, now: datetime, gates: Iterable[Gate] = tuple(Gate)) -> tuple[Override, ...]:
    """The overrides of some gates that count now, in the order of gates and checks."""
    found = (
        override_of(retrain, record, now)
        for gate in gates
        if gate in retrain.verdicts
        for record in retrain.verdicts[gate].checks.values()
    )
    return tuple(one for one in found if one is not None)


def override_of(retrain: RetrainState, record: CheckRecord, now: datetime) -> Override | None:
    """The override of a recorded check, when it is in force; None for what passed and for an error, which is no verdict."""
    if record.verdict.outcome in (Outcome.PASS, Outcome.ERROR):
        return None
    words = standing_words(retrain, record, now)
    return Override(record, words) if len(words) >= SIGNERS else None


def standing_words(retrain: RetrainState, record: CheckRecord, now: datetime) -> tuple[SignedOverride, ...]:
    """What approvers signed about a check as it is judged, and still holds: one word of each person and of each key."""
    gate, check = record.verdict.gate, record.verdict.check
    moment = now if gate is Gate.CANARY or retrain.armed_at is None else retrain.armed_at
    trained = retrain.subjects.get("bundle")
    found: list[SignedOverride] = []
    for word in retrain.overrides:
        if (word.gate, word.check, word.evidence) != (gate, check, record.evidence) or word.bundle not in (None, trained):
            continue
        known = folded(one.signer for one in found) | {one.key for one in found if one.key}
        if word.at <= moment <= word.valid_until and not known & {*folded([word.signer]), word.key}:
            found.append(word)
    return tuple(found)


def standing_in_words(retrain: RetrainState, now: datetime) -> list[dict[str, Any]]:
    """The overrides in force, as an event's payload names them."""
    return [
        {"check": one.name, "by": list(one.by), "why": one.why, "events": [word.sequence for word in one.words]}
        for one in overrides_in_force(retrain, now)
    ]


def closed_checks(retrain: RetrainState, gate: Gate, now: datetime) -> list[CheckRecord]:
    """The recorded checks of a gate that keep it closed: not passed, and not overridden."""
    record = retrain.verdicts.get(gate)
    checks = record.checks.values() if record is not None else ()
    return [one for one in checks if one.verdict.outcome is not Outcome.PASS and override_of(retrain, one, now) is None]
