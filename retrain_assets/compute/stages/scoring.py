"""Stage ``scoring``: a batch of rows routed as serving routes, scored by the routed arm's bundle, logged as exposures."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from retrain_assets.bundle import Bundle, load_bundle
from retrain_assets.compute.canary.inputs import Place, readable
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.scoring_parts import Batch, PartFacts, parts_for, split, totals, write_part
from retrain_assets.contract import RetrainError, StageError, digest_of
from retrain_assets.routing import RoutingRule, VersionRef, rules_from_document

OUTPUTS = ("exposures", "scores")


def scoring(request: StageRequest) -> StageResult:
    """Route and score a batch.

    Inputs: ``rows`` (a Parquet file, a folder of them, or a Delta table's folder; or by name in the parameter ``tables``), the
    bundles ``champion`` and, while the rule routes to one, ``challenger``. Parameters: ``flags``, the flag document with the
    model's rule; ``now``, the moment of the batch (ISO-8601 with offset); ``batch``, its name; ``request_id``, the column that
    names a scored request (optional).

    Outputs: ``exposures``, a folder of files for the model's traffic (docs/data-formats.md), and ``scores``, the same rows with
    ``request_id``, ``unit_id``, ``arm``, ``version``, ``exposed_at``, ``score``, ``decision``, ``error``. Rows lie in files by
    unit, in files by request, so that the same batch gives the same files; ``latency_ms`` alone is measured. Metadata: rows,
    arms, errors, and ``content``, the digest of the exposures without what was measured.

    Raises:
        StageError: when rows lack a column, or their features cannot be built.
        SourceError: when rows cannot be read, or a request stands there twice.
        Refused: when the model has no champion, or the challenger's bundle is needed and not given.
        CustodyError: when a bundle is not the one that the rule names.
    """
    batch = batch_of(request)
    clear(request)
    place = Place.of(request, "rows")
    frames = [readable(where, frame.collect) for where, frame in place.frames()]
    if not frames:
        raise StageError("has no rows", where="input rows", remedy="write them as Parquet")
    rows = pl.concat(frames, how="diagonal_relaxed")
    refuse_no_unit(batch, rows.columns)
    found: dict[int, PartFacts] = {}
    for part, some in split(rows, batch.contract.source.unit, parts_for(rows.height)):
        found[part] = write_part(request.directory, batch.name, part, batch.exposures(some))
    return scored(request, found, {})


def batch_of(request: StageRequest) -> Batch:
    """What the request asks to score.

    Raises:
        RetrainError: for a parameter that is missing or cannot be read, or a bundle that is not the one the rule names.
    """
    contract, name = request.parsed_contract(), str(request.parameter("batch"))
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise StageError(f"{name!r} is no name", where="parameter batch", remedy="use letters, digits, '.', '_' and '-'")
    try:
        now = datetime.fromisoformat(request.parameter("now"))
    except (ValueError, TypeError) as error:
        raise StageError(f"cannot be read ({error})", where="parameter now", remedy="write ISO-8601 with offset") from error
    if now.tzinfo is None:
        raise StageError("has no time zone", where="parameter now", remedy="write ISO-8601 with offset")
    rule = _rule(request.parameter("flags"), contract.model)
    champion = _bundle(request, "champion", rule.champion)
    challenger = _bundle(request, "challenger", rule.challenger) if rule.is_routed else None
    if champion is None:
        raise StageError("there is no champion to score", where=contract.model, remedy="bootstrap one")
    return Batch(contract, rule, now.astimezone(UTC), name, request.parameters.get("request_id"), champion, challenger)


def clear(request: StageRequest) -> None:
    """Remove what an earlier try left."""
    for output in OUTPUTS:
        shutil.rmtree(request.directory / output, ignore_errors=True)


def refuse_no_unit(batch: Batch, columns: list[str]) -> None:
    """Refuse rows without the unit column.

    Raises:
        StageError: naming it.
    """
    unit = batch.contract.source.unit
    if unit not in columns:
        raise StageError(f"column {unit} is missing", where="input rows", remedy="give the columns of the source")


def scored(request: StageRequest, parts: Mapping[int, PartFacts], facts: Mapping[str, Any]) -> StageResult:
    """The result of what was written."""
    from retrain_assets.compute.local import content_digest

    outputs = {name: request.directory / name for name in OUTPUTS}
    for path in outputs.values():
        path.mkdir(parents=True, exist_ok=True)
    content = digest_of({str(part): one.content for part, one in sorted(parts.items())})
    return answer(
        request,
        {name: (path, content_digest(path)) for name, path in outputs.items()},
        {**totals(parts), "content": content, **facts},
    )


def _rule(document: Mapping[str, Any], model: str) -> RoutingRule:
    try:
        rules = rules_from_document(document)
    except (RetrainError, KeyError, TypeError, AttributeError) as error:
        raise StageError(f"cannot be read ({error})", where="parameter flags", remedy="pass the flag document") from error
    if model not in rules:
        raise StageError(f"has no flag {model}", where="parameter flags", remedy="run: retrain reconcile")
    return rules[model]


def _bundle(request: StageRequest, arm: str, version: VersionRef | None) -> Bundle | None:
    return None if version is None else load_bundle(request.input(arm), version.bundle)
