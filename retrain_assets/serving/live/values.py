"""What goes into a prediction and what comes out, as the gateway's rooms hand it to one another. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retrain_assets.contract import Refused, RetrainError
from retrain_assets.routing import Arm, Reason
from retrain_assets.serving.journal.values import LogUnavailable

Scalar = str | float | int | bool | None
Attribute = Scalar | list[str]


class UnknownModel(RetrainError):
    """No flag document names the model."""


class BadRequest(RetrainError):
    """A request, or a row of it, is not as the model's signature and the contract say."""


class NotReady(Refused):
    """The model is known, but what would answer is not loaded or was refused."""


class ModelFailed(RetrainError):
    """The champion raised, gave no finite score or took longer than its deadline; nobody else could answer."""


class ModelLate(ModelFailed):
    """The champion took longer than its deadline."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row to be scored.

    Args:
        request_id: identifies the request in exposures and outcomes; the caller's own, or one that was made up on arrival.
        unit: what stays sticky; None where the caller names none.
        attributes: what the cohort, the segments and the covariates are about.
        features: what the model reads, by name.
    """

    request_id: str
    unit: str | None
    attributes: Mapping[str, Attribute]
    features: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one row.

    Args:
        request_id: the row's.
        unit: the row's.
        score: probability of the positive class or regression value; of several classes one probability each.
        decision: the positive decision; None without a decision rule.
        arm: the arm the unit is in, also where the champion answered for a challenger that failed (``error``).
        version: registry version of that arm.
        revision: the toggle's revision; 0 outside the experiment.
        stage: the ramp's stage; None outside the experiment.
        reason: why this arm.
        error: whether the arm's own model failed, so that the champion's answer is given.
    """

    request_id: str
    unit: str | None
    score: float | list[float]
    decision: bool | None
    arm: Arm
    version: str
    revision: int
    stage: str | None
    reason: Reason
    error: bool


__all__ = [
    "Attribute",
    "BadRequest",
    "LogUnavailable",
    "ModelFailed",
    "ModelLate",
    "NotReady",
    "Prediction",
    "Row",
    "Scalar",
    "UnknownModel",
]
