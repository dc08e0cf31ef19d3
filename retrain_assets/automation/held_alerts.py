"""What people are told of retrains that the cadence holds back, out of the observations of ``held_alarms``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import dagster as dg

from retrain_assets.assets import Road
from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.held_alarms import held_back
from retrain_assets.automation.notifications import Urgency
from retrain_assets.contract.notify import Role
from retrain_assets.release import ModelState
from retrain_assets.reports import words

ROLES = frozenset({Role.EVALUATION, Role.RELEASE})


def held_alerts(instance: dg.DagsterInstance, road: Road, state: ModelState) -> list[Alert]:
    """What is held back since the latest launch: drift of the present champion, and the schedule. Each is told anew when its
    reasons change, not with every window. Dagster's record is asked only where the contract tells somebody.

    Args:
        instance: Dagster's record.
        road: the model's.
        state: the model's.
    """
    cadence, champion = road.contract.cadence, state.champion
    rules = {"held_back_by": cadence.on_drift, "schedule_held_back_by": cadence.cron}
    sought = {by for by, rule in rules.items() if rule is not None}
    if champion is None or not sought or not road.contract.notify:
        return []
    since = max((retrain.launched_at for retrain in state.retrains.values()), default=None)
    alarm, schedule = _latest(instance, road, champion.version, since, sought)
    return [*([_of_drift(road, alarm)] if alarm else []), *([_of_schedule(road, schedule)] if schedule else [])]


Seen = dict[str, Any]


def _latest(
    instance: dg.DagsterInstance, road: Road, champion: str, since: datetime | None, sought: set[str]
) -> tuple[Seen | None, Seen | None]:
    """The latest held-back alarm of the champion and the latest held-back schedule, with ``since``, when its reasons began.

    What is sought is read back to there, and no further.
    """
    found: dict[str, Seen] = {}
    closed: set[str] = set()
    for one in held_back(instance, road.key("drift_report")):
        if since is not None and datetime.fromisoformat(one["held_back_at"]) <= since:
            break
        by = "held_back_by" if "held_back_by" in one else "schedule_held_back_by"
        known = found.get(by)
        if by in closed or one.get("champion", champion) != champion or (known and known[by] != one[by]):
            closed.add(by)
        else:
            found[by] = {**(known or one), "since": one["held_back_at"]}
        if closed >= sought:
            break
    return found.get("held_back_by"), found.get("schedule_held_back_by")


def _of_drift(road: Road, seen: Seen) -> Alert:
    earliest = str(seen["earliest_retrain"])
    opens = (
        "When one may start is not known: it waits for what is under way."
        if earliest == "not known"
        else f"One may start at the earliest on {words.moment(earliest)}, if the drift lasts."
    )
    return _alert(
        road,
        seen,
        f"held:drift:{seen['since']}:{seen['held_back_by']}",
        f"drift asks for a retrain, which is held back by {words.words(seen['held_back_by'])}",
        f"{str(seen['alarms']).rstrip('.')}.",
        opens,
    )


def _of_schedule(road: Road, seen: Seen) -> Alert:
    return _alert(
        road,
        seen,
        f"held:schedule:{seen['since']}:{seen['schedule_held_back_by']}",
        f"the scheduled retrain is held back by {words.words(seen['schedule_held_back_by'])}",
        f"It is due by {seen['cron']} (UTC); the next tick tries again.",
    )


def _alert(road: Road, seen: Seen, key: str, headline: str, *lines: str) -> Alert:
    return Alert(
        key=key,
        at=datetime.fromisoformat(seen["since"]),
        urgency=Urgency.THIS_WEEK,
        headline=headline,
        lines=(
            *lines,
            f"Held back by {str(seen['reasons']).rstrip('.')}.",
            "Outside a change freeze a person may launch one all the same, in the Dagster UI.",
        ),
        commands=(
            (f"retrain status {road.model}", "See what is under way"),
            (f"retrain freeze list {road.model}", "See what is frozen"),
        ),
        evidence=f"the observations of asset {road.model}/drift_report in Dagster",
        roles=ROLES,
    )
