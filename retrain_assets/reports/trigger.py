"""What set a retrain off, in one sentence and as rows: drift with metric, window, value and threshold; a person; a schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        "sentence": trigger_sentence(recorded, known.launched_by),
        "by": known.launched_by,
        "at": timestamp(known.launched_at),
        "rows": list(_rows(recorded, known.launched_by, timestamp(known.launched_at))),
        "recorded": recorded,
    }


_SHOWN = {
    "kind": "Kind",
    "metric": "Metric",
    "column": "Feature",
    "segment": "Segment",
    "value": "Value",
    "threshold": "Threshold",
    "window": "Window",
    "history": "Windows looked at",
    "also": "Other alarms",
    "champion": "Champion version",
    "reason": "Reason",
    "cron": "Schedule",
    "run_id": "Run",
    "source": "Adopted from",
    "asked": "Asked for as",
    "server": "MLflow server",
    "source_run": "MLflow run of the source",
    "files": "Digest of its files",
    "trained_on": "Fitted on",
    "trust_pickle": "Read a pickle on somebody's word",
}
_SAID = ("above", "of", "message", "held_back")


def _rows(recorded: Mapping[str, Any], launched_by: str, at: str) -> Iterator[dict[str, Any]]:
    yield {"field": "Launched at", "value": at}
    yield {"field": "Launched by", "value": launched_by}
    for name in (*_SHOWN, *(name for name in recorded if name not in _SHOWN and name not in _SAID)):
        value = recorded.get(name)
        if name == "window" and isinstance(value, (list, tuple)) and len(value) == 2:
            value = f"{words.moment(str(value[0]))} to {words.moment(str(value[1]))}"
        if name == "history" and isinstance(value, list):
            value = ", ".join(f"{words.number(one['value'])} until {words.day(str(one['end']))}" for one in value)
        if name == "also" and isinstance(value, list):
            value = "; ".join(map(str, value))
        if name == "trained_on" and "trained_on" in recorded:
            known = " to ".join(words.day(str(moment)) for moment in value) if value else ""
            value = known or "not known here; the hold-out may have rows it was fitted on"
        if value is not None:
            yield {"field": _SHOWN.get(name, words.words(name).capitalize()), "value": value}
    if "above" in recorded and "of" in recorded:
        yield {"field": "Above the limit in", "value": f"{recorded['above']} of the last {recorded['of']} windows"}
    for one in _held_back(recorded):
        windows = "1 window" if one["windows"] == 1 else f"{one['windows']} windows"
        days = " to ".join(dict.fromkeys(words.day(str(one[end])) for end in ("first", "last")))
        yield {"field": "Held back before", "value": f"{days}, {windows} above: {one['because']}"}


def trigger_sentence(recorded: Mapping[str, Any], launched_by: str) -> str:
    """What set a retrain off, in one sentence.

    Args:
        recorded: the trigger as the ledger has it.
        launched_by: the actor as text.
    """
    kind = recorded.get("kind")
    if kind == "drift":
        metric = words.words(str(recorded.get("metric", "a drift metric"))) + _where(recorded)
        value, threshold = recorded.get("value"), recorded.get("threshold")
        sentence = f"Drift: {metric} was {words.number(value)}, above its limit of {words.number(threshold)}"
        window = _window(recorded.get("window") or recorded)
        often = (
            f"; above in {recorded['above']} of the last {recorded['of']} windows"
            if "above" in recorded and "of" in recorded
            else ""
        )
        held = _held_back(recorded)
        waited = f"; held back since {words.day(str(held[0]['first']))} by {_by(held)}" if held else ""
        return f"{sentence}, {window}{often}{waited}." if window else f"{sentence}{often}{waited}."
    if kind == "adopted":
        why = str(recorded.get("reason", "")).rstrip(".")
        return f"{words.actor(launched_by)} adopted {recorded.get('source')}, which was not fitted here: {why}."
    if kind == "person" or launched_by.startswith("person:"):
        why = str(recorded.get("reason", "")).rstrip(".")
        return f"{words.actor(launched_by)} launched it: {why}." if why else f"{words.actor(launched_by)} launched it."
    if kind in ("cadence", "schedule"):
        return "The business cadence was due."
    return f"Launched by {words.actor(launched_by)} ({kind or 'no trigger recorded'})."


def _where(recorded: Mapping[str, Any]) -> str:
    """The feature or segment an alarm comes from, in brackets."""
    place = recorded.get("column") or recorded.get("segment")
    return f" ({place})" if place else ""


def _held_back(recorded: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The windows in which the cadence held the alarm back, as the drift sensor wrote them."""
    value = recorded.get("held_back")
    listed = value if isinstance(value, list) else []
    return [one for one in listed if isinstance(one, Mapping) and one.keys() >= {"by", "because", "first", "last", "windows"}]


def _by(held: Sequence[Mapping[str, Any]]) -> str:
    """The rules that held it back, each once, in the order they came."""
    rules = dict.fromkeys(rule for one in held for rule in str(one["by"]).split(", "))
    return ", ".join(words.words(rule) for rule in rules)


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
