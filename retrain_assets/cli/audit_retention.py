"""``retrain audit retention``: what is kept how long, what is past its time, and its deletion with a trace."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.exits import tell
from retrain_assets.cli.options import Order, actor_option, json_option, optional_model_argument
from retrain_assets.cli.show import moment, say, say_json, say_table
from retrain_assets.contract import Refused, format_duration
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ReleaseController
    from retrain_assets.release.deletions import Applied
    from retrain_assets.release.retention import Due, ModelRetention


@click.command()
@optional_model_argument
@click.option("--apply", "delete", is_flag=True, help="Delete traffic and snapshots that are past their time, recorded first.")
@click.option("--records", is_flag=True, help="With --apply: also stage files, evidence and packs that are past theirs.")
@click.option("--reason", metavar="TEXT", help="With --apply: why, in one sentence; goes into the ledger.")
@actor_option
@json_option
def retention(model: str | None, delete: bool, records: bool, reason: str | None, principal: str | None, as_json: bool) -> None:
    """What is kept how long, and what is past its time.

    Of MODEL or of all models. Nothing is deleted without --apply; events of the ledger never are.
    """
    from retrain_assets.cli.opening import known_model, open_controller
    from retrain_assets.release.deletions import apply_retention

    order = Order(reason or "", principal, as_json)
    if delete and not order.reason.strip():
        raise Refused("a reason is missing", remedy="add --reason and say why in one sentence")
    if not delete and (records or reason):
        raise Refused("--records and --reason are about deleting", remedy="add --apply, or leave them out")
    actor = order.actor if delete else None
    controller = open_controller(Home.from_environment())
    models = [known_model(controller, model).model] if model else list(controller.states())
    done = {name: apply_retention(controller, name, actor, order.reason, records=records) for name in models} if actor else {}
    found = [_retention_of(controller, name) for name in models]
    if as_json:
        say_json([_json(controller, one, done.get(one.model)) for one in found])
        return
    for name, applied in done.items():
        _say_done(name, applied)
    _say_rules(found)
    _say_due(found, asked=delete)


def _retention_of(controller: ReleaseController, model: str) -> ModelRetention:
    from retrain_assets.release.retention import retention_of

    events, now = controller.ledger.events(), controller.clock.now()
    return retention_of(controller.home, controller.evidence, controller.state(model), events, now)


def _say_done(model: str, applied: Applied) -> None:
    size = sum(file["bytes"] for event in applied.events for file in event.payload["files"])
    numbers = ", ".join(str(event.sequence) for event in applied.events)
    if applied.deleted:
        recorded = f", recorded in event {numbers}" if numbers else ", which an interrupted run had recorded"
        say(f"{model}: deleted {len(applied.deleted)} files ({_size(size)}){recorded}")
    else:
        say(f"{model}: nothing to delete")
    for path in applied.changed:
        tell(f"note: {path} stays: it is not what was recorded for deletion any more")


def _say_rules(found: list[ModelRetention]) -> None:
    rows = [
        (
            one.model,
            one.rules.class_,
            format_duration(one.rules.traffic),
            format_duration(one.rules.snapshots or one.rules.records),
            format_duration(one.rules.records),
        )
        for one in found
    ]
    say_table(["model", "class", "traffic kept", "snapshots kept after the end", "records"], rows)


def _say_due(found: list[ModelRetention], *, asked: bool) -> None:
    rows = [(one.model, *row) for one in found for row in _summary(one)]
    if rows:
        say_table(
            ["model", "past its time", "of", "files", "size", "from", "to", "had to be kept until"], rows, right=["files", "size"]
        )
    else:
        say("nothing is past its time")
    for one in found:
        for retrain, why in one.held.items():
            say(f"{one.model} {retrain} is past its time and stays: {why}")
        for path, why in one.unread.items():
            tell(f"note: {path} cannot be read and stays: {why}")
        if not asked and any(due.path for due in one.due):
            say(f'delete with: retrain audit retention {one.model} --apply --reason "…"')
        if any(due.path is None for due in one.due):
            say(f"{one.model}: bundles are the registry's; delete their versions there if your rules ask for it")


def _summary(one: ModelRetention) -> list[tuple[Any, ...]]:
    groups: dict[tuple[str, str | None], list[Due]] = {}
    for due in one.due:
        groups.setdefault((str(due.kind), due.retrain), []).append(due)
    return [
        (
            kind,
            retrain,
            len(due),
            _size(sum(item.bytes for item in due)),
            _edge(min, [item.first for item in due]),
            _edge(max, [item.last for item in due]),
            moment(max(item.until for item in due)),
        )
        for (kind, retrain), due in groups.items()
    ]


def _edge(which: Any, moments: list[datetime | None]) -> str | None:
    known = [one for one in moments if one is not None]
    return moment(which(known)) if known else None


def _size(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"


def _json(controller: ReleaseController, one: ModelRetention, applied: Applied | None) -> dict[str, Any]:
    return {
        "model": one.model,
        "class": one.rules.class_,
        "traffic": format_duration(one.rules.traffic),
        "snapshots": format_duration(one.rules.snapshots or one.rules.records),
        "records": format_duration(one.rules.records),
        "due": [
            {
                "kind": str(due.kind),
                "path": str(due.path) if due.path else None,
                "retrain": due.retrain,
                "digest": due.digest,
                "bytes": due.bytes,
                "rows": due.rows,
                "first": due.first.isoformat() if due.first else None,
                "last": due.last.isoformat() if due.last else None,
                "kept_until": due.until.isoformat(),
            }
            for due in one.due
        ],
        "held": dict(one.held),
        "unread": dict(one.unread),
        "deleted": [str(path) for path in applied.deleted] if applied else [],
        "changed": [str(path) for path in applied.changed] if applied else [],
        "events": [event.sequence for event in applied.events] if applied else [],
        "now": controller.clock.now().isoformat(),
    }
