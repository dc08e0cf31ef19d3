"""When a sensor's answer about a model may become another though nothing is recorded. Pure.

Every date of a model's state that some rule compares with the clock is here, and the end of the day, with which freezes, seasons
and ages change: rather one moment too many than one too few.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from retrain_assets.assets import Road
from retrain_assets.contract import Contract
from retrain_assets.release import ModelState, PlatformState, RetrainState, ToggleState, ToggleStatus
from retrain_assets.release.debt import ENDED_AT_MOST, HELD_AT_MOST, OFFERED_AT_MOST, review_due
from retrain_assets.release.follow_ups import OPEN_AT_MOST
from retrain_assets.release.policy import GATES_BEFORE_TRAFFIC

POLICY_EVERY = timedelta(minutes=15)
"""How long after a policy said no it is asked again, as long as enough approvals hold."""
JUST_AFTER = timedelta(microseconds=1)
"""An approval and an override still count at the very moment they lapse."""


def next_moment(road: Road, state: ModelState, platform: PlatformState, now: datetime) -> datetime:
    """The next moment after now at which a rule about a model may turn; at the latest midnight UTC.

    Args:
        road: the model's.
        state: the model's.
        platform: what holds for all models.
        now: aware.
    """
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return min((moment for moment in _moments(road, state, platform, now) if now < moment < midnight), default=midnight)


def _moments(road: Road, state: ModelState, platform: PlatformState, now: datetime) -> Iterator[datetime]:
    for toggle in state.toggles.values():
        if toggle.state is not ToggleStatus.RETIRED:
            yield from _of_toggle(toggle, now)
    for key, retrain in state.retrains.items():
        if retrain.ended is None or retrain.overrides or state.toggle_of(key) is not None:
            yield from _of_retrain(retrain, road.contract)
    yield from (one.opened_at + OPEN_AT_MOST for one in platform.follow_ups.values() if one.closed is None)
    yield from (retrain.launched_at + road.contract.cadence.min_interval for retrain in state.retrains.values())


def _of_toggle(toggle: ToggleState, now: datetime) -> Iterator[datetime]:
    terms = toggle.terms
    if (expires := toggle.expires_at) is not None:
        yield expires
        yield from (expires - before for before in terms.toggle.alert_before)
    yield from (moment for moment in (toggle.remove_by, review_due(toggle)) if moment is not None)
    yield toggle.status_since + HELD_AT_MOST
    yield toggle.status_since + ENDED_AT_MOST
    if toggle.offer is not None:
        yield toggle.offer.at + OFFERED_AT_MOST
    for approval in toggle.approvals:
        yield approval.at
        yield approval.valid_until + JUST_AFTER
    if toggle.approvals and terms.approval.policy is not None:
        since = toggle.approvals[-1].at
        yield since + (int((now - since) / POLICY_EVERY) + 1) * POLICY_EVERY


def _of_retrain(retrain: RetrainState, contract: Contract) -> Iterator[datetime]:
    for word in retrain.overrides:
        yield word.at
        yield word.valid_until + JUST_AFTER
        yield word.at + contract.toggle.remove_after
    for gate in GATES_BEFORE_TRAFFIC:
        if gate in retrain.verdicts:
            yield retrain.verdicts[gate].at + contract.toggle.remove_after
