"""Stage ``canary``: from exposures and outcomes to the sufficient statistics that a look starts from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import polars as pl

from retrain_assets.compute.canary.aggregation import aggregate
from retrain_assets.compute.canary.inference import Delivered, InferenceTable, exposures_of, without_payloads
from retrain_assets.compute.canary.inputs import Place, readable, record_batches
from retrain_assets.compute.canary.terms import Terms
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.contract import SourceError, StageError, canonical_json, first_line, sha256_hex
from retrain_assets.experiment import CanaryData

DATA = "canary.json"
"""File with the data, canonical JSON."""


def canary(request: StageRequest) -> StageResult:
    """Count and sum what a canary has seen.

    Inputs: ``exposures`` and ``outcomes``, each a Parquet file, a folder of them, or a Delta table's folder
    (docs/data-formats.md); or by name in the parameter ``tables``. Parameters: ``toggle``, ``stage_started`` and ``shares`` (by
    toggle revision), ``armed_at`` and ``now`` (ISO-8601 with offset); ``inference_table`` where ``exposures`` is an inference
    table of Databricks Model Serving (:class:`~retrain_assets.compute.canary.inference.InferenceTable`).

    Outputs: ``data``, the JSON of a :class:`~retrain_assets.experiment.CanaryData`. Metadata: rows read and left out;
    ``delivered``, what an inference table says beside its exposures.

    Raises:
        StageError: for a missing column, a wrong type, an unknown arm, or a revision without a share.
        SourceError: for a file that cannot be read or has not the documented columns.
    """
    terms, now = terms_of(request)
    exposures, facts = _exposures(request, terms)
    try:
        data = aggregate(
            exposures,
            record_batches(Place.of(request, "outcomes")),
            contract=terms.contract,
            toggle=terms.toggle,
            stage_started=terms.stage_started,
            shares=terms.shares,
            now=now,
            armed_at=terms.armed_at,
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(
            f"records cannot be read ({first_line(error)})",
            where=", ".join(request.inputs.values()),
            remedy="write damaged files again, and give a column the same type in every file",
        ) from error
    return answered(request, data, facts)


def terms_of(request: StageRequest) -> tuple[Terms, datetime]:
    """What is counted, and the time of the look, UTC.

    Raises:
        StageError: for a parameter that is missing or cannot be read.
    """
    terms, text = Terms.of(request.parsed_contract(), request.parameters), request.parameter("now")
    try:
        now = datetime.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise StageError(f"now is {text!r}", where="canary parameters", remedy="write a time as ISO-8601 with offset") from error
    if now.tzinfo is None:
        raise StageError("now has no time zone", where="canary parameters", remedy="write a time as ISO-8601 with offset")
    return terms, now.astimezone(UTC)


def inference_table(request: StageRequest) -> InferenceTable | None:
    """How the rows of an inference table are meant, where exposures come from one.

    Raises:
        StageError: for what cannot be read or such a table cannot tell.
    """
    told = request.parameters.get("inference_table")
    return None if told is None else InferenceTable.from_json(told)


def _exposures(request: StageRequest, terms: Terms) -> tuple[Iterable[pl.LazyFrame], dict[str, Any]]:
    place, table = Place.of(request, "exposures"), inference_table(request)
    if table is None:
        return record_batches(place), {}
    delivered = Delivered()
    for where, frame in place.frames():
        narrow = frame.select(without_payloads(frame.collect_schema()))
        delivered += Delivered.of(readable(where, narrow.collect), table, terms)
    delivered.refuse_sample()
    batches = (exposures_of(readable(where, frame.collect), table, terms).lazy() for where, frame in place.frames())
    return batches, {"delivered": asdict(delivered)}


def answered(request: StageRequest, data: CanaryData, facts: Mapping[str, Any]) -> StageResult:
    """The result: the data as canonical JSON, its digest, and facts beside the counts of rows."""
    request.directory.mkdir(parents=True, exist_ok=True)
    path, text = request.directory / DATA, canonical_json(data.to_json())
    path.write_bytes(text)
    counts = {
        name: getattr(data, name)
        for name in (
            *("exposures", "outcomes", "future_rows", "unknown_revisions", "cross_arm_units", "duplicate_exposures"),
            *("duplicate_outcomes", "unknown_outcomes", "outcomes_before_exposure", "late_outcomes"),
        )
    }
    return answer(request, {"data": (path, "sha256:" + sha256_hex(text))}, {**counts, **facts})
