"""Power where a share has few events: how likely one look with the exact bounds shows what is to be shown. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from scipy.special import pdtr, pdtrc

from retrain_assets.experiment.estimation.rare_events import mean_bounds

Limits = tuple[float, float]
Shown = Callable[[Limits, Limits], bool]
"""Whether limits (lower, upper) of champion and challenger show what is to be shown; monotone in the challenger's."""

_HALF = 0.5
_UPPER_DECILE = 1.2816


def exact_chance(rates: tuple[float, float], units: tuple[float, float], levels: tuple[float, float], shown: Shown) -> float:
    """Chance that one look at a share with few events shows what is to be shown, with the exact bounds.

    The challenger's events (its non-events where they are the rarer) are Poisson; the champion's, which matter less, are taken at
    their lower and their upper decile, and both must do.

    Args:
        rates: true shares of champion and challenger.
        units: matured units of champion and challenger.
        levels: error level of the bounds of champion and challenger.
        shown: whether bounds of champion and challenger show it.
    """
    (champion_rate, challenger_rate), (n_champion, n_challenger) = rates, (math.floor(one) for one in units)
    if min(n_champion, n_challenger) < 1:
        return 0.0
    away = _UPPER_DECILE * math.sqrt(n_champion * min(champion_rate, 1 - champion_rate))
    champions = [
        _bounds(min(max(n_champion * champion_rate + shift, 0.0), float(n_champion)), n_champion, levels[0])
        for shift in (-away, away)
    ]
    flipped = challenger_rate > _HALF
    mean = n_challenger * (1 - challenger_rate if flipped else challenger_rate)

    def holds(count: int) -> bool:
        limits = _bounds(float(n_challenger - count if flipped else count), n_challenger, levels[1])
        return all(shown(champion, limits) for champion in champions)

    most = min(math.ceil(mean + 8 * math.sqrt(mean) + 8), n_challenger)
    at_none, at_most = holds(0), holds(most)
    if at_none == at_most:
        return float(at_none)
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) == at_none else (low, middle)
    return float(pdtr(low, mean) if at_none else pdtrc(low, mean))


@lru_cache(maxsize=4096)
def _bounds(total: float, n: int, alpha: float) -> Limits:
    return mean_bounds(total, n, alpha)
