"""Which planned look is due, what it rests on, and the boundary it is judged by."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from retrain_assets.experiment.data import StageCounts
from retrain_assets.experiment.estimation.group_sequential import boundaries, spent
from retrain_assets.experiment.look import PlannedLook
from retrain_assets.experiment.plan import Plan


def take(
    plan: Plan, taken: tuple[PlannedLook, ...], stages: Iterable[StageCounts], *, first_traffic_at: datetime | None, now: datetime
) -> PlannedLook | None:
    """The planned look that an analysis now takes; None when none is due or nothing has matured to look at.

    When several were missed it is the latest: it spends what all of them would have spent.

    Args:
        plan: the planned looks.
        taken: those taken before.
        stages: counts per toggle revision, now.
        first_traffic_at: when the experiment's first unit met real traffic; None before.
        now: the time of the look.
    """
    if first_traffic_at is None:
        return None
    due = sum(after <= now - first_traffic_at for after in plan.looks)
    information = matured_information(stages)
    return PlannedLook(due, now, information) if due > _last(taken) and information > 0 else None


def next_planned(plan: Plan, taken: tuple[PlannedLook, ...], *, first_traffic_at: datetime | None) -> datetime | None:
    """When the next planned look is due; None when none is left or no traffic has come."""
    number = _last(taken)
    if first_traffic_at is None or number >= len(plan.looks):
        return None
    return first_traffic_at + plan.looks[number]


def is_final(plan: Plan, taken: tuple[PlannedLook, ...]) -> bool:
    """Whether the last planned look was taken, so that nothing more can be shown in the challenger's favour."""
    return bool(plan.looks) and _last(taken) >= len(plan.looks)


def boundary(plan: Plan, taken: tuple[PlannedLook, ...], alpha: float) -> float:
    """The number of standard errors z_k of the last look taken: with probability 1 - alpha no look's estimate exceeds its own.

    The error level is spent by time (time of the look / time of the last planned one), so that it does not depend on what came
    in. How the looks hang together is read from the information they rested on, taken to grow as time does at least: where the
    same units come back every day, their number says nothing about how much their means still move. Looks that hang together
    less than assumed would cross too often (Slepian's inequality), more than assumed too rarely.
    """
    fractions = [plan.looks[min(look.number, len(plan.looks)) - 1] / plan.looks[-1] for look in taken]
    information = [1.0]
    for (before, after), (earlier, later) in zip(pairwise(taken), pairwise(fractions), strict=True):
        growth = after.information / before.information
        information.append(information[-1] * max(growth, 1 / growth, later / earlier))
    return boundaries(information, spent(plan.spending, fractions, alpha))[-1]


def matured_information(stages: Iterable[StageCounts]) -> float:
    """Sum over the stages with traffic of n_c n_t / (n_c + n_t), matured units."""
    arms = ((one.champion.matured, one.challenger.matured) for one in stages if not one.is_shadow)
    return sum(n_c * n_t / (n_c + n_t) for n_c, n_t in arms if n_c > 0 and n_t > 0)


def _last(taken: tuple[PlannedLook, ...]) -> int:
    return taken[-1].number if taken else 0
