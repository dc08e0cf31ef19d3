"""How near a guardrail is to its limit, by one look: before harm is shown, so that somebody can look in time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from retrain_assets.experiment import Look, MeasureResult, MeasureState
from retrain_assets.reports.measure_line import changes_of, is_relative, limit_of

NEAR = 0.5
"""Share of the margin that the estimate has used from which on a guardrail is near its limit."""

BEYOND_CHANCE = 0.5
"""Share of its own uncertainty (estimate to the limit that shows harm) that the estimate must reach to count. The anytime-valid
limit is three to four standard errors away, so half of it is about two: fewer units make noise, not an alarm."""


class Nearness(IntEnum):
    """How near, each step once a stage."""

    CLEAR = 0
    NEAR = 1
    PAST = 2
    SHOWN = 3


@dataclass(frozen=True, slots=True)
class Guarded:
    """One guardrail at one look.

    Args:
        name: the measure; with its segment where the segment's own margin is meant.
        nearness: how near.
        used: share of the margin that the estimate has used; above 1 past it.
        result: the numbers.
    """

    name: str
    nearness: Nearness
    used: float
    result: MeasureResult


def guarded(look: Look) -> Iterator[Guarded]:
    """The guardrails of a look, over all units and in the segments that are held to a margin of their own; also a success
    measure that is shown worse."""
    for result in look.results:
        yield _of(result.spec.name, result)
    for segment in look.judged_segments:
        for result in look.segments.get(segment, ()):
            if result.spec.segment_margin is not None:
                yield _of(f"{result.spec.name} in {segment}", result)


def nearest(look: Look) -> Mapping[str, Guarded]:
    """The guardrails that are near their limit or past it, by name."""
    return {one.name: one for one in guarded(look) if one.nearness is not Nearness.CLEAR}


def _of(name: str, result: MeasureResult) -> Guarded:
    if result.state is MeasureState.WORSE:
        return Guarded(name, Nearness.SHOWN, _used(result)[0], result)
    if result.spec.role != "guardrail":
        return Guarded(name, Nearness.CLEAR, 0.0, result)
    used, beyond_chance = _used(result)
    if not beyond_chance or used < NEAR:
        return Guarded(name, Nearness.CLEAR, used, result)
    return Guarded(name, Nearness.PAST if used >= 1 else Nearness.NEAR, used, result)


def _used(result: MeasureResult) -> tuple[float, bool]:
    """Share of the margin the estimate has used, and whether it is large enough not to be chance alone."""
    margin = limit_of(result.spec)
    estimate, lower, upper = changes_of(result, relative=is_relative(result.spec))
    if not margin or estimate is None:
        return 0.0, False
    harm = estimate / margin
    shown = lower if margin > 0 else upper
    if shown is None or harm <= 0:
        return max(harm, 0.0), False
    return harm, harm >= BEYOND_CHANCE * (harm - shown / margin)
