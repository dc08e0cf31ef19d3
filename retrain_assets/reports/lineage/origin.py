"""What the retrain is, what set it off, and how the system relates to earlier versions of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from retrain_assets.contract import Gate
from retrain_assets.ledger import EventKind, timestamp
from retrain_assets.release import Reign
from retrain_assets.reports.lineage.field import (
    NO_CANDIDATE,
    Field,
    Fields,
    contract_of,
    manifest_source,
    of_event,
    stage_source,
    without_manifest,
)
from retrain_assets.reports.record import Record
from retrain_assets.reports.trigger import trigger_of

_NOT_DRIFT = "it was not drift that set the retrain off"


def retrain_fields(record: Record) -> Fields:
    """Which retrain of which model, for what purpose."""
    launched = of_event(record.events[0])
    contract = contract_of(record)
    yield Field("retrain.model", "Model", record.model, launched)
    yield Field("retrain.key", "Retrain", record.retrain, launched)
    unnamed = "no environment was named: RETRAIN_ENVIRONMENT was not set"
    yield Field("retrain.environment", "Environment", record.known.environment, launched, unnamed)
    yield Field("retrain.purpose", "Purpose", record.contract.get("purpose"), contract, "the contract cannot be read")
    yield Field("retrain.task", "Task", record.contract.get("task"), contract, "the contract cannot be read")
    yield Field("retrain.owners", "Who answers for it", record.contract.get("owners"), contract, "the contract cannot be read")


def trigger_fields(record: Record) -> Fields:
    """What set it off: drift with metric, window, value and threshold, or a person, or a schedule."""
    known, told = record.known, trigger_of(record)
    launched, recorded = of_event(record.events[0]), told["recorded"]
    drift = recorded.get("kind") == "drift"
    yield Field("trigger.sentence", "Why it was launched", told["sentence"], launched)
    yield Field("trigger.kind", "Trigger", told["kind"], launched)
    yield Field("trigger.at", "Launched at", timestamp(known.launched_at), launched)
    yield Field("trigger.by", "Launched by", known.launched_by, launched)
    for name, words in (("metric", "Drift metric"), ("window", "Drift window"), ("value", "Drift value")):
        yield Field(f"trigger.{name}", words, recorded.get(name), launched, "" if drift else _NOT_DRIFT)
    yield Field("trigger.threshold", "Drift threshold", recorded.get("threshold"), launched, "" if drift else _NOT_DRIFT)
    above = {name: recorded[name] for name in ("above", "of", "column", "segment") if recorded.get(name) is not None}
    yield Field("trigger.persistence", "Windows above the threshold", above, launched, "" if drift else _NOT_DRIFT)
    person = recorded.get("reason") if known.launched_by.startswith("person:") else None
    yield Field("trigger.reason", "Reason a person gave", person, launched, "no person launched it, or none was asked for")
    yield Field("trigger.schedule", "Schedule", recorded.get("cron"), launched, "no schedule set it off")


def system_fields(record: Record) -> Fields:
    """The version of the system and how it relates to those before it."""
    candidate, registered = record.known.candidate, record.last(EventKind.CANDIDATE_REGISTERED)
    product = (record.manifest.get("code") or {}).get("product")
    where = manifest_source(record)
    if product is None and record.stages:
        stage = next(iter(record.stages))
        product, where = record.stages[stage].run.get("product"), stage_source(record, stage)
    yield Field("system.product", "Version of retrain_assets", product, where, without_manifest(record))
    version = candidate.version if candidate else None
    yield Field("system.version", "Registry version", version, of_event(registered), NO_CANDIDATE)
    yield Field(
        "bundle.digest", "Bundle manifest digest", candidate.bundle if candidate else None, of_event(registered), NO_CANDIDATE
    )
    yield from _compared_with(record)
    moment = registered.sequence if registered is not None else record.events[0].sequence
    before = [reign for reign in record.state.champion_history if reign.sequence < moment]
    none = "there was no champion: this model had never served before"
    yield Field("system.champion_before", "Champion before", _reign(before[-1]) if before else None, of_event(_at(before)), none)
    own = [reign for reign in record.state.champion_history if candidate is not None and reign.version == candidate]
    never = "this version never was champion" if candidate is not None else NO_CANDIDATE
    yield Field("system.reigns", "When it was champion", _reigns(record, own), of_event(_at(own)), never)


def _compared_with(record: Record) -> Fields:
    """Version and bundle of the champion that gate offline compared with."""
    offline, champion = record.known.verdicts.get(Gate.OFFLINE), record.champion_then
    where, why = of_event(offline.latest.sequence if offline else None), "gate offline was not reached"
    first = "none: first champion" if offline is not None and champion is None else None
    version = champion.version if offline is not None and champion is not None else first
    bundle = champion.bundle if offline is not None and champion is not None else first
    yield Field("system.compared_with", "Compared with champion version", version, where, why)
    yield Field("system.compared_with_bundle", "Champion's bundle digest", bundle, where, why)


def _at(reigns: list[Reign]) -> int | None:
    return reigns[-1].sequence if reigns else None


def _reign(reign: Reign) -> dict[str, Any]:
    return {
        "version": reign.version.version,
        "bundle": reign.version.bundle,
        "since": timestamp(reign.since),
        "retrain": reign.retrain,
        "how": reign.how,
    }


def _reigns(record: Record, own: list[Reign]) -> list[dict[str, Any]]:
    """From when to when; the end of a reign that lasts beyond this record's last event is not in it."""
    history = list(record.state.champion_history)
    ends = {reign.sequence: following.since for reign, following in pairwise(history)}
    return [
        {
            "from": timestamp(one.since),
            "to": timestamp(ends[one.sequence]) if one.sequence in ends else "in this record: open",
            "how": one.how,
        }
        for one in own
    ]
