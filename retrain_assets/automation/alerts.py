"""What people are told about a model: the value, and when several are due the one message they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from retrain_assets.automation.notifications import Message, Urgency
from retrain_assets.ledger import timestamp
from retrain_assets.reports import words

TITLE_LETTERS = 140
TOLD_IN_FULL = 3
"""Alerts a message tells in full; of more it names the others in one line each."""
LISTED = 20
"""Most of those lines."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell.

    Args:
        key: what it is told once under.
        at: since when it holds.
        urgency: by when somebody has to act.
        headline: what, in one clause, without the model's name.
        lines: what else there is to know, a sentence each.
        commands: what to type, each with what it does.
        evidence: where to read on, a path or a command; empty where there is nothing.
        shared: it is about all models, so one model's sensor tells a recipient for all.
    """

    key: str
    at: datetime
    urgency: Urgency
    headline: str
    lines: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    evidence: str = ""
    shared: bool = False


def message_of(model: str, alerts: Sequence[Alert]) -> Message:
    """One message about one or several alerts, the most urgent first."""
    ordered = sorted(alerts, key=lambda alert: (_RANK[alert.urgency], -alert.at.timestamp()))
    first, others = ordered[0], len(ordered) - 1
    subject = "all models" if all(alert.shared for alert in ordered) else model
    more = f" (and {others} more)" if others else ""
    head = f"[{first.urgency}] {subject}: "
    title = head + _cut(first.headline, TITLE_LETTERS - len(head) - len(more)) + more
    parts = [_in_full(alert, numbered=others > 0) for alert in ordered[:TOLD_IN_FULL]]
    if rest := ordered[TOLD_IN_FULL:]:
        listed = [f"- {words.moment(timestamp(alert.at))}: {_cut(alert.headline, TITLE_LETTERS)}" for alert in rest[:LISTED]]
        left = [f"- and {len(rest) - LISTED} more: retrain status {model}"] if len(rest) > LISTED else []
        parts.append("\n".join(["Also:", *listed, *left]))
    parts.append(f"What else to do at night: retrain runbook {model}")
    return Message(title, "\n\n".join(parts), first.urgency)


def _in_full(alert: Alert, *, numbered: bool) -> str:
    lines = [f"== {alert.headline}"] if numbered else []
    lines += alert.lines
    if alert.commands:
        lines += ["", *(f"{shows}:\n    {command}" for command, shows in alert.commands)]
    if alert.evidence:
        lines += ["", f"Evidence: {alert.evidence}"]
    return "\n".join(lines)


def _cut(text: str, letters: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= letters else line[: letters - 1].rstrip() + "…"


_RANK = {urgency: rank for rank, urgency in enumerate(Urgency)}
