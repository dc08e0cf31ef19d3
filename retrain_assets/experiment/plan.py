"""What an experiment was planned to show: measures with their margins, error level, ramp, durations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from retrain_assets.contract import Contract, Economics, Guardrail, StopLoss, Success
from retrain_assets.experiment.estimation.group_sequential import Spending
from retrain_assets.experiment.estimation.intervals import Tuning
from retrain_assets.experiment.estimation.statistics import SHADOW


@dataclass(frozen=True, slots=True)
class MeasureSpec:
    """What one measure must show.

    Args:
        name: the measure's name in the contract.
        role: ``success`` (must win) or ``guardrail`` (must not be harmed).
        direction: which way is better.
        min_effect: success: relative improvement that must be shown (0.01 = 1 %).
        margin: guardrail: tolerated harm in the unit of the measure.
        max_regression: guardrail: tolerated harm relative to the champion's mean.
        max_harm: success: relative harm beyond which, once shown, the challenger is rolled back.
        min_gain: success: improvement in the unit of the measure that must be shown, instead of ``min_effect``.
        segment_margin: guardrail: tolerated harm in every segment, in the kind of the guardrail's own margin; None: not judged.
        quantile: the quantile compared, 0..1; None for means and ratios.
        is_share: whether a unit's value lies in 0..1 whatever comes.
    """

    name: str
    role: Literal["success", "guardrail"]
    direction: Literal["increase", "decrease"]
    min_effect: float = 0.0
    margin: float | None = None
    max_regression: float | None = None
    max_harm: float = 0.0
    min_gain: float = 0.0
    segment_margin: float | None = None
    quantile: float | None = None
    is_share: bool = True

    @classmethod
    def from_contract(cls, name: str, measure: Success | Guardrail, stop_loss: StopLoss) -> MeasureSpec:
        """The spec of one measure of a contract."""
        if isinstance(measure, Success):
            return cls(
                name,
                "success",
                measure.direction,
                min_effect=measure.min_effect,
                max_harm=stop_loss.max_harm,
                min_gain=measure.min_gain,
                quantile=measure.quantile,
                is_share=measure.is_share(name),
            )
        return cls(
            name,
            "guardrail",
            measure.direction,
            margin=measure.margin,
            max_regression=measure.max_regression,
            segment_margin=measure.segment_margin,
            quantile=measure.quantile,
            is_share=measure.is_share(name),
        )

    def in_segment(self) -> MeasureSpec:
        """What the measure must show in a segment: a guardrail with a segment margin is held to that."""
        if self.segment_margin is None:
            return self
        if self.margin is not None:
            return replace(self, margin=self.segment_margin)
        return replace(self, max_regression=self.segment_margin)

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MeasureSpec:
        """The inverse of :meth:`to_json`."""
        return cls(**value)


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one experiment, fixed before its first look.

    Args:
        measures: success measures and guardrails.
        alpha: one-sided error level of every limit.
        planned_units: units of both arms at which the confidence sequence is tightest.
        ramp: stage labels before promotion, ``shadow`` or per cent (``5``), ascending, without ``100``.
        min_units: matured units on the challenger in a stage before the ramp goes on (in shadow: shadow-scored units).
        min_duration: shortest time in a stage.
        max_duration: longest time from arming to a decision.
        max_missing_outcomes: largest share of matured units without an outcome.
        min_experiment: shortest time from arming to asking for approval.
        full_weeks: weekly cycles of matured traffic needed before asking for approval.
        extend_to: longest time from arming to a decision when nothing is shown after ``max_duration``; None: no extension.
        looks: times of the planned looks since the first traffic; empty when any look may promote.
        spending: how the planned looks spend alpha.
        harm_looks: looks in a row that must show harm before the challenger is rolled back.
        confirm_after: shortest time between two looks of which the second confirms the harm of the first.
        missing_grace: how long looks without usable data in a row only hold.
        missing_fallback: what follows then: ``hold`` or ``roll_back``.
        segment_min_share: share of the units below which a segment need not keep a segment margin.
        high_value: segments (``column=value``) that matter most.
        economics: what an effect is worth; None when the contract does not say.
        units_a_day: expected units a day in the cohort.
        outcome_window: time after which a unit matures; None: it is not said when traffic stops.
    """

    measures: tuple[MeasureSpec, ...]
    alpha: float
    planned_units: int
    ramp: tuple[str, ...]
    min_units: int
    min_duration: timedelta
    max_duration: timedelta
    max_missing_outcomes: float
    min_experiment: timedelta = timedelta(0)
    full_weeks: int = 0
    extend_to: timedelta | None = None
    looks: tuple[timedelta, ...] = ()
    spending: Spending = Spending.OBRIEN_FLEMING
    harm_looks: int = 1
    confirm_after: timedelta = timedelta(0)
    missing_grace: timedelta = timedelta(days=3)
    missing_fallback: Literal["hold", "roll_back"] = "roll_back"
    segment_min_share: float = 0.05
    high_value: tuple[str, ...] = ()
    economics: Economics | None = None
    units_a_day: float = 0.0
    outcome_window: timedelta | None = None

    @classmethod
    def from_contract(cls, contract: Contract) -> Plan:
        """The plan a contract states."""
        experiment = contract.experiment
        stop_loss = experiment.stop_loss
        return cls(
            measures=(
                *(MeasureSpec.from_contract(name, success, stop_loss) for name, success in experiment.success.items()),
                *(MeasureSpec.from_contract(name, guardrail, stop_loss) for name, guardrail in experiment.guardrails.items()),
            ),
            alpha=experiment.alpha,
            planned_units=experiment.planned_units,
            ramp=tuple(stage_label(stage) for stage in experiment.ramp if stage != 100),
            min_units=experiment.min_stage.units,
            min_duration=experiment.min_stage.duration,
            max_duration=experiment.max_duration,
            max_missing_outcomes=experiment.max_missing_outcomes,
            min_experiment=experiment.min_duration,
            full_weeks=experiment.full_weeks,
            extend_to=experiment.extend_to,
            looks=tuple(experiment.looks.after) if experiment.looks else (),
            spending=Spending(experiment.looks.spending) if experiment.looks else Spending.OBRIEN_FLEMING,
            harm_looks=stop_loss.looks,
            confirm_after=stop_loss.confirm_after,
            missing_grace=experiment.missing_data.grace,
            missing_fallback=experiment.missing_data.fallback,
            segment_min_share=experiment.segment_min_share,
            high_value=tuple(
                segment_label(column, value) for column, values in experiment.high_value.items() for value in values
            ),
            economics=contract.economics,
            units_a_day=experiment.expected_units_per_day,
            outcome_window=experiment.outcome_window,
        )

    @property
    def longest(self) -> timedelta:
        """Longest time from arming to a decision, an extension included."""
        return self.extend_to or self.max_duration

    @property
    def tuning(self) -> Tuning:
        """Error level and tuning of the confidence sequences; planned at the share of the ramp's last stage."""
        return Tuning(self.alpha, self.planned_units, float(self.ramp[-1]) / 100)


def segment_label(column: str, value: object) -> str:
    """The name of a segment: ``origin=EWR``; a unit without a value is in ``origin=missing``.

    A value has one name whatever type its column has: ``2``, ``2.0`` and ``"2"`` are one segment, as are ``true`` and ``"true"``.
    """
    if value is None:
        return f"{column}=missing"
    if isinstance(value, bool):
        return f"{column}={'true' if value else 'false'}"
    return f"{column}={int(value) if isinstance(value, float) and value.is_integer() else value}"


def stage_label(stage: str | float) -> str:
    """The label of a ramp stage: ``shadow``, ``5``, ``12.5``."""
    return SHADOW if isinstance(stage, str) else f"{stage:g}"
