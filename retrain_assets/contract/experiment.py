"""The online experiment of a challenger: cohort, ramp, measures, margins, looks."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from retrain_assets.contract.part import Part
from retrain_assets.contract.quantities import ColumnName, Columns, Duration, Period, Portion, Share

Direction = Literal["increase", "decrease"]
Stage = Literal["shadow"] | Annotated[float, Field(gt=0, le=100)]

EXPOSURE_MEASURES = ("latency_ms", "error")
"""Columns of every exposure that a measure may use besides the declared outcomes."""

RECORD_COLUMNS = frozenset(
    {
        *("request_id", "model", "unit_id", "toggle", "revision", "stage", "arm", "version", "bundle", "exposed_at"),
        *("score", "shadow_score", "decision", "observed_at", *EXPOSURE_MEASURES),
    }
)
"""Columns that exposures and outcomes have by themselves; attributes and outcome measures need other names."""

FLAGD_WORDS = frozenset({"targetingKey", "$flagd"})
"""Names that mean something else in a flag document."""


class Measure(Part):
    """One number per unit, averaged per arm."""

    column: ColumnName | None = Field(default=None, description="Outcome or exposure column; the measure's own name by default.")
    above: float | None = Field(
        default=None, description="Turn the column into the share of units above this value (for tails, e.g. latency)."
    )
    direction: Direction = Field(description="Which way is better.")

    def column_of(self, name: str) -> str:
        """The column read for the measure called ``name``."""
        return self.column or name


class Success(Measure):
    """A measure the challenger must win on."""

    min_effect: Share = Field(
        default=0.0, ge=0, description="Smallest relative improvement that must be shown to call it better."
    )

    @model_validator(mode="after")
    def _effect_is_possible(self) -> Success:
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

    @model_validator(mode="after")
    def _one_margin(self) -> Guardrail:
        if (self.margin is None) == (self.max_regression is None):
            raise ValueError("a guardrail needs exactly one of margin (absolute) and max_regression (relative)")
        return self


class StopLoss(Part):
    """Roll back as soon as a harm beyond this is shown."""

    max_harm: Share = Field(default=0.0, ge=0, description="Relative worsening of a success measure that is still tolerated.")


class MinStage(Part):
    """What a stage must have seen before the ramp may go on."""

    units: Annotated[int, Field(gt=0)] = Field(description="Matured units on the challenger (in shadow: shadow-scored units).")
    duration: Duration = Field(description="Shortest time in the stage.")


class Condition(Part):
    """A condition on one attribute; all that are set must hold."""

    in_: list[str | float | bool] | None = Field(default=None, alias="in", description="One of these values.")
    not_in: list[str | float | bool] | None = Field(default=None, description="None of these values.")
    at_least: float | None = Field(default=None, description="Number at or above this.")
    below: float | None = Field(default=None, description="Number below this.")

    @model_validator(mode="after")
    def _something_is_set(self) -> Condition:
        if (self.in_, self.not_in, self.at_least, self.below) == (None, None, None, None):
            raise ValueError("an empty condition holds for everyone; write in, not_in, at_least or below")
        return self


class Experiment(Part):
    """Champion against challenger on live traffic."""

    cohort: dict[ColumnName, Condition] = Field(
        default_factory=dict, description="Attribute conditions a unit must meet to enter; empty: everyone."
    )
    ramp: list[Stage] = Field(description="Stages in per cent, from shadow to 100; 100 is the promotion itself.")
    outcomes: Annotated[Columns, Field(min_length=1)] = Field(description="Measure columns of the outcome table.")
    segments: Columns = Field(default_factory=list, description="Exposure columns the report is split by.")
    success: Annotated[dict[str, Success], Field(min_length=1)] = Field(description="What the challenger must win on.")
    guardrails: Annotated[dict[str, Guardrail], Field(min_length=1)] = Field(
        description="What the challenger must be shown not to harm."
    )
    stop_loss: StopLoss = Field(default_factory=StopLoss, description="When harm ends the experiment at once.")
    look_every: Duration = Field(
        default=timedelta(days=1),
        description="Shortest time between two looks. Any rhythm is valid; an approval holds for the look it was given on, "
        "so leave approvers time.",
    )
    outcome_window: Period = Field(description="Time after exposure in which an outcome counts; then a unit matures.")
    min_stage: MinStage = Field(description="What each stage must have seen.")
    min_duration: Duration = Field(
        default=timedelta(0), description="Shortest time from arming to asking for approval, e.g. 14d for two full weeks."
    )
    max_duration: Period = Field(description="Longest time from arming to a decision.")
    expected_units_per_day: Annotated[float, Field(gt=0)] = Field(description="Units a day in the cohort, for planning.")
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = Field(default=0.025, description="One-sided error level.")
    planned_units: Annotated[int, Field(gt=0)] = Field(
        default=10_000, description="Units (both arms) at which the confidence sequence is tightest."
    )
    max_missing_outcomes: Portion = Field(
        default=0.2, description="Largest share of matured exposures without an outcome before results are invalid."
    )

    @field_validator("ramp", mode="before")
    @classmethod
    def _percent_ramp(cls, ramp: Any) -> Any:
        return [_percent(stage) for stage in ramp] if isinstance(ramp, list) else ramp

    @field_validator("ramp")
    @classmethod
    def _ramp_ascends(cls, ramp: list[Stage]) -> list[Stage]:
        shares = [stage for stage in ramp if stage != "shadow"]
        if "shadow" in ramp[1:]:
            raise ValueError("shadow can only be the first stage; write [shadow, 5, 25, 50, 100]")
        if len(shares) < 2 or shares != sorted(set(shares)) or shares[-1] != 100:
            written = ", ".join(stage if isinstance(stage, str) else f"{stage:g}" for stage in ramp)
            raise ValueError(f"[{written}] must ascend, have a stage below 100 and end at 100; write [shadow, 5, 25, 50, 100]")
        if fine := [stage for stage in shares if round(stage, 2) != stage]:
            raise ValueError(f"stage {fine[0]} is finer than routing can divide; write steps of 0.01 per cent")
        return ramp

    @field_validator("cohort")
    @classmethod
    def _somebody_can_enter(cls, cohort: dict[str, Condition]) -> dict[str, Condition]:
        for name, condition in cohort.items():
            if "." in name or name in FLAGD_WORDS:
                raise ValueError(f"attribute {name!r} cannot be looked up in a flag document; give it a name without dots")
            if condition.in_ == []:
                raise ValueError(f"{name}: nothing is among no values; write at least one, or remove the condition")
            if condition.at_least is not None and condition.below is not None and condition.at_least >= condition.below:
                raise ValueError(
                    f"{name}: no number is at least {condition.at_least:g} and below {condition.below:g}; exchange them"
                )
        return cohort

    @model_validator(mode="after")
    def _columns_are_told_apart(self) -> Experiment:
        for kind, names in (("outcomes", self.outcomes), ("segments", self.segments), ("cohort", [*self.cohort])):
            if taken := sorted(RECORD_COLUMNS.intersection(names)):
                raise ValueError(f"{kind}: {', '.join(taken)} is a column every record has; name yours differently")
        if both := sorted({*self.segments, *self.cohort}.intersection(self.outcomes)):
            raise ValueError(f"{', '.join(both)} is an outcome, which nobody knows when a unit is routed; rename or remove it")
        return self

    @model_validator(mode="after")
    def _measures_exist(self) -> Experiment:
        known = {*self.outcomes, *EXPOSURE_MEASURES}
        for kind, measures in (("success", self.success), ("guardrails", self.guardrails)):
            for name, measure in measures.items():
                if measure.column_of(name) not in known:
                    raise ValueError(
                        f"{kind}.{name}: column {measure.column_of(name)!r} is neither in outcomes "
                        f"({', '.join(self.outcomes)}) nor an exposure measure ({', '.join(EXPOSURE_MEASURES)}); "
                        "add it to outcomes or correct column"
                    )
        if twice := set(self.success) & set(self.guardrails):
            raise ValueError(f"{', '.join(sorted(twice))} is both a success measure and a guardrail; name it once")
        return self

    @model_validator(mode="after")
    def _durations_ordered(self) -> Experiment:
        if self.min_duration >= self.max_duration:
            raise ValueError("min_duration must be shorter than max_duration, or no look could ever ask for approval")
        return self

    @model_validator(mode="after")
    def _stages_are_reachable(self) -> Experiment:
        days = self.ramp_duration / timedelta(days=1)
        if self.ramp_duration > self.max_duration:
            raise ValueError(
                f"min_stage: with {self.expected_units_per_day:g} units a day the ramp needs {days:.1f} days, more than "
                "max_duration; lower min_stage, widen the stages or lengthen max_duration"
            )
        return self

    @property
    def ramp_duration(self) -> timedelta:
        """Shortest time the ramp can take at the expected traffic, the last outcome window included."""
        total = self.outcome_window
        for stage in self.ramp:
            if stage == 100:
                continue
            share = 1.0 if stage == "shadow" else stage / 100
            filling = timedelta(days=self.min_stage.units / (self.expected_units_per_day * share))
            total += max(self.min_stage.duration, filling)
        return total


def _percent(stage: Any) -> Any:
    return float(stage.strip().removesuffix("%")) if isinstance(stage, str) and stage.strip().endswith("%") else stage
