"""The online experiment of a challenger: cohort, ramp, measures, margins, looks."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from retrain_assets.contract.measures import REQUESTS, Guardrail, Success
from retrain_assets.contract.part import Part, rule
from retrain_assets.contract.quantities import ColumnName, Columns, Duration, Period, Portion, Share, format_duration

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


class StopLoss(Part):
    """Roll back as soon as a harm beyond this is shown."""

    max_harm: Share = Field(default=0.0, ge=0, description="Relative worsening of a success measure that is still tolerated.")
    looks: Annotated[int, Field(ge=1, le=10)] = Field(
        default=2, description="Looks in a row that must show the harm, so that one bad batch of records does not roll back."
    )
    confirm_after: Duration = Field(
        default=timedelta(hours=1), description="Shortest time from a look that shows harm to the look that confirms it."
    )


class MissingData(Part):
    """What happens while measures cannot be computed or the experiment is invalid: it holds, then this."""

    grace: Duration = Field(default=timedelta(days=3), description="How long looks without usable data in a row only hold.")
    fallback: Literal["hold", "roll_back"] = Field(default="roll_back", description="What follows after the grace period.")


class PlannedLooks(Part):
    """Looks fixed in advance, with a group-sequential test for the promotion; harm is watched at every look all the same."""

    after: Annotated[list[Duration], Field(min_length=1, max_length=20)] = Field(
        description="Times since the first stage with traffic began, ascending; the last one is the final look."
    )
    spending: Literal["obrien_fleming", "pocock", "linear"] = Field(
        default="obrien_fleming", description="How the error level is spent over the looks (Lan and DeMets)."
    )

    @field_validator("after")
    @classmethod
    def _ascending(cls, after: list[timedelta]) -> list[timedelta]:
        if any(not a < b for a, b in pairwise(after)) or after[0] <= timedelta(0):
            raise ValueError("after must ascend and be positive; write [7d, 14d, 21d, 28d]")
        return after


class Adjustment(Part):
    """Covariates known before the arm could matter; they take variance out of every mean and ratio."""

    columns: Columns = Field(default_factory=list, description="Numeric exposure columns known before scoring.")
    champion_score: bool = Field(
        default=False, description="The champion's score of every request; the challenger's requests are then scored by both."
    )
    pre_period: Period | None = Field(
        default=None, description="The unit's own value of the measure in this time before arming (CUPED)."
    )

    @rule
    def _something_to_adjust_for(self) -> Adjustment:
        if not self.columns and not self.champion_score and self.pre_period is None:
            raise ValueError("adjust_for names no covariate; write columns, champion_score or pre_period, or remove it")
        return self


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
    any_of: list[Annotated[str, StringConstraints(pattern=r"^[^|]*$")]] | None = Field(
        default=None,
        description="For an attribute that is a list, such as a unit's segments: it holds one of these texts, none of which may "
        "contain `|` (it joins the list in the exposure log).",
    )

    @rule
    def _something_is_set(self) -> Condition:
        if (self.in_, self.not_in, self.at_least, self.below, self.any_of) == (None,) * 5:
            raise ValueError("an empty condition holds for everyone; write in, not_in, at_least, below or any_of")
        if self.any_of is not None and (self.in_, self.not_in, self.at_least, self.below) != (None,) * 4:
            raise ValueError("any_of is for an attribute that is a list, the other conditions are for one value; keep one kind")
        return self


class Experiment(Part):
    """Champion against challenger on live traffic."""

    cohort: dict[ColumnName, Condition] = Field(
        default_factory=dict, description="Attribute conditions a unit must meet to enter; empty: everyone."
    )
    cohort_share: Annotated[Share, Field(ge=0.0001, le=1)] = Field(
        default=1.0,
        description="Part of the units meeting the cohort's conditions that takes part at all; the rest keeps the champion and "
        "stays out of the comparison.",
    )
    ramp: list[Stage] = Field(description="Stages in per cent, from shadow to 100; 100 is the promotion itself.")
    outcomes: Annotated[Columns, Field(min_length=1)] = Field(description="Measure columns of the outcome table.")
    segments: Columns = Field(default_factory=list, description="Exposure columns the report is split by.")
    segment_min_share: Portion = Field(
        default=0.05, description="Share of the units below which a segment is shown but need not keep a segment_margin."
    )
    high_value: dict[ColumnName, list[str | float | bool]] = Field(
        default_factory=dict, description="Segments that matter most: the report warns when one moves against the total."
    )
    adjust_for: Adjustment | None = Field(default=None, description="Covariates that take variance out of the comparison.")
    looks: PlannedLooks | None = Field(default=None, description="Fixed looks for the promotion; any rhythm without it.")
    success: Annotated[dict[str, Success], Field(min_length=1)] = Field(description="What the challenger must win on.")
    guardrails: Annotated[dict[str, Guardrail], Field(min_length=1)] = Field(
        description="What the challenger must be shown not to harm."
    )
    stop_loss: StopLoss = Field(default_factory=StopLoss, description="When harm ends the experiment at once.")
    missing_data: MissingData = Field(default_factory=MissingData, description="What follows when measures cannot be computed.")
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
    full_weeks: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Full weekly cycles of matured traffic an approval needs, so that no weekday weighs double."
    )
    max_duration: Period = Field(description="Longest time from arming to a decision.")
    extend_to: Period | None = Field(
        default=None, description="Longest time when nothing is shown after max_duration and no harm either; unset: no extension."
    )
    expected_units_per_day: Annotated[float, Field(gt=0)] = Field(description="Units a day in the cohort, for planning.")
    alpha: Annotated[Share, Field(ge=1e-9, lt=0.5)] = Field(default=0.025, description="One-sided error level.")
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
            if condition.in_ and condition.not_in and not [one for one in condition.in_ if one not in condition.not_in]:
                raise ValueError(f"{name}: nobody is in and not_in at once; correct one of them")
            if condition.in_ == []:
                raise ValueError(f"{name}: nothing is among no values; write at least one, or remove the condition")
            if condition.at_least is not None and condition.below is not None and condition.at_least >= condition.below:
                raise ValueError(
                    f"{name}: no number is at least {condition.at_least:g} and below {condition.below:g}; exchange them"
                )
        return cohort

    @rule
    def _cohort_has_one_kind_each(self) -> Experiment:
        for name, condition in self.cohort.items():
            options = [*(condition.in_ or ()), *(condition.not_in or ())]
            kinds = {"text" if isinstance(one, str) else "boolean" if isinstance(one, bool) else "number" for one in options}
            kinds |= {"number"} if (condition.at_least, condition.below) != (None, None) else set()
            if len(kinds) > 1:
                raise ValueError(
                    f"cohort.{name} compares with {' and '.join(sorted(kinds))}, but an attribute is of one kind on record; "
                    "write all values as that kind"
                )
        return self

    @rule
    def _columns_are_told_apart(self) -> Experiment:
        covariates = self.adjust_for.columns if self.adjust_for else []
        for kind, names in (
            ("outcomes", self.outcomes),
            ("segments", self.segments),
            ("cohort", [*self.cohort]),
            ("adjust_for.columns", covariates),
        ):
            if taken := sorted(RECORD_COLUMNS.intersection(names)):
                raise ValueError(f"{kind}: {', '.join(taken)} is a column every record has; name yours differently")
        if REQUESTS in self.outcomes:
            raise ValueError(f"outcomes: per: {REQUESTS} already means the number of requests; name the column differently")
        if both := sorted({*self.segments, *self.cohort, *covariates}.intersection(self.outcomes)):
            raise ValueError(f"{', '.join(both)} is an outcome, which nobody knows when a unit is routed; rename or remove it")
        return self

    @rule
    def _measures_exist(self) -> Experiment:
        known = {*self.outcomes, *EXPOSURE_MEASURES}
        for kind, measures in (("success", self.success), ("guardrails", self.guardrails)):
            for name, measure in measures.items():
                if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
                    raise ValueError(
                        f"{kind}: a check is named after {name!r}; write letters, digits and underscores, such as latency_p95, "
                        "and the column's name in column"
                    )
                if unknown := [column for column in measure.columns_of(name) if column not in known]:
                    raise ValueError(
                        f"{kind}.{name}: column {unknown[0]!r} is neither in outcomes "
                        f"({', '.join(self.outcomes)}) nor an exposure measure ({', '.join(EXPOSURE_MEASURES)}); "
                        "add it to outcomes or correct column"
                    )
                if measure.per == measure.column_of(name):
                    raise ValueError(f"{kind}.{name}: {measure.per} by itself is 1 for everyone; correct column or per")
                if measure.column_of(name) == "error" and (measure.above is not None or measure.winsorise is not None):
                    raise ValueError(f"{kind}.{name}: error is 0 or 1 already; remove above and winsorise")
                if measure.per is not None and (measure.column_of(name) == "error" or measure.above is not None):
                    raise ValueError(
                        f"{kind}.{name}: a share of rare events has exact bounds, a ratio has none and would never be shown "
                        "without events; remove per"
                    )
        if twice := set(self.success) & set(self.guardrails):
            raise ValueError(f"{', '.join(sorted(twice))} is both a success measure and a guardrail; name it once")
        return self

    @rule
    def _durations_ordered(self) -> Experiment:
        if self.min_duration >= self.max_duration:
            raise ValueError("min_duration must be shorter than max_duration, or no look could ever ask for approval")
        if self.extend_to is not None and self.extend_to <= self.max_duration:
            raise ValueError("extend_to must be longer than max_duration; lengthen it or remove it")
        shadow = self.min_stage.duration if self.ramp[0] == "shadow" else timedelta(0)
        if self.looks is not None and self.looks.after[-1] + shadow > self.longest:
            after = f" (looks count from the end of the shadow stage, {format_duration(shadow)} or more)" if shadow else ""
            raise ValueError(
                f"looks: the last one lies after the experiment's longest duration{after}; let it be "
                f"{format_duration(self.longest - shadow)} at most, or lengthen max_duration"
            )
        if self.looks is not None and self.looks.after[-1] <= self.outcome_window:
            raise ValueError(
                f"looks: before the first outcome window ({format_duration(self.outcome_window)}) is over nothing has "
                "matured, and after the last look nothing more may be shown; write later looks, such as [7d, 14d]"
            )
        if timedelta(weeks=self.full_weeks) + shadow + self.outcome_window > self.longest:
            raise ValueError(
                "full_weeks do not fit into max_duration (they count from the first traffic after shadow until its outcomes have "
                "matured); lower them or lengthen max_duration"
            )
        if self.look_every > self.max_duration:
            raise ValueError("look_every is longer than max_duration, so nobody would look in time; write 1d")
        return self

    @rule
    def _brakes_can_be_reached(self) -> Experiment:
        if (self.stop_loss.looks - 1) * self.stop_loss.confirm_after >= self.longest:
            raise ValueError(
                "stop_loss.confirm_after: harm could not be confirmed before the experiment ends, so nothing would roll back; "
                "write a shorter one, such as 1h, or fewer looks"
            )
        if self.missing_data.fallback == "roll_back" and self.missing_data.grace >= self.longest:
            raise ValueError(
                "missing_data.grace lasts as long as the experiment, so nothing rolls back; shorten it or write fallback: hold"
            )
        return self

    @rule
    def _segments_are_known(self) -> Experiment:
        if unknown := sorted(set(self.high_value) - set(self.segments)):
            raise ValueError(f"high_value: {unknown[0]} is not among segments; add it there")
        if empty := [name for name, values in self.high_value.items() if not values]:
            raise ValueError(f"high_value.{empty[0]}: names no value; write at least one, or remove it")
        if not self.segments and (
            judged := [name for name, guardrail in self.guardrails.items() if guardrail.segment_margin is not None]
        ):
            raise ValueError(f"guardrails.{judged[0]}: segment_margin needs segments; name the columns in segments")
        return self

    @property
    def longest(self) -> timedelta:
        """Longest time from arming to a decision, an extension included."""
        return self.extend_to or self.max_duration

    @rule
    def _stages_are_reachable(self) -> Experiment:
        days = self.ramp_duration / timedelta(days=1)
        if self.ramp_duration > self.max_duration:
            raise ValueError(
                f"min_stage: with {self.expected_units_per_day:g} units a day the ramp needs {days:.1f} days, more than "
                "max_duration; lower min_stage, widen the stages, shorten outcome_window or lengthen max_duration"
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
    if stage == "shadow":
        return stage
    number = stage.strip().removesuffix("%") if isinstance(stage, str) else stage
    try:
        share = float("nan") if isinstance(number, bool) else float(number)
    except (TypeError, ValueError):
        share = float("nan")
    if not 0 < share <= 100:
        raise ValueError(f"{stage!r} is not a stage; write shadow, or per cent above 0 and up to 100, such as 5")
    return share
