"""What the ledger's events amount to: champions, toggles, retrains. The values only; ``fold`` makes them from events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from retrain_assets.contract import Contract, Gate, Outcome, Verdict, overall
from retrain_assets.release.signed_override import SignedOverride
from retrain_assets.routing import VersionRef


class ToggleStatus(StrEnum):
    """The states of a toggle (DESIGN.md section 8)."""

    REGISTERED = "registered"
    ARMED = "armed"
    SHADOW = "shadow"
    RAMPING = "ramping"
    HELD = "held"
    AWAITING_APPROVAL = "awaiting_approval"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    RETIRED = "retired"


ACTIVE = frozenset(
    {ToggleStatus.ARMED, ToggleStatus.SHADOW, ToggleStatus.RAMPING, ToggleStatus.HELD, ToggleStatus.AWAITING_APPROVAL}
)
"""States in which the challenger may get traffic and no second challenger may be armed."""


class Ending(StrEnum):
    """How a retrain ended."""

    PROMOTED = "promoted"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    STOPPED = "stopped"
    FAILED = "failed"
    BOOTSTRAPPED = "bootstrapped"


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """The latest recorded verdict of one check.

    Args:
        verdict: outcome, value, threshold and message; its tables are in the evidence, not here.
        subjects: digests of what was judged: ``dataset``, ``features`` (pipeline version), ``bundle``, ``champion``,
            ``limits`` (thresholds), ``report``.
        evidence: digest of the full verdicts in the evidence store.
        at: when it was recorded (clock time).
        sequence: the ledger event that recorded it.
    """

    verdict: Verdict
    subjects: Mapping[str, str]
    evidence: str
    at: datetime
    sequence: int


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What is recorded about one gate of one retrain: the latest verdict of each of its checks, by check name."""

    gate: Gate
    checks: Mapping[str, CheckRecord]

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of the checks."""
        return overall(self.verdicts)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The checks' verdicts, in the order they were first recorded."""
        return tuple(record.verdict for record in self.checks.values())

    @property
    def latest(self) -> CheckRecord:
        """The check recorded last."""
        return max(self.checks.values(), key=lambda record: record.sequence)

    @property
    def subjects(self) -> Mapping[str, str]:
        """What the checks judged, the latest record of each subject."""
        merged: dict[str, str] = {}
        for record in sorted(self.checks.values(), key=lambda record: record.sequence):
            merged.update(record.subjects)
        return merged

    @property
    def evidence(self) -> str:
        """Digest of the verdicts recorded last."""
        return self.latest.evidence

    @property
    def evidence_digests(self) -> list[str]:
        """Digests of the verdicts of all its checks, sorted; others as soon as a check is judged anew."""
        return sorted({record.evidence for record in self.checks.values()})

    @property
    def at(self) -> datetime:
        """When a verdict was recorded last."""
        return self.latest.at


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """One person's approval of one promotion.

    Args:
        approver: the person, as named in the contract.
        at: when it was given (clock time).
        valid_until: when it lapses.
        version: registry version approved.
        bundle: bundle digest approved.
        evidence: digest of the look the approver decided on.
        reason: why.
        typed_by: operating-system account that typed it.
        sequence: the ledger event.
        gates: by gate the digests of the evidence its checks were judged with; empty in records from before they were named.
        source: ``ssh`` or ``git``, by which it was signed; ``named`` where the contract names no keys.
        key: fingerprint of the key that signed it.
        statement: digest of the signed statement.
        voided_by: the ledger event that judged a gate anew since, after which it counts no more.
    """

    approver: str
    at: datetime
    valid_until: datetime
    version: str
    bundle: str
    evidence: str
    reason: str
    typed_by: str
    sequence: int
    gates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = "named"
    key: str | None = None
    statement: str | None = None
    voided_by: int | None = None


@dataclass(frozen=True, slots=True)
class LookRecord:
    """The last canary look of a toggle: its digest in the evidence store and what it asked for.

    ``again_at`` is when it wants another look at the latest: to confirm harm, as a planned one, or when a grace period ends.
    """

    evidence: str
    action: str
    reason: str
    stage: str
    revision: int
    at: datetime
    sequence: int
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TransferOffer:
    """A toggle offered to another owner, who has not accepted it yet.

    Args:
        owner: to whom.
        by: principal of the person who offers it.
        at: when (clock time).
        reason: why.
        sequence: the ledger event.
    """

    owner: str
    by: str
    at: datetime
    reason: str
    sequence: int


@dataclass(frozen=True, slots=True)
class ToggleState:
    """One toggle as it stands.

    Two counters: ``revision`` moves with every change and is what compare-and-set works on; ``stage_revision`` is the revision
    that set the present split, and is what exposures carry, so that one stratum is one split.

    Args:
        name: ``{model}-{retrain}``.
        stage: label of the ramp stage, None while armed; kept as it was last after the toggle ended.
        share: challenger's share of traffic now, 0..1.
        salt: what units are hashed with; the toggle's own.
        contract: the release contract frozen at registration, as JSON.
        armed_at: start of the experiment; expiry and removal count from here.
        stage_started: start of each split, by stage revision.
        shares: challenger's share of each split, by stage revision.
        held_from: status to which a held toggle resumes.
        status_since: when the present status began.
        created_at: when it was registered.
        created_by: who registered it, the actor as text.
        offer: the pending offer to another owner.
        reviewed_at: when a person last said that it is still needed.
        reviewed_by: who.
    """

    name: str
    model: str
    retrain: str
    state: ToggleStatus
    revision: int
    stage_revision: int
    stage: str | None
    share: float
    salt: str
    challenger: VersionRef
    previous_champion: VersionRef
    contract: Mapping[str, Any]
    owner: str
    purpose: str
    status_since: datetime
    armed_at: datetime | None = None
    expires_at: datetime | None = None
    remove_by: datetime | None = None
    held_from: ToggleStatus | None = None
    stage_started: Mapping[int, datetime] = field(default_factory=dict)
    shares: Mapping[int, float] = field(default_factory=dict)
    approvals: tuple[ApprovalRecord, ...] = ()
    last_look: LookRecord | None = None
    ended_because: str | None = None
    created_at: datetime | None = None
    created_by: str | None = None
    offer: TransferOffer | None = None
    reviewed_at: datetime | None = None
    reviewed_by: str | None = None

    @property
    def active(self) -> bool:
        """True while the challenger may get traffic."""
        return self.state in ACTIVE

    @property
    def stage_started_at(self) -> datetime | None:
        """When the present split began; None before the ramp."""
        return self.stage_started.get(self.stage_revision)

    @property
    def terms(self) -> Contract:
        """The frozen release contract."""
        return Contract.recorded(dict(self.contract))

    @property
    def ramp(self) -> tuple[str, ...]:
        """Labels of the stages below 100 per cent, in order."""
        return ramp_labels(self.contract)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a retrain.

    Args:
        decision: ``promote``, ``reject`` or ``wait``.
        verdicts: the promotion gate's verdicts, or what stood in the way.
        approvals: the approvals a promotion rests on.
        reason: one sentence.
    """

    decision: str
    verdicts: Sequence[Verdict]
    approvals: tuple[ApprovalRecord, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class RetrainState:
    """One retrain as it stands.

    Args:
        key: the partition key.
        trigger: why it was launched: ``kind`` and, for drift, metric, value, threshold, window.
        launched_by: the actor as text, ``person:ann@example.org`` or ``system:retrain_assets``.
        contract_digest: digest of the contract it was launched under.
        verdicts: what is recorded per gate.
        candidate: the registered version, None before training.
        subjects: digests of the candidate's ``dataset``, ``features`` and ``bundle``.
        failure: the last stage failure, ``stage: message``.
        rejected: reason of a rejection, by whom.
        decision: the final decision, None while open.
        ended: how it ended.
        audits: digests of its evidence packs, oldest first.
        overrides: what approvers signed about checks that did not pass, not withdrawn; ``overrides`` says what is in force.
        armed_at: when its challenger was armed.
        reopened: the ledger event that opened it again after a gate had stopped it; None when none did.
        environment: where it was launched; None where none was named.
        bootstrapped_by: who made its candidate the first champion, as text; None where nobody did.
    """

    key: str
    model: str
    trigger: Mapping[str, Any]
    launched_by: str
    launched_at: datetime
    contract_digest: str
    verdicts: Mapping[Gate, GateRecord] = field(default_factory=dict)
    candidate: VersionRef | None = None
    subjects: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None
    rejected: str | None = None
    decision: Decision | None = None
    decided_at: datetime | None = None
    ended: Ending | None = None
    ended_at: datetime | None = None
    audits: tuple[str, ...] = ()
    overrides: tuple[SignedOverride, ...] = ()
    armed_at: datetime | None = None
    reopened: int | None = None
    environment: str | None = None
    bootstrapped_by: str | None = None

    @property
    def audit(self) -> str | None:
        """Digest of the newest evidence pack."""
        return self.audits[-1] if self.audits else None


@dataclass(frozen=True, slots=True)
class Reign:
    """One time a version was champion."""

    version: VersionRef
    since: datetime
    retrain: str | None
    how: str
    sequence: int


@dataclass(frozen=True, slots=True)
class ModelState:
    """One model as it stands; toggles and retrains in the order they came.

    Args:
        champion_history: every reign, oldest first, the present one last.
        activation_sequence: the last event that changed what is routed.
        registry_sequence: the last event that changed aliases or tags.
        sequence: the last event about the model.
        statements: digests of every signed statement on record about it; each counts once.
        promoted_contracts: digests of the contracts that were promoted into this environment.
    """

    model: str
    champion: VersionRef | None = None
    champion_history: tuple[Reign, ...] = ()
    toggles: Mapping[str, ToggleState] = field(default_factory=dict)
    retrains: Mapping[str, RetrainState] = field(default_factory=dict)
    activation_sequence: int = 0
    registry_sequence: int = 0
    sequence: int = 0
    statements: frozenset[str] = frozenset()
    promoted_contracts: frozenset[str] = frozenset()

    @property
    def active_toggle(self) -> ToggleState | None:
        """The one toggle whose challenger is under test."""
        return next((toggle for toggle in self.toggles.values() if toggle.active), None)

    def toggle_of(self, retrain: str) -> ToggleState | None:
        """The toggle of a retrain, None before arming."""
        return next((toggle for toggle in self.toggles.values() if toggle.retrain == retrain), None)


def stage_label(stage: str | float) -> str:
    """The label of a ramp stage: ``shadow``, ``5``, ``0.5``."""
    return stage if isinstance(stage, str) else f"{stage:g}"


def stage_share(label: str | None) -> float:
    """The challenger's share of traffic in a stage, 0..1; 0 while armed and in shadow."""
    return 0.0 if label in (None, "shadow") else float(label) / 100


def ramp_labels(contract: Mapping[str, Any]) -> tuple[str, ...]:
    """Labels of a contract's stages below 100 per cent, in order."""
    return tuple(stage_label(stage) for stage in contract["experiment"]["ramp"] if stage != 100)
