"""What a canary measures per unit, which way is better, and how much harm is tolerated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from retrain_assets.contract.part import Part
from retrain_assets.contract.quantities import ColumnName, Share

Direction = Literal["increase", "decrease"]

REQUESTS = "requests"
"""Written as ``per``: divide by the number of a unit's requests."""


class Winsor(Part):
    """Limits a unit's value is moved to when it lies beyond them. Fixed before the experiment, so that sums stay mergeable."""

    at_least: float | None = Field(default=None, description="Smaller values count as this.")
    at_most: float | None = Field(default=None, description="Larger values count as this.")

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Winsor:
        if self.at_least is None and self.at_most is None:
            raise ValueError("winsorise: write at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least >= self.at_most:
            raise ValueError(f"winsorise: at_least {self.at_least:g} is not below at_most {self.at_most:g}; exchange them")
        return self


class Measure(Part):
    """One number per unit, averaged per arm; a ratio of two; or a quantile of the requests' values."""

    column: ColumnName | None = Field(default=None, description="Outcome or exposure column; the measure's own name by default.")
    above: float | None = Field(
        default=None, description="Turn the column into the share of units above this value (for tails, e.g. latency)."
    )
    aggregate: Literal["mean", "sum"] = Field(
        default="mean", description="A unit's value from its requests: their mean, or their sum (counts, revenue per unit)."
    )
    per: ColumnName | None = Field(
        default=None,
        description="Ratio of sums: the column's total divided by this column's total, units as clusters; "
        "`requests` divides by the number of requests.",
    )
    quantile: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        default=None, description="Compare this quantile of all requests' values (95% for the p95), units as clusters."
    )
    winsorise: Winsor | None = Field(default=None, description="Move extreme values of a unit to these limits.")
    direction: Direction = Field(description="Which way is better.")

    @model_validator(mode="after")
    def _one_kind(self) -> Measure:
        if self.quantile is not None and (
            self.above is not None or self.per is not None or self.winsorise is not None or self.aggregate != "mean"
        ):
            raise ValueError("quantile stands alone; remove above, per, winsorise and aggregate, or remove quantile")
        if self.per is not None and self.aggregate == "sum":
            raise ValueError("per already divides sums; remove aggregate")
        return self

    def column_of(self, name: str) -> str:
        """The column read for the measure called ``name``."""
        return self.column or name

    def columns_of(self, name: str) -> tuple[str, ...]:
        """Every column read for the measure called ``name``: the value's, and that of a ratio's denominator."""
        return (self.column_of(name), self.per) if self.per not in (None, REQUESTS) else (self.column_of(name),)


class Success(Measure):
    """A measure the challenger must win on."""

    min_effect: Share = Field(
        default=0.0, ge=0, description="Smallest relative improvement that must be shown to call it better."
    )

    min_gain: float = Field(
        default=0.0,
        ge=0,
        description="Smallest improvement to be shown in the unit of the measure, instead of min_effect.",
    )

    @model_validator(mode="after")
    def _effect_is_possible(self) -> Success:
        if self.min_effect and self.min_gain:
            raise ValueError("min_effect is relative, min_gain absolute; write one of them")
        if self.direction == "decrease" and self.min_effect >= 1:
            raise ValueError("min_effect: nothing decreases by 100 % or more; write 1% or 0.01")
        return self


class Guardrail(Measure):
    """A measure the challenger must be shown not to harm. Exactly one of ``margin`` and ``max_regression`` is set."""

    margin: float | None = Field(
        default=None, gt=0, description="Non-inferiority margin in the unit of the measure (share for 0/1 columns)."
    )
    max_regression: Share | None = Field(
        default=None, gt=0, description="Non-inferiority margin relative to the champion's mean."
    )
    segment_margin: float | None = Field(
        default=None,
        gt=0,
        description="Margin in every segment by itself, in the kind of the guardrail's own margin; unset: segments are shown, "
        "and decide nothing.",
    )

    @model_validator(mode="after")
    def _one_margin(self) -> Guardrail:
        if (self.margin is None) == (self.max_regression is None):
            raise ValueError("a guardrail needs exactly one of margin (absolute) and max_regression (relative)")
        return self
