"""What keeps an experiment from concluding before it must end, in words with what to write instead. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from retrain_assets.contract import Contract
from retrain_assets.experiment.planning.power import CHANCE, FURTHEST
from retrain_assets.experiment.planning.prospects import Prospect


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that keeps the experiment from concluding before it must end.

    Args:
        field: the field of the contract it is about, as ``guardrails.missed_late_rate``.
        what: what is wrong, in one clause.
        remedy: what to write instead.
    """

    field: str
    what: str
    remedy: str

    @property
    def line(self) -> str:
        """Both in one line."""
        return f"{self.field}: {self.what}: {self.remedy}"


def obstacles(
    contract: Contract,
    units_a_day: float,
    within: tuple[float, float],
    looks_end: float | None,
    prospects: Sequence[Prospect],
    segments: Sequence[Prospect],
    unknown: Mapping[str, str],
) -> tuple[Obstacle, ...]:
    """What keeps the experiment of a contract from concluding, the ramp first; only then looks, and only then measures.

    A guardrail that cannot be shown in time is one; success measures are when none of them can be, and then the likeliest is
    named. One that must exceed nothing but 0 depends on an effect nobody declared, so it is none.

    Args:
        contract: the contract.
        units_a_day: units of the cohort a day.
        within: earliest day approval can be asked for, and last day, since arming.
        looks_end: day since arming of the last planned look; None without planned looks.
        prospects: what each measure can show.
        segments: what guardrails can show in segments.
        unknown: measures nothing is known about.
    """
    experiment, (earliest, latest) = contract.experiment, within
    limit = "max_duration" if experiment.extend_to is None else "extend_to"
    deadline = f"{limit} is {latest:g}d"
    if earliest > latest:
        return (_too_slow(contract, units_a_day, earliest, deadline),)
    if experiment.looks is not None and looks_end is not None and looks_end > latest:
        what = f"the last planned look falls on day {looks_end:,.1f} after arming, and {deadline}"
        days = math.floor(latest - (looks_end - _days(experiment.looks.after[-1])))
        return (Obstacle("looks.after", what, f"let the last look be {days}d, or lengthen {limit}"),)
    found: list[Obstacle] = []
    stretched = f"{limit} and looks.after" if experiment.looks else limit
    short = [one for one in prospects if one.chance < CHANCE and one.truth_is_declared]
    wins = [one for one in prospects if one.spec.role == "success"]
    if wins and not unknown.keys() & experiment.success.keys() and all(one in short for one in wins):
        found.append(_shortfall(max(wins, key=lambda one: one.chance), units_a_day, stretched, deadline))
    found += [_shortfall(one, units_a_day, stretched, deadline) for one in short if one.spec.role == "guardrail"]
    for name in experiment.guardrails:
        those = [one for one in segments if one.spec.name == name and one.chance < CHANCE]
        if those:
            found.append(_shortfall(min(those, key=lambda one: one.chance), units_a_day, stretched, deadline))
    return tuple(found)


def _too_slow(contract: Contract, units_a_day: float, earliest: float, deadline: str) -> Obstacle:
    """Less traffic than expected; with the expected one a contract whose ramp, weeks or looks do not fit is refused."""
    what = f"at {units_a_day:,.0f} units a day approval can be asked for on day {earliest:,.1f} at the earliest, and {deadline}"
    units = contract.experiment.min_stage.units
    return Obstacle("min_stage.units", what, f"lower it below {units}, begin with a wider stage, or lengthen that")


def _shortfall(one: Prospect, units_a_day: float, stretched: str, deadline: str) -> Obstacle:
    spec = one.spec
    where = f" in {one.segment}" if one.segment else ""
    if one.units is None or one.days is None:
        needs = f"needs more than {FURTHEST:g} times the time there is"
    else:
        needs = f"needs {one.units:,} units{where}, {math.ceil(one.days)} days at {units_a_day:,.0f} a day"
    what = f"{_asked(one)}{where} {needs} to be shown with a chance of {CHANCE:.0%} (it has {one.chance:.0%}); {deadline}"
    ways = [_way_out(one)]
    if not one.exact:
        ways.append("take variance out with adjust_for")
    if one.days is not None:
        ways.append(f"lengthen {stretched} to {math.ceil(one.days)}d (and toggle.expires_after beyond it)")
    remedy = f"{', '.join(ways[:-1])}, or {ways[-1]}" if len(ways) > 1 else ways[0]
    return Obstacle(f"{'guardrails' if spec.role == 'guardrail' else 'success'}.{spec.name}", what, remedy)


def _asked(one: Prospect) -> str:
    spec = one.spec
    if spec.role == "guardrail":
        field = _margin_field(one)
        return f"{field} {spec.margin:g}" if spec.margin is not None else f"{field} {_per_cent(spec.max_regression)}"
    relative = one.relative(one.effect)
    truth = f"a true improvement of {one.effect:.3g}" + (f" ({_per_cent(relative)})" if relative is not None else "")
    if not one.bar:
        return truth
    return f"{f'min_effect {_per_cent(spec.min_effect)}' if spec.min_effect else f'min_gain {spec.min_gain:g}'} with {truth}"


def _way_out(one: Prospect) -> str:
    spec, detectable = one.spec, one.detectable
    if spec.role == "success":
        shown = f" (in this time {detectable:.3g} can be shown)" if detectable is not None else ""
        return (f"lower {'min_effect' if spec.min_effect else 'min_gain'}" if one.bar else "plan for a larger one") + shown
    wide = one.relative(detectable) if spec.margin is None else detectable
    return f"widen {_margin_field(one)}" + ("" if wide is None else f" to {_rounded_up(wide):g} or more")


def _margin_field(one: Prospect) -> str:
    return "segment_margin" if one.segment else "margin" if one.spec.margin is not None else "max_regression"


def _rounded_up(value: float) -> float:
    """To two significant digits, upwards, so that what is written is enough."""
    size = 10.0 ** (math.floor(math.log10(value)) - 1) if value > 0 else 1.0
    return float(f"{math.ceil(value / size) * size:.2g}")


def _per_cent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.3g} %"


def _days(duration: timedelta) -> float:
    return duration / timedelta(days=1)
