"""May the system launch a retrain now? Every rule of the cadence that holds it back, in words and with its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from cronsim import CronSim

from retrain_assets.contract import Cadence, format_duration
from retrain_assets.release import ModelState

DAY = timedelta(days=1)
LOOKED_AHEAD = timedelta(days=800)
"""How far ahead the end of freezes and seasons is looked for: two years of them."""


class Launcher(StrEnum):
    """What would launch a retrain by itself."""

    CRON = "cron"
    DRIFT = "drift"


class Rule(StrEnum):
    """What may hold a retrain back."""

    FREEZE = "freeze"
    SEASON = "season"
    WAIT_FOR_CRON = "wait_for_cron"
    TOGGLE = "active_toggle"
    RETRAIN = "open_retrain"
    MIN_INTERVAL = "min_interval"


@dataclass(frozen=True, slots=True)
class Hold:
    """One rule that holds a retrain back.

    Args:
        rule: which.
        reason: why, in words.
        until: from when the rule by itself allows a retrain; None where that is not known yet.
    """

    rule: Rule
    reason: str
    until: datetime | None


def holds(cadence: Cadence, state: ModelState, now: datetime, launcher: Launcher, under_way: Iterable[str] = ()) -> list[Hold]:
    """Every rule that holds a retrain back now, all of them; empty when it may start.

    A person may launch a retrain at any time outside a change freeze; the other rules bind the system. Seasons and the wait for
    the next scheduled retrain bind drift only.

    Args:
        cadence: the contract's.
        state: the model's.
        now: aware.
        launcher: what would launch it.
        under_way: keys of retrains whose run is asked for or running, whether or not their launch is recorded yet.
    """
    found = [*_calendar(cadence, now, launcher), *_work(state, under_way)]
    if (interval_ends := _interval_ends(cadence, state)) is not None and now < interval_ends:
        launched = f"{interval_ends - cadence.min_interval:%Y-%m-%d}"
        wait = format_duration(cadence.min_interval)
        reason = f"the system launched a retrain on {launched}, less than min_interval {wait} ago"
        found.append(Hold(Rule.MIN_INTERVAL, reason, interval_ends))
    if launcher is Launcher.DRIFT and (due := _scheduled(cadence, interval_ends, now)) is not None:
        wait = format_duration(cadence.wait_for_cron)
        reason = f"cron launches a retrain on {due:%Y-%m-%d %H:%M} UTC, within wait_for_cron {wait}"
        found.append(Hold(Rule.WAIT_FOR_CRON, reason, due))
    return found


def in_words(held: Iterable[Hold]) -> str:
    """All reasons in one line, each with the rule's name."""
    return "; ".join(f"{hold.rule}: {hold.reason}" for hold in held)


def earliest(cadence: Cadence, state: ModelState, now: datetime) -> datetime | None:
    """When drift that lasts gets a retrain at the earliest, by calendar and intervals; None beyond two years.

    What toggles and retrains under way do meanwhile is not known. One rule may begin before another ends, so each end is looked
    at anew; where the scheduled retrain comes first, its tick is the answer.
    """
    moment = now
    while moment - now < LOOKED_AHEAD:
        found = {hold.rule: hold.until for hold in holds(cadence, state, moment, Launcher.DRIFT)}
        if (scheduled := found.pop(Rule.WAIT_FOR_CRON, None)) is not None:
            return scheduled
        if None in (found.get(Rule.FREEZE, moment), found.get(Rule.SEASON, moment)):
            return None
        ends = [until for until in found.values() if until is not None]
        if not ends:
            return moment
        moment = max(ends)
    return None


def _calendar(cadence: Cadence, now: datetime, launcher: Launcher) -> Iterator[Hold]:
    if (freeze := cadence.freeze_at(now)) is not None:
        ends = _first_day_without(now, lambda day: cadence.freeze_at(day) is not None)
        yield Hold(Rule.FREEZE, f"change freeze {freeze.start} to {freeze.end} ({freeze.reason})", ends)
    if launcher is Launcher.DRIFT and (season := cadence.season_at(now)) is not None:
        ends = _first_day_without(now, lambda day: cadence.season_at(day) is not None)
        yield Hold(Rule.SEASON, f"every year from {season.start} to {season.end} ({season.reason})", ends)


def _work(state: ModelState, under_way: Iterable[str]) -> Iterator[Hold]:
    if (toggle := state.active_toggle) is not None:
        yield Hold(Rule.TOGGLE, f"toggle {toggle.name} is {toggle.state.value}; one challenger at a time", None)
    unfinished = {key for key, retrain in state.retrains.items() if retrain.ended is None}
    asked_for = {key for key in under_way if key not in state.retrains}
    for key in sorted(unfinished - ({toggle.retrain} if toggle else set())):
        yield Hold(Rule.RETRAIN, f"retrain {key} has not ended", None)
    for key in sorted(asked_for):
        yield Hold(Rule.RETRAIN, f"the run of retrain {key} is under way", None)


def _interval_ends(cadence: Cadence, state: ModelState) -> datetime | None:
    launched = [retrain.launched_at for retrain in state.retrains.values() if retrain.launched_by.startswith("system:")]
    return max(launched) + cadence.min_interval if launched else None


def _scheduled(cadence: Cadence, interval_ends: datetime | None, now: datetime) -> datetime | None:
    """The next tick of cron within ``wait_for_cron`` that will launch: not one in a freeze or within the minimum interval.

    A tick of the last minute is still due: the schedule may not have answered it yet.
    """
    if cadence.cron is None or cadence.wait_for_cron <= timedelta(0):
        return None
    for tick in CronSim(cadence.cron, (now - timedelta(minutes=1)).astimezone(UTC)):
        if tick > now + cadence.wait_for_cron:
            return None
        if cadence.freeze_at(tick) is None and (interval_ends is None or tick >= interval_ends):
            return tick
    return None


def _first_day_without(now: datetime, covered: Callable[[datetime], bool]) -> datetime | None:
    """Midnight UTC of the first day after now that is not covered; None where there is none for two years."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    while covered(day):
        day += DAY
        if day - now > LOOKED_AHEAD:
            return None
    return day
