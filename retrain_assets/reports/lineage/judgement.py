"""By which rules the candidate was judged before traffic, and what was found, in total and group by group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_assets.contract import Gate
from retrain_assets.reports.evaluation import evaluation_of
from retrain_assets.reports.gates import gates_of
from retrain_assets.reports.lineage.field import Field, Fields, Source, contract_of, of_event, of_evidence
from retrain_assets.reports.record import Record

WORST = 5
"""Rows of a disaggregated table that stand in the field; the evidence has all of them."""

_NOT_REACHED = "gate offline was not reached"


def policy_fields(record: Record) -> Fields:
    """The version of the rules, each gate's verdict, and every check with its threshold."""
    known, where = record.known, contract_of(record)
    yield Field("policy.contract", "Contract digest (policy version)", known.contract_digest, of_event(record.events[0]))
    limits = next((gate.subjects["limits"] for gate in known.verdicts.values() if "limits" in gate.subjects), None)
    judged = [gate.latest.sequence for gate in known.verdicts.values() if "limits" in gate.subjects]
    source = of_event(judged[-1] if judged else None)
    yield Field("policy.limits", "Digest of the thresholds before traffic", limits, source, "no gate was judged by them")
    yield Field(
        "policy.limits_text", "Thresholds before traffic", record.contract.get("gates"), where, "the contract cannot be read"
    )
    gates = gates_of(record)
    verdicts = [{"gate": one["gate"], "outcome": one["outcome"] or "not reached", "events": one["sequences"]} for one in gates]
    yield Field("policy.verdicts", "Verdict of each gate", verdicts, Source("the gates' own events"))
    checks = [
        {
            "check": f"{one['gate']}.{check['check']}",
            "outcome": check["outcome"],
            "observed": check["observed"],
            "threshold": check["threshold"],
            "event": check["sequence"],
        }
        for one in gates
        for check in one["checks"]
    ]
    yield Field(
        "policy.checks",
        "Every check, with what was observed and its threshold",
        checks,
        Source("the checks' own events"),
        "no gate was judged",
    )


def result_fields(record: Record) -> Fields:
    """The offline results with their intervals: overall, in slices, in groups that must be treated alike, back-tests."""
    offline = record.known.verdicts.get(Gate.OFFLINE)
    where = of_evidence(offline.evidence, offline.latest.sequence) if offline else of_event(None)
    found = evaluation_of(gates_of(record)) or {}
    why = "" if offline else _NOT_REACHED
    metrics = [
        {
            "metric": one["metric"],
            "candidate": one["candidate"],
            "champion": one["champion"],
            "better by": one["estimate"],
            "at least": one["lower"],
            "at most": one["upper"],
            "rows": one["rows"],
        }
        for one in found.get("metrics", ())
    ]
    yield Field("results.metrics", "Metrics with intervals", metrics, where, why or "the contract asks for no metric")
    confidence = found.get("confidence")
    yield Field("results.confidence", "Confidence of the intervals", confidence, where, why or "nothing was compared")
    slices = (found.get("slices") or {}).get("rows") or []
    yield Field(
        "results.slices",
        f"The {WORST} worst slices",
        _worst(slices, "worse_by"),
        where,
        why or "no slices are asked for",
    )
    yield Field("results.slices_judged", "Slices looked at", len(slices) or None, where, why or "no slices are asked for")
    groups = [
        {"column": column, **_brief(row)} for column, part in (found.get("fairness") or {}).items() for row in part["differences"]
    ]
    yield Field(
        "results.fairness",
        "Differences between groups, with bounds",
        groups,
        where,
        why or "no groups are declared to be treated alike",
    )
    backtests = (found.get("backtests") or {}).get("rows")
    yield Field("results.backtests", "Back-tests", backtests, where, why or "no back-tests are asked for")
    calibration = found.get("calibration") or {}
    numbers = {name: calibration[name] for name in ("ece", "bias", "slope") if calibration.get(name) is not None}
    yield Field("results.calibration", "Calibration on the held-out rows", numbers, where, why or "calibration is not judged")


def _worst(rows: list[Mapping[str, Any]], by: str) -> list[dict[str, Any]]:
    known = [row for row in rows if isinstance(row.get(by), int | float)]
    return [_brief(row) for row in sorted(known, key=lambda row: -row[by])[:WORST]]


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}
