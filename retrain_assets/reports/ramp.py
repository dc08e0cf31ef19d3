"""The ramp of a pack: its stages with start, end and units, and what every look found, ready to be shown and drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from retrain_assets.experiment import MeasureSpec
from retrain_assets.ledger import Event, EventKind, timestamp
from retrain_assets.release import stage_share
from retrain_assets.reports.canary import summary_of
from retrain_assets.reports.happened import brakes_of
from retrain_assets.reports.measure_line import is_relative, limit_of, must_of
from retrain_assets.reports.record import Record

_ENDS = (EventKind.PROMOTED, EventKind.ROLLED_BACK, EventKind.REJECTED, EventKind.TOGGLE_RETIRED)


def ramp_of(record: Record) -> dict[str, Any] | None:
    """The ramp as JSON; None when no toggle was armed.

    Keys: ``planned`` (stage labels of the contract), ``alpha``, ``min_stage``, ``stages``, ``pauses``, ``looks``, ``measures``
    (what each must show, with the change at which its rule just does not hold), ``last_look`` (results, health, segments) and
    ``summary`` (the last look as :func:`retrain_assets.reports.canary.summary_of` says it).
    """
    if record.toggle is None or record.last(EventKind.TOGGLE_ARMED) is None:
        return None
    looks = list(_looks(record))
    newest = looks[-1][1] if looks else None
    experiment = record.toggle.contract["experiment"]
    return {
        "planned": [*record.toggle.ramp, "100"],
        "alpha": experiment.get("alpha"),
        "min_stage": experiment.get("min_stage"),
        "stages": _stages(record, newest),
        "pauses": _pauses(record),
        "measures": _measures(looks),
        "looks": [_short(event, look) for event, look in looks],
        "last_look": None if newest is None else _last(looks[-1][0], newest),
        "summary": None if newest is None else summary_of(newest, experiment, record.toggle.ramp),
    }


def _stages(record: Record, newest: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    counts = {one["revision"]: one for one in (newest or {}).get("stages", [])}
    marks = list(record.of(EventKind.TOGGLE_STEPPED, *_ENDS))
    rows = []
    for event, following in zip(marks, [*marks[1:], None], strict=True):
        if event.kind is EventKind.TOGGLE_STEPPED:
            stage = event.payload.get("to_stage")
        elif event.kind is EventKind.PROMOTED:
            stage = "100"
        else:
            continue
        share = 1.0 if stage == "100" else stage_share(stage)
        rows.append(
            {
                "stage": stage,
                "revision": event.revision_after,
                "share": share,
                "start": timestamp(event.at),
                "end": timestamp(following.at) if following else None,
                "because": event.reason,
                "by": str(event.actor),
                "units": _units(counts.get(event.revision_after)),
                "ended_by": str(following.kind) if following else None,
            }
        )
    return rows


def _units(counts: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if counts is None else {arm: dict(counts[arm]) for arm in ("champion", "challenger")}


def _pauses(record: Record) -> list[dict[str, Any]]:
    pauses: list[dict[str, Any]] = []
    for event in record.of(EventKind.TOGGLE_HELD, EventKind.TOGGLE_RESUMED, *_ENDS):
        if event.kind is EventKind.TOGGLE_HELD:
            pauses.append({"start": timestamp(event.at), "end": None, "by": str(event.actor), "because": event.reason})
        elif pauses and pauses[-1]["end"] is None:
            pauses[-1]["end"] = timestamp(event.at)
    return pauses


def _looks(record: Record) -> Iterator[tuple[Event, Mapping[str, Any]]]:
    for event in record.of(EventKind.CANARY_LOOKED):
        look = record.read(event.payload.get("evidence"), f"look of {timestamp(event.at)[:16].replace('T', ' ')}")
        if isinstance(look, Mapping):
            yield event, look


def _short(event: Event, look: Mapping[str, Any]) -> dict[str, Any]:
    keys = (
        "state",
        "estimate",
        "lower",
        "upper",
        "relative_estimate",
        "relative_lower",
        "relative_upper",
        "n_champion",
        "n_challenger",
        "method",
        "planned_limit",
        "planned_relative",
        "variance_saved",
    )
    planned = [one["number"] for one in look.get("planned", ()) if one["at"] == look["at"]]
    return {
        "at": look["at"],
        "sequence": event.sequence,
        "stage": look["stage"],
        "revision": look["revision"],
        "action": look["action"],
        "reason": look["reason"],
        "stopped": brakes_of(event),
        "valid": all(check["ok"] for check in look["health"]),
        "planned_look": planned[-1] if planned else None,
        "harm_looks": look.get("harm_looks", 0),
        "failing": [check["name"] for check in look["health"] if not check["ok"]],
        "evidence": event.payload.get("evidence"),
        "results": {one["spec"]["name"]: {key: one.get(key) for key in keys} for one in look["results"]},
    }


def _last(event: Event, look: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "at": look["at"],
        "sequence": event.sequence,
        "stage": look["stage"],
        "action": look["action"],
        "reason": look["reason"],
        "results": list(look["results"]),
        "health": list(look["health"]),
        "segments": {name: list(results) for name, results in look["segments"].items()},
    }


def _measures(looks: list[tuple[Event, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What each measure must show, once, from the newest look that names it."""
    specs: dict[str, Mapping[str, Any]] = {}
    relative: set[str] = set()
    for _, look in looks:
        for result in look["results"]:
            specs[result["spec"]["name"]] = result["spec"]
            if result["relative_estimate"] is not None:
                relative.add(result["spec"]["name"])
    return [_measure(MeasureSpec.from_json(spec), relative=name in relative) for name, spec in specs.items()]


def _measure(spec: MeasureSpec, *, relative: bool) -> dict[str, Any]:
    return {
        "name": spec.name,
        "role": spec.role,
        "direction": spec.direction,
        "relative": is_relative(spec) and relative,
        "limit": limit_of(spec),
        "must": must_of(spec),
        "spec": spec.to_json(),
    }
