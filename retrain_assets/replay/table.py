"""The table the demo ends with: every retrain, what it met on the road, how it ended and where its evidence is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from retrain_assets.home import Home
from retrain_assets.ledger import EventKind, EvidenceStore, Ledger
from retrain_assets.release import ModelState, RetrainState, ToggleState, fold
from retrain_assets.reports.retrain_line import LEGEND, line_of


def print_table(home: Home, model: str, console: Console) -> None:
    """Print one row per retrain of a model, then who is champion now."""
    events = Ledger(home.ledger_url).events(model=model)
    state = fold(events).get(model)
    if state is None:
        console.print(f"No retrain of {model} was recorded.")
        return
    bootstraps = {event.retrain: event.actor.name for event in events if event.kind is EventKind.CHAMPION_BOOTSTRAPPED}
    evidence = EvidenceStore(home.evidence_dir)
    table = Table(
        title=f"Retrains of {model}",
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("retrain", "trigger", "gates", "stage", f"change of {_success(state)}", "decision", "approved by"):
        table.add_column(name, overflow="fold")
    for key, retrain in state.retrains.items():
        toggle, line = state.toggle_of(key), line_of(state, retrain)
        table.add_row(
            key,
            line.set_off_by,
            line.marks,
            _stage(toggle),
            _lift(evidence, toggle),
            _decision(retrain, toggle),
            _people(toggle, bootstraps.get(key)),
        )
    console.print(table)
    console.print("[dim]gates: data, training, offline, canary, promotion[/dim]")
    console.print(f"[dim]{LEGEND}[/dim]")
    console.print("\n[bold]Evidence packs[/bold]")
    for key in state.retrains:
        console.print(f"  {home.reports_dir(model) / key}.html", soft_wrap=True, highlight=False)
    if state.champion is not None:
        reign = state.champion_history[-1]
        console.print(
            f"\nchampion: version {state.champion.version} of retrain {reign.retrain}, since {reign.since:%Y-%m-%d} ({reign.how})"
        )


def _person(principal: str) -> str:
    """A principal without its domain."""
    return principal.partition("@")[0]


def _success(state: ModelState) -> str:
    """The first success measure, as the newest toggle's contract names it."""
    toggles = list(state.toggles.values())
    return next(iter(toggles[-1].contract["experiment"]["success"])) if toggles else "success measure"


def _stage(toggle: ToggleState | None) -> str:
    if toggle is None or toggle.stage is None:
        return "—"
    return toggle.stage if toggle.stage == "shadow" else f"{toggle.stage} %"


def _lift(evidence: EvidenceStore, toggle: ToggleState | None) -> str:
    if toggle is None or toggle.last_look is None:
        return "—"
    return change(evidence.get(toggle.last_look.evidence))


def change(look: Mapping[str, Any]) -> str:
    """The change of a look's first success measure: limits that hold at every look, then that of the planned one it won."""
    result = next(result for result in look["results"] if result["spec"]["role"] == "success")
    if result["relative_estimate"] is None:
        return "—"
    low, high = (f"{value:+.1%}" if value is not None else "…" for value in (result["relative_lower"], result["relative_upper"]))
    text = f"{result['relative_estimate']:+.1%} [{low}, {high}]"
    if result["state"] == "better" and look.get("planned") and result.get("planned_relative") is not None:
        side = "at most" if result["spec"]["direction"] == "decrease" else "at least"
        text += f"\nplanned look {look['planned'][-1]['number']}: {side} {result['planned_relative']:+.1%}"
    return text


def _decision(retrain: RetrainState, toggle: ToggleState | None) -> str:
    ended = retrain.ended.value if retrain.ended is not None else "open"
    if toggle is not None and retrain.ended is not None and ended == "promoted" and toggle.state.value == "rolled_back":
        return "promoted, later rolled back by hand"
    if ended == "stopped":
        shut = next((gate.value for gate, record in retrain.verdicts.items() if record.outcome.value != "pass"), "")
        return f"stopped at gate {shut}"
    return ended.replace("_", " ")


def _people(toggle: ToggleState | None, bootstrap_by: str | None) -> str:
    if toggle is not None and toggle.approvals:
        return ", ".join(dict.fromkeys(_person(approval.approver) for approval in toggle.approvals))
    return f"{_person(bootstrap_by)} (bootstrap)" if bootstrap_by is not None else "—"
