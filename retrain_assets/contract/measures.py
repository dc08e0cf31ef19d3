"""What a canary measures per unit, which way is better, and how much harm is tolerated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from retrain_assets.contract.part import Part, rule
from retrain_assets.contract.quantities import SHARE_SCHEMA, ColumnName, Share, parse_share

Direction = Literal["increase", "decrease"]

REQUESTS = "requests"
"""Written as ``per``: divide by the number of a unit's requests."""

MOST_RELATIVE = 10.0
"""Largest relative limit: a change by more than 1000 % is a percentage whose sign was forgotten."""


def _not_a_forgotten_per_cent(value: float) -> float:
    if value > MOST_RELATIVE:
        raise ValueError(f"{value:g} is {value:.0%}; write {value:g}%")
    return value


RelativeLimit = Annotated[Share, AfterValidator(_not_a_forgotten_per_cent)]
Margin = Annotated[float, WithJsonSchema(SHARE_SCHEMA)]
"""A number. The schema lets a percentage through, so that the contract's own words say what to write instead."""


class Winsor(Part):
    """Limits a unit's value is moved to when it lies beyond them. Fixed before the experiment, so that sums stay mergeable."""

    at_least: float | None = Field(default=None, description="Smaller values count as this.")
    at_most: float | None = Field(default=None, description="Larger values count as this.")

    @rule
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

    @rule
    def _one_kind(self) -> Measure:
        if self.quantile is not None and (
            self.above is not None or self.per is not None or self.winsorise is not None or self.aggregate != "mean"
        ):
            raise ValueError("quantile stands alone; remove above, per, winsorise and aggregate, or remove quantile")
        if self.per is not None and self.aggregate == "sum":
            raise ValueError("per already divides sums; remove aggregate")
        if self.above is not None and self.winsorise is not None:
            raise ValueError("above makes 0 and 1 of the values, and winsorise would move these; remove one of them")
        return self

    def column_of(self, name: str) -> str:
        """The column read for the measure called ``name``."""
        return self.column or name

    def is_share(self, name: str) -> bool:
        """Whether a unit's value lies in 0..1 whatever comes: an error, a value above a threshold, or one that is moved there."""
        if self.per is not None or self.quantile is not None:
            return False
        if self.aggregate == "mean" and (self.above is not None or self.column_of(name) == "error"):
            return True
        limits = self.winsorise
        return (
            limits is not None
            and limits.at_least is not None
            and limits.at_most is not None
            and limits.at_least >= 0
            and limits.at_most <= 1
        )

    def columns_of(self, name: str) -> tuple[str, ...]:
        """Every column read for the measure called ``name``: the value's, and that of a ratio's denominator."""
        return (self.column_of(name), self.per) if self.per not in (None, REQUESTS) else (self.column_of(name),)


class Success(Measure):
    """A measure the challenger must win on."""

    min_effect: RelativeLimit = Field(
        default=0.0, ge=0, description="Smallest relative improvement that must be shown to call it better."
    )

    min_gain: float = Field(
        default=0.0,
        ge=0,
        description="Smallest improvement to be shown in the unit of the measure, instead of min_effect.",
    )

    @rule
    def _effect_is_possible(self) -> Success:
        if self.min_effect and self.min_gain:
            raise ValueError("min_effect is relative, min_gain absolute; write one of them")
        if self.direction == "decrease" and self.min_effect >= 1:
            raise ValueError("min_effect: nothing decreases by 100 % or more; write 1% or 0.01")
        return self


class Guardrail(Measure):
    """A measure the challenger must be shown not to harm. Exactly one of ``margin`` and ``max_regression`` is set."""

    max_regression: RelativeLimit | None = Field(
        default=None, gt=0, description="Non-inferiority margin relative to the champion's mean."
    )
    margin: Margin | None = Field(
        default=None, gt=0, description="Non-inferiority margin in the unit of the measure (share for 0/1 columns)."
    )
    segment_margin: Margin | None = Field(
        default=None,
        gt=0,
        description="Margin in every segment by itself, in the kind of the guardrail's own margin; unset: segments are shown, "
        "and decide nothing.",
    )

    @field_validator("margin", "segment_margin", mode="before")
    @classmethod
    def _in_the_unit_of_the_measure(cls, value: Any, info: ValidationInfo) -> Any:
        """A percentage is relative; of an absolute margin nobody knows whether it is meant as a share of the units."""
        if not isinstance(value, str) or not value.strip().endswith("%"):
            return value
        share = parse_share(value)
        if info.field_name == "segment_margin" and info.data.get("max_regression") is not None:
            return share
        own = (
            "write" if info.field_name == "segment_margin" else f"write max_regression: {value.strip()} for a relative change, or"
        )
        raise ValueError(
            f"{value.strip()!r} is no amount in the unit of the measure; {own} {share:.10g} for a share of the units"
        )

    @rule
    def _one_margin(self) -> Guardrail:
        if (self.margin is None) == (self.max_regression is None):
            raise ValueError(
                "a guardrail needs exactly one of margin (absolute) and max_regression (relative); "
                + ("write one" if self.margin is None else "remove one")
            )
        for field in ("max_regression", "segment_margin") if self.margin is None else ():
            if self.direction == "increase" and (getattr(self, field) or 0.0) >= 1:
                raise ValueError(
                    f"{field}: a fall by 100 % is hardly possible, so it would always hold; write less, such as 5%, or margin"
                )
        return self
