"""What a better model is worth and what it costs: the numbers that turn an effect into money."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from retrain_assets.contract.part import Part
from retrain_assets.contract.quantities import Period

Amount = Annotated[float, Field(ge=0)]


class Economics(Part):
    """Net value of a promotion = improvement per unit x units x value - costs, over a horizon. All amounts in one currency."""

    measure: str | None = Field(default=None, description="The success measure that carries the value; the first one by default.")
    value_per_unit: float = Field(gt=0, description="What one unit of the measure's improvement is worth, per unit of traffic.")
    horizon: Period = Field(default=timedelta(days=30), description="Time a promoted model is expected to serve.")
    currency: str = Field(default="EUR", min_length=1, description="Shown beside amounts.")
    training_cost_per_hour: Amount = Field(default=0.0, description="Cost of an hour of training, by the training time recorded.")
    serving_cost_per_1k: Amount = Field(
        default=0.0, description="Cost of a thousand more predictions: what the challenger costs above the champion."
    )
    review_cost: Amount = Field(default=0.0, description="People's time for one promotion.")
    min_net_value: float = Field(default=0.0, description="Net value over the horizon below which a promotion is not worth it.")
