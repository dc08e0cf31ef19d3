"""What an effect is worth: improvement x volume x value, less the costs of training, serving and review, with its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Worth(StrEnum):
    """Whether the limits of the net value lie above or below what a promotion must bring."""

    WORTH_IT = "worth_it"
    NOT_WORTH_IT = "not_worth_it"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class NetValue:
    """Net value of a promotion over the contract's horizon, in its currency.

    Args:
        measure: the success measure that carries the value.
        currency: shown beside amounts.
        horizon_days: time the value is counted over.
        units: units expected in that time.
        estimate: value of the estimated improvement less all costs.
        lower: the same at the lower limit of the improvement.
        upper: the same at its upper limit.
        gross: value of the estimated improvement before costs.
        training_cost: of the retrain.
        serving_cost: over the horizon.
        review_cost: of the promotion.
        minimum: what a promotion must bring.
        worth: the state.
        message: one sentence.
    """

    measure: str
    currency: str
    horizon_days: float
    units: float
    estimate: float
    lower: float
    upper: float
    gross: float
    training_cost: float
    serving_cost: float
    review_cost: float
    minimum: float
    worth: Worth
    message: str

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return {**asdict(self), "worth": self.worth.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> NetValue:
        """The inverse of :meth:`to_json`."""
        return cls(**{**value, "worth": Worth(value["worth"])})
