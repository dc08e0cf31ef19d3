"""What set a retrain off, in one sentence and as rows: drift with metric, window, value and threshold; a person; a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from retrain_assets.ledger import timestamp
from retrain_assets.reports import words
from retrain_assets.reports.record import Record


def trigger_of(record: Record) -> dict[str, Any]:
    """The trigger as JSON: ``kind``, ``sentence``, ``by``, ``at``, ``rows`` (field, value), ``recorded`` (all of it)."""
    known = record.known
    recorded = dict(known.trigger)
    return {
        "kind": str(recorded.get("kind", "not recorded")),
        "sentence": _sentence(recorded, known.launched_by),
        "by": known.launched_by,
        "at": timestamp(known.launched_at),
        "rows": list(_rows(recorded, known.launched_by, timestamp(known.launched_at))),
        "recorded": recorded,
    }


_SHOWN = {
    "kind": "Kind",
    "metric": "Metric",
    "column": "Feature",
    "value": "Value",
    "threshold": "Threshold",
    "window": "Window",
    "history": "Windows looked at",
    "reason": "Reason",
    "cron": "Schedule",
    "run_id": "Run",
}
_SAID = ("above", "of", "message")


def _rows(recorded: Mapping[str, Any], launched_by: str, at: str) -> Iterator[dict[str, Any]]:
    yield {"field": "Launched at", "value": at}
    yield {"field": "Launched by", "value": launched_by}
    for name in (*_SHOWN, *(name for name in recorded if name not in _SHOWN and name not in _SAID)):
        value = recorded.get(name)
        if name == "window" and isinstance(value, (list, tuple)) and len(value) == 2:
            value = f"{words.moment(str(value[0]))} to {words.moment(str(value[1]))}"
        if name == "history" and isinstance(value, list):
            value = ", ".join(f"{words.number(one['value'])} until {words.day(str(one['end']))}" for one in value)
        if value is not None:
            yield {"field": _SHOWN.get(name, words.words(name).capitalize()), "value": value}
    if "above" in recorded and "of" in recorded:
        yield {"field": "Above the limit in", "value": f"{recorded['above']} of the last {recorded['of']} windows"}


def _sentence(recorded: Mapping[str, Any], launched_by: str) -> str:
    kind = recorded.get("kind")
    if kind == "drift":
        metric = words.words(str(recorded.get("metric", "a drift metric")))
        value, threshold = recorded.get("value"), recorded.get("threshold")
        sentence = f"Drift: {metric} was {words.number(value)}, above its limit of {words.number(threshold)}"
        window = _window(recorded.get("window") or recorded)
        often = (
            f"; above in {recorded['above']} of the last {recorded['of']} windows"
            if "above" in recorded and "of" in recorded
            else ""
        )
        return f"{sentence}, {window}{often}." if window else f"{sentence}{often}."
    if kind == "person" or launched_by.startswith("person:"):
        why = str(recorded.get("reason", "")).rstrip(".")
        return f"{words.actor(launched_by)} launched it: {why}." if why else f"{words.actor(launched_by)} launched it."
    if kind in ("cadence", "schedule"):
        return "The business cadence was due."
    return f"Launched by {words.actor(launched_by)} ({kind or 'no trigger recorded'})."


def _window(value: Any) -> str:
    if isinstance(value, str):
        return f"in the window {value}"
    if isinstance(value, Mapping):
        start, end = value.get("start") or value.get("window_start"), value.get("end") or value.get("window_end")
        if start and end:
            return f"in the window {words.day(str(start))} to {words.day(str(end))}"
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return f"in the window {words.day(str(value[0]))} to {words.day(str(value[1]))}"
    return ""
