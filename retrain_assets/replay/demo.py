"""``retrain demo``: the year 2013 replayed through the real definitions, told as it happens, ended by one table.

The story of the flights has acts of its own; the other shipped examples are rehearsals in which the demo's people stand in.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import polars as pl

from retrain_assets.contract import Contract, RetrainError
from retrain_assets.home import Home
from retrain_assets.ledger import Act, Actor
from retrain_assets.release.orders import Credential
from retrain_assets.replay import story
from retrain_assets.replay.engine import Engine, persistent_instance
from retrain_assets.replay.examples import EXAMPLES
from retrain_assets.replay.flights import flights_of_2013
from retrain_assets.replay.lake import land_day, rows_by_day
from retrain_assets.replay.people import signed
from retrain_assets.replay.rehearsal import Pause, rehearse
from retrain_assets.replay.replay import Replay
from retrain_assets.replay.table import print_table
from retrain_assets.replay.teller import Teller

RUTH = Actor("person", story.RELEASE_OWNER)

FINISHED = "demo.json"
"""File in the home that says the replay came to its end."""


def run_demo(home: Home, model: str = story.MODEL) -> None:
    """Replay 2013 in ``home`` and print the table of a model's retrains. A finished replay is only shown again.

    Raises:
        RetrainError: when the home holds the ledger of something else, or an unfinished replay, or there is no such example.
    """
    if model not in (story.MODEL, *EXAMPLES):
        known = ", ".join((story.MODEL, *EXAMPLES))
        raise RetrainError(f"{model!r} is no shipped example", where="retrain demo", remedy=f"give one of {known}")
    teller = Teller()
    if (home.root / FINISHED).exists() and (played := json.loads((home.root / FINISHED).read_text())["model"]) != model:
        raise RetrainError(f"holds the demo of {played}", where=str(home.root), remedy="set RETRAIN_HOME to a new folder")
    if not (home.root / FINISHED).exists():
        _refuse_other_homes(home)
        os.environ["RETRAIN_HOME"] = str(home.root)
        started = time.monotonic()
        with quietly():
            runs = play(home, teller) if model == story.MODEL else play_example(home, model, teller)
        seconds = time.monotonic() - started
        (home.root / FINISHED).write_text(json.dumps({"model": model, "seconds": round(seconds, 1), "runs": runs}))
        teller.done(seconds, runs)
    print_table(home, model, teller.console)


def play_example(home: Home, model: str, teller: Teller, last: date | None = None) -> int:
    """Rehearse an example up to a day, with Ruth doing what people do; gives the Dagster runs it took."""
    example, contract = EXAMPLES[model], shipped_contract(model)
    for day, rows in rows_by_day(example.rows().with_columns(day=pl.col("scheduled_at").dt.date()), "day").items():
        land_day(home, model, rows, day)
    ended = rehearse(
        home, contract, teller, person=story.SCIENTIST, first=example.first, last=last or example.last, stand_in=ruth
    )
    if ended.what is not None:
        raise RetrainError(f"stopped on {ended.day}: {ended.what}", where=f"the demo of {model}", remedy="correct its contract")
    return ended.runs


def ruth(replay: Replay, pause: Pause) -> bool:
    """The release owner of the examples: makes the first champion, approves what is shown better, signs with the demo's key."""
    controller = replay.engine.platform.controller
    if pause.act == "bootstrap":
        first = (replay.contract, pause.retrain, RUTH, story.BOOTSTRAP_REASON)
        controller.bootstrap(*first, signed=signed(controller.bootstrap_case(*first)))
    elif pause.act == "approve":
        word = (replay.contract.model, pause.retrain, RUTH, "Shown better with every guardrail held; see the canary report.")
        controller.approve(*word, signed=signed(controller.approval_case(*word)))
    return bool(pause.act)


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
    return shipped_contract(story.MODEL)


def shipped_contract(model: str) -> Contract:
    """The shipped contract of a model, Python paths absolute."""
    import yaml

    from retrain_assets.contract.paths import in_module

    file = Path(__file__).parent.parent / "defs" / model / "defs.yaml"
    document = yaml.safe_load(file.read_text())
    return in_module(Contract.model_validate(document["attributes"]), f"retrain_assets.defs.{model}", file)


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
