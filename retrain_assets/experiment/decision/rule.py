"""The decision rule: from what a look found to the action it calls for. Rules are tried in order, the strongest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from retrain_assets.contract import format_duration
from retrain_assets.experiment.data import StageCounts
from retrain_assets.experiment.decision.economics import NetValue, Worth
from retrain_assets.experiment.decision.streaks import Streaks
from retrain_assets.experiment.estimation.measures import JUDGED_LATER, MeasureResult, MeasureState
from retrain_assets.experiment.estimation.statistics import SHADOW
from retrain_assets.experiment.look import Action, Cause
from retrain_assets.experiment.plan import Plan


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found.

    Args:
        stage: the ramp's stage it is in.
        in_stage: time in that stage.
        armed: time since arming.
        now: the time of the look.
        results: one per measure.
        segments: results of the guardrails with a segment margin, in the segments that are large enough, each with its name.
        segments_seen: segments that were seen at all, those that are too small included.
        stages: counts per toggle revision.
        harm: what shows harm, in words; empty when nothing does.
        unusable: why the look cannot be judged, in words; empty when it can.
        matured: time between the first exposure to real traffic and the latest whose outcome window has closed.
        is_final: whether the last planned look was taken.
        net_value: what the effect is worth.
        streaks: harm and unusable looks in a row, this one included.
    """

    stage: str
    in_stage: timedelta
    armed: timedelta
    now: datetime
    results: tuple[MeasureResult, ...]
    segments: tuple[tuple[str, MeasureResult], ...]
    segments_seen: int
    stages: tuple[StageCounts, ...]
    harm: tuple[str, ...]
    unusable: tuple[str, ...]
    matured: timedelta
    is_final: bool
    net_value: NetValue | None
    streaks: Streaks


@dataclass(frozen=True, slots=True)
class Decision:
    """The action of a look, one sentence why, and what ends the experiment where it does."""

    action: Action
    reason: str
    cause: Cause | None = None


def decide(found: Found, plan: Plan) -> Decision:
    """The action a look calls for.

    1. Harm at ``plan.harm_looks`` looks in a row: roll back. Before that: hold, and a confirming look follows.
    2. A look that cannot be judged: hold; after ``plan.missing_grace`` of them the plan's fallback; at the end of the experiment
       reject. Nothing that cannot be judged counts as success.
    3. The last planned look was taken and did not show everything: reject.
    4. In the last stage all is shown, with enough units and time: worth less than the plan's minimum, reject; else ask people.
    5. In an earlier stage enough units and time, and time left: step.
    6. Beyond ``max_duration``: hold as extended until ``extend_to``, then reject.
    7. Hold.
    """
    for rule in (_harm, _unusable, _final_look):
        if (decision := rule(found, plan)) is not None:
            return decision
    waiting = _waiting(found, plan)
    if waiting is None:
        return _go_on(found, plan)
    return _too_long(found, plan, waiting) or Decision(Action.HOLD, waiting)


def stage_units(stages: Sequence[StageCounts], stage: str) -> int:
    """Units that count for leaving a stage: matured units on the challenger, in shadow the shadow-scored units."""
    counted = [one for one in stages if one.stage == stage]
    return sum(one.challenger.exposed if one.is_shadow else one.challenger.matured for one in counted)


def unshown(found: Found) -> list[str]:
    """What an approval still lacks, in words: a success measure that wins, guardrails kept, also in the judged segments."""
    success = [one for one in found.results if one.spec.role == "success"]
    guardrails = [one for one in found.results if one.spec.role == "guardrail"]
    lacking = []
    if not any(one.state is MeasureState.BETTER for one in success):
        lacking += [one.message for one in success] or ["the plan has no success measure"]
    lacking += [one.message for one in guardrails if one.state is not MeasureState.NON_INFERIOR]
    lacking += [f"{name}: {one.message}" for name, one in found.segments if one.state is not MeasureState.NON_INFERIOR]
    if not found.segments_seen and any(one.spec.segment_margin is not None for one in guardrails):
        lacking.append("no segment was seen, and the contract sets margins for segments")
    return lacking


def _harm(found: Found, plan: Plan) -> Decision | None:
    if not found.harm:
        return None
    what, looks = "; ".join(found.harm), found.streaks.harm_looks
    if looks >= plan.harm_looks:
        return Decision(Action.ROLL_BACK, f"{what} (at {looks} looks in a row)" if looks > 1 else what, Cause.HARM)
    again = _span(confirmation_due(found.streaks, plan, found.now) - found.now)
    seen = f"harm is shown at {looks} of {plan.harm_looks} looks; one that confirms it can be made in {again}, and rolls back"
    return Decision(Action.HOLD, f"{seen}: {what}")


def confirmation_due(streaks: Streaks, plan: Plan, now: datetime) -> datetime:
    """When a look that confirms the harm seen so far may be made at the earliest."""
    return (streaks.harm_at or now) + plan.confirm_after


def _unusable(found: Found, plan: Plan) -> Decision | None:
    if not found.unusable:
        return None
    what = "; ".join(found.unusable)
    since = found.streaks.unusable_since or found.now
    lasted = found.now - since
    longest = plan.longest
    if lasted >= plan.missing_grace and plan.missing_fallback == "roll_back":
        text = (
            f"no look could be judged since {since:%Y-%m-%d %H:%M} UTC, longer than {format_duration(plan.missing_grace)}: {what}"
        )
        return Decision(Action.ROLL_BACK, text, Cause.MISSING_DATA)
    if found.armed >= longest:
        return Decision(Action.REJECT, f"inconclusive after {format_duration(longest)}: {what}", Cause.INCONCLUSIVE)
    if plan.missing_fallback == "hold":
        return Decision(Action.HOLD, what)
    left = _span(plan.missing_grace - lasted)
    return Decision(Action.HOLD, f"{what} (rolls back in {left} unless a look can be judged before)")


def _final_look(found: Found, plan: Plan) -> Decision | None:
    if found.is_final and (lacking := unshown(found)):
        return Decision(Action.REJECT, f"inconclusive at the last planned look: {'; '.join(lacking)}", Cause.INCONCLUSIVE)
    return None


def _go_on(found: Found, plan: Plan) -> Decision:
    if found.stage != plan.ramp[-1]:
        return Decision(Action.STEP, f"stage {found.stage} has seen enough units for long enough and no harm is shown")
    value = found.net_value
    if value is not None and value.worth is Worth.NOT_WORTH_IT:
        return Decision(Action.REJECT, f"not worth it: all is shown, but {value.message}", Cause.NOT_WORTH_IT)
    winners = [one.spec.name for one in found.results if one.state is MeasureState.BETTER]
    are = "is" if len(winners) == 1 else "are"
    text = f"{', '.join(winners)} {are} shown better and every guardrail non-inferior" + (
        ", in every judged segment too" if found.segments else ""
    )
    return Decision(Action.ASK_APPROVAL, text + (f"; {value.message}" if value is not None else ""))


def _waiting(found: Found, plan: Plan) -> str | None:
    """Why the ramp cannot go on, None when it can."""
    stage = found.stage
    if stage not in plan.ramp:
        return f"stage {stage!r} is not a stage of the ramp ({', '.join(plan.ramp)})"
    units = stage_units(found.stages, stage)
    if units < plan.min_units:
        what = "shadow-scored units" if stage == SHADOW else "matured units on the challenger"
        return f"stage {stage} has {units} of {plan.min_units} {what}"
    if found.in_stage < plan.min_duration:
        return f"stage {stage} has lasted {_span(found.in_stage)} of {format_duration(plan.min_duration)}"
    if stage != plan.ramp[-1]:
        return None if found.armed < plan.longest else f"stage {stage} is not the last one of the ramp"
    if lacking := unshown(found):
        return _between_looks(lacking) if plan.looks else "; ".join(lacking)
    if found.armed < plan.min_experiment:
        lasted, needed = _span(found.armed), format_duration(plan.min_experiment)
        return f"everything is shown, but the experiment has lasted {lasted} of {needed}"
    if found.matured < timedelta(weeks=plan.full_weeks):
        days = found.matured / timedelta(days=1)
        return f"everything is shown, but matured traffic covers {days:.1f} of {7 * plan.full_weeks} days (full weekly cycles)"
    if plan.economics is not None and found.net_value is None:
        return "everything is shown, but the net value cannot be computed: the measure that carries it has no limits"
    return None


def _between_looks(lacking: Sequence[str]) -> str:
    """What is lacking between planned looks: that no harm is shown is said once, not for every measure."""
    said = [one.partition(": no harm")[0] for one in lacking]
    if not all(one.endswith(JUDGED_LATER) for one in lacking):
        return "; ".join(lacking)
    return f"no harm is shown, and more is {JUDGED_LATER}: {'; '.join(said)}"


def _too_long(found: Found, plan: Plan, waiting: str) -> Decision | None:
    if found.armed < plan.max_duration:
        return None
    if plan.extend_to is not None and found.armed < plan.extend_to:
        longest = format_duration(plan.extend_to)
        text = f"not shown after {format_duration(plan.max_duration)} and no harm either, extended to {longest}: {waiting}"
        return Decision(Action.HOLD, text)
    longest = format_duration(plan.longest)
    return Decision(Action.REJECT, f"inconclusive after {longest}: {waiting}", Cause.INCONCLUSIVE)


def _span(duration: timedelta) -> str:
    """A measured time in words: ``2.5 days``, ``3.0 h``, ``12 min``."""
    seconds = max(duration.total_seconds(), 0.0)
    if seconds >= 86400:
        return f"{seconds / 86400:.1f} days"
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
