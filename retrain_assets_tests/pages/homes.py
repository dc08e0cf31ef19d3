"""The homes that pages are typed into: one road, kept at its milestones, signed by people whose keys everybody has."""

from __future__ import annotations

import os
import shutil
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from retrain_assets.replay.people import demo_key
from retrain_assets_tests.cli.world import MODEL, SECOND, World, write_project
from retrain_assets_tests.scenarios.custody_home import PEOPLE, THIRD, Custody

STATES = ("evaluated", "ramping", "awaiting", "promoted", "finished")
"""A candidate that may be armed; at 50 per cent; awaits approval; is champion; and what else became of three more retrains."""

FLIGHTS = {
    "flight_delay": MODEL,
    "2013-07-15": SECOND,
    "2013-09-16": SECOND,
    "2013-11-25": THIRD,
    "2013-11-28": SECOND,
    "2013-11-01": "2024-04-02",
    "ruth.release@flights.example": PEOPLE[0],
    "ruth@flights.example": PEOPLE[0],
    "MODEL": MODEL,
    "RETRAIN ": f"{SECOND} ",
    "you@example.org": PEOPLE[0],
    "ann@example.org": PEOPLE[0],
}
"""What the demo calls a thing, and what it is called here."""


@dataclass(frozen=True)
class Homes:
    """Where they are: ``folder/STATE`` is a home, ``folder/ssh`` the keys of its people."""

    folder: Path

    @property
    def people(self) -> dict[str, Path]:
        return {person: self.folder / "ssh" / person.partition("@")[0] for person in PEOPLE}

    def build(self, store: Path) -> Homes:
        """The road, from nothing to its end, copied at each milestone."""
        for person, file in self.people.items():
            file.parent.mkdir(exist_ok=True)
            file.touch(mode=0o600)
            demo_key(person).write_private_key(file)
            demo_key(person).write_public_key(file.with_suffix(".pub"))
        shutil.copy(self.people[PEOPLE[0]], self.folder / "ssh" / "id_ed25519")
        shutil.copy(self.people[PEOPLE[0]].with_suffix(".pub"), self.folder / "ssh" / "id_ed25519.pub")
        (self.folder / "evaluated").mkdir()
        shutil.copy(store, self.folder / "evaluated" / "mlflow.db")
        home = self._world("evaluated")
        home.begin()
        home.bootstrap()
        self._next("ramping").ramp()
        assert self._next("awaiting").look().action == "ask_approval"
        self._next("promoted").promote()
        self._next("finished").finish()
        return self

    def open(self, state: str, target: Path) -> Custody:
        """A copy in ``target``, with the project of its contract around it."""
        World.copied(self.folder / state, target)
        home = Custody(target, self.people)
        if not (target.parent / "shop").exists():
            write_project(target.parent, deepcopy(home.values))
        return home

    def _world(self, state: str) -> Custody:
        os.environ["RETRAIN_HOME"] = str(self.folder / state)
        return Custody(self.folder / state, self.people)

    def _next(self, state: str) -> Custody:
        World.copied(self.folder / STATES[STATES.index(state) - 1], self.folder / state)
        return self._world(state)
