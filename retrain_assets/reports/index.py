"""The index page of one model: every retrain with its answer, newest first, and the way to its evidence pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from retrain_assets.home import Home
from retrain_assets.ledger import EVERY_MODEL, EvidenceStore, Ledger, timestamp
from retrain_assets.release import fold, fold_platform
from retrain_assets.reports.answer import answer_of
from retrain_assets.reports.emergencies import open_follow_ups, overrides_of
from retrain_assets.reports.gates import gates_of
from retrain_assets.reports.pack import write_file
from retrain_assets.reports.page import index_page
from retrain_assets.reports.ramp import ramp_of
from retrain_assets.reports.record import read_record
from retrain_assets.reports.trigger import trigger_of


def write_index(home: Home, model: str) -> Path:
    """Write the index page of one model beside its packs; the path of the page."""
    path = home.reports_dir(model) / "index.html"
    write_file(path, index_page(index_of(Ledger(home.ledger_url), home, model)).encode())
    return path


def index_of(ledger: Ledger, home: Home, model: str) -> dict[str, Any]:
    """The index as JSON: ``champion``, ``reigns`` (oldest first), open ``follow_ups`` and ``retrains`` (newest first)."""
    evidence = EvidenceStore(home.evidence_dir)
    own = ledger.events(model=model)
    state = fold(own).get(model)
    if state is None:
        return {"model": model, "champion": None, "reigns": [], "retrains": [], "follow_ups": []}
    events = sorted([*own, *ledger.events(model=EVERY_MODEL)], key=lambda event: event.sequence)
    retrains = []
    for key, known in state.retrains.items():
        record = read_record(ledger, evidence, home, model, key)
        toggle = state.toggle_of(key)
        retrains.append(
            {
                "retrain": key,
                "answer": answer_of(record),
                "trigger": trigger_of(record)["sentence"],
                "gates": {gate["gate"]: gate["outcome"] for gate in gates_of(record)},
                "overrides": overrides_of(record),
                "effects": _effects(ramp_of(record)),
                "stage": toggle.stage if toggle else None,
                "version": known.candidate.version if known.candidate else None,
                "pack": f"{key}.html" if (home.reports_dir(model) / f"{key}.html").exists() else None,
            }
        )
    return {
        "model": model,
        "champion": state.champion.version if state.champion else None,
        "reigns": [
            {"version": reign.version.version, "since": timestamp(reign.since), "retrain": reign.retrain, "how": reign.how}
            for reign in state.champion_history
        ],
        "follow_ups": open_follow_ups(state, fold_platform(events)),
        "retrains": sorted(retrains, key=lambda one: _order(one["retrain"]), reverse=True),
    }


def _effects(ramp: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Each success measure at the last look."""
    if ramp is None or not ramp["looks"]:
        return []
    results = ramp["looks"][-1]["results"]
    measures = [one for one in ramp["measures"] if one["role"] == "success" and one["name"] in results]
    return [{"measure": one, "result": results[one["name"]]} for one in measures]


def _order(retrain: str) -> tuple[str, int]:
    """The order of retrain keys: by cut-off, then by number (``2013-07-01.10`` after ``2013-07-01.9``)."""
    day, _, repeat = retrain.partition(".")
    return day, int(repeat) if repeat.isdigit() else 1
