"""``retrain export …``: the split of a model's traffic, projected to serving systems of others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.options import Order, changing, model_argument
from retrain_assets.cli.show import say, say_json
from retrain_assets.contract import CustodyError, Refused, parse_duration
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.ledger import Actor, Event
    from retrain_assets.release import ReleaseController
    from retrain_assets.serving.databricks_split import Split

TAG_LENGTH = 255


@click.group()
def export() -> None:
    """The split of a model's traffic, for serving systems of others."""


@export.command()
@model_argument
@click.option("--endpoint", required=True, metavar="NAME", help="The serving endpoint; it is made where there is none.")
@click.option("--entity", metavar="NAME", help="The registered model on Databricks, such as main.flights.delay. [default: MODEL]")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@click.option("--ignore-cohort", is_flag=True, help="Requests from outside the cohort may get the challenger, too.")
@click.option(
    "--wait", default="30m", show_default=True, metavar="DURATION", help="How long the update may take; 0s: not waited for."
)
@changing
def databricks(
    model: str, endpoint: str, entity: str | None, dry_run: bool, ignore_cohort: bool, wait: str, order: Order
) -> None:
    """Make a Databricks Model Serving endpoint serve MODEL's split.

    Champion and challenger by registered version, traffic in whole per cent; shadow is 0 %. Doing it again changes nothing. Do it
    again after every change of the toggle: Databricks does not know its expiry.

    Not sticky per unit: Databricks draws anew for every request.
    """
    from retrain_assets.cli.changes import say_events
    from retrain_assets.cli.opening import known_model, open_controller, registry_of

    limit, home, actor = _duration(wait), Home.from_environment(), order.actor
    if entity is None and not home.registry_uri.startswith("databricks"):
        raise Refused(
            "this home's registry is not Databricks', so its versions are not known there",
            where=home.mlflow_uri,
            remedy="set MLFLOW_TRACKING_URI=databricks, or name with --entity the model that has the same versions there",
        )
    controller = open_controller(home)
    state = known_model(controller, model)
    from retrain_assets.compute.databricks.workspace import connect
    from retrain_assets.serving.databricks_endpoint import export_split
    from retrain_assets.serving.databricks_split import NOT_STICKY, split_of

    split = split_of(state, entity or registry_of(home).name_of(model), controller.clock.now(), ignore_cohort=ignore_cohort)
    _require_recorded_bundles(home, split)
    tags = {"retrain_split": f"{split.toggle or model} revision {split.revision}", "retrain_by": str(actor)}
    tags["retrain_reason"] = order.reason[:TAG_LENGTH]
    recorded: list[Event] = []
    done = export_split(
        connect(),
        endpoint,
        split,
        tags=tags,
        dry_run=dry_run,
        wait=limit,
        accepted_as=lambda one: recorded.append(_record(controller, split, endpoint, one.differences, actor, order.reason)),
    )
    if order.as_json:
        say_json(
            {
                "model": model,
                "endpoint": endpoint,
                "entity": split.entity,
                "toggle": split.toggle,
                "revision": split.revision,
                "served": {one.version.version: one.per_cent for one in split.served},
                "created": done.created,
                "changed": list(done.differences),
                "dry_run": dry_run,
                "sticky": False,
                "note": NOT_STICKY,
                "events": [event.to_json() for event in recorded],
            }
        )
        return
    for difference in done.differences:
        say(f"{endpoint}: {difference}{' (not done)' if dry_run else ''}")
    if not done.differences:
        say(f"{endpoint}: nothing changed; it was so already")
    say(f"note: {NOT_STICKY}")
    say_events(recorded)


def _record(
    controller: ReleaseController, split: Split, endpoint: str, differences: Sequence[str], actor: Actor, reason: str
) -> Event:
    """What the endpoint serves now goes on record: who made it so, of which split, and why."""
    known = controller.state(split.model).toggles.get(split.toggle or "")
    detail = {
        "endpoint": endpoint,
        "entity": split.entity,
        "revision": split.revision,
        "share": next((one.per_cent / 100 for one in split.served if known and one.version == known.challenger), 0.0),
        "served": [
            {"version": one.version.version, "bundle": one.version.bundle, "per_cent": one.per_cent} for one in split.served
        ],
        "changed": list(differences),
        "sticky": False,
    }
    return controller.record_exported_split(split.model, known.retrain if known else None, split.toggle, detail, actor, reason)


def _require_recorded_bundles(home: Home, split: Split) -> None:
    """What is served must be what the ledger vouches for: the registry's versions carry the recorded digests."""
    from retrain_assets.cli.opening import registry_of

    registry = registry_of(home)
    for one in split.served:
        found = registry.version(split.model, one.version.version).bundle
        if found != one.version.bundle:
            raise CustodyError(
                f"the registry says {found}, the ledger {one.version.bundle}",
                where=f"{split.model} version {one.version.version}",
                remedy="nothing was exported; restore the registry",
            )


def _duration(text: str) -> timedelta:
    try:
        return timedelta() if text.strip() in ("0", "0s") else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--wait") from error
