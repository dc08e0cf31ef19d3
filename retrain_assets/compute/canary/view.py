"""The one view of a canary from its records: both arms' technical side, in total and per segment, beside the look's measures.

Whatever the traffic: exposures are counted in one streaming pass that keeps only counts; outcomes and labels are joined to a
systematic sample of bounded size; features are those of the newest weeks. What cannot be had becomes a note, never a failed look.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from retrain_assets.bundle import SKETCH
from retrain_assets.compute.stages.arm_calibration import threshold_effects, with_calibration
from retrain_assets.compute.stages.arm_counts import ARMS, Cubes, arms_of, count_arms
from retrain_assets.compute.stages.live_features import LiveFeatures, Trained, feature_shifts, live_features, training_rows
from retrain_assets.compute.stages.live_rows import label_number
from retrain_assets.compute.stages.matured_rows import MaturedRows, by_arm, sampled, with_outcomes, with_source_labels
from retrain_assets.contract import Contract, RetrainError, first_line
from retrain_assets.drift import Sketch
from retrain_assets.drift.counting import fitted_edges
from retrain_assets.experiment.estimation.statistics import Arm
from retrain_assets.experiment.look import Look
from retrain_assets.gates.canary_view import TOTAL, CanaryView, canary_view, lost_measures, technical_measures
from retrain_assets.gates.technical_side import FeatureShift, TechnicalSide

LIVE_WINDOW = timedelta(days=28)
"""Source rows that features and labels are taken from, where the contract has no longer drift window."""

UNREADABLE = (RetrainError, pl.exceptions.PolarsError, OSError, KeyError, ValueError)
"""What can go wrong with a source, a feature function or a stored reference; told as a note."""


@dataclass(frozen=True, slots=True)
class References:
    """What live traffic is compared with, as far as it can be read.

    Args:
        champion: the champion's bundle.
        challenger: the challenger's bundle.
        features: output folder of the challenger's stage ``features``: its training rows, for segments.
        dataset: output folder of its stage ``dataset``.
        notes: why one of them is missing.
    """

    champion: Trained | None = None
    challenger: Trained | None = None
    features: Path | None = None
    dataset: Path | None = None
    notes: tuple[str, ...] = ()


def view_of_look(
    look: Look,
    contract: Contract,
    exposures: pl.LazyFrame,
    outcomes: pl.LazyFrame,
    references: References,
    *,
    toggle: str,
    revisions: Collection[int],
    now: datetime,
) -> CanaryView:
    """The view of one look.

    Requests are counted as logged: one that was logged twice counts twice here (the look counts and reports such rows), units
    that changed their arm count in the arm each request had. Records of other toggles, of unknown revisions, of no arm or dated
    in the future are left out.

    Args:
        look: the look.
        contract: the toggle's frozen contract.
        exposures: exposure records (docs/data-formats.md).
        outcomes: outcome records.
        references: bundles and training rows.
        toggle: the toggle.
        revisions: its stage revisions the ledger knows.
        now: the time of the look.
    """
    own = exposures.filter(
        (pl.col("toggle") == toggle)
        & pl.col("revision").is_in(sorted(revisions))
        & pl.col("arm").is_in(list(ARMS))
        & (pl.col("exposed_at") <= now)
        & pl.col("unit_id").is_not_null()
    )
    there = own.collect_schema()
    segments = [name for name in contract.experiment.segments if name in there]
    notes = list(references.notes)
    notes += [f"segment {name} is not in the exposures" for name in contract.experiment.segments if name not in there]
    thresholds = _thresholds(contract, references)
    sample = with_outcomes(sampled(own, segments, contract, now), outcomes, contract, now)
    if sample.step > 1:
        notes.append(f"calibration and thresholds rest on every {sample.step}th matured request")
    cubes = count_arms(own, segments=segments, edges=_edges(references, sample), thresholds=thresholds, units=_units(look))
    live: LiveFeatures | None = None
    try:
        live = _live(sample, references, contract, segments, now)
        if live is not None:
            sample = _labelled(sample, live, contract, references, now)
    except UNREADABLE as error:
        notes.append(f"live features were not compared and labels not taken from the source: {first_line(error)}")
    rows = by_arm(sample)
    if contract.task == "multiclass":  # in shadow the class found is the champion's
        rows = rows.with_columns(label=pl.when((pl.col("arm") == "champion") | pl.col("real")).then(pl.col("label")))
    kinds = technical_measures(contract)
    effects, more = threshold_effects(lost_measures(look, kinds), rows, contract, thresholds)
    sides = _sides(cubes, rows.filter(pl.col("label").is_finite()), live, references, contract)
    if contract.task == "multiclass" and not rows["label"].is_finite().any():
        notes.append("calibration: of several classes only the likeliest one's probability is logged and no class was found")
    view = canary_view(look, contract, sides, thresholds=effects, notes=[*notes, *more])
    return CanaryView.from_json(_rounded(view.to_json()))


def _sides(
    cubes: Cubes, labelled: pl.DataFrame, live: LiveFeatures | None, references: References, contract: Contract
) -> dict[str, TechnicalSide]:
    training = None
    if live is not None and references.features is not None and references.dataset is not None and cubes.segments:
        training = training_rows(references.features, references.dataset, cubes.segments)
    std = _label_std(references) if contract.task == "regression" else None
    if contract.task == "regression" and std is None and labelled.height > 1:
        std = float(labelled["label"].to_numpy().std())
    sides = {}
    for name, segment in {TOTAL: None, **cubes.names()}.items():
        counts = arms_of(cubes, segment)
        part = labelled if segment is None else labelled.filter(pl.col(segment[0]).eq_missing(pl.lit(segment[1])))
        champion, challenger = with_calibration((counts.champion, counts.challenger), part, contract.task)
        shifts = {arm: _shifts(arm, live, references, training, segment) for arm in ARMS}
        sides[name] = TechnicalSide(
            champion=champion,
            challenger=challenger,
            prediction_shift=counts.prediction_shift,
            champion_features=shifts["champion"],
            challenger_features=shifts["challenger"],
            label_std=std,
            error_p_value=counts.error_p_value,
        )
    return sides


def _shifts(
    arm: Arm, live: LiveFeatures | None, references: References, training: pl.DataFrame | None, segment: tuple[str, object] | None
) -> tuple[FeatureShift, ...]:
    bundle = references.champion if arm == "champion" else references.challenger
    if live is None or bundle is None:
        return ()
    built = live.built[bundle.digest]
    if segment is None:
        return feature_shifts(built, bundle)
    column, value = segment
    if column not in live.segments.columns:
        return ()
    built = built.filter(_is(live.segments[column], value))
    if arm == "challenger" and training is not None and column in training.columns:
        return feature_shifts(built, bundle, training.filter(_is(training[column], value)))
    return tuple(replace(shift, same_segment=False) for shift in feature_shifts(built, bundle))


def _is(column: pl.Series, value: object) -> pl.Series:
    if value is None:
        return column.is_null()
    return (column.cast(pl.String) == str(value)).fill_null(False)


def _live(
    sample: MaturedRows, references: References, contract: Contract, segments: list[str], now: datetime
) -> LiveFeatures | None:
    bundles = {one.digest: one for one in (references.champion, references.challenger) if one is not None}
    first = sample.frame["exposed_at"].min()
    if not isinstance(first, datetime):
        return None
    drift = contract.cadence.on_drift
    window = max(LIVE_WINDOW, drift.window if drift else LIVE_WINDOW)
    return live_features(list(bundles.values()), sample.frame, contract, segments, max(first, now - window), now)


def _labelled(sample: MaturedRows, live: LiveFeatures, contract: Contract, references: References, now: datetime) -> MaturedRows:
    """Labels of the source; of several classes whether each arm's decided class was right, which its bundle says."""
    if contract.task != "multiclass":
        return with_source_labels(sample, live.rows, pl.col(contract.source.label).cast(pl.Float64), contract, now)
    parts = []
    for arm, bundle in (("champion", references.champion), ("challenger", references.challenger)):
        part = MaturedRows(sample.frame.filter(pl.col("arm") == arm), sample.step)
        if bundle is not None and live.rows.height:
            loaded = bundle.load()
            decided = loaded.score(live.built[bundle.digest]).argmax(axis=1)
            rows = live.rows.with_columns(_decided=pl.Series(decided, dtype=pl.Float64))
            right = (label_number(contract, loaded) == pl.col("_decided")).cast(pl.Float64)
            part = with_source_labels(part, rows, right, contract, now)
        parts.append(part.frame)
    return MaturedRows(pl.concat(parts), sample.step)


def _units(look: Look) -> dict[tuple[int, str], int]:
    return {
        (counts.revision, arm): getattr(counts, arm).exposed
        for counts in look.stages
        for arm in ARMS
        if getattr(counts, arm).exposed
    }


def _thresholds(contract: Contract, references: References) -> dict[Arm, float] | None:
    """Each arm's decision threshold: its bundle's, else the contract's."""
    if contract.decision is None:
        return None
    found: dict[Arm, float] = {}
    for arm, bundle in (("champion", references.champion), ("challenger", references.challenger)):
        own = bundle.manifest.decision if bundle is not None else None
        found[arm] = own["threshold"] if own else contract.decision.threshold  # type: ignore[index]
    return found


def _edges(references: References, sample: MaturedRows) -> tuple[float, ...]:
    """Bins of the score: those of the champion's training sketch, so that they stay the same from look to look."""
    if references.champion is not None:
        sketch = Sketch.from_json(references.champion.document(SKETCH)["predictions"])
        if "score" in sketch.columns:
            return sketch.columns["score"].edges
    scores = sample.frame["score"].drop_nulls()
    return fitted_edges(scores.filter(scores.is_finite()).sort().to_numpy(), 20)


def _rounded(value: Any) -> Any:
    """Nine significant digits: sums of threads differ beyond, and the same look must have the same digest."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _label_std(references: References) -> float | None:
    facts = references.champion.document(SKETCH)["reference"] if references.champion is not None else {}
    std = facts.get("label", {}).get("std")
    return float(std) if std else None
