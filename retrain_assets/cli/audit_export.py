"""``retrain audit export``: one retrain's record as an archive that somebody outside can verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrain_assets.cli.options import Order, changing, model_argument, retrain_argument
from retrain_assets.cli.show import say, say_json
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.release import ReleaseController
    from retrain_assets.reports.export import Export


@click.command("export")
@model_argument
@retrain_argument
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to. [default: MODEL-RETRAIN.tar.gz here]")
@click.option("--without-bundle", is_flag=True, help="Leave the model's files out; their digests stay in.")
@click.option("--to", "recipient", metavar="TEXT", help="Whom it is for; goes into the ledger.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@changing
def export_retrain(
    model: str, retrain: str, out: Path | None, without_bundle: bool, recipient: str | None, force: bool, order: Order
) -> None:
    """Write the record of RETRAIN as an archive.

    Whoever gets it verifies it with sha256sum, ssh-keygen and the short script in it, without this product: that it is what was
    recorded, who signed, and on which evidence. That it left the house is recorded with its digest.
    """
    from retrain_assets.cli.opening import known_model, open_controller, registry_of, require_retrain
    from retrain_assets.ledger import SystemKey, named
    from retrain_assets.reports.export import export_of
    from retrain_assets.reports.export.archive import free_place, scratch_beside

    actor, home = order.actor, Home.from_environment()
    controller = open_controller(home)
    require_retrain(known_model(controller, model), retrain)
    place = (out or Path(f"{model}-{retrain}.tar.gz")).absolute()
    free_place(place, force=force)
    export = export_of(
        home,
        controller.ledger,
        model,
        retrain,
        key=SystemKey.open(home.system_key_path),
        registry=registry_of(home),
        with_bundle=not without_bundle,
    )
    scratch = scratch_beside(place, export.archive)
    try:
        sequence = _record(controller, model, retrain, export, recipient, order)
        scratch.replace(place)
    finally:
        scratch.unlink(missing_ok=True)
    if order.as_json:
        say_json(
            {
                "model": model,
                "retrain": retrain,
                "file": str(place),
                "digest": export.digest,
                "bytes": len(export.archive),
                "files": len(export.files),
                "checkpoint": export.checkpoint.anchor,
                "key": export.checkpoint.key,
                "recipient": recipient,
                "actor": str(actor),
                "event": sequence,
            }
        )
        return
    say(f"written: {place}, {len(export.files)} files, {len(export.archive):,} bytes")
    say(f"sha256: {export.digest.removeprefix('sha256:')}")
    say(f"the system's key: {export.checkpoint.key}; tell it to whoever gets the file, in another way than the file")
    say(f"to verify: tar xzf {place.name} && cd {export.name} && python3 -I verify.py {export.checkpoint.key}")
    say(f"recorded: event {sequence} record_exported by {named(actor)}: {order.reason}")


def _record(controller: ReleaseController, model: str, retrain: str, export: Export, recipient: str | None, order: Order) -> int:
    from retrain_assets.ledger import EventDraft, EventKind

    payload = {
        "archive": export.digest,
        "files": len(export.files),
        "checkpoint": export.checkpoint.anchor,
        "bundle": any(name.startswith("bundle/") and name != "bundle/manifest.json" for name in export.files),
        "recipient": recipient,
    }
    draft = EventDraft(
        at=controller.clock.now(),
        actor=order.actor,
        kind=EventKind.RECORD_EXPORTED,
        model=model,
        reason=order.reason,
        retrain=retrain,
        payload=payload,
    )
    return controller.ledger.append(draft).sequence
