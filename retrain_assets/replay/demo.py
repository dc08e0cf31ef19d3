"""``retrain demo``: the year 2013 replayed through the real definitions, told as it happens, ended by one table."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from retrain_assets.contract import Contract, RetrainError
from retrain_assets.home import Home
from retrain_assets.ledger import Act, Actor
from retrain_assets.release.orders import Credential
from retrain_assets.replay import story
from retrain_assets.replay.engine import Engine, persistent_instance
from retrain_assets.replay.flights import flights_of_2013
from retrain_assets.replay.lake import land_day, rows_by_day
from retrain_assets.replay.people import signed
from retrain_assets.replay.replay import Replay
from retrain_assets.replay.table import print_table
from retrain_assets.replay.teller import Teller

RUTH = Actor("person", story.RELEASE_OWNER)

FINISHED = "demo.json"
"""File in the home that says the replay came to its end."""


def run_demo(home: Home) -> None:
    """Replay 2013 in ``home`` and print the table of its retrains. A finished replay is only shown again.

    Raises:
        RetrainError: when the home holds the ledger of something else, or an unfinished replay.
    """
    teller = Teller()
    if not (home.root / FINISHED).exists():
        _refuse_other_homes(home)
        os.environ["RETRAIN_HOME"] = str(home.root)
        started = time.monotonic()
        with quietly():
            runs = play(home, teller)
        seconds = time.monotonic() - started
        (home.root / FINISHED).write_text(json.dumps({"seconds": round(seconds, 1), "runs": runs}))
        teller.done(seconds, runs)
    print_table(home, story.MODEL, teller.console)


def play(home: Home, teller: Teller, last: date = story.LAST_DAY, contract: Contract | None = None) -> int:
    """Play the story up to ``last``, under the shipped contract or another of the flights; gives the Dagster runs it took."""
    contract = contract or contract_of_flights()
    flights = teller.step("reading the flights of 2013", flights_of_2013)
    with persistent_instance(home) as instance:
        land = partial(land_day, home, story.SOURCE)
        replay = Replay(home, contract, rows_by_day(flights, "date"), Engine(contract, home, instance), land)
        for day in sorted(replay.by_day):
            if day <= story.FIRST_DAY - timedelta(days=2):
                land(replay.by_day[day], day)
        told = 0
        for day in teller.days(replay.days(story.FIRST_DAY, last), story.FIRST_DAY, last):
            act(replay, day)
            replay.watch(day)
            if approve_what_waits(replay):
                replay.watch(day)
            for event in replay.engine.platform.ledger.events(after=told):
                teller.tell(event)
                told = event.sequence
        return replay.engine.runs


def act(replay: Replay, day: date) -> None:
    """What people do on a day, besides approving."""
    engine = replay.engine
    controller = engine.platform.controller
    if day == story.FIRST_DAY:
        engine.launch(str(day), person=story.SCIENTIST, why="first champion")
        word = (replay.contract, str(day), RUTH, story.BOOTSTRAP_REASON)
        controller.bootstrap(*word, signed=signed(controller.bootstrap_case(*word)))
    if day == story.LEAK_DAY:
        leaky = replay.contract.model_copy(update={"features": story.LEAK_FEATURES})
        Engine(leaky, replay.home, engine.instance).launch(str(day), person=story.SCIENTIST, why=story.LEAK_REASON)
    if day == story.ROLLBACK_DAY:
        promoted = [toggle for toggle in controller.state(story.MODEL).toggles.values() if toggle.state.value == "promoted"]
        order = controller.order_case(Act.ROLL_BACK, promoted[-1].name, RUTH, story.ROLLBACK_REASON)
        controller.rollback(promoted[-1].name, RUTH, story.ROLLBACK_REASON, credential=Credential(signed=signed(order)))
    if day == story.RELAUNCH_DAY:
        engine.launch(str(day), person=story.SCIENTIST, why=story.RELAUNCH_REASON)


def approve_what_waits(replay: Replay) -> bool:
    """The release owner reads the canary report and approves what awaits approval; True when something did."""
    controller = replay.engine.platform.controller
    toggle = controller.state(story.MODEL).active_toggle
    if toggle is None or toggle.state.value != "awaiting_approval":
        return False
    word = (story.MODEL, toggle.retrain, RUTH, story.APPROVAL_REASON)
    controller.approve(*word, signed=signed(controller.approval_case(*word)))
    return True


def contract_of_flights() -> Contract:
    """The shipped contract of the flights model, Python paths absolute."""
    import yaml

    from retrain_assets.contract.paths import in_module

    file = Path(__file__).parent.parent / "defs" / story.MODEL / "defs.yaml"
    document = yaml.safe_load(file.read_text())
    return in_module(Contract.model_validate(document["attributes"]), f"retrain_assets.defs.{story.MODEL}", file)


def _refuse_other_homes(home: Home) -> None:
    if not home.root.exists() or not any(home.root.iterdir()):
        return
    if home.replay_clock_path.exists():
        raise RetrainError(
            "holds a replay that did not come to its end",
            where=str(home.root),
            remedy="remove that folder and run the demo again",
        )
    raise RetrainError(
        "is not empty and not a replay's; the demo needs a home of its own",
        where=str(home.root),
        remedy="set RETRAIN_HOME to a new folder",
    )


@contextmanager
def quietly() -> Iterator[None]:
    """No telemetry and no third-party chatter between the lines of the story."""
    import logging
    import warnings

    os.environ.update(DAGSTER_DISABLE_TELEMETRY="1", MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    for name in ("mlflow", "alembic", "dagster"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
