"""What others report: outcomes of units, and exposures of services that score with models of their own. Checks, no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from numbers import Real
from typing import Any

from retrain_assets.release import ToggleState, stage_share
from retrain_assets.routing import SHADOW, VersionRef
from retrain_assets.serving.live.live_model import LiveModel
from retrain_assets.serving.live.terms import LiveTerms
from retrain_assets.serving.live.values import BadRequest
from retrain_assets.serving.live.vouching import Vouched

CLOCK_SKEW = timedelta(minutes=1)
"""How far another machine's clock may be ahead."""

BEHIND = timedelta(minutes=5)
"""How far it may be behind, where it matters."""


def outcome_rows(rows: Sequence[Mapping[str, Any]], terms: LiveTerms, now: datetime) -> list[dict[str, Any]]:
    """Outcomes as the journal takes them: one column per measure that the contract names.

    Args:
        rows: ``request_id``, ``unit_id``, ``observed_at`` (or not) and ``measures``.
        terms: of the model.
        now: when an outcome without a time was observed.

    Raises:
        BadRequest: naming row and field.
    """
    _number_of_rows(rows, terms)
    return [_outcome(row, place, terms, now) for place, row in enumerate(rows)]


def exposure_rows(
    rows: Sequence[Mapping[str, Any]], live: LiveModel, known: Vouched | None, now: datetime
) -> list[dict[str, Any]]:
    """Exposures as the journal takes them, as another service made them.

    Args:
        rows: see :meth:`Answering.record_exposures`.
        live: the model.
        known: what the ledger knows of it.
        now: when an exposure without a time happened.

    Raises:
        BadRequest: naming row and field.
    """
    _number_of_rows(rows, live.terms)
    return [_exposure(row, place, live, known, now) for place, row in enumerate(rows)]


def _number_of_rows(rows: Sequence[Mapping[str, Any]], terms: LiveTerms) -> None:
    if not 0 < len(rows) <= terms.serving.max_rows:
        raise BadRequest(f"{len(rows)} rows in one request", remedy=f"send 1 to {terms.serving.max_rows}")


def _outcome(row: Mapping[str, Any], place: int, terms: LiveTerms, now: datetime) -> dict[str, Any]:
    measures = row.get("measures")
    if not isinstance(measures, Mapping) or not measures:
        raise _bad(place, "measures", "is no object of measures", "write at least one measure by name")
    outcome: dict[str, Any] = dict.fromkeys(sorted(terms.outcomes)) | {
        "request_id": _text(row, place, "request_id"),
        "unit_id": _text(row, place, "unit_id"),
        "observed_at": _moment(row, place, "observed_at", now),
    }
    for name, value in measures.items():
        if name not in terms.outcomes:
            known = ", ".join(sorted(terms.outcomes))
            raise _bad(place, f"measures.{name}", "is no outcome of the contract", f"write one of {known}")
        outcome[name] = None if value is None else _number(value, place, f"measures.{name}")
    return outcome


def _exposure(row: Mapping[str, Any], place: int, live: LiveModel, known: Vouched | None, now: datetime) -> dict[str, Any]:
    version = VersionRef(_text(row, place, "version"), _text(row, place, "bundle"))
    if known is None or version not in known.versions:
        raise _bad(
            place,
            "version",
            f"the ledger does not know version {version.version} with this bundle",
            "send both as the toggle said",
        )
    arm, exposed_at = row.get("arm"), _moment(row, place, "exposed_at", now)
    if arm not in ("champion", "challenger"):
        raise _bad(place, "arm", f"{_shown(arm)} is no arm", "write champion or challenger")
    name, revision, stage = row.get("toggle"), row.get("revision") or 0, row.get("stage")
    if name is not None:
        _in_experiment(place, known.toggles.get(name), name, revision, stage, arm, version, exposed_at)
    elif arm == "challenger" or revision or stage is not None:
        what = "belongs to the experiment of a toggle, and none is named"
        raise _bad(place, "toggle", what, "send toggle, revision and stage as the toggle said")
    score, latency_ms, error = row.get("score"), row.get("latency_ms", 0.0), row.get("error", False)
    if not isinstance(error, bool):
        raise _bad(place, "error", f"{_shown(error)} is neither true nor false", "write true or false")
    if (latency := _number(latency_ms, place, "latency_ms")) < 0:
        raise _bad(place, "latency_ms", f"{_shown(latency_ms)} is below 0", "write measured milliseconds")
    decision = row.get("decision")
    if decision is not None and not isinstance(decision, bool):
        raise _bad(place, "decision", f"{_shown(decision)} is neither true nor false", "write true, false or null")
    attributes = live.attributes.read(row.get("attributes") or {}, {})
    return {
        "request_id": _text(row, place, "request_id"),
        "model": live.rule.model,
        "unit_id": None if row.get("unit_id") is None else _text(row, place, "unit_id"),
        "toggle": name,
        "revision": revision,
        "stage": stage,
        "arm": arm,
        "version": version.version,
        "bundle": version.bundle,
        "exposed_at": exposed_at,
        "latency_ms": latency,
        "error": error,
        "score": None if score is None else _number(score, place, "score"),
        "shadow_score": None,
        "decision": decision,
        **live.attributes.logged(attributes),
    }


def _in_experiment(
    place: int, toggle: ToggleState | None, name: Any, revision: Any, stage: Any, arm: str, version: VersionRef, at: datetime
) -> None:
    """Whether the toggle could ever have said so."""
    if toggle is None:
        raise _bad(place, "toggle", f"the ledger does not know {_shown(name)}", "send the toggle's own name")
    if revision not in toggle.stage_started:
        known = ", ".join(map(str, toggle.stage_started)) or "none yet"
        what = f"{name} never divided traffic at revision {_shown(revision)}"
        raise _bad(place, "revision", what, f"send the revision that the toggle said; there are: {known}")
    if at < toggle.stage_started[revision] - BEHIND:
        what = f"{at.isoformat()} is before revision {revision} of {name} began"
        raise _bad(place, "exposed_at", what, "send the time it happened")
    share = toggle.shares[revision]
    if not isinstance(stage, str) or not _is_stage(stage, share):
        what = f"{_shown(stage)} is not the stage of revision {revision}"
        raise _bad(place, "stage", what, "send the stage that the toggle said")
    if arm == "challenger" and share == 0:
        raise _bad(place, "arm", "in shadow nobody has the challenger", "write champion")
    if version != (toggle.challenger if arm == "challenger" else toggle.previous_champion):
        raise _bad(
            place, "version", f"version {version.version} is not the {arm} of {name}", "send the version that the toggle said"
        )


def _is_stage(stage: str, share: float) -> bool:
    if stage == SHADOW:
        return share == 0
    try:
        return share > 0 and stage_share(stage) == share
    except ValueError:
        return False


def _text(row: Mapping[str, Any], place: int, field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value:
        raise _bad(place, field, "is missing" if value is None else f"{_shown(value)} is no text", "write a text")
    return value


def _moment(row: Mapping[str, Any], place: int, field: str, now: datetime) -> datetime:
    value = row.get(field)
    if value is None:
        return now
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise _bad(place, field, f"{_shown(value)} is no time with a zone", "write it like 2024-05-01T12:00:00Z")
    try:
        value = value.astimezone(UTC)
    except OverflowError:
        raise _bad(place, field, f"{value.isoformat()} cannot be", "send the time it happened") from None
    if value > now + CLOCK_SKEW:
        raise _bad(place, field, f"{value.isoformat()} is in the future, now is {now.isoformat()}", "send the time it happened")
    return value


def _number(value: Any, place: int, field: str) -> float:
    if isinstance(value, Real):
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if isfinite(number):
            return number
    raise _bad(place, field, f"{_shown(value)} is no finite number", "write a number")


def _bad(place: int, field: str, what: str, remedy: str) -> BadRequest:
    return BadRequest(what, where=f"row {place}, {field}", remedy=remedy)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
