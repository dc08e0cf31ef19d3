"""What every alert about a ledger event is made with: its key and time, who did it, where to read on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from retrain_assets.automation.alerts import Alert
from retrain_assets.automation.notifications import Urgency
from retrain_assets.automation.outbox import EVENT
from retrain_assets.contract.notify import Role
from retrain_assets.home import Home
from retrain_assets.ledger import EVERY_MODEL, Event, EvidenceStore, Ledger
from retrain_assets.reports import words

Command = tuple[str, str]
"""What to type, and what it does."""

RELEASE = frozenset({Role.RELEASE})
EXPERIMENT = frozenset({Role.EXPERIMENT})
BOTH = RELEASE | EXPERIMENT
"""What ends or changes the traffic concerns those who run the experiment and those who release."""


@dataclass(frozen=True)
class Background:
    """What an alert may look up about its event.

    Args:
        home: where reports and evidence are.
        ledger: the record.
    """

    home: Home
    ledger: Ledger

    @cached_property
    def evidence(self) -> EvidenceStore:
        """The home's evidence."""
        return EvidenceStore(self.home.evidence_dir)

    def pack(self, model: str, retrain: str | None) -> str:
        """Where the evidence pack of a retrain is, or will be a minute or two after the retrain ended."""
        path = self.home.reports_dir(model) / f"{retrain}.html"
        return str(path) if path.is_file() else f"{path} (written within minutes)"

    def file(self, digest: str | None) -> str:
        """Path of a piece of evidence; empty without a digest."""
        return str(self.evidence.path(digest)) if digest else ""


def about(
    event: Event,
    urgency: Urgency,
    roles: frozenset[Role],
    headline: str,
    lines: Sequence[str],
    *commands: Command,
    evidence: str = "",
    series: str = "",
    part: str = "",
) -> Alert:
    """The alert about an event, told once under its sequence."""
    return Alert(
        key=f"{EVENT}{event.sequence}",
        at=event.at,
        urgency=urgency,
        headline=" ".join(headline.split()),
        lines=tuple(lines),
        commands=commands,
        evidence=evidence,
        shared=event.model == EVERY_MODEL,
        roles=roles,
        series=series,
        part=part,
    )


def said_by(event: Event) -> str:
    """Who did it, and when."""
    return f"By {words.actor(str(event.actor))}, {words.moment(event.at.isoformat())}."


def closes(event: Event) -> Command:
    """How to close the follow-up that an event opened."""
    return (
        f'retrain follow-up close {event.sequence} --reason "what the cause was, and what was changed"',
        "When the cause is known, close the follow-up",
    )


def scope(event: Event) -> str:
    """The model, or all models."""
    return "all models" if event.model == EVERY_MODEL else event.model
