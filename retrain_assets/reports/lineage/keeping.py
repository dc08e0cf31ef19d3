"""What serves since when, how the retrain ended, what is still open about it, how long it is kept and where its logs are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from retrain_assets.contract import Retention
from retrain_assets.ledger import Event, EventKind, timestamp
from retrain_assets.reports.emergencies import recorded_follow_ups
from retrain_assets.reports.failure import failure_of
from retrain_assets.reports.lineage.field import NO_CANDIDATE, NO_TOGGLE, Field, Fields, Source, contract_of, of_event
from retrain_assets.reports.record import Record

_ACTIVATIONS = (
    EventKind.CHAMPION_BOOTSTRAPPED,
    EventKind.TOGGLE_ARMED,
    EventKind.TOGGLE_STEPPED,
    EventKind.PROMOTED,
    EventKind.ROLLED_BACK,
)
_SERVING = (EventKind.CHAMPION_BOOTSTRAPPED, EventKind.PROMOTED, EventKind.ROLLED_BACK)


def activation_fields(record: Record) -> Fields:
    """When it got traffic, where the alias moved, what a rollback leads to."""
    own = Source("the changes' own events")
    times = [
        {
            "what": str(event.kind).replace("_", " "),
            "at": timestamp(event.at),
            "recorded": timestamp(event.recorded_at),
            "event": event.sequence,
        }
        for event in record.of(*_ACTIVATIONS)
    ]
    yield Field("activation.times", "Activation times", times, own, "nothing of it was ever activated")
    moves = [move for event in record.of(*_SERVING) if (move := _moved(record, event))]
    yield Field("activation.alias", "Alias champion, from and to", moves, own, "the alias was not moved for this retrain")
    toggle, registered = record.toggle, record.last(EventKind.TOGGLE_REGISTERED)
    target = f"version {toggle.previous_champion.version}" if toggle else None
    yield Field("rollback.target", "Rollback leads to", target, of_event(registered), NO_TOGGLE)
    path = (record.contract.get("toggle") or {}).get("rollback")
    yield Field("rollback.path", "Rollback path", path, contract_of(record), "the contract cannot be read")
    rolled = [
        {
            "at": timestamp(event.at),
            "by": str(event.actor),
            "cause": event.payload.get("cause"),
            "restored": (event.payload.get("restored") or {}).get("version"),
            "reason": event.reason,
            "event": event.sequence,
        }
        for event in record.of(EventKind.ROLLED_BACK)
    ]
    yield Field("rollback.done", "Rollbacks", rolled, own, "it was not rolled back")


def outcome_fields(record: Record) -> Fields:
    """How it ended, why it was lost, what people have still to look into."""
    known = record.known
    ended, decided = record.last(EventKind.RETRAIN_ENDED), record.last(EventKind.DECISION_RECORDED)
    yield Field("outcome.ending", "How it ended", str(known.ended) if known.ended else None, of_event(ended), "it has not ended")
    yield Field(
        "outcome.ended_at", "Ended at", timestamp(known.ended_at) if known.ended_at else None, of_event(ended), "it has not ended"
    )
    decision = known.decision.decision if known.decision else None
    yield Field("outcome.decision", "Decision", decision, of_event(decided), "nothing is decided yet")
    yield Field(
        "outcome.reason",
        "Reason of the decision",
        known.decision.reason if known.decision else None,
        of_event(decided),
        "nothing is decided yet",
    )
    failure = failure_of(record)
    told = {"mode": failure.mode.value, "why": failure.sentence} if failure else None
    kept = "it was not lost" if known.ended else "it has not ended"
    yield Field("outcome.failure_mode", "Failure mode", told, Source("the record as a whole"), kept)
    failed = record.last(EventKind.STAGE_FAILED)
    yield Field(
        "outcome.stage_failure", "Stage that failed", known.failure, of_event(failed), "no stage failed, or it was repeated"
    )
    yield Field(
        "outcome.follow_ups",
        "Follow-ups",
        _follow_ups(record),
        Source("the emergencies' own events"),
        "none: there was no emergency",
    )
    stops = [f"{event.kind}: {event.reason} ({event.sequence})" for event in record.beside]
    yield Field("outcome.meanwhile", "Freezes and kill switches meanwhile", stops, Source("events beside it"), "nothing did")


def keeping_fields(record: Record) -> Fields:
    """The retention class and until when what is kept."""
    contract, where = record.contract, contract_of(record)
    rules = Retention.model_validate(contract["retention"]) if contract.get("retention") else Retention()
    said = "" if contract else "the contract cannot be read"
    yield Field("retention.class", "Retention class", rules.class_ if contract else None, where, said)
    records = None if not contract or record.known.ended_at is None else timestamp(record.known.ended_at + rules.records)
    open_still = said or "its time begins when the retrain ends"
    yield Field("retention.records_until", "Evidence, bundle and pack kept until", records, where, open_still)
    last = _last_traffic(record)
    traffic = timestamp(last + rules.traffic) if contract and last else None
    yield Field("retention.traffic_until", "Traffic of its experiment kept until", traffic, where, said or NO_TOGGLE)
    gone = [f"event {sequence}" for sequence in sorted(set(record.gone.values()))]
    yield Field(
        "retention.applied", "Deleted by retention", gone, Source("the deletions' own events"), "nothing of the model was deleted"
    )


def log_fields(record: Record) -> Fields:
    """Where the logs are; they are linked, not copied."""
    runs = {"launch": record.known.trigger.get("run_id")} | {
        name: stage.run.get("dagster_run_id") for name, stage in record.stages.items()
    }
    known = {name: run for name, run in runs.items() if run}
    why = "not recorded: it was not run by Dagster"
    yield Field("logs.dagster_runs", "Dagster runs", known, Source("launch event and stage records"), why)
    place = {"partition": record.retrain, "assets": f"{record.model}/canary_report, {record.model}/promotion_decision"}
    yield Field("logs.dagster_looks", "Dagster runs of looks and decision", place, Source("names of the road"))
    registered = record.last(EventKind.CANDIDATE_REGISTERED)
    run = registered.payload.get("mlflow_run_id") if registered else None
    none = "not recorded: registered before it was kept" if registered else NO_CANDIDATE
    yield Field("logs.mlflow_run", "MLflow run", run, of_event(registered), none)


def _moved(record: Record, event: Event) -> dict[str, Any] | None:
    """From which version to which, where an event moved the alias; a rollback before a promotion moved nothing."""
    told = event.payload
    if event.kind is EventKind.CHAMPION_BOOTSTRAPPED:
        return {"from": "none", "to": told["version"], "at": timestamp(event.at), "event": event.sequence}
    if event.kind is EventKind.PROMOTED:
        before = (told.get("previous_champion") or {}).get("version")
        return {"from": before, "to": told["version"], "at": timestamp(event.at), "event": event.sequence}
    promoted = record.last(EventKind.PROMOTED)
    if promoted is None or promoted.sequence > event.sequence:
        return None
    restored = (told.get("restored") or {}).get("version")
    return {"from": promoted.payload["version"], "to": restored, "at": timestamp(event.at), "event": event.sequence}


def _last_traffic(record: Record) -> datetime | None:
    """The last moment the challenger got traffic, as far as this record goes; None where it never did."""
    moved = list(record.of(EventKind.TOGGLE_STEPPED, EventKind.PROMOTED, EventKind.ROLLED_BACK))
    return moved[-1].at if moved else None


def _follow_ups(record: Record) -> list[dict[str, Any]]:
    """What emergencies left to be looked into, with what was found where that is done; as far as this record goes."""
    return [
        {
            "number": one.number,
            "because": one.sentence,
            "closed": f"{timestamp(one.closed.at)} by {one.closed.by}: {one.closed.finding}" if one.closed else "open",
        }
        for one in recorded_follow_ups(record)
    ]
