"""Calibration of both arms on matured outcomes, and what a lost measure would have been at another decision threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import Contract, Guardrail, Success
from retrain_assets.contract.experiment import EXPOSURE_MEASURES
from retrain_assets.drift import mixed_mean
from retrain_assets.experiment.estimation.measures import MeasureResult
from retrain_assets.experiment.estimation.statistics import Arm
from retrain_assets.experiment.loss.threshold_effect import (
    DecidedRows,
    Rule,
    ThresholdEffect,
    reestimate,
    threshold_of_probability,
    threshold_of_share,
)
from retrain_assets.gates.offline.calibration import model_calibration
from retrain_assets.gates.offline.recalibration import recalibration
from retrain_assets.gates.technical_side import ArmTechnical

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.99
"""Confidence of what chance alone explains of a calibration error."""


def with_calibration(
    arms: tuple[ArmTechnical, ArmTechnical], labelled: pl.DataFrame, task: str
) -> tuple[ArmTechnical, ArmTechnical]:
    """Champion and challenger with their calibration; unchanged without labels.

    Means and bias are averaged over the stages that both arms have labels in, so that a base rate that moves between stages moves
    both arms' numbers alike; the expected calibration error is that of all of an arm's rows.

    Args:
        arms: champion and challenger.
        labelled: rows with ``revision``, ``arm``, ``unit_id``, finite ``score`` and ``label``.
        task: the contract's.
    """
    sums = labelled.group_by("revision", "arm").agg(
        n=pl.len(), units=pl.col("unit_id").n_unique(), score=pl.col("score").mean(), label=pl.col("label").mean()
    )
    cells = {(row[0], row[1]): row[2:] for row in sums.iter_rows()}
    revisions = sorted({revision for revision, _ in cells})
    counts = [tuple(cells.get((revision, arm), (0, 0))[1] for arm in ("champion", "challenger")) for revision in revisions]
    weights = [a * b / (a + b) if a and b else 0.0 for a, b in counts]

    def one(arm: Arm, found: ArmTechnical) -> ArmTechnical:
        rows = labelled.filter(pl.col("arm") == arm)
        if rows.is_empty():
            return found
        own = [cells.get((revision, arm)) for revision in revisions]
        held = weights if any(weights) else [float(cell[0]) if cell else 0.0 for cell in own]
        prediction = mixed_mean([cell[2] if cell else 0.0 for cell in own], held)
        label = mixed_mean([cell[3] if cell else 0.0 for cell in own], held)
        bias = prediction - label if prediction is not None and label is not None else None
        scores, labels = rows["score"].to_numpy(), rows["label"].to_numpy()
        found = replace(found, labelled=rows.height, label_mean=label, prediction_mean=prediction, calibration_bias=bias)
        if task == "regression":
            miss = scores - labels
            by_chance = 2.576 * float(miss.std()) / max(1, rows["unit_id"].n_unique()) ** 0.5
            return replace(found, calibration_error=float(np.sqrt(np.mean(miss**2))), bias_by_chance=by_chance)
        if scores.min() < 0 or scores.max() > 1:
            return found
        judged = model_calibration(labels, scores, units=_codes(rows["unit_id"]), confidence=CONFIDENCE)
        return replace(
            found, calibration_error=judged.ece, error_by_chance=judged.ece_by_chance, bias_by_chance=judged.bias_by_chance
        )

    return one("champion", arms[0]), one("challenger", arms[1])


def threshold_effects(
    lost: Sequence[MeasureResult], rows: pl.DataFrame, contract: Contract, thresholds: Mapping[Arm, float] | None
) -> tuple[list[ThresholdEffect], list[str]]:
    """Lost measures at a re-chosen threshold of the challenger, and notes on what could not be had.

    The threshold is re-chosen on the champion's calibration: where the challenger's scores mean the probability that the
    champion's threshold means, both recalibrated on matured labels. Where that is not defined (labels of one kind only, scores
    that say nothing) it is where the challenger decides positively as often as the champion, stage by stage.

    Args:
        lost: the measures, from :func:`~retrain_assets.gates.canary_view.lost_measures`.
        rows: matured rows by arm (:func:`~retrain_assets.compute.stages.matured_rows.by_arm`), shadow scoring included.
        contract: task, measures.
        thresholds: each arm's decision threshold; None without a decision rule.
    """
    if not lost:
        return [], []
    if contract.task != "binary_classification" or thresholds is None:
        return [], [f"the decision threshold cannot be re-chosen: a {contract.task} has none"]
    known = rows.filter(pl.col("label").is_not_null())
    if known.is_empty():
        return [], ["the decision threshold cannot be re-chosen: no label of a matured request is known"]
    decided = known.filter("real").with_columns(
        decision=pl.coalesce(
            "decision",
            pl.col("score")
            >= pl.when(pl.col("arm") == "challenger").then(thresholds["challenger"]).otherwise(thresholds["champion"]),
        )
    )
    if decided["arm"].n_unique() < 2:
        return [], ["the decision threshold cannot be re-chosen: not both arms have labelled requests with real traffic"]
    if not any(_stage_weights(decided).values()):
        return [], ["the decision threshold cannot be re-chosen: no stage has labelled requests of both arms"]
    rule, rechosen = _rechosen(known, decided, thresholds)
    found, notes = [], []
    measures: dict[str, Success | Guardrail] = {**contract.experiment.success, **contract.experiment.guardrails}
    for result in lost:
        measure = measures[result.spec.name]
        effect = _effect(result, measure, decided, rule, rechosen, thresholds)
        if isinstance(effect, ThresholdEffect):
            found.append(effect)
        else:
            notes.append(f"{result.spec.name} at a re-chosen threshold: {effect}")
    return found, notes


def _rechosen(known: pl.DataFrame, decided: pl.DataFrame, thresholds: Mapping[Arm, float]) -> tuple[Rule, float]:
    fits = {}
    for arm in ("champion", "challenger"):
        part = known.filter(pl.col("arm") == arm)
        scores = part["score"].to_numpy()
        fits[arm] = (
            recalibration(part["label"].to_numpy(), scores) if part.height and 0 <= scores.min() <= scores.max() <= 1 else None
        )
    mine, theirs = (
        (fit.intercept, fit.slope) if fit is not None else (None, None) for fit in (fits["champion"], fits["challenger"])
    )
    if mine[0] is not None and mine[1] is not None and theirs[0] is not None and theirs[1] is not None:
        threshold = threshold_of_probability((mine[0], mine[1]), thresholds["champion"], (theirs[0], theirs[1]))
        if threshold is not None:
            return Rule.SAME_PROBABILITY, threshold
    weights, share = _stage_weights(decided), 0.0
    for (revision,), part in decided.filter(pl.col("arm") == "champion").group_by("revision"):
        share += weights.get(int(str(revision)), 0.0) * float(part["decision"].mean() or 0.0)  # type: ignore[arg-type]
    challenger = decided.filter(pl.col("arm") == "challenger")
    of_row = challenger["revision"].replace_strict(weights, default=0.0, return_dtype=pl.Float64) / pl.Series(
        challenger.select(pl.len().over("revision")).to_series()
    )
    return Rule.SAME_SHARE, threshold_of_share(challenger["score"].to_numpy(), of_row.to_numpy(), share)


def _effect(
    result: MeasureResult,
    measure: Success | Guardrail,
    decided: pl.DataFrame,
    rule: Rule,
    rechosen: float,
    thresholds: Mapping[Arm, float],
) -> ThresholdEffect | str:
    column = measure.column_of(result.spec.name)
    if column in EXPOSURE_MEASURES or measure.per is not None or measure.quantile is not None:
        return "only means of outcomes are re-estimated"
    value = pl.col(f"outcome {column}")
    if measure.above is not None:
        value = pl.when(value.is_finite()).then((value > measure.above).cast(pl.Float64))
    if measure.winsorise is not None:
        value = value.clip(measure.winsorise.at_least, measure.winsorise.at_most)
    rows = decided.with_columns(_value=value).filter(pl.col("_value").is_finite())
    if rows.is_empty():
        return "no request with a label has an outcome yet"
    challenger = (rows["arm"] == "challenger").to_numpy()
    decision, moved = rows["decision"].to_numpy(), (rows["score"] >= rechosen).to_numpy()
    found = reestimate(
        DecidedRows(
            stratum=rows["revision"].to_numpy(),
            unit=_codes(rows["unit_id"]),
            challenger=challenger,
            label=(rows["label"] == 1).to_numpy(),
            decision=decision,
            moved=moved,
            outcome=rows["_value"].to_numpy(),
        )
    )
    if isinstance(found, str):
        return found
    return ThresholdEffect(
        measure=result.spec.name,
        direction=result.spec.direction,
        rule=rule,
        threshold=thresholds["challenger"],
        rechosen=rechosen,
        champion_threshold=thresholds["champion"],
        champion_share=float(decision[~challenger].mean()),
        share=float(decision[challenger].mean()),
        rechosen_share=float(moved[challenger].mean()),
        effect=found.effect,
        effect_error=found.effect_error,
        rechosen_effect=found.rechosen_effect,
        rechosen_error=found.rechosen_error,
        change=found.change,
        change_error=found.change_error,
        requests=found.requests,
        changed=found.changed,
    )


def _stage_weights(decided: pl.DataFrame) -> dict[int, float]:
    counts = {
        (row[0], row[1]): row[2] for row in decided.group_by("revision", "arm").agg(pl.col("unit_id").n_unique()).iter_rows()
    }
    raw = {}
    for revision in {revision for revision, _ in counts}:
        a, b = (counts.get((revision, arm), 0) for arm in ("champion", "challenger"))
        raw[revision] = a * b / (a + b) if a and b else 0.0
    total = sum(raw.values())
    return {revision: weight / total for revision, weight in raw.items()} if total else raw


def _codes(units: pl.Series) -> npt.NDArray[np.int64]:
    return units.rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
