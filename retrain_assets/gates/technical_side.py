"""The technical side of a canary, in total or in a segment: what both arms did, as values that can be stored and shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retrain_assets.contract import finite

LEAST_REQUESTS = 200
"""Requests each arm needs before latency, errors or scores are judged."""


class Health(StrEnum):
    """Whether the challenger is healthy technically; ``unknown`` where too little was seen to say."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ArmTechnical:
    """What one arm did, standardised to the stages that both arms met. Numbers are None where nothing was seen.

    Args:
        requests: requests answered, shadow scoring included.
        units: units behind them; in a segment estimated from the requests per unit of all.
        error_share: share of the requests the arm's model failed on, 0..1.
        latency_p50_ms: median time of the scoring call per row.
        latency_p95_ms: its 95th percentile.
        latency_p99_ms: its 99th percentile.
        positive_share: share of positive decisions among the requests with one.
        score_mean: mean score.
        labelled: requests whose label is known by now.
        label_mean: their mean label (share of positives; of several classes the share that was classified right).
        prediction_mean: their mean score (of several classes the mean probability of the decided class).
        calibration_bias: prediction_mean - label_mean.
        bias_by_chance: absolute bias that a calibrated model stays below on as many rows, at 99 %.
        calibration_error: expected calibration error of probabilities, of a regression the root mean squared error.
        error_by_chance: expected calibration error that a calibrated model stays below, at 99 %; None for a regression.
    """

    requests: int = 0
    units: int = 0
    error_share: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    positive_share: float | None = None
    score_mean: float | None = None
    labelled: int = 0
    label_mean: float | None = None
    prediction_mean: float | None = None
    calibration_bias: float | None = None
    bias_by_chance: float | None = None
    calibration_error: float | None = None
    error_by_chance: float | None = None


@dataclass(frozen=True, slots=True)
class PredictionShift:
    """Distance of the challenger's scores from the champion's inside the same stages.

    Args:
        psi: population stability index of the standardised scores.
        corrected_psi: minus what chance brings, at least 0.
        p_value: chance of a difference at least this large between equal models.
        wasserstein: Wasserstein-1 distance, in the unit of the score.
        stages: stages it rests on.
    """

    psi: float | None
    corrected_psi: float | None
    p_value: float | None
    wasserstein: float | None
    stages: int


@dataclass(frozen=True, slots=True)
class FeatureShift:
    """One feature of the live rows against the rows a model was trained on.

    Args:
        feature: its name.
        psi: population stability index.
        corrected_psi: minus what chance brings, at least 0.
        shown: whether the shift is beyond chance, corrected for the number of features.
        rows: live rows.
        mean_before: mean in training; None for levels.
        mean_after: mean of the live rows.
        importance: importance of the feature to the model, relative to its most important one, 0..1; None where unknown.
        same_segment: whether the training rows are those of the same segment; False: all of them, so that a segment that was
            always different looks shifted.
    """

    feature: str
    psi: float
    corrected_psi: float
    shown: bool
    rows: int
    mean_before: float | None
    mean_after: float | None
    importance: float | None
    same_segment: bool = True

    @property
    def weighted(self) -> float:
        """The corrected index times the importance; of a feature of unknown importance the index itself."""
        return self.corrected_psi * (1.0 if self.importance is None else self.importance)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not healthy about the challenger.

    Args:
        name: ``error_share``, ``latency_p95``, ``calibration_bias``, ``calibration_error``, ``feature_shift``,
            ``prediction_shift``, ``no_answers``, or the name of a technical guardrail that was lost.
        sentence: part of a sentence with the values in it.
        observed: the value.
        limit: its limit.
    """

    name: str
    sentence: str
    observed: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class TechnicalSide:
    """Both arms' technical side.

    Args:
        champion: what the champion did.
        challenger: what the challenger did.
        prediction_shift: distance of their scores; None where no stage has scores of both.
        champion_features: live rows against what the champion was trained on, the largest shift first.
        challenger_features: the same of the challenger.
        label_std: standard deviation of the labels, the unit of a regression's bias; None for probabilities.
        problems: what is not healthy about the challenger, worst first.
        unjudged: what could not be judged, and why.
    """

    champion: ArmTechnical
    challenger: ArmTechnical
    prediction_shift: PredictionShift | None = None
    champion_features: tuple[FeatureShift, ...] = ()
    challenger_features: tuple[FeatureShift, ...] = ()
    label_std: float | None = None
    error_p_value: float | None = None
    problems: tuple[Problem, ...] = ()
    unjudged: tuple[str, ...] = ()

    @property
    def health(self) -> Health:
        """Unhealthy with a problem; unknown while not even errors and latency can be judged."""
        if self.problems:
            return Health.UNHEALTHY
        judged = min(self.champion.requests, self.challenger.requests) >= LEAST_REQUESTS
        return Health.HEALTHY if judged else Health.UNKNOWN

    @property
    def latency_ratio(self) -> float | None:
        """The challenger's p95 latency over the champion's; None where one of them is not there or 0."""
        mine, theirs = self.challenger.latency_p95_ms, self.champion.latency_p95_ms
        return mine / theirs if mine is not None and theirs else None

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; every number is finite or None."""
        return {
            "champion": _values(self.champion),
            "challenger": _values(self.challenger),
            "prediction_shift": _values(self.prediction_shift) if self.prediction_shift else None,
            "champion_features": [_values(one) for one in self.champion_features],
            "challenger_features": [_values(one) for one in self.challenger_features],
            "label_std": finite(self.label_std),
            "error_p_value": finite(self.error_p_value),
            "problems": [_values(one) for one in self.problems],
            "unjudged": list(self.unjudged),
            "health": self.health.value,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TechnicalSide:
        """The inverse of :meth:`to_json`."""
        shift = value["prediction_shift"]
        return cls(
            champion=ArmTechnical(**value["champion"]),
            challenger=ArmTechnical(**value["challenger"]),
            prediction_shift=PredictionShift(**shift) if shift else None,
            champion_features=tuple(FeatureShift(**one) for one in value["champion_features"]),
            challenger_features=tuple(FeatureShift(**one) for one in value["challenger_features"]),
            label_std=value["label_std"],
            error_p_value=value["error_p_value"],
            problems=tuple(Problem(**one) for one in value["problems"]),
            unjudged=tuple(value["unjudged"]),
        )


def _values(value: Any) -> dict[str, Any]:
    return {name: finite(getattr(value, name)) for name in value.__slots__}
