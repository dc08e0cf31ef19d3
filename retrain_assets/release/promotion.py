"""What the promotion gate judges, gathered from recorded state. The gate itself is in ``gates.promotion``.

``gates`` brings in the data libraries of the other gates, so it is imported where a promotion is judged and not by every command.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from retrain_assets.contract import Contract, Gate, Verdict
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.state import GateRecord, RetrainState, ToggleState


def promotion_verdicts(
    retrain: RetrainState,
    toggle: ToggleState | None,
    contract: Contract,
    manifest: Mapping[str, str],
    now: datetime,
    platform: PlatformState,
) -> list[Verdict]:
    """The verdicts of gate PROMOTION on the recorded state.

    The look a canary verdict was given on stands among the subjects as ``look`` and must be the last one; what the candidate was
    compared with offline stands there as ``champion`` and must be what it was tried against.

    Args:
        retrain: the retrain.
        toggle: its toggle, None before arming.
        contract: the contract frozen in the toggle, or the present one before arming.
        manifest: digests ``dataset``, ``features`` and ``bundle`` of the registered bundle itself; empty when there is none.
        now: the clock's time.
        platform: declared freezes count as the contract's own do.
    """
    from retrain_assets.gates.promotion import PromotionEvidence, RecordedApproval, RecordedGate, promotion_gate

    look = toggle.last_look.evidence if toggle and toggle.last_look else ""
    expected = {**manifest, "look": look, **({"champion": toggle.previous_champion.bundle} if toggle else {})}
    gates = [
        RecordedGate(record.gate, record.outcome, _judged(record, expected), record.at) for record in retrain.verdicts.values()
    ]
    evidence = PromotionEvidence(
        gates=tuple(gates),
        manifest=expected,
        evidence=look,
        approvals=tuple(
            RecordedApproval(item.approver, item.at, item.bundle, item.evidence) for item in (toggle.approvals if toggle else ())
        ),
        policy=contract.approval,
        launched_by=retrain.launched_by,
        toggle_status=str(toggle.state) if toggle else None,
        freezes=tuple(platform.cadence(contract).freeze),
        now=now,
    )
    return promotion_gate(evidence)


def _judged(record: GateRecord, expected: Mapping[str, str]) -> dict[str, str]:
    """What a gate's checks judged; of two digests of one subject the one that is not expected, so that nothing stale hides."""
    judged: dict[str, str] = {}
    for check in record.checks.values():
        subjects = dict(check.subjects)
        if record.gate is Gate.CANARY:
            subjects["look"] = subjects.pop("report", "missing")
        for name, digest in subjects.items():
            if judged.get(name) in (None, expected.get(name)):
                judged[name] = digest
    return judged
