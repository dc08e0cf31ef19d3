"""From the cells of the strata to the difference of the arms: weights, means, variances, and what cells have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from retrain_assets.experiment.estimation.difference import Difference
from retrain_assets.experiment.estimation.statistics import Arm

Key = tuple[int, Arm]
"""A cell: revision and arm."""

Row = tuple[int, int, float, float, int, float, float]
"""One stratum: its revision, then units, mean and centred sum of squares of the champion's cell, and of the challenger's."""

Shared = tuple[Key, Key, float]
"""Two cells and the centred sum of products over the units in both."""


def combined(rows: Sequence[Row], shared: Iterable[Shared] = ()) -> Difference:
    """The difference of the arms with weights n_c n_t / (n_c + n_t), without covariates.

    Plain floats, because this runs for every measure of every segment at every look.

    Args:
        rows: one per stratum, with two units in each arm at least.
        shared: pairs of cells that have units in common; both in ``rows``.
    """
    weights = [n * m / (n + m) for _, n, _, _, m, _, _ in rows]
    information = sum(weights)
    champion_mean = challenger_mean = champion_variance = challenger_variance = deviations = covariance = 0.0
    champion_shortfall = challenger_shortfall = 0.0
    n_champion = n_challenger = 0
    factors: dict[Key, float] = {}
    for weight, (revision, n, mean, spread, m, other_mean, other_spread) in zip(weights, rows, strict=True):
        share = weight / information
        champion_mean += share * mean
        challenger_mean += share * other_mean
        own, other, both = spread / (n - 1), other_spread / (m - 1), (spread + other_spread) / (n + m - 2)
        champion_variance += share * share * own / n
        challenger_variance += share * share * other / m
        if both > own:
            champion_shortfall += share * share * (both - own) / n
        elif both > other:
            challenger_shortfall += share * share * (both - other) / m
        deviations += spread + other_spread
        n_champion += n
        n_challenger += m
        factors[revision, "champion"], factors[revision, "challenger"] = share / n, share / m
    for first, second, centred in shared:
        product = factors[first] * factors[second] * centred
        if first[1] != second[1]:
            covariance += product
        elif first[1] == "champion":
            champion_variance += 2 * product
        else:
            challenger_variance += 2 * product
    return Difference(
        champion_mean,
        challenger_mean,
        max(champion_variance, 0.0),
        max(challenger_variance, 0.0),
        max(champion_variance + challenger_variance - 2 * covariance, 0.0),
        deviations / (n_champion + n_challenger - 2 * len(rows)),
        information,
        n_champion,
        n_challenger,
        None,
        champion_shortfall,
        challenger_shortfall,
    )
