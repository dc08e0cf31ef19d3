"""What the release board says of one model: who serves, what is under test, what waits for whom, when the next retrain is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum

import dagster as dg
from cronsim import CronSim

from retrain_assets.assets.champion_drift import champion_drift
from retrain_assets.assets.road import Road
from retrain_assets.assets.toggle_debt import GRAVE
from retrain_assets.contract import Gate, Outcome, RetrainError, first_line
from retrain_assets.ledger import timestamp
from retrain_assets.release import Debt, ModelState, PlatformState, ToggleState, ToggleStatus, Way, toggle_debt
from retrain_assets.release.due import Due, due_of
from retrain_assets.reports import words
from retrain_assets.reports.retrain_line import line_of


class Standing(IntEnum):
    """How a model stands, the worst first."""

    UNREADABLE = 0
    STOPPED = 1
    OVERDUE = 2
    WAITING = 3
    OWING = 4
    HELD = 5
    UNDER_TEST = 6
    UNDER_WAY = 7
    NO_CHAMPION = 8
    QUIET = 9

    @property
    def words(self) -> str:
        """As the board shows it."""
        return _STANDING[self]


_STANDING = {
    Standing.UNREADABLE: "✗ cannot be read",
    Standing.STOPPED: "■ kill switch",
    Standing.OVERDUE: "✗ overdue",
    Standing.WAITING: "● waits for a person",
    Standing.OWING: "! owes",
    Standing.HELD: "‖ held",
    Standing.UNDER_TEST: "► under test",
    Standing.UNDER_WAY: "… retrain under way",
    Standing.NO_CHAMPION: "○ no champion",
    Standing.QUIET: "✓ quiet",
}


@dataclass(frozen=True, slots=True)
class BoardLine:
    """One model on the board.

    Args:
        model: its name.
        standing: the worst that holds of it.
        champion: version, since when, and how it came there.
        challenger: version, stage and how long it is there; empty without one.
        last_look: what the challenger's last look called for, when and why; empty before the first.
        retrain: key of the last retrain; None before the first.
        last_retrain: the same, and where it stopped.
        outcomes: of that retrain's gates, those that were judged.
        next_retrain: when the next is due.
        drift: the champion's latest drift report in a word; empty without one.
        dues: what waits for a person.
        debts: what is owed about toggles and emergencies; among the dues, too.
    """

    model: str
    standing: Standing
    champion: str
    challenger: str
    last_look: str
    retrain: str | None
    last_retrain: str
    outcomes: Mapping[Gate, Outcome]
    next_retrain: str
    dues: Sequence[Due]
    debts: Sequence[Debt]
    drift: str = ""

    @property
    def lasting(self) -> tuple[object, ...]:
        """What of it stays the same while nothing happens: how long it lasts is left out."""
        owed = tuple((debt.toggle, str(debt.kind)) for debt in self.debts)
        due = tuple(due.what for due in self.waiting if not self.debts)
        tested = self.challenger.partition(", since")[0]
        return self.standing, self.champion, tested, self.last_look, self.last_retrain, self.next_retrain, owed, due, self.drift

    @property
    def waiting(self) -> list[Due]:
        """What only a person can settle."""
        return [due for due in self.dues if due.ways]

    @property
    def owes(self) -> str:
        """How many debts there are, and their days."""
        days = sum(debt.days for debt in self.debts)
        return f"{len(self.debts)} {'debt' if len(self.debts) == 1 else 'debts'}, {days} days" if self.debts else "nothing"

    @property
    def order(self) -> tuple[int, int, str]:
        """Worst first; of two that are as bad the one that owes more days."""
        return self.standing, -sum(debt.days for debt in self.debts), self.model


def board_line(
    road: Road, state: ModelState, platform: PlatformState, now: datetime, instance: dg.DagsterInstance | None = None
) -> BoardLine:
    """One model at a moment; of one whose record cannot be read, why.

    Args:
        road: the model's.
        state: the model's.
        platform: what holds for all models.
        now: aware.
        instance: Dagster's record, for the champion's latest drift report; None leaves drift out.
    """
    try:
        line = _line(road, state, platform, now)
        return line if instance is None else replace(line, drift=champion_drift(instance, road, state))
    except (RetrainError, ValueError) as error:  # of one model, as terms that are none any more; the others are shown
        due = Due(first_line(error), (Way(("retrain audit verify",)),))
        return BoardLine(road.model, Standing.UNREADABLE, "not known", "", "", None, "not known", {}, "not known", [due], [])


def _line(road: Road, state: ModelState, platform: PlatformState, now: datetime) -> BoardLine:
    toggle, debts, dues = state.active_toggle, toggle_debt(state, platform, now), due_of(state, platform, now)
    retrain = next(reversed(list(state.retrains.values())), None)
    line = line_of(state, retrain) if retrain is not None else None
    return BoardLine(
        model=road.model,
        standing=_standing(state, platform, debts, dues),
        champion=_champion(state),
        challenger=_challenger(toggle, now) if toggle else "",
        last_look=_last_look(toggle) if toggle else "",
        last_retrain=f"{line.retrain}: {line.sentence}" if line else "none yet",
        retrain=line.retrain if line else None,
        outcomes=line.outcomes if line else {},
        next_retrain=_next_retrain(road, state, platform, now),
        dues=dues,
        debts=debts,
    )


def _standing(state: ModelState, platform: PlatformState, debts: Sequence[Debt], dues: Sequence[Due]) -> Standing:
    toggle = state.active_toggle
    if platform.kill_switch(state.model) is not None:
        return Standing.STOPPED
    if any(debt.kind in GRAVE for debt in debts):
        return Standing.OVERDUE
    if len([due for due in dues if due.ways]) > len(debts):
        return Standing.WAITING
    if debts:
        return Standing.OWING
    if toggle is not None:
        return Standing.HELD if toggle.state is ToggleStatus.HELD else Standing.UNDER_TEST
    if any(retrain.ended is None for retrain in state.retrains.values()):
        return Standing.UNDER_WAY
    return Standing.QUIET if state.champion is not None else Standing.NO_CHAMPION


def _champion(state: ModelState) -> str:
    if state.champion is None:
        return "none"
    reign = state.champion_history[-1]
    return f"version {state.champion.version} since {words.day(timestamp(reign.since))} ({reign.how})"


def _challenger(toggle: ToggleState, now: datetime) -> str:
    began = toggle.stage_started_at or toggle.status_since
    lasted = words.lasted(timestamp(began), timestamp(now))
    state, stage = words.words(toggle.state.value), words.stage(toggle.stage) if toggle.stage else "no traffic"
    at = stage if state in (stage, "ramping") else f"{state}, {stage}"
    return f"version {toggle.challenger.version} of {toggle.retrain}: {at}, since {lasted}"


def _last_look(toggle: ToggleState) -> str:
    look = toggle.last_look
    return f"{words.words(look.action)}, {words.day(timestamp(look.at))}: {look.reason}" if look else "none yet"


def _next_retrain(road: Road, state: ModelState, platform: PlatformState, now: datetime) -> str:
    """When the schedule or drift launches one at the earliest, by calendar and intervals; what is under test is decided first."""
    from retrain_assets.automation.cadence import earliest  # automation is made of assets

    cadence = platform.cadence(road.contract)
    after = f", after {state.active_toggle.retrain}" if state.active_toggle is not None else ""
    if cadence.cron is not None:
        due = next(CronSim(cadence.cron, now))
        frozen = ", in a change freeze" if cadence.freeze_at(due) is not None else ""
        return f"{due:%Y-%m-%d %H:%M} by schedule{frozen}{after}"
    if cadence.on_drift is None:
        return "when a person launches one"
    first = earliest(cadence, state, now)
    if first is None:
        return "on drift, held back for two years by freezes and seasons"
    return ("on drift" if first <= now else f"on drift, from {first:%Y-%m-%d}") + after
