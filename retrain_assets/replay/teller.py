"""Tells the replay on the terminal: a calm progress line and one line for each thing worth knowing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from retrain_assets.contract import Outcome, Verdict
from retrain_assets.ledger import Event, EventKind

Answer = TypeVar("Answer")

QUIET = {
    EventKind.CANDIDATE_REGISTERED,
    EventKind.TOGGLE_REGISTERED,
    EventKind.CANARY_LOOKED,
    EventKind.DECISION_RECORDED,
    EventKind.AUDIT_RECORDED,
    EventKind.RELEASE_REVIEWED,
}
"""Events that are not worth a line of their own."""


class Teller:
    """The voice of a replay.

    Args:
        console: where it speaks; by default standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, width=None if Console().is_terminal else 170)
        self._bar = Progress(
            TextColumn("[dim]{task.description}"), BarColumn(), TimeElapsedColumn(), console=self.console, transient=True
        )

    def step(self, what: str, work: Callable[[], Answer]) -> Answer:
        """Do one preparation and say so."""
        self.console.print(f"[dim]{what} …[/dim]")
        return work()

    def days(self, days: Iterator[date], first: date, last: date) -> Iterator[date]:
        """The days, with a progress bar over them."""
        self.console.print(f"[dim]replaying {first} to {last}, day by day, through the real sensors, jobs and controller[/dim]")
        with self._bar:
            task = self._bar.add_task("", total=(last - first).days + 1)
            for day in days:
                self._bar.update(task, description=str(day))
                yield day
                self._bar.advance(task)

    def tell(self, event: Event) -> None:
        """One line for an event worth knowing."""
        line = _line(event)
        if line is not None:
            self.console.print(f"[dim]{event.at:%Y-%m-%d}[/dim]  {line}")

    def done(self, seconds: float, runs: int) -> None:
        """How long it took."""
        self.console.print(f"[dim]{runs} Dagster runs in {seconds:.0f} s[/dim]\n")


def _line(event: Event) -> str | None:
    if event.kind in QUIET:
        return None
    who = event.actor.name if event.actor.is_person else "the system"
    match event.kind:
        case EventKind.RETRAIN_LAUNCHED:
            trigger = event.payload["trigger"]
            why = trigger.get("message") or trigger.get("reason") or trigger["kind"]
            return f"[bold]retrain {event.retrain}[/bold] launched by {who}: {why}"
        case EventKind.GATE_EVALUATED:
            return _gate_line(event)
        case EventKind.STAGE_FAILED:
            return f"[red]stopped[/red]: {event.payload.get('message', event.reason)}"
        case EventKind.TOGGLE_ARMED:
            return f"toggle {event.toggle} armed by {who}: {event.reason}"
        case EventKind.TOGGLE_STEPPED:
            stage = event.payload["to_stage"]
            return f"toggle {event.toggle} → {stage if stage == 'shadow' else stage + ' %'}"
        case EventKind.APPROVAL_REQUESTED:
            return f"[yellow]approval wanted[/yellow] for {event.retrain}: {event.reason}"
        case EventKind.CHAMPION_BOOTSTRAPPED | EventKind.PROMOTED:
            return f"[green]{event.retrain} is champion[/green] ({event.kind.value} by {who}): {event.reason}"
        case EventKind.APPROVED:
            return f"approved by {who}: {event.reason}"
        case EventKind.ROLLED_BACK:
            return f"[red]{event.toggle} rolled back[/red] by {who}: {event.reason}"
        case EventKind.RETRAIN_ENDED:
            return f"retrain {event.retrain} ended: {event.payload['ending']}"
        case _:
            return f"{event.kind.value} by {who}: {event.reason}"


def _gate_line(event: Event) -> str | None:
    verdicts = [Verdict.from_json(value | {"evidence": {}}) for value in event.payload["verdicts"]]
    if event.payload["gate"] == "canary":
        return None
    stopped = [verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS]
    gate = event.payload["gate"]
    if gate == "data":  # judged in two steps
        gate = "data, features" if "features" in event.payload["subjects"] else "data, source rows"
    if not stopped:
        return f"gate {gate}: [green]pass[/green] ({len(verdicts)} checks)"
    messages = "; ".join(f"{verdict.check}: {verdict.message}" for verdict in stopped)
    return f"gate {gate}: [red]stopped[/red]: {messages}"
