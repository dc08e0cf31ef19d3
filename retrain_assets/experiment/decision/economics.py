"""What an effect is worth: improvement x volume x value, less the costs of training, serving and review, with its limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from retrain_assets.contract import Economics
from retrain_assets.experiment.estimation.measures import MeasureResult
from retrain_assets.experiment.plan import Plan


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


def net_value(results: Sequence[MeasureResult], plan: Plan, *, training_hours: float | None = None) -> NetValue | None:
    """What a promotion would bring over the contract's horizon: improvement x units x value, less the costs.

    The improvement is the measure's difference per unit in its good direction, with its anytime-valid limits; each limit of the
    value has the error of the limit it comes from. Units are the expected units a day times the horizon, and one prediction a
    unit is counted for serving. The money for training is spent already; it counts because the next retrain costs it again.

    Args:
        results: the look's results per measure.
        plan: names the measure, the values and the costs.
        training_hours: time the retrain's training took; None when it is not known, which the message then says.

    Returns:
        None when the contract has no economics or the measure has no limits yet.
    """
    terms = plan.economics
    carriers = [one for one in results if one.spec.role == "success" and terms is not None]
    result = next((one for one in carriers if terms and terms.measure in (None, one.spec.name)), None)
    if terms is None or result is None or result.estimate is None or result.lower is None or result.upper is None:
        return None
    days = terms.horizon / timedelta(days=1)
    units = plan.units_a_day * days
    sign = 1.0 if result.spec.direction == "increase" else -1.0
    value_of = units * terms.value_per_unit * sign
    hours = training_hours if training_hours is not None and math.isfinite(training_hours) and training_hours >= 0 else None
    training, serving = terms.training_cost_per_hour * (hours or 0.0), terms.serving_cost_per_1k * units / 1000
    costs = training + serving + terms.review_cost
    lower, upper = sorted((value_of * result.lower - costs, value_of * result.upper - costs))
    estimate = value_of * result.estimate - costs
    if not all(math.isfinite(amount) for amount in (estimate, lower, upper)):
        return None
    unknown_training = hours is None and terms.training_cost_per_hour > 0
    worth = _worth(lower, upper, terms.min_net_value)
    return NetValue(
        measure=result.spec.name,
        currency=terms.currency,
        horizon_days=days,
        units=units,
        estimate=estimate,
        lower=lower,
        upper=upper,
        gross=value_of * result.estimate,
        training_cost=training,
        serving_cost=serving,
        review_cost=terms.review_cost,
        minimum=terms.min_net_value,
        worth=worth,
        message=_message((estimate, lower, upper), worth, terms, days, unknown_training=unknown_training),
    )


def _worth(lower: float, upper: float, minimum: float) -> Worth:
    if upper < minimum:
        return Worth.NOT_WORTH_IT
    return Worth.WORTH_IT if lower > minimum else Worth.UNCLEAR


def _message(amounts: Sequence[float], worth: Worth, terms: Economics, days: float, *, unknown_training: bool) -> str:
    estimate, lower, upper = amounts
    money, least = terms.currency, f"{terms.min_net_value:,.0f}"
    text = f"net value {estimate:+,.0f} {money} [{lower:+,.0f}, {upper:+,.0f}] over {days:g} days"
    found = {
        Worth.WORTH_IT: f"worth it, more than {least} {money} even at the lower limit",
        Worth.NOT_WORTH_IT: f"not worth it, less than {least} {money} even at the upper limit",
        Worth.UNCLEAR: f"unclear whether it brings {least} {money}",
    }[worth]
    return f"{text}: {found}" + ("; the cost of training is not in it, its time is not recorded" if unknown_training else "")
