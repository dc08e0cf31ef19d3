"""What people are told about a model: the value, and when several are due the one message they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from retrain_assets.automation.notifications import Message, Urgency
from retrain_assets.contract.notify import Role
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
        roles: whom it concerns.
        series: alerts of the same series in one message are told as one (:func:`told_as_one`); empty: by itself.
        part: what of the series it is, as it stands in the headline; empty: the newest of the series says it all.
    """

    key: str
    at: datetime
    urgency: Urgency
    headline: str
    lines: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    evidence: str = ""
    shared: bool = False
    roles: frozenset[Role] = frozenset(Role)
    series: str = ""
    part: str = ""


def message_of(model: str, alerts: Sequence[Alert]) -> Message:
    """One message about one or several alerts, the most urgent first."""
    ordered = sorted(told_as_one(alerts), key=lambda alert: (_RANK[alert.urgency], -alert.at.timestamp()))
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


def told_as_one(alerts: Sequence[Alert]) -> list[Alert]:
    """The alerts, those of one series as one: the newest; where it has parts, with all of them in its headline and all lines."""
    series: dict[str, list[Alert]] = {}
    for alert in alerts:
        series.setdefault(alert.series or alert.key, []).append(alert)
    return [those[-1] if len(those) == 1 else _joined(sorted(those, key=lambda one: one.at)) for those in series.values()]


def _joined(those: Sequence[Alert]) -> Alert:
    parts = list(dict.fromkeys(one.part for one in those if one.part))
    if not parts:
        return those[-1]
    headline = those[-1].headline
    if len(parts) > 1:
        many = f"{', '.join(parts[:-1])} and {parts[-1]}"
        headline = headline.replace(those[-1].part, many, 1)
    lines = dict.fromkeys(line for one in those for line in one.lines)
    return replace(those[-1], headline=headline, lines=tuple(lines))


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
