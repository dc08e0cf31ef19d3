"""``retrain launch``: start one retrain by hand and see it through its gates before traffic, in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import date
from io import StringIO
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.options import Order, changing, model_argument
from retrain_assets.cli.show import say, say_json, say_table
from retrain_assets.contract import Contract, Gate, Outcome, Refused, RetrainError
from retrain_assets.home import Home

if TYPE_CHECKING:
    import dagster as dg

    from retrain_assets.release import ModelState, ReleaseController, RetrainState
    from retrain_assets.replay.teller import Teller

BEFORE_TRAFFIC = (Gate.DATA, Gate.TRAINING, Gate.OFFLINE)
OWNERS = {Gate.DATA: "data", Gate.TRAINING: "training", Gate.OFFLINE: "evaluation"}
STAGES = {"dataset": Gate.DATA, "features": Gate.DATA, "training": Gate.TRAINING, "evaluation": Gate.OFFLINE}
"""The gate that judges each stage's result."""
PAUSE_SECONDS = 0.3
"""Time between two looks into the ledger for what is to be told."""


@click.command()
@model_argument
@click.argument("retrain", required=False)
@changing
def launch(model: str, retrain: str | None, order: Order) -> None:
    """Launch a retrain of MODEL by hand, in this process.

    RETRAIN is the day its data ends, 2013-07-01, by default today; a second one of that day is 2013-07-01.2. Takes the contract
    of the project you stand in, adds the partition and runs the job from data set to evaluation report on the Dagster instance of
    DAGSTER_HOME, or of RETRAIN_HOME/dagster. Ends with a table of the gates; exit code 1 when one does not open.
    """
    from retrain_assets.cli.contracts import contract_of, project_on_path
    from retrain_assets.cli.opening import controller_of
    from retrain_assets.replay.demo import quietly
    from retrain_assets.replay.engine import Engine

    person = _person(order)
    project_on_path()
    contract, home = contract_of(model), Home.from_environment()
    require_writable(home)
    controller = controller_of(home)
    key = _free_key(controller, contract, retrain)
    with quietly(), dagster_instance(home) as instance:
        engine = Engine(contract, home, instance)
        with _told(controller, as_json=order.as_json):
            engine.launch(key, person=person, why=order.reason)
        state = controller.state(model)
        reached = state.retrains.get(key)
        if reached is None:
            raise RetrainError(newest_failure(instance), where=f"{model} {key}")
        if not _all_open(reached):
            with redirect_stderr(StringIO()):  # the sensor's own log, which says that it decides
                engine.tick("decision_sensor")
            state = controller.state(model)
    _report(contract, state, state.retrains[key], home, order)


def _person(order: Order) -> str:
    """Who launches it, a person: what the system launches has a trigger of its own."""
    actor = order.actor
    if actor.kind != "person":
        raise Refused("a retrain is launched by hand by a person", remedy="write --as you@example.org")
    return actor.name


def require_writable(home: Home) -> None:
    """Make the home's folder, or refuse one that cannot be written.

    Raises:
        RetrainError: naming it.
    """
    try:
        home.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_home(home, error.strerror or str(error)) from error
    if not os.access(home.root, os.W_OK):
        raise _no_home(home, "it is read-only")


def _no_home(home: Home, why: str) -> RetrainError:
    return RetrainError(
        f"nothing can be written there ({why})", where=str(home.root), remedy="set RETRAIN_HOME to another folder"
    )


def _free_key(controller: ReleaseController, contract: Contract, retrain: str | None) -> str:
    """The retrain's key.

    Raises:
        Refused: in a change freeze, for what is no key, and for one that exists.
    """
    from retrain_assets.release import next_retrain_key
    from retrain_assets.release.policy import require_launch
    from retrain_assets.release.retrains import require_key

    now, existing = controller.clock.now(), controller.state(contract.model).retrains
    require_launch(contract, now, controller.platform())
    if retrain is None:
        return next_retrain_key(existing, now.date())
    require_key(contract.model, retrain)
    if retrain in existing:
        free = next_retrain_key(existing, date.fromisoformat(retrain[:10]))
        raise Refused(
            f"it was launched on {existing[retrain].launched_at:%Y-%m-%d %H:%M} UTC",
            where=f"{contract.model} {retrain}",
            remedy=f"launch {free}, or go on with it: retrain status {contract.model}",
        )
    return retrain


@contextmanager
def dagster_instance(home: Home) -> Iterator[dg.DagsterInstance]:
    """Dagster's record of runs: that of DAGSTER_HOME where it is set, else the home's own."""
    import dagster as dg

    from retrain_assets.replay.engine import persistent_instance

    named = os.environ.get("DAGSTER_HOME")
    if not named:
        with persistent_instance(home) as instance:
            yield instance
        return
    if not Path(named).is_dir():
        raise RetrainError("there is no such folder", where=f"DAGSTER_HOME={named}", remedy="make it, or unset DAGSTER_HOME")
    with dg.DagsterInstance.from_config(named) as instance:
        yield instance


@contextmanager
def _told(controller: ReleaseController, *, as_json: bool) -> Iterator[None]:
    """What is recorded meanwhile is told as it comes."""
    from rich.console import Console

    from retrain_assets.replay.teller import Teller

    if as_json:
        yield
        return
    teller, over = Teller(Console(highlight=False, soft_wrap=True)), Signal()
    last = max((event.sequence for event in controller.ledger.events()), default=0)
    thread = Thread(target=_tell, args=(controller, teller, last, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tell(controller: ReleaseController, teller: Teller, last: int, over: Signal) -> None:
    while True:
        ending = over.wait(PAUSE_SECONDS)
        for event in controller.ledger.events(after=last):
            teller.tell(event)
            last = event.sequence
        if ending:
            return


def _all_open(retrain: RetrainState) -> bool:
    return all((record := retrain.verdicts.get(gate)) is not None and record.outcome is Outcome.PASS for gate in BEFORE_TRAFFIC)


def newest_failure(instance: dg.DagsterInstance) -> str:
    """What the run that recorded no launch failed of."""
    import dagster as dg

    (run,) = instance.get_runs(limit=1)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        data = entry.dagster_event.step_failure_data if entry.dagster_event else None
        if data is not None and data.user_failure_data is not None:
            return data.user_failure_data.description or ""
        if data is not None and data.error is not None:
            return (data.error.cause or data.error).message.strip()
    return f"the run {run.run_id} failed before its first step; retrain status shows what was recorded"


def _report(contract: Contract, state: ModelState, retrain: RetrainState, home: Home, order: Order) -> None:
    """The table of the gates, what comes next, and the exit code."""
    rows = [_row(contract, retrain, gate) for gate in BEFORE_TRAFFIC]
    following = _next(contract, state, retrain, home)
    if order.as_json:
        gates = [dict(zip(("gate", "verdict", "checks", "owner"), row, strict=True)) for row in rows]
        say_json({"model": contract.model, "retrain": retrain.key, "gates": gates, "failure": retrain.failure, "next": following})
    else:
        say()
        say_table(["gate", "verdict", "checks passed", "answers for it"], rows)
        say()
        say(following)
    if not _all_open(retrain):
        shut = next(
            gate for gate in BEFORE_TRAFFIC if (one := retrain.verdicts.get(gate)) is None or one.outcome is not Outcome.PASS
        )
        click.get_current_context().exit(1 if shut else 0)


def _row(contract: Contract, retrain: RetrainState, gate: Gate) -> tuple[str, str, str, str]:
    record, owner = retrain.verdicts.get(gate), str(getattr(contract.owners, OWNERS[gate]))
    failed = STAGES.get((retrain.failure or "").partition(":")[0]) is gate
    if record is None or failed:
        return gate.value, "failed" if failed else "not reached", "-", owner
    passed = sum(verdict.outcome is Outcome.PASS for verdict in record.verdicts)
    return gate.value, record.outcome.value, f"{passed} of {len(record.verdicts)}", owner


def _next(contract: Contract, state: ModelState, retrain: RetrainState, home: Home) -> str:
    """What to do now, in words with the command."""
    model, key = contract.model, retrain.key
    pack = home.reports_dir(model) / f"{key}.html"
    if not _all_open(retrain):
        shown = f"; evidence pack: {pack}" if pack.exists() else ""
        return f"{key} goes no further; correct what did not pass and launch the next one{shown}"
    if state.champion is None:
        return f'{key} may become the first champion: retrain bootstrap {model} {key} --as APPROVER --reason "…"'
    return (
        f"{key} goes on by itself while Dagster's daemon runs (DAGSTER_HOME={home.dagster_home} dg dev): retrain canary {model}"
    )
