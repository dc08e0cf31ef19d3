"""``retrain rehearse``: a contract's road played on the source's own history, on data time, in a home of its own.

What nobody but a person may do is left to people: the rehearsal pauses there, and goes on when it is called again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from retrain_assets.compute.code import import_path
from retrain_assets.compute.stages.source import read_source
from retrain_assets.contract import Contract, ContractError, RetrainError
from retrain_assets.contract.compute import LOCAL, Compute
from retrain_assets.contract.notify import Notify
from retrain_assets.home import Home
from retrain_assets.release import ModelState, RetrainState
from retrain_assets.release.policy import standing_approvals
from retrain_assets.replay.engine import Engine, persistent_instance
from retrain_assets.replay.lake import rows_by_day
from retrain_assets.replay.outcomes import outcomes_path
from retrain_assets.replay.replay import DAY, MORNING, Replay, days
from retrain_assets.replay.teller import Teller

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
BEYOND = datetime(9999, 1, 1, tzinfo=UTC)
FIRST_CHAMPION = "The first champion of a rehearsal."


@dataclass(frozen=True, slots=True)
class Pause:
    """Why a rehearsal stopped.

    Args:
        day: the morning it stopped at; it is not served yet.
        what: what a person has to do; None: the history is at its end.
        act: ``bootstrap`` or ``approve``, as the command of that name; empty where something else is to be done.
        retrain: the retrain it is about.
        runs: Dagster runs of this call.
    """

    day: date
    what: str | None = None
    act: str = ""
    retrain: str = ""
    runs: int = 0


Person = Callable[[Replay, Pause], bool]
"""Somebody who stands in for the people of a rehearsal: does what a pause asks for, and says whether it was done."""


def rehearse(
    home: Home,
    contract: Contract,
    teller: Teller,
    *,
    person: str,
    first: date | None = None,
    last: date | None = None,
    stand_in: Person | None = None,
) -> Pause:
    """Play the source's history from where the last call stopped, until a person is needed or the history ends.

    On the first day a first champion is trained on what is known by then; afterwards only what the contract itself launches is.
    Nobody is notified, and stages run here whatever the contract says.

    Args:
        home: a home of the rehearsal's own; its clock runs on data time.
        contract: Python paths absolute, with a ``rehearsal``.
        teller: tells what happens.
        person: who is recorded as having launched the first retrain.
        first: day of the first champion; by default the first one with a full training and hold-out window before it.
        last: last day to play; by default the last one whose rows the source has.
        stand_in: does what people would; without it the rehearsal pauses.

    Raises:
        ContractError: when the contract says nothing about outcomes.
        RetrainError: when the home is somebody else's, or the source has too little history.
    """
    outcomes_path(contract)
    _refuse_other_homes(home, contract.model)
    contract = contract.model_copy(update={"notify": Notify(), "compute": Compute.model_validate(LOCAL)})
    by_day = teller.step(f"reading the history of {contract.model}", lambda: history(contract))
    begun = _first_day(contract, by_day, first)
    end = min(last or max(by_day), max(by_day))
    if end < begun:
        raise RetrainError(
            f"ends on {end}, before the first champion can be trained on {begun}",
            where=f"{contract.model}: the rehearsal",
            remedy="give a later --until, or shorten window.train and window.holdout",
        )
    with persistent_instance(home) as instance:
        replay = Replay(home, contract, by_day, Engine(contract, home, instance))
        return _Course(replay, teller, person, begun, stand_in).play(end)


def history(contract: Contract) -> Mapping[date, pl.DataFrame]:
    """Every row of the source, by the UTC day of its event time.

    Raises:
        SourceError: when the source is not what its schema says.
    """
    source = contract.source
    schema = import_path(source.schema_, "source.schema")
    rows = read_source(source, schema, FIRST, BEYOND)
    return rows_by_day(rows.with_columns(_day=pl.col(source.event_time).dt.date()), "_day")


@dataclass
class _Course:
    """One call's course through the days."""

    replay: Replay
    teller: Teller
    person: str
    first: date
    stand_in: Person | None

    def play(self, last: date) -> Pause:
        progress = Progress.read(self.replay.home, self.replay.contract.model) or Progress(self.first, 0)
        day = progress.day
        for morning in self.teller.days(days(day, last), day, last):
            pause, told = self._morning(morning, progress.told)
            progress = Progress(morning, told)
            if pause is None:
                self.replay.serve(morning)
                progress = Progress(morning + DAY, told)
            progress.write(self.replay.home, self.replay.contract.model)
            if pause is not None:
                return replace(pause, runs=self.replay.engine.runs)
        return Pause(progress.day, runs=self.replay.engine.runs)

    def _morning(self, day: date, told: int) -> tuple[Pause | None, int]:
        """Sensors and people of one morning; what it waits for, and the last event that was told."""
        replay = self.replay
        replay.begin(day)
        if not self._state.retrains:
            replay.engine.launch(str(day), person=self.person, why=FIRST_CHAMPION)
        replay.watch(day)
        told = self._tell(told)
        while (pause := waits_for(self._state, day)) is not None:
            if self.stand_in is None or not self.stand_in(replay, pause):
                return pause, told
            replay.watch(day)
            told = self._tell(told)
        return None, told

    @property
    def _state(self) -> ModelState:
        return self.replay.engine.platform.controller.state(self.replay.contract.model)

    def _tell(self, told: int) -> int:
        for event in self.replay.engine.platform.ledger.events(after=told):
            self.teller.tell(event)
            told = event.sequence
        return told


def waits_for(state: ModelState, day: date) -> Pause | None:
    """What of a model only a person can do now; None where there is nothing."""
    toggle = state.active_toggle
    if state.champion is None:
        return _waits_for_champion(state, day)
    if toggle is not None and toggle.state.value == "awaiting_approval":
        now = datetime.combine(day, MORNING)
        missing = toggle.terms.approval.required - len(standing_approvals(toggle, now))
        if missing > 0:
            what = f"retrain {toggle.retrain} waits for {missing} approval{'s' if missing > 1 else ''}"
            return Pause(day, what, "approve", toggle.retrain)
    return None


def _waits_for_champion(state: ModelState, day: date) -> Pause:
    latest: RetrainState | None = max(state.retrains.values(), key=lambda one: one.launched_at, default=None)
    if latest is None or latest.candidate is None or latest.ended is not None:
        why = "no retrain passed its gates, so there is no first champion; correct what they found, and begin in a new home"
        return Pause(day, why, retrain=latest.key if latest else "")
    return Pause(day, f"retrain {latest.key} is to be made the first champion", "bootstrap", latest.key)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rehearsal has come.

    Args:
        day: the next day to play.
        told: the last event that was told.
    """

    day: date
    told: int

    @classmethod
    def read(cls, home: Home, model: str) -> Progress | None:
        """As it was written; None where no rehearsal of the model has begun."""
        path = _progress_path(home, model)
        if not path.exists():
            return None
        value = json.loads(path.read_text())
        return cls(date.fromisoformat(value["day"]), int(value["told"]))

    def write(self, home: Home, model: str) -> None:
        """Keep it, by atomic rename."""
        path = _progress_path(home, model)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps({"day": str(self.day), "told": self.told}))
        scratch.replace(path)


def _progress_path(home: Home, model: str) -> Path:
    return home.root / "rehearsal" / model / "progress.json"


def _first_day(contract: Contract, by_day: Mapping[date, pl.DataFrame], asked: date | None) -> date:
    """The day of the first champion, with whole windows and the label delay before it."""
    if not by_day:
        raise RetrainError("has no rows", where=contract.source.place, remedy="write the source again, with its rows")
    window = contract.window.train + contract.window.holdout
    earliest = min(by_day) + timedelta(days=-(-window // DAY))
    if asked is not None and asked < earliest:
        raise RetrainError(
            f"the first champion of {asked} would lack history: the source begins on {min(by_day)}",
            where=f"{contract.model}: --from",
            remedy=f"give {earliest} or later, or shorten window.train and window.holdout",
        )
    if earliest > max(by_day):
        raise ContractError(
            f"are {window.days} days together, more than the source has ({min(by_day)} to {max(by_day)})",
            where=f"{contract.model}: window.train and window.holdout",
            remedy="shorten them, so that days are left to rehearse",
        )
    return asked or earliest


def _refuse_other_homes(home: Home, model: str) -> None:
    """A rehearsal decides on data time and registers versions that nobody serves: it never does so beside real ones."""
    where, remedy = str(home.root), "set RETRAIN_HOME to a new folder"
    for name in ("RETRAIN_LEDGER_URL", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        if os.environ.get(name):
            raise RetrainError("is set, and a rehearsal keeps its records in its own home", where=name, remedy=f"unset {name}")
    if Progress.read(home, model) is not None or not home.root.exists():
        return
    if home.replay_clock_path.exists() and any((home.root / "rehearsal").glob("*/progress.json")):
        raise RetrainError("holds the rehearsal of another model", where=where, remedy=remedy)
    if home.replay_clock_path.exists() or (home.root / "ledger.db").exists():
        raise RetrainError("is no rehearsal's; a rehearsal needs a home of its own", where=where, remedy=remedy)
