"""The drafted folder tried out: gate data is asked about the newest rows, and what it would refuse is left out or allowed for."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from retrain_assets.components.scaffolding.code_text import features_text, schema_text
from retrain_assets.components.scaffolding.contract_text import Draft, contract_text
from retrain_assets.compute.request import StageRequest, StageResult
from retrain_assets.contract import Contract, Gate, Outcome, RetrainError, Verdict

NAMING = {"no_single_feature_separates_label": "features", "no_value_determines_label": "cells", "features_vary": "faults"}
"""Checks after which features are left out, and the table of their evidence that names them."""
TRIES = 4
ROOM = 1.3
"""What was seen is allowed for, and three tenths more."""

WIDENED: Mapping[str, tuple[str, float]] = {
    "volume_is_steady": ("max_volume_change", 10.0),
    "days_are_complete": ("max_day_change", 10.0),
    "source_keeps_its_cadence": ("max_silence", 1000.0),
    "missingness_is_steady": ("max_missing_rise", 1.0),
    "label_balance_is_steady": ("max_label_shift", 1.0),
    "labels_arrive": ("max_unlabelled", 1.0),
    "no_rows_shared_across_split": ("max_duplicate_share", 1.0),
    "holdout_resembles_training": ("max_feature_shift", 1000.0),
}
"""The limit of gate data that a check is judged by, with the largest one that makes sense."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A draft after its trial.

    Args:
        draft: as it is to be written.
        changes: what was changed about it, in words.
        refused: what gate data still says, in words.
    """

    draft: Draft
    changes: tuple[str, ...]
    refused: tuple[str, ...]


def tried(draft: Draft, cutoff: datetime) -> Tried:
    """The draft with the limits that its newest rows need.

    Args:
        draft: the first draft.
        cutoff: end of the hold-out, aware.
    """
    changes: list[str] = []
    refused: list[Verdict] = []
    for _ in range(TRIES):
        try:
            refused = [verdict for verdict in _verdicts(draft, cutoff) if verdict.outcome is not Outcome.PASS]
        except RetrainError as error:
            return Tried(draft, tuple(changes), (error.line,))
        mended, words = _mended(draft, refused)
        if not words:
            break
        draft, changes = mended, [*changes, *words]
    return Tried(draft, tuple(changes), tuple(f"{one.check}: {one.message}" for one in refused))


def cutoff_after(newest: datetime) -> datetime:
    """Midnight UTC after the newest row."""
    return newest.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC) + timedelta(days=1)


def _verdicts(draft: Draft, cutoff: datetime) -> list[Verdict]:
    """Gate data on the rows and the features of a draft."""
    from retrain_assets.compute.stages.dataset import dataset
    from retrain_assets.compute.stages.features import features

    values = yaml.safe_load(contract_text(draft))["attributes"]
    with tempfile.TemporaryDirectory() as place, _modules(draft, Path(place)) as (build, schema):
        values["features"], values["source"]["schema"] = f"{build}.build", f"{schema}.Rows"
        if draft.people.signers:
            del values["approval"]["allowed_signers"]
        values["source"]["uri"] = draft.facts.seen
        contract, key = Contract.model_validate(values).to_json(), f"{cutoff:%Y-%m-%d}"
        rows = _result(dataset, StageRequest("dataset", draft.model, key, contract, {}, f"{place}/dataset"), cutoff)
        inputs = {"dataset": rows.outputs["dataset"]["uri"]}
        asked = StageRequest("features", draft.model, key, contract, inputs, f"{place}/features")
        return [*rows.verdicts_of(Gate.DATA), *_result(features, asked, cutoff).verdicts_of(Gate.DATA)]


def _result(stage: Any, request: StageRequest, cutoff: datetime) -> StageResult:
    request.directory.mkdir(parents=True)
    result: StageResult = stage(replace(request, parameters={"cutoff": cutoff.isoformat()}))
    return result


@contextmanager
def _modules(draft: Draft, folder: Path) -> Iterator[tuple[str, str]]:
    """The drafted files as modules of their own, for the length of the trial."""
    texts = {
        "features": features_text(draft.model, draft.facts, draft.roles, draft.columns),
        "schema": schema_text(draft.model, draft.facts, draft.roles, draft.limits),
    }
    names = []
    try:
        for name, text in texts.items():
            path = folder / f"{name}.py"
            path.write_text(text, encoding="utf-8")
            module = f"retrain_scaffold_{name}_{abs(hash(folder))}"
            spec = importlib.util.spec_from_file_location(module, path)
            assert spec is not None  # the file was just written
            assert spec.loader is not None
            sys.modules[module] = loaded = importlib.util.module_from_spec(spec)
            names.append(module)
            spec.loader.exec_module(loaded)
        yield names[0], names[1]
    finally:
        for name in names:
            sys.modules.pop(name, None)


def _mended(draft: Draft, refused: list[Verdict]) -> tuple[Draft, list[str]]:
    """A draft that allows for what was refused, and what was changed."""
    words: list[str] = []
    for verdict in refused:
        changed = _allowed_for(draft, verdict)
        if changed is not None:
            draft, said = changed
            words.append(said)
    return draft, words


def _allowed_for(draft: Draft, verdict: Verdict) -> tuple[Draft, str] | None:
    limits = draft.limits
    if verdict.check in NAMING:
        return _without(draft, verdict, NAMING[verdict.check])
    if verdict.check == "categories_are_known":
        return _open(draft, verdict)
    if verdict.check not in WIDENED or not isinstance(verdict.observed, int | float):
        return None
    field, most = WIDENED[verdict.check]
    value = min(most, abs(verdict.observed) * ROOM)
    if field in limits.data and float(limits.data[field][0]) >= value:
        return None
    return _limited(draft, field, f"{value:.2g}", f"{verdict.observed:.2g} is what the newest rows show")


def _open(draft: Draft, verdict: Verdict) -> tuple[Draft, str] | None:
    """The columns whose categories a verdict finds new or gone are open, besides those that are."""
    over = [row["column"] for row in verdict.evidence.get("changes", []) if row["beyond_chance"] and row["share"] > row["limit"]]
    known = yaml.safe_load(draft.limits.data.get("open_categories", ("[]", ""))[0])
    return _limited(draft, "open_categories", json.dumps(sorted({*known, *over})), "their categories come and go")


def _limited(draft: Draft, field: str, value: str, why: str) -> tuple[Draft, str] | None:
    if draft.limits.data.get(field, ("", ""))[0] == value:
        return None
    limits = replace(draft.limits, data={**draft.limits.data, field: (value, why)})
    return replace(draft, limits=limits), f"gates.data.{field}: {value}, as {why}"


def _without(draft: Draft, verdict: Verdict, table: str) -> tuple[Draft, str] | None:
    """The features that a verdict's evidence names are left out."""
    limit = verdict.threshold if verdict.check == "no_single_feature_separates_label" else None
    rows = [row for row in verdict.evidence.get(table, []) if not isinstance(limit, int | float) or row["auc"] > limit]
    named = [name for name in draft.columns.features if name in {row["feature"] for row in rows}]
    if not named or len(named) == len(draft.columns.features):
        return None
    columns = draft.columns.without(dict.fromkeys(named, verdict.check))
    return replace(draft, columns=columns), f"left out {', '.join(named)}: {verdict.message}"
