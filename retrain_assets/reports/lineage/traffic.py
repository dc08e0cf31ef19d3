"""How the challenger met live traffic: cohort, stages with start and end, every look, what the last one found."""

from __future__ import annotations

from typing import Any

from retrain_assets.contract import Gate
from retrain_assets.ledger import EventKind, timestamp
from retrain_assets.release import ToggleState
from retrain_assets.reports.happened import what_happened
from retrain_assets.reports.lineage.field import NO_TOGGLE, Field, Fields, Source, of_event, of_evidence
from retrain_assets.reports.ramp import ramp_of
from retrain_assets.reports.record import Record

_NO_LOOK = "no look at the canary was made"


def toggle_fields(record: Record) -> Fields:
    """The release control and every state it was in."""
    toggle, registered = record.toggle, of_event(record.last(EventKind.TOGGLE_REGISTERED))
    armed = of_event(record.last(EventKind.TOGGLE_ARMED))
    for key, name, value, where in (
        ("toggle.name", "Toggle", toggle and toggle.name, registered),
        ("toggle.owner", "Toggle owner", toggle and toggle.owner, registered),
        ("toggle.purpose", "Toggle purpose", toggle and toggle.purpose, registered),
        ("toggle.expires", "Expires at", _moment(toggle, "expires_at"), armed),
        ("toggle.remove_by", "To be removed by", _moment(toggle, "remove_by"), armed),
    ):
        yield Field(key, name, value, where, NO_TOGGLE)
    moved = [event for event in record.events if event.revision_after is not None]
    states = [
        {
            "at": timestamp(event.at),
            "what": what_happened(event) or str(event.kind).replace("_", " "),
            "revision": f"{event.revision_before} to {event.revision_after}",
            "by": str(event.actor),
            "event": event.sequence,
        }
        for event in moved
    ]
    yield Field("toggle.states", "Every change of the toggle", states, Source("the changes' own events"), NO_TOGGLE)


def canary_fields(record: Record) -> Fields:
    """Cohort, ramp, stages, looks, results."""
    toggle, ramp = record.toggle, ramp_of(record)
    registered = of_event(record.last(EventKind.TOGGLE_REGISTERED))
    experiment = toggle.contract["experiment"] if toggle else {}
    cohort = {"conditions": experiment.get("cohort") or "everyone", "share of it": experiment.get("cohort_share", 1.0)}
    yield Field("canary.cohort", "Cohort", cohort if toggle else None, registered, NO_TOGGLE)
    yield Field("canary.unit", "Randomised unit", toggle.contract["source"]["unit"] if toggle else None, registered, NO_TOGGLE)
    yield Field("canary.ramp", "Planned stages", [*toggle.ramp, "100"] if toggle else None, registered, NO_TOGGLE)
    rules = {name: experiment.get(name) for name in ("success", "guardrails", "stop_loss") if experiment.get(name)}
    yield Field("canary.rules", "What it had to show", rules, registered, NO_TOGGLE)
    stages = [
        {
            "stage": one["stage"],
            "share": one["share"],
            "start": one["start"],
            "end": one["end"] or "in this record: open",
            "units": {arm: counts.get("exposed") for arm, counts in one["units"].items()} if one["units"] else None,
        }
        for one in (ramp or {}).get("stages", ())
    ]
    steps = Source("the steps' own events")
    yield Field("canary.stages", "Stages with start and end", stages, steps, "no stage was entered" if toggle else NO_TOGGLE)
    yield from _looks(record)
    last = (ramp or {}).get("last_look")
    newest = record.last(EventKind.CANARY_LOOKED)
    where = of_evidence(newest.payload.get("evidence"), newest) if newest is not None else of_event(None)
    yield Field(
        "canary.results", "What the last look found, with intervals", _results(last), where, _NO_LOOK if toggle else NO_TOGGLE
    )
    health = [f"{one['name']}: {'holds' if one['ok'] else 'does not hold'}" for one in last["health"]] if last else None
    yield Field("canary.health", "Health of the experiment", health, where, _NO_LOOK if toggle else NO_TOGGLE)
    segments = {name: _short(results) for name, results in last["segments"].items()} if last else None
    none = "no segments are declared" if newest is not None else _NO_LOOK if toggle else NO_TOGGLE
    yield Field("canary.segments", "The same by segment", segments, where, none)
    judged = record.known.verdicts.get(Gate.CANARY)
    verdict = of_event(judged.latest.sequence if judged else None)
    yield Field("canary.verdict", "Verdict of gate canary", str(judged.outcome) if judged else None, verdict, _NO_LOOK)


def _looks(record: Record) -> Fields:
    looks = list(record.of(EventKind.CANARY_LOOKED))
    where, why = Source("the looks' own events"), _NO_LOOK if record.toggle else NO_TOGGLE
    span = {"count": len(looks), "first": timestamp(looks[0].at), "last": timestamp(looks[-1].at)} if looks else None
    yield Field("canary.looks", "Looks", span, where, why)
    digests = [
        {
            "event": event.sequence,
            "at": timestamp(event.at),
            "action": event.payload.get("action"),
            "evidence": event.payload.get("evidence"),
        }
        for event in looks
    ]
    yield Field("canary.look_digests", "Every look with the digest of its evidence", digests, where, why)


def _results(last: dict[str, Any] | None) -> list[dict[str, Any]] | None:
    return None if last is None else _short(last["results"])


def _short(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    numbers = ("state", "estimate", "lower", "upper", "n_champion", "n_challenger")
    return [{"measure": one["spec"]["name"], **{name: one.get(name) for name in numbers}} for one in results]


def _moment(toggle: ToggleState | None, name: str) -> str | None:
    moment = getattr(toggle, name) if toggle else None
    return timestamp(moment) if moment else None
