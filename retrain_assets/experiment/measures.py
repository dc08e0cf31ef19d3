"""From one measure's strata to its state: better, non-inferior, worse, inconclusive, no data, error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from retrain_assets.contract import finite
from retrain_assets.experiment.intervals import Interval, interval_of
from retrain_assets.experiment.plan import MeasureSpec, Plan
from retrain_assets.experiment.statistics import SHADOW, StratumStatistics

Method = Literal["asymptotic", "exact", "quantile"]


class MeasureState(StrEnum):
    """What is shown about a measure so far. Only ``better`` and ``non_inferior`` speak for the challenger."""

    BETTER = "better"
    NON_INFERIOR = "non_inferior"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """One measure at one look.

    ``estimate`` is challenger minus champion in the unit of the measure; ``lower`` and ``upper`` are anytime-valid, each with
    one-sided error alpha. ``relative_*`` are the same over the absolute value of the champion's mean. Both means are at the
    combination weights of the strata. None where a value is not defined. Means of a ratio measure are the arms' ratios, of a
    quantile measure the arms' quantiles.

    ``method`` says which limits they are: ``asymptotic`` (confidence sequence), ``exact`` (few events) or ``quantile``.
    ``planned_limit`` is the limit on the good side of a group-sequential test, ``planned_relative`` the same over the champion's
    mean; both only at and after a planned look. ``variance_saved`` is the share of the estimate's variance that covariates took
    out. ``shrunk_estimate`` is a segment's estimate shrunk towards the total.
    """

    spec: MeasureSpec
    state: MeasureState
    champion_mean: float | None
    challenger_mean: float | None
    estimate: float | None
    lower: float | None
    upper: float | None
    relative_estimate: float | None
    relative_lower: float | None
    relative_upper: float | None
    n_champion: int
    n_challenger: int
    message: str
    method: Method | None = None
    planned_limit: float | None = None
    planned_relative: float | None = None
    variance_saved: float | None = None
    shrunk_estimate: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-able dict; every number is finite or None."""
        values = {name: finite(getattr(self, name)) for name in self.__slots__ if name not in ("spec", "state")}
        return {"spec": self.spec.to_json(), "state": self.state.value, **values}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MeasureResult:
        """The inverse of :meth:`to_json`."""
        return cls(**{**value, "spec": MeasureSpec.from_json(value["spec"]), "state": MeasureState(value["state"])})


def judge(spec: MeasureSpec, strata: Sequence[StratumStatistics], plan: Plan) -> MeasureResult:
    """The state of one measure.

    Success: ``better`` when the limit on the good side is beyond ``min_effect``; ``worse`` when the harm is shown to exceed
    ``max_harm``. Guardrail: ``non_inferior`` when the harm is shown to stay below its margin; ``worse`` when it is shown to
    exceed it. Anything that cannot be computed is ``error``, ``no_data`` or ``inconclusive``, never a good state.

    Args:
        spec: the measure and its margins.
        strata: its strata; shadow strata are ignored, order does not matter.
        plan: error level and tuning.
    """
    traffic = [one for one in strata if one.stratum.stage != SHADOW]
    n_champion = sum(one.champion.n for one in traffic)
    n_challenger = sum(one.challenger.n for one in traffic)
    if problem := _problem(traffic):
        return _without_interval(spec, MeasureState.ERROR, n_champion, n_challenger, f"{spec.name}: {problem}")
    if not n_champion or not n_challenger:
        empty = "the champion has" if n_challenger else "the challenger has" if n_champion else "neither arm has"
        return _without_interval(
            spec, MeasureState.NO_DATA, n_champion, n_challenger, f"{spec.name}: {empty} no matured unit with a value"
        )
    interval = interval_of(traffic, plan.tuning)
    if isinstance(interval, str):
        return _without_interval(
            spec, MeasureState.INCONCLUSIVE, n_champion, n_challenger, f"{spec.name}: {interval}, so nothing is shown yet"
        )
    state, message = _success(spec, interval) if spec.role == "success" else _guardrail(spec, interval)
    return MeasureResult(
        spec=spec,
        state=state,
        champion_mean=interval.champion_mean,
        challenger_mean=interval.challenger_mean,
        estimate=interval.estimate,
        lower=interval.lower,
        upper=interval.upper,
        relative_estimate=interval.relative_estimate,
        relative_lower=interval.relative_lower,
        relative_upper=interval.relative_upper,
        n_champion=interval.n_champion,
        n_challenger=interval.n_challenger,
        message=message,
    )


def _problem(strata: Sequence[StratumStatistics]) -> str | None:
    for one in strata:
        for arm, statistics in (("champion", one.champion), ("challenger", one.challenger)):
            if statistics.problem:
                return f"{arm}, revision {one.stratum.revision} (stage {one.stratum.stage}): {statistics.problem}"
    return None


def _success(spec: MeasureSpec, interval: Interval) -> tuple[MeasureState, str]:
    at_least, _ = _improvement(spec, interval, relative=spec.min_effect > 0)
    _, at_most = _improvement(spec, interval, relative=spec.max_harm > 0)
    shown = _words(spec, interval)
    if at_most is not None and at_most < -spec.max_harm:
        return MeasureState.WORSE, f"{shown}: a worsening beyond {spec.max_harm:.3g} (relative) is shown"
    if at_least is None or at_most is None:
        return MeasureState.INCONCLUSIVE, f"{spec.name}: {_NO_RELATIVE}"
    if at_least > spec.min_effect:
        return MeasureState.BETTER, f"{shown}: an improvement above {spec.min_effect:.3g} (relative) is shown"
    return MeasureState.INCONCLUSIVE, f"{shown}: neither an improvement above {spec.min_effect:.3g} nor harm is shown"


def _guardrail(spec: MeasureSpec, interval: Interval) -> tuple[MeasureState, str]:
    margin = spec.margin if spec.margin is not None else spec.max_regression
    kind = "absolute" if spec.margin is not None else "relative"
    if margin is None or not margin > 0 or not math.isfinite(margin):
        return MeasureState.ERROR, f"{spec.name}: a guardrail needs a margin or a max_regression above 0"
    at_least, at_most = _improvement(spec, interval, relative=spec.margin is None)
    if at_least is None or at_most is None:
        return MeasureState.INCONCLUSIVE, f"{spec.name}: {_NO_RELATIVE}"
    shown = _words(spec, interval)
    if at_most < -margin:
        return MeasureState.WORSE, f"{shown}: harm beyond the margin {margin:.3g} ({kind}) is shown"
    if at_least > -margin:
        return MeasureState.NON_INFERIOR, f"{shown}: harm stays below the margin {margin:.3g} ({kind})"
    return MeasureState.INCONCLUSIVE, f"{shown}: harm up to the margin {margin:.3g} ({kind}) is neither shown nor excluded"


def _improvement(spec: MeasureSpec, interval: Interval, *, relative: bool) -> tuple[float | None, float | None]:
    """Limits of the improvement (positive is good), absolute or relative; None when the relative one is not defined."""
    lower, upper = (interval.relative_lower, interval.relative_upper) if relative else (interval.lower, interval.upper)
    if lower is None or upper is None:
        return None, None
    return (lower, upper) if spec.direction == "increase" else (-upper, -lower)


_NO_RELATIVE = (
    "the champion's mean cannot be told from 0, so a relative change is not defined; "
    "wait for more units or set an absolute margin"
)


def _words(spec: MeasureSpec, interval: Interval) -> str:
    text = f"{spec.name} {interval.champion_mean:.4g} → {interval.challenger_mean:.4g}"
    if interval.relative_lower is not None and interval.relative_estimate is not None and interval.relative_upper is not None:
        relative = (interval.relative_estimate, interval.relative_lower, interval.relative_upper)
        return f"{text}, change {relative[0]:+.1%} [{relative[1]:+.1%}, {relative[2]:+.1%}]"
    return f"{text}, change {interval.estimate:+.3g} [{interval.lower:+.3g}, {interval.upper:+.3g}]"


def _without_interval(spec: MeasureSpec, state: MeasureState, n_champion: int, n_challenger: int, message: str) -> MeasureResult:
    return MeasureResult(spec, state, None, None, None, None, None, None, None, None, n_champion, n_challenger, message)
