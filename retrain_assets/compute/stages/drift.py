"""Stage ``drift``: one live window of a champion against what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.bundle import IMPORTANCE, SKETCH, Bundle, load_bundle
from retrain_assets.compute.code import import_path
from retrain_assets.compute.request import StageRequest, StageResult, answer
from retrain_assets.compute.stages.building import build_features
from retrain_assets.compute.stages.drift_reasons import undefined_metrics
from retrain_assets.compute.stages.live_rows import REQUEST, LiveRows, live_rows, read_traffic, served_rows
from retrain_assets.compute.stages.reference import estimates_of, score_frame
from retrain_assets.compute.stages.segment_losses import against_reference, losses_by_segment, row_losses, segment_columns
from retrain_assets.compute.stages.source import read_source, source_table
from retrain_assets.contract import Contract, DriftRule, StageError, canonical_json, sha256_hex
from retrain_assets.drift import (
    DriftReport,
    Estimate,
    LiveLabels,
    MeasureChange,
    SegmentLoss,
    Sketch,
    drift_report,
    sketch_frame,
)

PICTURED = 5
"""Features whose histograms go into the metadata, the worst of those that count."""


def drift(request: StageRequest) -> StageResult:
    """Report the drift of a champion.

    Inputs: ``bundle`` (directory), ``exposures`` and ``outcomes`` (a Parquet file or a folder of them). Parameters: ``now`` and
    ``since`` (when the champion's reign began), ISO-8601 with offset, and ``bundle_digest``, the champion's on record. The window
    is the contract's ``cadence.on_drift.window`` before now.

    Features are built by the champion's own function from the source rows of the window; predictions are the scores it served as
    champion (of several classes: what it says of the source rows it served); labels are those of the source known now, of the
    units it scored, and so are the losses per segment; metrics are estimated on the rows whose label is not known yet; success
    measures are compared with the champion's own first window of service, and have no value before that window has passed.

    Outputs: ``report``, the report's JSON, and ``window``, the sketches of the window over the reference's edges. Metadata:
    ``report``; ``undefined``, why a metric has no value; ``histograms``, both sketches of the scores and of the worst features;
    ``source``, the version of a Delta source that was read, the newest unless the contract names one.

    Raises:
        SourceError: when the source is not what the contract says.
        StageError: when the contract has no drift rule, or traffic files cannot be read.
        CustodyError: when the bundle is not the one on record.
    """
    asked = AskedDrift.of(request)
    contract, bundle, reference = asked.contract, asked.bundle, asked.reference
    table = source_table(contract.source)
    schema = import_path(contract.source.schema_, "source.schema")
    rows = read_source(contract.source, schema, asked.start, asked.now, table=table)
    built = _features(rows, bundle, contract)
    attributes = segment_columns(contract)
    served = served_rows(request.input("exposures"), bundle.digest, asked.since, asked.now, attributes)
    window = served.filter(pl.col("exposed_at") >= asked.start)
    live = live_rows(window, rows, built, bundle, contract, asked.now)
    found = Live(
        features=sketch_frame(built, columns=list(reference.features.columns), edges=reference.features),
        predictions=predictions_of(window, live, reference, bundle, contract),
        rows=live,
        measures=_measures(served, request.input("outcomes"), asked),
    )
    return reported(asked, found, table.at.to_json() if table is not None else None)


@dataclass(frozen=True, slots=True)
class AskedDrift:
    """What a request asks: which champion, since when it serves, and the window."""

    request: StageRequest
    contract: Contract
    rule: DriftRule
    bundle: Bundle
    reference: Reference
    since: datetime
    start: datetime
    now: datetime

    @classmethod
    def of(cls, request: StageRequest) -> AskedDrift:
        """From a request.

        Raises:
            StageError: when the contract has no drift rule.
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
        return cls(request, contract, rule, bundle, Reference.of(bundle), since, start, now)


@dataclass(frozen=True, slots=True)
class Live:
    """What was found in the window, by whichever engine.

    Args:
        features: sketch of the features over the reference's edges.
        predictions: sketch of the scores likewise.
        rows: scored rows with what is known of them.
        measures: success measures by name.
    """

    features: Sketch
    predictions: Sketch
    rows: LiveRows
    measures: Mapping[str, MeasureChange]


def reported(asked: AskedDrift, found: Live, source: Mapping[str, Any] | None) -> StageResult:
    """The report of a window and the stage's answer.

    Args:
        asked: what was asked.
        found: what is in the window.
        source: the version of a Delta source; None of files.
    """
    request, contract, bundle, reference, live = asked.request, asked.contract, asked.bundle, asked.reference, found.rows
    report = drift_report(
        start=asked.start,
        end=asked.now,
        features=(reference.features, found.features),
        predictions=(reference.predictions, found.predictions),
        importance=bundle.document(IMPORTANCE)["importance"] or dict.fromkeys(reference.features.columns, 1.0),
        labels=_labels(live, reference, contract),
        measures=dict(found.measures),
        estimates=_estimates(live, reference, bundle, contract),
        segments=_segments(live, reference, contract),
        false_alarms=asked.rule.false_alarms,
    )
    document = report.to_json()
    sketches = {"features": found.features.to_json(), "predictions": found.predictions.to_json()}
    metadata = {
        "report": document,
        "undefined": undefined_metrics(report, contract, live, reference.facts),
        "histograms": _histograms(report, reference, found.features, found.predictions),
        "bundle_digest": bundle.digest,
        **({"source": dict(source)} if source is not None else {}),
    }
    outputs = {"report": _written(request, "drift.json", document), "window": _written(request, "window_sketch.json", sketches)}
    return answer(request, outputs, metadata)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a bundle keeps of its training data: sketches, and facts about its hold-out."""

    features: Sketch
    predictions: Sketch
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, bundle: Bundle) -> Reference:
        """From ``training_sketch.json``, also where it was written before estimates, segments and label spread were kept."""
        document = bundle.document(SKETCH)
        return cls(Sketch.from_json(document["features"]), Sketch.from_json(document["predictions"]), document["reference"])


def _features(rows: pl.DataFrame, bundle: Bundle, contract: Contract) -> pl.DataFrame:
    """Features of the window's rows by the champion's own function, which is not asked about no rows."""
    function = bundle.manifest.feature_function
    if rows.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(bundle.manifest.feature_names, pl.Null()))
    return build_features(import_path(function, "the champion's features"), rows, contract.source, function)


def predictions_of(window: pl.DataFrame, live: LiveRows, reference: Reference, bundle: Bundle, contract: Contract) -> Sketch:
    """The sketch of the window's scores over the reference's edges: those served; of several classes those of the rows."""
    if contract.task == "multiclass":
        scores = score_frame(live.scores, bundle.manifest.classes)
    else:
        scores = window.select(score=pl.col("score").cast(pl.Float64)).drop_nulls()
    columns = [name for name in reference.predictions.columns if name in scores.columns]
    return sketch_frame(scores, columns=columns, edges=reference.predictions)


def _labels(live: LiveRows, reference: Reference, contract: Contract) -> LiveLabels | None:
    if contract.task == "multiclass":
        return None
    labels, scores, facts = live.labels[live.known], live.scores[live.known], reference.facts
    spread = facts.get("label", {}).get("std")
    testable = contract.task != "regression" or spread is not None
    return LiveLabels(
        rows=len(labels),
        label_mean=float(labels.mean()) if len(labels) else None,
        prediction_mean=float(scores.mean()) if len(labels) else None,
        reference_label_mean=facts.get("label_mean"),
        reference_rows=facts.get("rows") if testable else None,
        label_variance=float(labels.var()) if contract.task == "regression" and len(labels) else None,
        reference_label_variance=spread**2 if contract.task == "regression" and spread is not None else None,
    )


def _estimates(
    live: LiveRows, reference: Reference, bundle: Bundle, contract: Contract
) -> dict[str, tuple[Estimate | None, Estimate | None]]:
    """What the hold-out's scores and those of the rows without a label let expect, for the metrics the reference has."""
    kept = {name: Estimate.from_json(value) for name, value in reference.facts.get("estimates", {}).items()}
    threshold = bundle.manifest.decision["threshold"] if bundle.manifest.decision else 0.5
    found = estimates_of(live.scores[~live.known], contract, threshold)
    return {name: (kept[name], current) for name, current in found.items() if name in kept}


def _segments(live: LiveRows, reference: Reference, contract: Contract) -> list[SegmentLoss] | None:
    """None where the reference has no losses of these segments."""
    facts = reference.facts
    known = {name: facts.get("segments", {}).get(name) for name in segment_columns(contract)}
    kept = {name: segments for name, segments in known.items() if segments}
    losses = row_losses(contract.task, live.scores[live.known], live.labels[live.known], facts.get("label", {}).get("std"))
    if not kept or losses is None:
        return None
    return against_reference(losses_by_segment(live.segments.filter(live.known), list(kept), losses), kept)


def asked_measures(asked: AskedDrift) -> dict[str, str]:
    """The success measures that the drift rule limits, and the column of the outcomes that each is."""
    contract = asked.contract
    return {
        name: measure.column_of(name)
        for name, measure in contract.experiment.success.items()
        if name in asked.rule.limits and measure.column_of(name) in contract.experiment.outcomes
    }


def _measures(served: pl.DataFrame, outcomes: Path, asked: AskedDrift) -> dict[str, MeasureChange]:
    wanted = asked_measures(asked)
    if not wanted:
        return {}
    columns = {**dict.fromkeys(REQUEST, pl.String), "observed_at": pl.Datetime("us", "UTC")}
    seen = read_traffic(outcomes, pl.col("observed_at") < asked.now, columns, sorted({*wanted.values()})).sort("observed_at")
    unreported = [column for column in set(wanted.values()) if column not in seen.columns]
    seen = seen.with_columns(pl.lit(None, pl.Float64).alias(column) for column in unreported)
    latest = seen.group_by(REQUEST).agg(pl.col(column).drop_nulls().last() for column in set(wanted.values()))
    both = served.join(latest, on=REQUEST, how="inner")
    first_window = asked.since + asked.rule.window
    found = {}
    for name, column in wanted.items():
        current = both.filter(pl.col("exposed_at") >= asked.start)[column].drop_nulls()
        reference = both.filter(pl.col("exposed_at") < first_window)[column] if first_window <= asked.start else None
        found[name] = MeasureChange(
            rows=current.len(),
            reference=None if reference is None else _mean(reference),
            current=_mean(current),
            direction=asked.contract.experiment.success[name].direction,
        )
    return found


def _histograms(report: DriftReport, reference: Reference, features: Sketch, predictions: Sketch) -> dict[str, Any]:
    """``scores`` and ``features``: by column the sketch of the reference and of the window."""
    counting = {name: value for name, column in report.columns.items() if (value := column.weighted_psi)}
    worst = sorted(counting, key=lambda name: -counting[name])[:PICTURED]

    def both(before: Sketch, after: Sketch, names: list[str]) -> dict[str, Any]:
        return {
            name: {"reference": before.columns[name].to_json(), "window": after.columns[name].to_json()}
            for name in names
            if name in after.columns
        }

    shifted = sorted(predictions.columns, key=lambda name: -(report.predictions[name].corrected_psi or 0.0))[:PICTURED]
    return {
        "scores": both(reference.predictions, predictions, shifted),
        "features": both(reference.features, features, worst),
    }


def _written(request: StageRequest, name: str, document: Mapping[str, Any]) -> tuple[Path, str]:
    request.directory.mkdir(parents=True, exist_ok=True)
    path, data = request.directory / name, canonical_json(document)
    path.write_bytes(data)
    return path, "sha256:" + sha256_hex(data)


def _mean(values: pl.Series) -> float | None:
    mean = values.drop_nulls().mean()
    return float(mean) if isinstance(mean, (int, float)) else None
