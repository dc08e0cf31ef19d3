"""Did units arrive in the arms in the shares they were meant to? Per stage and per segment, and an alarm stays.

A unit may come back in later stages, so the evidence of two stages is not independent and is never multiplied: each stage has a
sequential test of its own, and the error level is spent over them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from retrain_assets.experiment.data import StageCounts
from retrain_assets.experiment.health.health_check import HealthCheck
from retrain_assets.experiment.health.sample_ratio import log_e_value, p_value

SAMPLE_RATIO_ALPHA = 0.005
"""Error level of the sample-ratio tests of all stages together, and again of those of all segments together."""

PREFIX = "sample_ratio"
"""What the names of these checks begin with."""


def sample_ratios(
    stages: Sequence[StageCounts], segments: Mapping[str, Sequence[StageCounts]], before: Sequence[HealthCheck] = ()
) -> Iterator[HealthCheck]:
    """``sample_ratio`` over all stages, ``sample_ratio_<stage>_r<revision>`` for each, and ``sample_ratio_segments``.

    The k-th stage gets 1 / (k (k + 1)) of the level, each of S segments 1 / S, and within a segment stages are spent the same
    way. Each p-value is the smallest of all looks so far: a split that was wrong stays wrong, however many sound units follow.

    Args:
        stages: counts per toggle revision, already checked to be possible; shadow has no split.
        segments: the same per segment.
        before: the checks of the look before.
    """
    earlier = {check.name: check.observed for check in before if check.observed is not None}
    tests = _tests(stages)
    yield _over(PREFIX, "all stages", min((test.corrected for test in tests), default=None), SAMPLE_RATIO_ALPHA, earlier)
    for test in tests:
        name = f"{PREFIX}_{test.counts.stage}_r{test.counts.revision}"
        yield _over(name, test.text, test.p, SAMPLE_RATIO_ALPHA / test.spent_over, earlier)
    if segments:
        yield _segments(segments, earlier)


class _Test:
    """The k-th stage with traffic: its p-value at this look and the part of the level it gets."""

    def __init__(self, k: int, counts: StageCounts) -> None:
        arms, share = (counts.champion.exposed, counts.challenger.exposed), counts.challenger_share
        self.counts = counts
        self.spent_over = k * (k + 1)
        self.p = p_value(log_e_value(arms, (1 - share, share))) if sum(arms) else None
        self.text = f"stage {counts.stage}, champion {arms[0]} and challenger {arms[1]} units for a share of {share:.4g}"

    @property
    def corrected(self) -> float:
        return 1.0 if self.p is None else min(1.0, self.p * self.spent_over)


def _tests(stages: Sequence[StageCounts]) -> list[_Test]:
    return [_Test(k, one) for k, one in enumerate((one for one in stages if not one.is_shadow), start=1)]


def _segments(segments: Mapping[str, Sequence[StageCounts]], earlier: Mapping[str, float]) -> HealthCheck:
    name = f"{PREFIX}_segments"
    tests = {segment: [test for test in _tests(stages) if test.p is not None] for segment, stages in segments.items()}
    found = [(test.corrected, segment, test.text) for segment, those in sorted(tests.items()) for test in those]
    if not found:
        return _over(name, "segments", None, SAMPLE_RATIO_ALPHA, earlier)
    smallest, segment, text = min(found)
    corrected = min(1.0, smallest * len(segments))
    return _over(name, f"{segment} of {len(segments)} segments, {text}", corrected, SAMPLE_RATIO_ALPHA, earlier)


def _over(name: str, where: str, p: float | None, alpha: float, earlier: Mapping[str, float]) -> HealthCheck:
    past = earlier.get(name)
    if p is None and past is None:
        return HealthCheck(name, True, f"{where}: no units yet", None, alpha)
    smallest = min(one for one in (p, past) if one is not None)
    if smallest > alpha:
        return HealthCheck(
            name, True, f"{where}: the split fits the intended shares (sequential p = {smallest:.3g})", smallest, alpha
        )
    when = "" if p is not None and p <= alpha else ", shown by an earlier look; an alarm stays"
    text = f"{where}: the split does not fit the intended shares (sequential p = {smallest:.3g}{when})"
    return HealthCheck(name, False, f"{text}: assignment or logging is broken; find out why, then start anew", smallest, alpha)
