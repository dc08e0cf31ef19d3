"""Group-sequential tests: how a fixed schedule of looks spends its error level, and how likely each look is to conclude.

Everything is about one upper boundary. S_k, the score at look k, is a Brownian motion with drift seen at the information I_k:
S_k ~ N(drift I_k, I_k), Z_k = S_k / sqrt(I_k). Information may be in any unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]

LEAST_GROWTH = 1e-4
"""Relative growth of information from look to look below which looks are taken to be this far apart."""

_REACH = 9.0
"""Standard deviations beyond which a normal density is taken to be 0."""

_FAR = 20.0
"""Standard deviations of one step beyond which nothing arrives: far, as boundaries of tiny probabilities live in the tails."""

_PANEL = 1.5
"""Width of a panel of the quadrature, in standard deviations of the finest step next to it."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)

_COARSE_PANEL = 3.0
_COARSE_NODES, _COARSE_WEIGHTS = np.polynomial.legendre.leggauss(8)

_BLOCK = 256


class Spending(StrEnum):
    """Names of the spending functions."""

    OBRIEN_FLEMING = "obrien_fleming"
    POCOCK = "pocock"
    LINEAR = "linear"


def spent(spending: Spending, fractions: Sequence[float], alpha: float) -> tuple[float, ...]:
    """Error level spent by the end of each look.

    A fraction at or above 1 has spent all of alpha, so the last planned look spends whatever is left, and looks after it nothing.

    Args:
        spending: the spending function.
        fractions: how far the plan has come at each look, 0..1 (more counts as 1), not descending.
        alpha: one-sided error level of the whole plan, in (0, 0.5).

    Raises:
        ValueError: for fractions that descend, are negative or not finite, or alpha outside its range.

    Source: Lan, DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70 (1983) 659-663; the linear function
    from Kim, DeMets, Biometrika 74 (1987) 149-154.
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha {alpha} must lie in (0, 0.5)")
    if not _ascending([0.0, *fractions]):
        raise ValueError(f"fractions {list(fractions)} must be finite, not negative and not descend")
    return tuple(_spent_at(spending, min(float(fraction), 1.0), alpha) for fraction in fractions)


def boundaries(information: Sequence[float], spent: Sequence[float]) -> tuple[float, ...]:
    """Upper boundaries z_k with P(Z_1 <= z_1, ..., Z_{k-1} <= z_{k-1}, Z_k > z_k) = spent_k - spent_{k-1} without an effect.

    A boundary depends on the looks up to its own only, so those of looks already taken never move. A look that spends nothing has
    the boundary infinity. Information that hardly grew since the look before, or shrank (corrected records), is taken to have
    grown by ``LEAST_GROWTH``, or by the ratio it shrank by, which gives the looks the correlation they have or a smaller one: the
    boundary is then a little high, never low. Information beyond what was planned needs no care: only its ratios enter.

    Args:
        information: information on the effect at each look, above 0, in any one unit.
        spent: error level spent by the end of each look, in [0, 1), not descending; see :func:`spent`.

    Raises:
        ValueError: for arguments outside their ranges or of different lengths.

    Source: Armitage, McPherson, Rowe, "Repeated significance tests on accumulating data", J. R. Stat. Soc. A 132 (1969) 235-244;
    Jennison, Turnbull, "Group sequential methods with applications to clinical trials" (2000), ch. 7 and 19.
    """
    return _boundaries(tuple(map(float, information)), tuple(map(float, spent)))


def crossing_probabilities(information: Sequence[float], z: Sequence[float], drift: float = 0.0) -> tuple[float, ...]:
    """Probability that each look is the first to cross its boundary; their sum is the power by the end.

    To about 1e-6 (planning, not deciding). Arguments as in :func:`boundaries`, information ascending strictly.

    Args:
        information: information on the effect at each look.
        z: boundary at each look; infinity for a look that cannot cross.
        drift: the true effect per square root of information: Z_k has mean ``drift * sqrt(information_k)``.

    Raises:
        ValueError: for arguments outside their ranges or of different lengths.
    """
    levels = _informations(information, len(z))
    if not math.isfinite(drift) or any(math.isnan(one) for one in z):
        raise ValueError(f"drift {drift} must be finite and no boundary NaN")
    found: list[float] = []
    density: _Density | None = None
    for number, level in enumerate(levels):
        step = level - levels[number - 1] if number else level
        score = z[number] * math.sqrt(level)
        if density is None:
            found.append(float(ndtr(drift * math.sqrt(level) - z[number])))
        else:
            found.append(density.beyond(score, drift * step, math.sqrt(step))[0])
        if number + 1 < len(levels):
            finest = math.sqrt(min(step, levels[number + 1] - level))
            centre, deviation = drift * level, math.sqrt(level)
            low, high = centre - _REACH * deviation, min(score, centre + _REACH * deviation)
            if high <= low:  # all has crossed
                return (*found, *(0.0 for _ in levels[number + 1 :]))
            grid = _grid(low, high, _COARSE_PANEL * finest, _COARSE_NODES, _COARSE_WEIGHTS)
            density = _step(density, grid, drift, level, step)
    return tuple(min(max(one, 0.0), 1.0) for one in found)


def _spent_at(spending: Spending, fraction: float, alpha: float) -> float:
    if fraction <= 0 or fraction == 1:
        return alpha if fraction == 1 else 0.0
    if spending is Spending.OBRIEN_FLEMING:
        return float(2 * ndtr(ndtri(alpha / 2) / math.sqrt(fraction)))
    if spending is Spending.POCOCK:
        return alpha * math.log1p((math.e - 1) * fraction)
    return alpha * fraction


@lru_cache(maxsize=1024)
def _boundaries(information: tuple[float, ...], spent: tuple[float, ...]) -> tuple[float, ...]:
    levels = _informations(information, len(spent))
    if not _ascending([0.0, *spent]) or (spent and spent[-1] >= 1):
        raise ValueError(f"spent {list(spent)} must lie in [0, 1) and not descend")
    increments = [after - before for before, after in pairwise((0.0, *spent))]
    highest = max([-float(ndtri(one)) for one in increments if one > 0], default=0.0)
    found: list[float] = []
    density: _Density | None = None
    for number, (level, increment) in enumerate(zip(levels, increments, strict=True)):
        step, deviation = level - levels[number - 1] if number else level, math.sqrt(level)
        z = -float(ndtri(increment)) if increment > 0 else math.inf
        if density is not None and math.isfinite(z):
            highest_score = min(z * deviation, density.scores[-1] + z * math.sqrt(step))
            z = _solve(density, highest_score, math.sqrt(step), increment) / deviation
        found.append(z)
        if number + 1 < len(levels):
            finest = math.sqrt(min(step, levels[number + 1] - level))
            high = min(z, max(highest + 2, _REACH)) * deviation
            grid = _grid(min(-_REACH * deviation, high - deviation), high, _PANEL * finest, _NODES, _WEIGHTS)
            density = _step(density, grid, 0.0, level, step)
    return tuple(found)


def _informations(information: Sequence[float], looks: int) -> list[float]:
    """The information as it is taken: in units of the first look's, strictly ascending."""
    if len(information) != looks:
        raise ValueError(f"{len(information)} looks have information and {looks} a boundary or spending; give one of each a look")
    if any(not (one > 0 and math.isfinite(one)) for one in information):
        raise ValueError(f"information {list(information)} must be above 0 and finite")
    levels: list[float] = []
    for number, one in enumerate(information):
        if not number:
            levels.append(float(one))
            continue
        ratio = one / information[number - 1]
        levels.append(levels[-1] * max(ratio, 1 / ratio, 1 + LEAST_GROWTH))
    return levels


def _ascending(values: Sequence[float]) -> bool:
    return all(math.isfinite(after) and before <= after for before, after in pairwise(values))


@dataclass(frozen=True, slots=True)
class _Density:
    """Density of the score where no boundary has been crossed yet: nodes of a quadrature, and weight times density there."""

    scores: Floats
    masses: Floats

    def beyond(self, score: float, shift: float, deviation: float) -> tuple[float, float]:
        """Probability that one more step ends above a score, and the density of ending there."""
        distance = (self.scores + shift - score) / deviation
        density = np.exp(-0.5 * distance * distance) / (deviation * math.sqrt(2 * math.pi))
        return float(self.masses @ ndtr(distance)), float(self.masses @ density)


def _solve(density: _Density, start: float, deviation: float, probability: float) -> float:
    """The score above which one step ends with a probability, by Newton's method on its logarithm.

    The logarithm is concave in the score (a log-concave density), so from a score that is too high every iterate stays too high
    and comes closer.
    """
    score = start
    for _ in range(100):
        above, slope = density.beyond(score, 0.0, deviation)
        if not above > 0 or not slope > 0:  # so far out that nothing arrives in floating point; too high is safe
            break
        move = math.log(above / probability) * above / slope
        score += move
        if abs(move) <= 1e-13 * (abs(score) + deviation):
            break
    return score


def _grid(low: float, high: float, panel: float, nodes: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Nodes and weights of a composite Gauss-Legendre rule on [low, high]."""
    panels = max(1, math.ceil((high - low) / panel))
    edges = np.linspace(low, high, panels + 1)
    half = (high - low) / panels / 2
    middles = (edges[:-1] + edges[1:]) / 2
    return (middles[:, None] + half * nodes).ravel(), np.tile(half * weights, panels)


def _step(density: _Density | None, grid: tuple[Floats, Floats], drift: float, level: float, step: float) -> _Density:
    """The density one look on, at the nodes of a grid; from 0 for the first look."""
    scores, weights = grid
    deviation = math.sqrt(step)
    scale = 1 / (deviation * math.sqrt(2 * math.pi))
    if density is None:
        return _Density(scores, weights * np.exp(-0.5 * ((scores - drift * level) / deviation) ** 2) * scale)
    values = np.empty_like(scores)
    reach, shift = _FAR * deviation, drift * step
    for begin in range(0, len(scores), _BLOCK):
        block = scores[begin : begin + _BLOCK]
        first, last = np.searchsorted(density.scores, (block[0] - shift - reach, block[-1] - shift + reach))
        distance = (block[:, None] - (density.scores[first:last] + shift)) / deviation
        values[begin : begin + _BLOCK] = np.exp(-0.5 * distance * distance) @ density.masses[first:last]
    return _Density(scores, weights * values * scale)
