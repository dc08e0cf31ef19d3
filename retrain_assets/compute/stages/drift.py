"""Stage ``drift``: one live window of a champion against what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.bundle import IMPORTANCE, SKETCH, load_bundle
from retrain_assets.compute.code import import_path
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.building import build_features
from retrain_assets.compute.stages.source import bounds, read_source
from retrain_assets.contract import Contract, StageError, canonical_json, sha256_hex
from retrain_assets.drift import LiveLabels, MeasureChange, Sketch, drift_report, sketch_frame


def drift(request: StageRequest) -> StageResult:
    """Report the drift of a champion.

    Inputs: ``bundle`` (directory), ``exposures`` and ``outcomes`` (a Parquet file or a folder of them). Parameters: ``now`` and
    ``since`` (when the champion's reign began), ISO-8601 with offset, and ``bundle_digest``, the champion's on record. The window
    is the contract's ``cadence.on_drift.window`` before now.

    Features are built by the champion's own function from the source rows of the window; predictions are the scores it served as
    champion; labels are those of the source known now, of the units it scored; success measures are compared with the champion's
    own first window of service, and have no value before that window has passed. Output ``report``: the report's JSON, also in
    the metadata as ``report``.

    Raises:
        SourceError: when the source is not what the contract says.
        StageError: when the contract has no drift rule, or traffic files cannot be read.
        CustodyError: when the bundle is not the one on record.
    """
    contract = request.parsed_contract()
    rule = contract.cadence.on_drift
    if rule is None:
        raise StageError(
            "cadence.on_drift is not set", where=f"model {contract.model}", remedy="set it, or do not run the drift stage"
        )
    now = datetime.fromisoformat(request.parameter("now"))
    start, since = now - rule.window, datetime.fromisoformat(request.parameter("since"))
    bundle = load_bundle(request.input("bundle"), request.parameters.get("bundle_digest"))
    schema = import_path(contract.source.schema_, "source.schema")
    rows = read_source(contract.source, schema, start, now)
    served = _served(request.input("exposures"), bundle.digest, since, now)
    window = served.filter(pl.col("exposed_at") >= start)
    sketch, names = bundle.document(SKETCH), list(bundle.manifest.feature_names)
    reference = {part: Sketch.from_json(sketch[part]) for part in ("features", "predictions")}
    function = bundle.manifest.feature_function
    built = build_features(import_path(function, "the champion's features"), rows, contract.source, function)
    scores = window.select(score=pl.col("score").cast(pl.Float64)).drop_nulls()
    report = drift_report(
        start=start,
        end=now,
        features=(reference["features"], sketch_frame(built, columns=names, edges=reference["features"])),
        predictions=(reference["predictions"], _prediction_sketch(scores, reference["predictions"])),
        importance=bundle.document(IMPORTANCE)["importance"] or dict.fromkeys(names, 1.0),
        labels=_labels(rows, window, contract, sketch["reference"], now),
        measures=_measures(served, request.input("outcomes"), contract, since, start, now),
    )
    document = report.to_json()
    request.directory.mkdir(parents=True, exist_ok=True)
    path, data = request.directory / "drift.json", canonical_json(document)
    path.write_bytes(data)
    return answer(request, {"report": (path, "sha256:" + sha256_hex(data))}, {"report": document, "bundle_digest": bundle.digest})


def _served(traffic: Path, digest: str, since: datetime, now: datetime) -> pl.DataFrame:
    """What the bundle scored as champion in its reign before now; one row a request."""
    columns = {"request_id": pl.String, "unit_id": pl.String, "exposed_at": pl.Datetime("us", "UTC"), "score": pl.Float64}
    reign = (pl.col("exposed_at") >= since) & (pl.col("exposed_at") < now)
    served = _traffic(traffic, (pl.col("bundle") == digest) & (pl.col("arm") == "champion") & reign, columns)
    return served.unique("request_id", keep="first", maintain_order=True)


def _traffic(traffic: Path, keep: pl.Expr, columns: Mapping[str, Any]) -> pl.DataFrame:
    files = [traffic] if traffic.is_file() else sorted(traffic.rglob("*.parquet"))
    if not files:
        return pl.DataFrame(schema=dict(columns))
    try:
        return pl.concat([pl.scan_parquet(path, glob=False).filter(keep).select(list(columns)) for path in files]).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StageError(f"traffic cannot be read ({error})", where=str(traffic), remedy="see docs/data-formats.md") from error


def _prediction_sketch(scores: pl.DataFrame, reference: Sketch) -> Sketch:
    if "score" not in reference.columns:
        return Sketch({})
    return sketch_frame(scores, columns=["score"], edges=reference)


def _labels(
    rows: pl.DataFrame, window: pl.DataFrame, contract: Contract, reference: Mapping[str, Any], now: datetime
) -> LiveLabels | None:
    source = contract.source
    if contract.task == "multiclass":
        return None
    (known,) = bounds(rows.schema[source.event_time], now - source.label_delay)
    labelled = rows.filter((pl.col(source.event_time) <= known) & pl.col(source.label).is_not_null()).select(
        unit_id=pl.col(source.unit).cast(pl.String), label=pl.col(source.label).cast(pl.Float64)
    )
    by_unit = labelled.group_by("unit_id").agg(pl.col("label").mean())
    both = window.filter(pl.col("score").is_not_null()).join(by_unit, on="unit_id", how="inner")
    return LiveLabels(
        rows=both.height,
        label_mean=_mean(both["label"]),
        prediction_mean=_mean(both["score"]),
        reference_label_mean=reference.get("label_mean"),
    )


def _measures(
    served: pl.DataFrame, outcomes: Path, contract: Contract, since: datetime, start: datetime, now: datetime
) -> dict[str, MeasureChange]:
    rule = contract.cadence.on_drift
    wanted = {
        name: measure.column_of(name)
        for name, measure in contract.experiment.success.items()
        if rule is not None and name in rule.limits and measure.column_of(name) in contract.experiment.outcomes
    }
    if rule is None or not wanted:
        return {}
    columns = {"request_id": pl.String, "observed_at": pl.Datetime("us", "UTC"), **dict.fromkeys(wanted.values(), pl.Float64)}
    seen = _traffic(outcomes, pl.col("observed_at") < now, columns).sort("observed_at")
    latest = seen.group_by("request_id").agg(pl.col(column).drop_nulls().last() for column in set(wanted.values()))
    both = served.join(latest, on="request_id", how="inner")
    first_window = since + rule.window
    found = {}
    for name, column in wanted.items():
        current = both.filter(pl.col("exposed_at") >= start)[column].drop_nulls()
        reference = both.filter(pl.col("exposed_at") < first_window)[column] if first_window <= start else None
        found[name] = MeasureChange(
            rows=current.len(),
            reference=None if reference is None else _mean(reference),
            current=_mean(current),
            direction=contract.experiment.success[name].direction,
        )
    return found


def _mean(values: pl.Series) -> float | None:
    mean = values.drop_nulls().mean()
    return float(mean) if isinstance(mean, (int, float)) else None
