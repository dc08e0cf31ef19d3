"""``retrain adopt``: a model of a team's own MLflow becomes a version here, without a fit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.options import Order, changing, model_argument
from retrain_assets.contract import Outcome, Refused, RetrainError, StaleRevision
from retrain_assets.home import Home

if TYPE_CHECKING:
    from pathlib import Path

    from retrain_assets.contract import Contract
    from retrain_assets.registry.adoption import SourceModel
    from retrain_assets.release import ReleaseController, RetrainState

DAY = click.DateTime(["%Y-%m-%d"])
_STOPPED = ("failed", "stopped", "rejected")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants adopted.

    Args:
        asked: the URI as typed.
        server: MLflow tracking URI of the server that has it.
        trained_on: first and last moment of its training rows; None where that is not known.
        trust_pickle: whether a person vouches for whoever wrote it.
    """

    asked: str
    server: str
    trained_on: tuple[datetime, datetime] | None
    trust_pickle: bool

    @property
    def ends(self) -> list[str] | None:
        """The training window as ISO-8601."""
        return [moment.isoformat() for moment in self.trained_on] if self.trained_on else None


@click.command()
@model_argument
@click.option("--version", "uri", required=True, metavar="URI", help="models:/NAME/12, models:/NAME@prod or runs:/RUN/NAME.")
@click.option("--from", "server", metavar="URI", help="MLflow server that has it. [default: the home's own]")
@click.option("--trained-on", "window", metavar="DAY..DAY", help="Window of its training rows, the last day excluded.")
@click.option("--cutoff", type=DAY, help="Judge it on the hold-out before this day. [default: today]")
@click.option("--trust-pickle", is_flag=True, help="Read it though it is a pickle, which runs whatever its writer put in.")
@changing
def adopt(
    model: str,
    uri: str,
    server: str | None,
    window: str | None,
    cutoff: datetime | None,
    trust_pickle: bool,
    order: Order,
) -> None:
    """Take over an MLflow model as it is, without a fit.

    It becomes a bundle and a version of MODEL, judged on the newest hold-out by the contract's absolute limits. Its scores must
    be MLflow's. The first champion is then made by retrain bootstrap, on an approver's word. Doing it again adds nothing.
    """
    from retrain_assets.cli.contracts import contract_of, project_on_path
    from retrain_assets.cli.launch import require_writable
    from retrain_assets.cli.opening import controller_of
    from retrain_assets.registry.adoption import find_source

    order.actor  # noqa: B018 - refused before anything is opened
    home, contract = Home.from_environment(), contract_of(model)
    project_on_path()
    require_writable(home)
    wish = Wish(uri, server or home.mlflow_uri, _window(window), trust_pickle)
    found = find_source(uri, wish.server, None if server else home.registry_uri)
    controller = controller_of(home)
    known = _adopted_before(controller, model, found.source, wish)
    day = (cutoff or controller.clock.now()).date()
    if known is None and wish.trained_on is not None:
        _refuse_seen_holdout(contract, wish.trained_on[1], datetime.combine(day, datetime.min.time(), UTC))
    _carry_out(controller, contract, found, wish, known, day, order)


def _carry_out(
    controller: ReleaseController,
    contract: Contract,
    found: SourceModel,
    wish: Wish,
    known: RetrainState | None,
    day: date,
    order: Order,
) -> None:
    """Fetch, record, run the road, and say what became of it."""
    from retrain_assets.cli import changes
    from retrain_assets.release import next_retrain_key

    model = contract.model
    key = known.key if known else next_retrain_key(controller.state(model).retrains, day)

    def adopted() -> None:
        if known is None or not _is_ready(known):
            trigger = _fetched(controller.home, model, key, found, wish, order.reason, known)
            launched = controller.ensure_launched(contract, key, trigger, order.actor)
            if any(launched.trigger.get(name) != trigger[name] for name in ("kind", "source", "files", "trust_pickle")):
                raise StaleRevision(f"somebody else launched {key} meanwhile", where=model, remedy="adopt it again")
            _run_road(controller, contract, key, trigger, order)

    before = controller.state(model).sequence
    change = changes.carry_out(controller, model, order.actor, adopted)
    state = controller.state(model)
    retrain = state.retrains[key]
    _refuse_unfinished(retrain, model)
    assert retrain.candidate is not None  # gates before traffic are open
    if state.champion == retrain.candidate:
        following = ""
    elif state.champion is None:
        following = f'retrain bootstrap {model} {key} --reason "why"  # by {" or ".join(contract.approval.approvers)}'
    else:
        following = f'retrain toggle arm {model} {key} --reason "why"'
    note = f"{found.source} is version {retrain.candidate.version}, retrain {key}"
    note += "; it was adopted before" if state.sequence == before else ""
    note += "" if wish.trained_on else "; it is not known whether it was fitted on rows of the hold-out: --trained-on says so"
    changes.report(change, controller, order, note=note, following=following)


def _is_ready(retrain: RetrainState) -> bool:
    """Whether nothing is left to be done for a retrain that adopts."""
    from retrain_assets.release.policy import GATES_BEFORE_TRAFFIC

    judged = [retrain.verdicts.get(gate) for gate in GATES_BEFORE_TRAFFIC]
    passed = all(record is not None and record.outcome is Outcome.PASS for record in judged)
    return retrain.decision is not None or (retrain.candidate is not None and passed)


def _adopted_before(controller: ReleaseController, model: str, source: str, wish: Wish) -> RetrainState | None:
    """The retrain that adopted the very same, unless it ended without a version."""
    for one in reversed(list(controller.state(model).retrains.values())):
        told = [one.trigger.get(name) for name in ("kind", "source", "server", "trained_on")]
        same = told == ["adopted", source, _named(wish.server), wish.ends]
        if same and (one.ended is None or one.ended.value not in _STOPPED):
            return one
    return None


def _fetched(
    home: Home, model: str, key: str, found: SourceModel, wish: Wish, reason: str, known: RetrainState | None
) -> dict[str, Any]:
    """The model's files in the home, what is known of them beside it, and the trigger that says so."""
    from retrain_assets.compute.local import content_digest
    from retrain_assets.contract import canonical_json
    from retrain_assets.registry.adoption import fetch_source

    folder = home.stage_dir(model, key, "adopted")
    if known is None or not (folder / "model").exists() or content_digest(folder / "model") != known.trigger["files"]:
        fetch_source(found, wish.server, folder / "model")
    _require_safe(folder / "model", wish)
    files = content_digest(folder / "model")
    if known is not None and known.trigger["files"] != files:
        raise Refused(
            f"the files of {found.source} are not those that were adopted as {key}",
            where=found.artifacts,
            remedy=f'retrain reject {model} {key} --reason "why", then adopt it anew',
        )
    told = {
        "source": found.source,
        "server": _named(wish.server),
        "source_run": found.run_id,
        "files": files,
        "trained_on": wish.ends,
        "trust_pickle": wish.trust_pickle,
    }
    recorded = {"parameters": dict(found.parameters), "metrics": dict(found.metrics)}
    scratch = folder / "adoption.json.writing"
    scratch.write_bytes(canonical_json({**told, **recorded}))
    scratch.replace(folder / "adoption.json")
    return {"kind": "adopted", "reason": reason, "asked": wish.asked, **told}


def _require_safe(model: Path, wish: Wish) -> None:
    """What may run somebody's code is refused before anything is recorded."""
    from retrain_assets.bundle.mlflow_model import TRUST, MLflowModel

    unsafe = MLflowModel.read(model).unsafe
    if unsafe is not None and not wish.trust_pickle:
        raise Refused(f"{wish.asked} is not loaded: {unsafe}", remedy=TRUST)


def _run_road(controller: ReleaseController, contract: Contract, key: str, trigger: dict[str, Any], order: Order) -> None:
    """Data set, features, candidate and evaluation, by the job that every retrain runs; what does not pass is decided at once."""
    import json

    from retrain_assets.assets.stages import LAUNCHED_BY_TAG, TRIGGER_TAG
    from retrain_assets.cli.launch import dagster_instance, newest_failure
    from retrain_assets.replay.demo import quietly
    from retrain_assets.replay.engine import Engine

    tags = {TRIGGER_TAG: json.dumps({"kind": "adopted", "source": trigger["source"]})}
    if order.actor.is_person:
        tags[LAUNCHED_BY_TAG] = order.actor.name
    with quietly(), dagster_instance(controller.home) as instance:
        engine = Engine(contract, controller.home, instance)
        instance.add_dynamic_partitions(engine.road.partitions.name or "", [key])
        done = engine.run(engine.road.retrain_job, key, tags)
        controller.catch_up()
        retrain = controller.state(contract.model).retrains[key]
        if _is_ready(retrain):
            return
        if not done and retrain.failure is None and all(one.outcome is Outcome.PASS for one in retrain.verdicts.values()):
            where, remedy = f"{contract.model} {key}", "mend it and adopt it again: it goes on from here"
            raise RetrainError(newest_failure(instance), where=where, remedy=remedy)
        engine.tick("decision_sensor")


def _refuse_unfinished(retrain: RetrainState, model: str) -> None:
    """One line on why an adopted model is not ready to be anybody's champion."""
    from retrain_assets.release.policy import GATES_BEFORE_TRAFFIC

    where = f"{model} {retrain.key}"
    if retrain.failure is not None:
        raise RetrainError(f"it was not adopted: {retrain.failure}", where=where, remedy="mend it and adopt it again")
    for gate in GATES_BEFORE_TRAFFIC:
        record = retrain.verdicts.get(gate)
        closed = [one.verdict for one in record.checks.values() if not one.verdict.passed] if record else []
        if closed:
            said = "; ".join(f"{one.check} {one.outcome}: {one.message}" for one in closed[:3])
            version = f"it is version {retrain.candidate.version}, and " if retrain.candidate else ""
            remedy = "mend what it says, then adopt it again"
            raise Refused(f"{version}gate {gate} did not open: {said}", where=where, remedy=remedy)


def _refuse_seen_holdout(contract: Contract, until: datetime, cutoff: datetime) -> None:
    """Rows it was fitted on say nothing about a model."""
    begins = cutoff - contract.window.holdout
    if until > begins:
        what = f"it was fitted on rows until {until:%Y-%m-%d}, and the hold-out before {cutoff:%Y-%m-%d} begins {begins:%Y-%m-%d}"
        remedy = f"judge it later: --cutoff {(until + contract.window.holdout):%Y-%m-%d}, when the source has these rows"
        raise Refused(what, where=contract.model, remedy=remedy)


def _window(text: str | None) -> tuple[datetime, datetime] | None:
    """Two days, the second one excluded, as midnight UTC."""
    if text is None:
        return None
    try:
        first, last = (datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC) for day in text.split(".."))
    except ValueError as error:
        raise RetrainError(f"{text!r} is no window", where="--trained-on", remedy="write 2024-01-01..2024-03-31") from error
    if first >= last:
        raise RetrainError(f"{text!r} ends before it begins", where="--trained-on", remedy="write the earlier day first")
    return first, last


def _named(server: str) -> str:
    """A server without the password its URI may hold."""
    scheme, found, rest = server.partition("://")
    return f"{scheme}{found}{rest.rpartition('@')[2] if found else rest}"
