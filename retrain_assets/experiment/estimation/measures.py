"""From one measure's strata to its state: better, non-inferior, worse, inconclusive, no data, error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from retrain_assets.contract import finite
from retrain_assets.experiment.estimation.intervals import Interval, Limits, Method, Tuning, interval_of
from retrain_assets.experiment.estimation.quantile_intervals import quantile_interval
from retrain_assets.experiment.estimation.soundness import problem_of
from retrain_assets.experiment.estimation.statistics import MeasureStatistics
from retrain_assets.experiment.plan import MeasureSpec, Plan


class MeasureState(StrEnum):
    """What is shown about a measure so far. Only ``better`` and ``non_inferior`` speak for the challenger."""

    BETTER = "better"
    NON_INFERIOR = "non_inferior"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class PlannedBoundary:
    """A planned look that is being taken.

    Args:
        number: its place in the plan, from 1.
        z: standard errors that a limit keeps from the estimate, from the spending function; infinite where nothing is spent yet.
    """

    number: int
    z: float


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """One measure at one look.

    ``estimate`` is challenger minus champion in the unit of the measure; ``lower`` and ``upper`` are anytime-valid, each with its
    own one-sided error. ``relative_*`` are the same over the absolute value of the champion's mean. Both means are at the
    combination weights of the strata; ``n_*`` count a unit once in every stratum it was in (exact bounds: once). None where a
    value is not defined. Means of a ratio measure are the arms' ratios, of a quantile measure the arms' quantiles.

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


def judge(
    spec: MeasureSpec,
    statistics: MeasureStatistics,
    plan: Plan,
    *,
    alpha: float | None = None,
    harm_alpha: float | None = None,
    planned: PlannedBoundary | None = None,
) -> MeasureResult:
    """The state of one measure.

    Success: ``better`` when the limit on the good side is beyond ``min_effect`` (relative) or ``min_gain``; ``worse`` when the
    harm is shown to exceed ``max_harm``. Guardrail: ``non_inferior`` when the harm is shown to stay below its margin; ``worse``
    when it is shown to exceed it. Anything that cannot be computed is ``error``, ``no_data`` or ``inconclusive``, never a good
    state.

    Harm is judged at every look by the confidence sequence. So are ``better`` and ``non_inferior`` unless the plan has looks;
    then they are judged only when ``planned`` is given, by the limit of its group-sequential test, and no other look shows them.

    Args:
        spec: the measure and its margins.
        statistics: its sums; shadow strata are ignored, order does not matter.
        plan: error level, tuning, whether looks are planned.
        alpha: one-sided error of the limit on the good side; the plan's by default. Not used at a planned look.
        harm_alpha: one-sided error of the limit that shows harm; ``alpha`` by default (a segment's: alpha over their number).
        planned: the planned look being taken.
    """
    traffic = statistics.with_traffic()
    n_champion = sum([one.champion.n for one in traffic.strata])
    n_challenger = sum([one.challenger.n for one in traffic.strata])
    if problem := problem_of(traffic):
        return _without_interval(spec, MeasureState.ERROR, n_champion, n_challenger, f"{spec.name}: {problem}")
    if spec.role == "guardrail" and not _margin(spec) > 0:
        message = f"{spec.name}: a guardrail needs a margin or a max_regression above 0"
        return _without_interval(spec, MeasureState.ERROR, n_champion, n_challenger, message)
    if not n_champion or not n_challenger:
        empty = "the champion has no" if n_challenger else "the challenger has no" if n_champion else "neither arm has a"
        return _without_interval(
            spec, MeasureState.NO_DATA, n_champion, n_challenger, f"{spec.name}: {empty} matured unit with a value"
        )
    good_alpha = plan.alpha if alpha is None else alpha
    bad_alpha = good_alpha if harm_alpha is None else harm_alpha
    lower_alpha, upper_alpha = (good_alpha, bad_alpha) if spec.direction == "increase" else (bad_alpha, good_alpha)
    tuning = Tuning(lower_alpha, plan.planned_units, float(plan.ramp[-1]) / 100)
    planned_z = planned.z if planned and math.isfinite(planned.z) else None
    if spec.quantile is None:
        interval = interval_of(traffic, tuning, upper_alpha=upper_alpha, planned_z=planned_z, is_share=spec.is_share)
    else:
        interval = quantile_interval(traffic, spec.quantile, tuning, upper_alpha=upper_alpha, planned_z=planned_z)
    if isinstance(interval, str):
        return _without_interval(
            spec, MeasureState.INCONCLUSIVE, n_champion, n_challenger, f"{spec.name}: {interval}, so nothing is shown yet"
        )
    promotes = _promoting_limits(interval, planned, has_looks=bool(plan.looks))
    decide = _success if spec.role == "success" else _guardrail
    state, message = decide(spec, interval, promotes)
    planned_limit, planned_relative = _planned_limits(spec, interval.planned)
    return MeasureResult(
        spec,
        state,
        interval.champion_mean,
        interval.challenger_mean,
        interval.estimate,
        finite(interval.lower),
        finite(interval.upper),
        interval.relative_estimate,
        finite(interval.relative_lower),
        finite(interval.relative_upper),
        interval.n_champion,
        interval.n_challenger,
        message,
        interval.method,
        planned_limit,
        planned_relative,
        interval.variance_saved,
    )


JUDGED_LATER = "judged at the planned looks only"
"""How the message of a measure ends that shows no harm between planned looks."""


def _promoting_limits(interval: Interval, planned: PlannedBoundary | None, *, has_looks: bool) -> Interval | Limits | None:
    """The limits that may show a good state; None between planned looks."""
    if planned is not None:
        return interval.planned
    return None if has_looks else interval


def _planned_limits(spec: MeasureSpec, limits: Limits | None) -> tuple[float | None, float | None]:
    if limits is None:
        return None, None
    sides = (limits.lower, limits.relative_lower) if spec.direction == "increase" else (limits.upper, limits.relative_upper)
    return finite(sides[0]), finite(sides[1])


def _success(spec: MeasureSpec, interval: Interval, promotes: Interval | Limits | None) -> tuple[MeasureState, str]:
    at_most = _at_most(spec, interval, relative=spec.max_harm > 0)
    relative = not spec.min_gain > 0
    shown = _words(spec, interval, relative=relative)
    if at_most is not None and at_most < -spec.max_harm:
        beyond = f" beyond {spec.max_harm:.3g} (relative)" if spec.max_harm > 0 else ""
        return MeasureState.WORSE, f"{shown}: a worsening{beyond} is shown"
    least = f"{spec.min_effect:.3g} (relative)" if relative else f"{spec.min_gain:.3g}"
    goal = f" above {least}" if spec.min_effect > 0 or not relative else ""
    if promotes is None:
        return MeasureState.INCONCLUSIVE, f"{shown}: no harm is shown; an improvement is {JUDGED_LATER}"
    shown += _planned_words(spec, promotes, relative=relative)
    at_least = _at_least(spec, promotes, relative=relative and spec.min_effect > 0)
    if at_least is None:
        return MeasureState.INCONCLUSIVE, f"{spec.name}: {_NO_RELATIVE}"
    if at_least > (spec.min_effect if relative else spec.min_gain):
        return MeasureState.BETTER, f"{shown}: an improvement{goal} is shown"
    return MeasureState.INCONCLUSIVE, f"{shown}: neither an improvement{goal} nor harm is shown"


def _guardrail(spec: MeasureSpec, interval: Interval, promotes: Interval | Limits | None) -> tuple[MeasureState, str]:
    margin, relative = _margin(spec), spec.margin is None
    limit = f"{margin:.3g} ({'relative' if relative else 'absolute'})"
    at_most = _at_most(spec, interval, relative=relative)
    shown = _words(spec, interval, relative=relative)
    if at_most is not None and at_most < -margin:
        return MeasureState.WORSE, f"{shown}: harm beyond the margin {limit} is shown"
    if promotes is None:
        waits = f"that it stays below is {JUDGED_LATER}"
        return MeasureState.INCONCLUSIVE, f"{shown}: no harm beyond the margin {limit} is shown; {waits}"
    shown += _planned_words(spec, promotes, relative=relative)
    at_least = _at_least(spec, promotes, relative=relative)
    if at_least is None:
        return MeasureState.INCONCLUSIVE, f"{spec.name}: {_NO_RELATIVE}"
    if at_least > -margin:
        return MeasureState.NON_INFERIOR, f"{shown}: harm stays below the margin {limit}"
    return MeasureState.INCONCLUSIVE, f"{shown}: harm up to the margin {limit} is neither shown nor excluded"


def _planned_words(spec: MeasureSpec, promotes: Interval | Limits, *, relative: bool) -> str:
    """The limit that a good state at a planned look rests on, which is nearer than those of every look."""
    if not isinstance(promotes, Limits):
        return ""
    absolute, share = _planned_limits(spec, promotes)
    side = "at least" if spec.direction == "increase" else "at most"
    if relative and share is not None:
        return f", at the planned look {side} {share:+.1%}"
    return "" if absolute is None else f", at the planned look {side} {absolute:+.3g}"


def _margin(spec: MeasureSpec) -> float:
    """The guardrail's margin, 0 where it has none that is a positive number."""
    margin = spec.margin if spec.margin is not None else spec.max_regression
    return margin if margin is not None and 0 < margin < math.inf else 0.0


def _at_least(spec: MeasureSpec, limits: Interval | Limits, *, relative: bool) -> float | None:
    """Lower limit of the improvement (positive is good), absolute or relative; None when the relative one is not defined."""
    if spec.direction == "increase":
        return limits.relative_lower if relative else limits.lower
    upper = limits.relative_upper if relative else limits.upper
    return None if upper is None else -upper


def _at_most(spec: MeasureSpec, limits: Interval | Limits, *, relative: bool) -> float | None:
    """Upper limit of the improvement; None when the relative one is not defined."""
    if spec.direction == "increase":
        return limits.relative_upper if relative else limits.upper
    lower = limits.relative_lower if relative else limits.lower
    return None if lower is None else -lower


_NO_RELATIVE = (
    "the champion's mean cannot be told from 0, so a relative change is not defined; "
    "wait for more units or set an absolute margin"
)


def _words(spec: MeasureSpec, interval: Interval, *, relative: bool) -> str:
    """Both means and their change with its limits, in the kind the measure is held to: the margin beside it is of that kind."""
    text = f"{spec.name} {interval.champion_mean:.4g} → {interval.challenger_mean:.4g}"
    shares = (interval.relative_estimate, interval.relative_lower, interval.relative_upper)
    if relative and None not in shares:
        estimate, lower, upper = shares
        text = f"{text}, change {estimate:+.1%} [{lower:+.1%}, {upper:+.1%}]"
        text = text.replace("-inf%", "?").replace("+inf%", "?")
    else:
        text = f"{text}, change {interval.estimate:+.3g} [{interval.lower:+.3g}, {interval.upper:+.3g}]"
    return f"{text} ({interval.note})" if interval.note else text


def _without_interval(spec: MeasureSpec, state: MeasureState, n_champion: int, n_challenger: int, message: str) -> MeasureResult:
    return MeasureResult(spec, state, None, None, None, None, None, None, None, None, n_champion, n_challenger, message)
