"""Effects in segments: how much they differ beyond chance, each shrunk towards their total, and who moves against it.

A small segment's own estimate is mostly chance. Taken together, segments say how much effects differ at all (the between-segment
variance), and each is moved towards the total by as much of its spread as chance explains: its posterior mean.

Sources: DerSimonian, Laird, "Meta-analysis in clinical trials" (Controlled Clinical Trials 7, 1986), the between-study variance;
Efron, Morris, "Data analysis using Stein's estimator and its generalizations" (J. Am. Stat. Assoc. 70, 1975), the shrinkage.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from retrain_assets.experiment.estimation.difference import Difference
from retrain_assets.experiment.estimation.intervals import MIN_UNITS, difference_of
from retrain_assets.experiment.estimation.measures import MeasureResult
from retrain_assets.experiment.estimation.quantile_difference import quantile_difference
from retrain_assets.experiment.estimation.soundness import problem_of
from retrain_assets.experiment.estimation.statistics import MeasureStatistics


@dataclass(frozen=True, slots=True)
class Effect:
    """One segment's estimate, challenger minus champion, and the variance of that estimate."""

    estimate: float
    variance: float


def with_shrunk_estimates(
    segments: Mapping[str, tuple[MeasureResult, ...]], statistics: Mapping[str, Mapping[str, MeasureStatistics]]
) -> dict[str, tuple[MeasureResult, ...]]:
    """The results with ``shrunk_estimate`` filled where a segment has an estimate of its own and its column another segment.

    Segments of one column (``origin=...``) are shrunk towards each other, those of different columns are not: they share units.

    Args:
        segments: per segment (``column=value``) its results.
        statistics: per segment and measure name the sums they rest on.
    """
    shrunk: dict[tuple[str, str], float] = {}
    columns: dict[str, list[str]] = {}
    for name in segments:
        columns.setdefault(name.partition("=")[0], []).append(name)
    quantiles = {one.spec.name: one.spec.quantile for results in segments.values() for one in results}
    for names in columns.values():
        for measure, quantile in quantiles.items():
            there = {name: statistics[name][measure] for name in names if measure in statistics.get(name, {})}
            effects = effects_of(there, quantile=quantile)
            if len(effects) > 1:
                shrunk |= {(name, measure): value for name, value in shrunk_estimates(effects).items()}
    return {
        name: tuple(
            replace(one, shrunk_estimate=shrunk.get((name, one.spec.name))) if one.estimate is not None else one
            for one in results
        )
        for name, results in segments.items()
    }


def moves_against_total(
    totals: Iterable[MeasureResult], segments: Mapping[str, Sequence[MeasureResult]], high_value: Collection[str]
) -> Iterator[str]:
    """A sentence for each high-value segment that moves to the worse while the total moves to the better.

    The shrunk effect decides, and it must be about a standard error (a third of half the interval) away from 0.

    Args:
        totals: results over all units.
        segments: results per segment, with shrunk estimates.
        high_value: names of the segments that matter most.
    """
    total = {one.spec.name: one for one in totals}
    for name, results in segments.items():
        for one in results if name in high_value else ():
            whole, part = total.get(one.spec.name), one.shrunk_estimate
            if whole is None or whole.estimate is None or part is None or one.lower is None or one.upper is None:
                continue
            harmed = (part > 0) == (one.spec.direction == "decrease")
            if harmed and whole.estimate * part < 0 and abs(part) > (one.upper - one.lower) / 6:
                yield (
                    f"{one.spec.name} moves to the worse in the high-value segment {name} ({part:+.3g}, shrunk to the total) "
                    f"and to the better over all units ({whole.estimate:+.3g})"
                )


def effects_of(statistics: Mapping[str, MeasureStatistics], *, quantile: float | None = None) -> dict[str, Effect]:
    """The estimate of each segment that has one, with its variance.

    A segment with few units, or values that happen not to vary, is given the unit variance of all segments together: its own
    would claim to know too much.

    Args:
        statistics: per segment the sums of one measure.
        quantile: the quantile compared, 0..1; None for means and ratios.
    """
    sound = {name: one.with_traffic() for name, one in statistics.items()}
    sound = {name: one for name, one in sound.items() if problem_of(one) is None}
    if quantile is not None:
        return {name: effect for name, one in sound.items() if (effect := _of_quantile(one, quantile)) is not None}
    differences = {name: difference for name, one in sound.items() if isinstance(difference := difference_of(one), Difference)}
    units = {name: difference.n_champion + difference.n_challenger for name, difference in differences.items()}
    pooled = sum(difference.unit_variance * units[name] for name, difference in differences.items()) / max(sum(units.values()), 1)
    found: dict[str, Effect] = {}
    for name, difference in differences.items():
        varies = difference.champion_variance > 0 and difference.challenger_variance > 0
        enough = varies and min(difference.n_champion, difference.n_challenger) >= MIN_UNITS
        variance = difference.variance if enough else max(difference.variance, pooled / difference.information)
        if variance > 0:
            found[name] = Effect(difference.estimate, variance)
    return found


def shrunk_estimates(effects: Mapping[str, Effect]) -> dict[str, float]:
    """Each segment's posterior mean: the total plus the part of its own deviation that is not explained by chance."""
    between = between_variance(list(effects.values()))
    total = _weighted(effects.values(), between)
    return {
        name: total + (one.estimate - total) * between / (between + one.variance) if between > 0 else total
        for name, one in effects.items()
    }


def between_variance(effects: Sequence[Effect]) -> float:
    """How much the segments' true effects vary (a squared standard deviation), after DerSimonian and Laird; 0 below two."""
    if len(effects) < 2:
        return 0.0
    weights = [1 / one.variance for one in effects]
    total, squares = math.fsum(weights), math.fsum(weight * weight for weight in weights)
    mean = _weighted(effects, 0.0)
    spread = math.fsum(weight * (one.estimate - mean) ** 2 for weight, one in zip(weights, effects, strict=True))
    beyond = total - squares / total
    return max(0.0, (spread - (len(effects) - 1)) / beyond) if beyond > 0 else 0.0


def _weighted(effects: Iterable[Effect], between: float) -> float:
    weighted = [(1 / (one.variance + between), one.estimate) for one in effects]
    return math.fsum(w * estimate for w, estimate in weighted) / math.fsum(w for w, _ in weighted)


def _of_quantile(statistics: MeasureStatistics, quantile: float) -> Effect | None:
    """One standard error to both sides; none where the tail does not give it."""
    found = quantile_difference(
        statistics.strata, quantile, lambda _: (1.0, 1.0), reference_share=0.5, overlaps=statistics.overlaps
    )
    if isinstance(found, str) or not math.isfinite(found.upper - found.lower) or not found.upper > found.lower:
        return None
    return Effect(found.estimate, ((found.upper - found.lower) / 2) ** 2)
