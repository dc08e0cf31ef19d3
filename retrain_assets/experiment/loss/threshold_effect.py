"""What the effect would have been at another decision threshold: is the challenger's model worse, or only where it decides?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from retrain_assets.contract import finite

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]

LEAST_UNITS = 30
"""Units an arm needs in a stage to take part: fewer say too little about the spread."""


class Rule(StrEnum):
    """How the challenger's threshold was re-chosen."""

    SAME_PROBABILITY = "same_probability"
    SAME_SHARE = "same_share"


@dataclass(frozen=True, slots=True)
class DecidedRows:
    """Matured requests with a known label and a decision, one entry a request, all arrays of length n.

    Args:
        stratum: toggle revision.
        unit: number of the unit, 0..; requests of one unit are no independent evidence.
        challenger: whether the challenger's arm had the request.
        label: whether the label is positive.
        decision: the decision that was taken.
        moved: the decision at the re-chosen threshold; that of the champion's requests is not looked at.
        outcome: value of the measure; NaN where it is not known.
    """

    stratum: Codes
    unit: Codes
    challenger: Flags
    label: Flags
    decision: Flags
    moved: Flags
    outcome: Array


@dataclass(frozen=True, slots=True)
class ThresholdEffect:
    """The effect on one measure as it was and as it would have been at a re-chosen threshold (challenger minus champion).

    Args:
        measure: the measure.
        direction: which way is better.
        rule: how the threshold was re-chosen.
        threshold: the challenger's threshold.
        rechosen: the re-chosen one.
        champion_threshold: the champion's.
        champion_share: share of positive decisions of the champion.
        share: the same of the challenger.
        rechosen_share: the same at the re-chosen threshold.
        effect: as it was on these requests.
        effect_error: its standard error.
        rechosen_effect: as it would have been.
        rechosen_error: its standard error.
        change: ``rechosen_effect - effect``.
        change_error: its standard error.
        requests: requests it rests on.
        changed: requests of the challenger whose decision would have been another.
    """

    measure: str
    direction: Literal["increase", "decrease"]
    rule: Rule
    threshold: float
    rechosen: float
    champion_threshold: float
    champion_share: float
    share: float
    rechosen_share: float
    effect: float
    effect_error: float
    rechosen_effect: float
    rechosen_error: float
    change: float
    change_error: float
    requests: int
    changed: int

    def improvement(self, value: float) -> float:
        """An effect with positive as good."""
        return value if self.direction == "increase" else -value

    @property
    def changes_sign(self) -> bool:
        """Whether harm would have been gain."""
        return self.improvement(self.effect) < 0 < self.improvement(self.rechosen_effect)

    @property
    def z(self) -> float:
        """Improvement by the re-chosen threshold in standard errors; 0 where there is none."""
        gained = self.improvement(self.change)
        if self.change_error > 0:
            return gained / self.change_error
        return math.inf if gained > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; every number is finite or None."""
        return {name: finite(getattr(self, name)) for name in self.__slots__} | {"rule": self.rule.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ThresholdEffect:
        """The inverse of :meth:`to_json`."""
        return cls(**{**value, "rule": Rule(value["rule"])})


@dataclass(frozen=True, slots=True)
class Reestimate:
    """Stage-stratified effects before and after, with standard errors; see :class:`ThresholdEffect`."""

    effect: float
    effect_error: float
    rechosen_effect: float
    rechosen_error: float
    change: float
    change_error: float
    requests: int
    changed: int


def reestimate(rows: DecidedRows) -> Reestimate | str:
    """The effect at the re-chosen threshold, or why it cannot be had.

    Assumption: within a stage the outcome of a request depends on the arm only through label and decision. A request whose
    decision would have been another gets the mean outcome of the requests of both arms in its stage with its label and that
    decision; every other one keeps what was seen. This is the g-formula (Robins, "A new approach to causal inference in mortality
    studies", Mathematical Modelling 7, 1986) with (stage, label) as what is adjusted for.

    Stages are compared by themselves and averaged with n_c n_t / (n_c + n_t), n in units. Standard errors are those of sums of
    influences per unit: a request counts through its own value, and through the cell mean it helps to estimate.

    Args:
        rows: the requests; those without a finite outcome are left out.
    """
    known = np.isfinite(rows.outcome)
    if not known.any():
        return "no request with a label has an outcome yet"
    _, stratum = np.unique(rows.stratum[known], return_inverse=True)
    _, unit = np.unique(rows.unit[known], return_inverse=True)
    challenger, outcome = rows.challenger[known], rows.outcome[known]
    label, decision = rows.label[known], rows.decision[known]
    moved = np.where(challenger, rows.moved[known], decision)

    stages = int(stratum.max()) + 1
    in_arm = [_units(stratum[challenger == arm], unit[challenger == arm], stages) for arm in (False, True)]
    used = (in_arm[0] >= LEAST_UNITS) & (in_arm[1] >= LEAST_UNITS)
    if not used.any():
        return f"no stage has {LEAST_UNITS} units with label and outcome in each arm"
    weight = np.where(used, in_arm[0] * in_arm[1] / np.maximum(in_arm[0] + in_arm[1], 1), 0.0)
    weight /= weight.sum()

    own = (stratum * 2 + label) * 2 + decision
    other = (stratum * 2 + label) * 2 + moved
    cells = stages * 4
    logged = np.bincount(own, minlength=cells)
    changed = moved != decision
    wanted = np.bincount(other[changed], minlength=cells)
    if empty := np.flatnonzero((wanted > 0) & (logged == 0) & np.repeat(used, 4)).tolist():
        decided, labelled = ("positive" if bit else "negative" for bit in (empty[0] % 2, empty[0] // 2 % 2))
        return f"in one of the stages no request shows the outcome of a {decided} decision on a {labelled} label"
    means = np.bincount(own, outcome, minlength=cells) / np.maximum(logged, 1)
    value = np.where(changed, means[other], outcome)

    requests = [np.bincount(stratum[challenger == arm], minlength=stages) for arm in (False, True)]
    rows_of_arm = np.where(challenger, requests[1][stratum], requests[0][stratum])
    sign = np.where(challenger, 1.0, -1.0) * weight[stratum] / np.maximum(rows_of_arm, 1)
    lent = np.where(logged > 0, wanted / np.maximum(logged, 1), 0.0) * np.repeat(weight / np.maximum(requests[1], 1), 4)

    def influences(values: Array) -> Array:
        arm_mean = [np.bincount(stratum[challenger == arm], values[challenger == arm], minlength=stages) for arm in (False, True)]
        centre = np.where(
            challenger,
            (arm_mean[1] / np.maximum(requests[1], 1))[stratum],
            (arm_mean[0] / np.maximum(requests[0], 1))[stratum],
        )
        return np.asarray(sign * (values - centre))

    before = influences(outcome)
    after = influences(value) + lent[own] * (outcome - means[own])
    counted = used[stratum]
    effect, rechosen = float((sign * outcome)[counted].sum()), float((sign * value)[counted].sum())
    return Reestimate(
        effect=effect,
        effect_error=_error(before, unit),
        rechosen_effect=rechosen,
        rechosen_error=_error(after, unit),
        change=rechosen - effect,
        change_error=_error(after - before, unit),
        requests=int(counted.sum()),
        changed=int((changed & counted).sum()),
    )


def threshold_of_share(scores: Array, weights: Array, share: float) -> float:
    """The threshold at or above which a share of the scores lies, as near as ties allow.

    Args:
        scores: finite scores, at least one.
        weights: weight of each.
        share: wanted share of positive decisions, 0..1.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, reached = scores[order], np.cumsum(weights[order]) / weights.sum()
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    shares = np.concatenate([[0.0], reached[last]])
    place = int(np.argmin(np.abs(shares - share)))
    if place == 0:
        return float(np.nextafter(ordered[0], np.inf))
    lowest = ordered[last[place - 1]]
    following = last[place - 1] + 1
    return float((lowest + ordered[following]) / 2) if following < len(ordered) else float(lowest)


def threshold_of_probability(
    champion: tuple[float, float], champion_threshold: float, challenger: tuple[float, float]
) -> float | None:
    """The challenger's threshold at which its scores mean the probability that the champion's threshold means.

    Args:
        champion: intercept and slope of the logistic recalibration of the champion's scores on matured labels.
        champion_threshold: the champion's threshold, in (0, 1).
        challenger: the same recalibration of the challenger's scores.

    Returns:
        The threshold, in (0, 1); None where a slope is not positive or a number is not finite: such scores mean nothing.

    Source: Cox, "Two further applications of a model for binary regression", Biometrika 45, 1958.
    """
    numbers = (*champion, *challenger, champion_threshold)
    if not all(map(math.isfinite, numbers)) or champion[1] <= 0 or challenger[1] <= 0 or not 0 < champion_threshold < 1:
        return None
    meant = champion[0] + champion[1] * math.log(champion_threshold / (1 - champion_threshold))
    logit = (meant - challenger[0]) / challenger[1]
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, logit))))


def _units(stratum: Codes, unit: Codes, stages: int) -> Codes:
    pairs = np.unique(stratum * (int(unit.max(initial=0)) + 1) + unit) // (int(unit.max(initial=0)) + 1)
    return np.bincount(pairs, minlength=stages)


def _error(influence: Array, unit: Codes) -> float:
    return float(np.sqrt(np.sum(np.bincount(unit, influence) ** 2)))
