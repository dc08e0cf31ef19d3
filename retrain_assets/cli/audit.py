"""``retrain audit …``: the record of releases, listed, shown and verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain_assets.cli.audit_export import export_retrain
from retrain_assets.cli.audit_query import query
from retrain_assets.cli.audit_reproduce import reproduce
from retrain_assets.cli.audit_retention import retention
from retrain_assets.cli.exits import ExitCode, tell
from retrain_assets.cli.options import json_option, optional_model_argument, optional_retrain_argument
from retrain_assets.cli.show import moment, say, say_json, say_table, short
from retrain_assets.home import Home

if TYPE_CHECKING:
    from retrain_assets.ledger import Event
    from retrain_assets.release import ModelState, ReleaseController


@click.group()
def audit() -> None:
    """The record: who did what, when, why, on what."""


audit.add_command(query)
audit.add_command(reproduce)
audit.add_command(export_retrain)
audit.add_command(retention)


@audit.command("list")
@optional_model_argument
@json_option
def list_retrains(model: str | None, as_json: bool) -> None:
    """Retrains, how they ended, their evidence packs."""
    from retrain_assets.cli.opening import is_recorded, known_model, open_controller

    home = Home.from_environment()
    rows: list[dict[str, Any]] = []
    if model is not None or is_recorded(home):
        controller = open_controller(home)
        states = [known_model(controller, model)] if model else list(controller.states().values())
        rows = [row for state in states for row in _retrains(home, state)]
    if as_json:
        say_json(rows)
        return
    say_table(
        ["model", "retrain", "launched", "by", "ended", "approved by", "pack", "file"],
        [
            (
                row["model"],
                row["retrain"],
                moment(row["launched_at"]),
                row["launched_by"],
                _ending(row),
                ", ".join(row["approvers"]) or None,
                short(row["audit"]),
                row["pack"],
            )
            for row in rows
        ],
        or_records=True,
    )


@audit.command()
@optional_model_argument
@optional_retrain_argument
@json_option
def show(model: str | None, retrain: str | None, as_json: bool) -> None:
    """Every event of RETRAIN, of all of MODEL, or of everything.

    With kill switches, freezes and owners that concerned it; of a retrain those from its launch to its end.
    """
    from retrain_assets.cli.opening import known_model, open_controller, require_retrain

    home = Home.from_environment()
    controller = open_controller(home)
    lost: dict[str, dict[str, Any]] = {}
    packs: list[dict[str, Any]] = []
    if model is None:
        events = controller.ledger.events()
    else:
        state = known_model(controller, model)
        if retrain is not None:
            require_retrain(state, retrain)
        events = _events(home, controller, model, retrain)
        keys = [key for key in state.retrains if retrain in (None, key)]
        lost = {key: why for key in keys if (why := _failure(home, controller, model, key))}
        packs = [row for row in _retrains(home, state) if row["pack"] and row["retrain"] in keys]
    packed = {row["retrain"]: row["pack"] for row in packs}
    beside = {"model": model, "retrain": retrain, "packs": packed, "failures": lost}
    _say_events(events, as_json, leave_out=() if model is None else ("model",), beside=beside)
    if as_json:
        return
    for key, why in lost.items():
        say(f"why {key} was lost: {why['mode'].replace('_', ' ')}: {why['sentence']}")
    for row in packs:
        say(f"evidence pack of {row['retrain']}: {row['pack']}")


@audit.command()
@json_option
def platform(as_json: bool) -> None:
    """Every event that is about no single retrain, as audit show has it.

    Tokens, kill switches, freezes, owners, keys of the system, what was found after a kill switch. Tokens that were revoked are
    here too, with who gave them and who took them back.
    """
    from retrain_assets.cli.opening import open_controller

    events = [event for event in open_controller(Home.from_environment()).ledger.events() if event.retrain is None]
    _say_events(events, as_json, leave_out=("retrain", "revision"))


@audit.command()
@click.option("--since-checkpoint", is_flag=True, help="Read the chain again only from the last good checkpoint on.")
@click.option(
    "--system-key",
    "system_keys",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.pub",
    help="The system's public key as you know it from elsewhere: the newest checkpoint must be signed by it.",
)
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="SEQUENCE:HASH",
    help="A head you kept elsewhere, as audit checkpoint printed it: the chain must hold it.",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context, since_checkpoint: bool, system_keys: tuple[Path, ...], anchors: tuple[str, ...], as_json: bool
) -> None:
    """Verify that everything is what was recorded.

    Chain, checkpoints, approvals, evidence, bundles, flags.json, tokens.json, aliases and anchors; exits 0 only if everything
    holds. Repairs nothing.
    """
    from retrain_assets.cli.verify import verify_home
    from retrain_assets.cli.verify.telling import kept_heads, public_keys, verdict_lines

    home, kept = Home.from_environment(), kept_heads(anchors)
    found = verify_home(home, since_checkpoint=since_checkpoint, system_keys=public_keys(system_keys), kept=kept)
    if as_json:
        say_json({"home": str(home.root), **found.to_json()})
    else:
        for line in verdict_lines(found):
            say(line)
    if (first := found.first) is not None:
        what = f"{first[0]} broken: {first[1]}" + (f"; {found.begins}" if found.begins else "")
        ctx.exit(tell(f"audit verify: {what}; keep all files as they are and see docs/verification.md", ExitCode.CUSTODY))
    if found.unchecked:
        names = ", ".join(part.name for part in found.unchecked)
        ctx.exit(tell(f"audit verify: {names}: could not be verified; see the lines above and verify again", ExitCode.INPUT))


@audit.command()
@json_option
def checkpoint(as_json: bool) -> None:
    """Sign the ledger's head now.

    With the system's key. Without anything new since the last checkpoint that one is shown.
    """
    from retrain_assets.cli.opening import open_controller
    from retrain_assets.release import anchoring

    home = Home.from_environment()
    controller = open_controller(home)
    made = anchoring.checkpoint(controller.ledger, home, controller.clock.now())
    if as_json:
        say_json({"home": str(home.root), **made.to_json(), "anchor": made.anchor})
        return
    say(f"checkpoint: event {made.sequence}, head {made.head}, at {moment(made.at)}")
    say(f"signed with: {made.key} ({home.system_key_path}.pub)")
    say(f"keep elsewhere: {made.anchor}")


def _retrains(home: Home, state: ModelState) -> list[dict[str, Any]]:
    from retrain_assets.release import retrain_view

    rows = []
    for known in state.retrains.values():
        page = home.reports_dir(state.model) / f"{known.key}.html"
        rows.append(
            {
                "model": state.model,
                **retrain_view(state, known),
                "pack": str(page) if page.exists() else None,
                "pack_json": str(page.with_suffix(".json")) if page.with_suffix(".json").exists() else None,
            }
        )
    return rows


def _failure(home: Home, controller: ReleaseController, model: str, retrain: str) -> dict[str, Any] | None:
    """Why a retrain was lost, with its evidence; None for one that was not."""
    from retrain_assets.reports.failure import failure_of
    from retrain_assets.reports.record import read_record

    found = failure_of(read_record(controller.ledger, controller.evidence, home, model, retrain))
    return found.to_json() if found else None


def _ending(row: dict[str, Any]) -> str:
    """How a retrain ended, and what became of it since."""
    since = ", rolled back since" if row["ended"] == "promoted" and row["toggle_state"] in ("rolled_back", "rejected") else ""
    return f"{row['ended'] or 'open'}{since}".replace("_", " ")


def _events(home: Home, controller: ReleaseController, model: str, retrain: str | None) -> list[Event]:
    """The model's events with those about every model, or a retrain's with what stopped releases meanwhile; in their order."""
    from retrain_assets.ledger import EVERY_MODEL, EventKind
    from retrain_assets.release.platform import PLATFORM_KINDS
    from retrain_assets.reports.record import read_record

    ledger = controller.ledger
    beside = (
        ledger.events(model=EVERY_MODEL, kinds=PLATFORM_KINDS | {EventKind.FOLLOW_UP_CLOSED})
        if retrain is None
        else read_record(ledger, controller.evidence, home, model, retrain).beside
    )
    return sorted([*ledger.events(model=model, retrain=retrain), *beside], key=lambda event: event.sequence)


def _say_events(
    events: Sequence[Event], as_json: bool, *, leave_out: Sequence[str], beside: Mapping[str, Any] | None = None
) -> None:
    """Events as every command shows them: when, by whom, what about, what of it, why. In JSON as they are recorded."""
    if as_json:
        from retrain_assets.release import audit_trail

        empty: dict[str, Any] = {"model": None, "retrain": None, "packs": {}, "failures": {}}
        say_json({**empty, **(beside or {}), "events": audit_trail(events)})
        return
    shown = [name for name in _COLUMNS if name not in leave_out]
    rows = [dict(zip(_COLUMNS, _row(event), strict=True)) for event in events]
    say_table(shown, [[row[name] for name in shown] for row in rows], right=["event"])


_COLUMNS = ("event", "at", "by", "kind", "model", "retrain", "revision", "what", "reason")


def _row(event: Event) -> tuple[Any, ...]:
    from retrain_assets.ledger import EVERY_MODEL
    from retrain_assets.reports.happened import what_happened

    moved = event.revision_after is not None
    of_all = event.model == EVERY_MODEL
    outcome = event.payload.get("outcome") if event.kind == "gate_evaluated" else None
    signed = event.payload.get("signed")
    by_key = (
        f"signed with {signed['key']}" if isinstance(signed, Mapping) else "NOT SIGNED" if event.payload.get("unsigned") else None
    )
    told = [*(["all models"] if of_all else []), *filter(None, [what_happened(event), outcome, by_key])]
    return (
        event.sequence,
        moment(event.at),
        event.actor,
        event.kind,
        "all" if of_all else event.model,
        event.retrain,
        f"{event.revision_before} → {event.revision_after}" if moved else None,
        ": ".join(told) or None,
        event.reason,
    )
