"""What a contract's policy is asked: the case of a promotion, in words and digests that anybody can look up. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from retrain_assets.contract import format_duration
from retrain_assets.release.overrides import overrides_in_force
from retrain_assets.release.policy import ALL_GATES, standing_approvals
from retrain_assets.release.state import RetrainState, ToggleState

SCHEMA = "retrain_assets.policy_case/1"


def policy_case(retrain: RetrainState, toggle: ToggleState, now: datetime) -> dict[str, Any]:
    """The case as JSON; the same until something it rests on changes, so that its digest tells one case from another."""
    look, terms = toggle.last_look, toggle.terms
    gates = {str(gate): retrain.verdicts[gate] for gate in ALL_GATES if gate in retrain.verdicts}
    return {
        "schema": SCHEMA,
        "act": "promote",
        "model": toggle.model,
        "purpose": terms.purpose,
        "retrain": retrain.key,
        "toggle": toggle.name,
        "revision": toggle.revision,
        "challenger": {"version": toggle.challenger.version, "bundle": toggle.challenger.bundle},
        "champion": {"version": toggle.previous_champion.version, "bundle": toggle.previous_champion.bundle},
        "launched_by": retrain.launched_by,
        "trigger": dict(retrain.trigger),
        "contract": retrain.contract_digest,
        "terms": terms.digest,
        "gates": {name: {"outcome": str(record.outcome), "evidence": record.evidence_digests} for name, record in gates.items()},
        "overrides": [one.sentence for one in overrides_in_force(retrain, now)],
        "look": {"evidence": look.evidence, "action": look.action, "reason": look.reason, "at": look.at.isoformat()}
        if look
        else None,
        "approvals": [
            {
                "approver": item.approver,
                "at": item.at.isoformat(),
                "valid_until": item.valid_until.isoformat(),
                "reason": item.reason,
                "source": item.source,
                "key": item.key,
                "event": item.sequence,
            }
            for item in standing_approvals(toggle, now)
        ],
        "retention": terms.retention.class_,
        "approval_holds_for": format_duration(terms.approval.valid_for),
    }
