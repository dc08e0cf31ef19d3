"""Rows of the tables that need more than the ledger: looks, chain of custody, data sets."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from retrain_assets.contract import CustodyError
from retrain_assets.ledger import EventKind
from retrain_assets.reports.query.records import Records, Row
from retrain_assets.reports.query.state_rows import subjects_of


def look_rows(records: Records) -> Iterator[Row]:
    """Each measure of each look; a look whose evidence is gone or without measures is one row without a measure."""
    numbers: Counter[tuple[str, str | None]] = Counter()
    for event in records.by_kind[EventKind.CANARY_LOOKED]:
        told = event.payload
        numbers[event.model, event.toggle] += 1
        try:
            look = records.evidence.get(told["evidence"])
        except CustodyError:
            look = {}
        common = {
            "sequence": event.sequence,
            "happened_at": event.at,
            "model": event.model,
            "retrain": event.retrain,
            "toggle": event.toggle,
            "number": numbers[event.model, event.toggle],
            "stage": told["stage"],
            "action": told["action"],
            "called_for": told.get("called_for", told["action"]),
            "reason": told["reason"],
            "cause": told.get("cause"),
            "harm_looks": look.get("harm_looks"),
            "unusable_since": look.get("unusable_since"),
            "valid": all(check["ok"] for check in look["health"]) if "health" in look else None,
            "evidence": told["evidence"],
        }
        results: list[Mapping[str, Any]] = look.get("results") or [{}]
        for result in results:
            yield {**common, **_measure(result)}


def custody_rows(records: Records) -> Iterator[Row]:
    """Every field of the chain of custody of every retrain."""
    from retrain_assets.reports.custody import custody_of  # with gates and experiments, which no other table needs
    from retrain_assets.reports.record import read_record

    for state in records.states.values():
        for key in state.retrains:
            record = read_record(records.past, records.evidence, records.home, state.model, key)
            for group in custody_of(record):
                for row in group["rows"]:
                    yield {
                        "model": state.model,
                        "retrain": key,
                        "question": group["group"],
                        "value": _text(row["value"]),
                        **{name: row[name] for name in ("key", "field", "why", "source", "event", "evidence")},
                    }


def dataset_rows(records: Records) -> Iterator[Row]:
    """The data set of every retrain that has one; windows and rows where its stage result is still here."""
    for state in records.states.values():
        for known in state.retrains.values():
            subjects = subjects_of(known)
            if subjects["dataset"] is None:
                continue
            told = _stage(records, state.model, known.key)
            window, rows = told.get("window", {}), told.get("rows", {})
            yield {
                **subjects,
                "model": state.model,
                "retrain": known.key,
                "version": known.candidate.version if known.candidate else None,
                **{name: window.get(name) for name in ("train_start", "train_end", "holdout_end")},
                "train_rows": rows.get("train"),
                "holdout_rows": rows.get("holdout"),
            }


def _measure(result: Mapping[str, Any]) -> Row:
    spec = result.get("spec", {})
    return {
        "measure": spec.get("name"),
        "role": spec.get("role"),
        "champion_units": result.get("n_champion"),
        "challenger_units": result.get("n_challenger"),
        **{
            name: result.get(name)
            for name in ("state", "champion_mean", "challenger_mean", "estimate", "lower", "upper", "relative_estimate")
        },
    }


def _stage(records: Records, model: str, retrain: str) -> Mapping[str, Any]:
    path = records.home.stage_dir(model, retrain, "dataset") / "result.json"
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    told: Mapping[str, Any] = found.get("metadata", {}) if isinstance(found, dict) else {}
    return told


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
