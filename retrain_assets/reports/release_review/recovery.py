"""How long the way back took: harm first seen, harm shown, rollback recorded, flags written, last answer of the challenger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retrain_assets.contract import CustodyError
from retrain_assets.experiment import Look, MeasureState
from retrain_assets.ledger import EventKind, EvidenceStore
from retrain_assets.reports import words
from retrain_assets.reports.measure_line import changes_of, is_relative, limit_of
from retrain_assets.reports.release_review.history import Past


@dataclass(frozen=True, slots=True)
class Trace:
    """What a rollback left outside the ledger, as it could be seen when the review was made.

    Args:
        flags_written_at: when the flag document with the rollback was written, by the machine's clock; None where a later change
            has written it again, or nothing was written yet.
        last_answer_at: the last request that the rolled back version answered, by the log's times; None where none is logged.
        answers_after: requests it answered after the rollback was recorded.
    """

    flags_written_at: datetime | None = None
    last_answer_at: datetime | None = None
    answers_after: int = 0


def recovery_of(past: Past, evidence: EvidenceStore, trace: Trace | None) -> dict[str, Any] | None:
    """The way back, as JSON; None for a retrain that was not rolled back.

    Keys: ``by``, ``cause``, ``stage``, ``after_promotion``, ``steps`` (``what``, ``at``), ``looks_with_harm``,
    ``seconds_shown_to_recorded``, ``seconds_recorded_to_flags`` (machine time), ``last_answer_at``,
    ``seconds_recorded_to_last_answer``, ``answers_after``, ``sentence``; None where a thing is not known.
    """
    event = past.last(EventKind.ROLLED_BACK)
    if event is None:
        return None
    looks = list(_looks(past, evidence))
    seen = next((look.at for look in looks if _leans_to_harm(look)), None)
    shown = next((look.at for look in looks if any(one.state is MeasureState.WORSE for one in look.results)), None)
    steps = [
        ("an estimate was past its limit first", seen),
        ("harm was shown first", shown),
        ("the rollback was recorded", event.at),
    ]
    rows = [{"what": what, "at": at.isoformat()} for what, at in steps if at is not None]
    flags = (trace.flags_written_at - event.recorded_at).total_seconds() if trace and trace.flags_written_at else None
    last = trace.last_answer_at if trace else None
    shown_to_recorded = (event.at - shown).total_seconds() if shown is not None else None
    return {
        "by": str(event.actor),
        "cause": str(event.payload.get("cause")),
        "stage": event.payload.get("stage"),
        "after_promotion": event.payload.get("from") == "promoted",
        "steps": rows,
        "looks_with_harm": sum(any(one.state is MeasureState.WORSE for one in look.results) for look in looks),
        "seconds_shown_to_recorded": shown_to_recorded,
        "seconds_recorded_to_flags": flags,
        "last_answer_at": last.isoformat() if last else None,
        "seconds_recorded_to_last_answer": max((last - event.at).total_seconds(), 0.0) if last else None,
        "answers_after": trace.answers_after if trace else None,
        "sentence": _sentence(past, event.at, shown, flags, trace),
    }


def _looks(past: Past, evidence: EvidenceStore) -> Iterator[Look]:
    for event in past.events:
        if event.kind is EventKind.CANARY_LOOKED:
            try:
                yield Look.from_json(evidence.get(event.payload["evidence"]))
            except (CustodyError, KeyError, TypeError, ValueError):
                continue


def _leans_to_harm(look: Look) -> bool:
    """Whether a guardrail's estimate is past its margin, or a success measure is shown worse."""
    for result in look.results:
        if result.state is MeasureState.WORSE:
            return True
        limit = limit_of(result.spec)
        estimate = changes_of(result, relative=is_relative(result.spec))[0]
        if result.spec.role == "guardrail" and limit and estimate is not None and estimate / limit >= 1:
            return True
    return False


def _sentence(past: Past, recorded: datetime, shown: datetime | None, flags: float | None, trace: Trace | None) -> str:
    parts = []
    if shown is not None:
        parts.append(f"harm was shown {words.lasted(shown.isoformat(), recorded.isoformat())} before the rollback was recorded")
    else:
        parts.append("no look had shown harm when it was rolled back")
    if flags is not None:
        parts.append(f"the flag document followed within {max(flags, 0.0):.2g} s")
    if trace is not None and trace.last_answer_at is not None:
        later = words.lasted(recorded.isoformat(), trace.last_answer_at.isoformat())
        after = f"{trace.answers_after:,} requests were still answered by it, the last {later} later"
        parts.append(after if trace.answers_after else "no request was answered by it afterwards")
    return f"{words.sentence('; '.join(parts))}."
