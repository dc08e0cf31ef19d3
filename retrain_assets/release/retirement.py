"""What nobody ends by hand: toggles whose removal date passed, and candidates that were never armed. Decided as the system.

``rolled_back`` goes by way of ``rejected`` to ``retired``, as by hand; a retrain that was not decided yet is decided with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from retrain_assets.contract import Contract, format_duration
from retrain_assets.ledger import EventKind
from retrain_assets.release import deciding
from retrain_assets.release.drafts import Drafts
from retrain_assets.release.platform import PlatformState
from retrain_assets.release.policy import GATES_BEFORE_TRAFFIC, gate_obstacles
from retrain_assets.release.promotion import Grounds
from retrain_assets.release.state import Ending, ModelState, RetrainState, ToggleState, ToggleStatus

REMOVAL_DATE = "removal_date"
"""Cause of a retirement at the removal date."""
ABANDONED = "abandoned"
"""Beginning of the reason a retrain ends with whose candidate was never armed."""

_ENDED = frozenset({ToggleStatus.PROMOTED, ToggleStatus.ROLLED_BACK, ToggleStatus.REJECTED})


def retire_abandoned(drafts: Drafts, contracts: Mapping[str, Contract]) -> None:
    """Retire what is past its removal date, and end what was never armed. Without anything due nothing is added.

    Args:
        drafts: where the events go.
        contracts: the contract each retrain of :func:`waiting_candidates` was launched under, by key; one that is missing is
            left alone.
    """
    for toggle in drafts.state.toggles.values():
        if removal_due(toggle, drafts.platform, drafts.now):
            _retire(drafts, toggle)
    for key, retrain in waiting_candidates(drafts.state, drafts.now).items():
        if key in contracts and (since := passed_at(retrain)) + (longest := contracts[key].toggle.remove_after) <= drafts.now:
            reason = f"{ABANDONED}: its gates passed on {since:%Y-%m-%d}, and it was not armed within {format_duration(longest)}"
            deciding.end(drafts, retrain, None, [], Ending.REJECTED, reason)


def removal_due(toggle: ToggleState, platform: PlatformState, now: datetime) -> bool:
    """Whether a toggle that ended is retired now: its removal date passed.

    A promoted one is kept while a kill switch or a freeze is in force for its model: until then somebody may need the way back.
    """
    if toggle.state not in _ENDED or toggle.remove_by is None or now < toggle.remove_by:
        return False
    if toggle.state is not ToggleStatus.PROMOTED:
        return True
    return platform.kill_switch(toggle.model) is None and platform.cadence(toggle.terms).freeze_at(now) is None


def waiting_candidates(state: ModelState, now: datetime) -> dict[str, RetrainState]:
    """Open retrains without a toggle whose candidate passed every gate before traffic, by key."""
    armed = {toggle.retrain for toggle in state.toggles.values()}
    return {
        key: retrain
        for key, retrain in state.retrains.items()
        if retrain.candidate is not None
        and retrain.decision is None
        and key not in armed
        and not gate_obstacles(retrain, retrain.subjects, now=now)
    }


def passed_at(retrain: RetrainState) -> datetime:
    """When the last gate before traffic was judged, or an override of one was signed."""
    return max(*(retrain.verdicts[gate].at for gate in GATES_BEFORE_TRAFFIC), *(word.at for word in retrain.overrides))


def _retire(drafts: Drafts, toggle: ToggleState) -> None:
    """Reject it where it was only rolled back, then retire it; both in this transaction."""
    retrain = drafts.state.retrains[toggle.retrain]
    if toggle.state is ToggleStatus.ROLLED_BACK and retrain.decision is None:
        deciding.decide(drafts, toggle.retrain, toggle.terms, Grounds(retrain.subjects))
    elif toggle.state is ToggleStatus.ROLLED_BACK:
        drafts.move(EventKind.REJECTED, toggle.retrain, toggle.name, {"ending": str(Ending.ROLLED_BACK)})
    drafts.move(
        EventKind.TOGGLE_RETIRED,
        toggle.retrain,
        toggle.name,
        {"from": str(toggle.state), "cause": REMOVAL_DATE},
        reason=f"its removal date {toggle.remove_by:%Y-%m-%d} passed",
    )
