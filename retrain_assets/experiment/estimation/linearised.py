"""The stratified difference where a unit's contribution is linear in several columns: ratios and covariates.

Ratios, covariates and carry-over are one calculation: every arm's mean is a sum over units of psi_u = sum over cells of a' z_u,
with z the unit's columns in a cell and a coefficients that depend on the cell's means. Its variance is the sum of psi_u^2, a
quadratic form of sums: one per cell, and twice a bilinear one per pair of cells that share units. Whatever the columns, two
combinations of them carry it all: u, the value (a ratio's linearised), and v, what the covariates predict of it.

Sources: Deng, Knoblich, Lu, "Applying the delta method in metric analytics" (KDD 2018), section 3 (ratios, units as clusters);
Liang, Zeger, "Longitudinal data analysis using generalized linear models" (Biometrika 73, 1986), the variance of clustered sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from retrain_assets.experiment.estimation.combination import Key, Row, combined
from retrain_assets.experiment.estimation.covariates import adjustment
from retrain_assets.experiment.estimation.difference import Difference
from retrain_assets.experiment.estimation.statistics import (
    ARMS,
    ArmStatistics,
    MeasureStatistics,
    Overlap,
    StratumStatistics,
)

_ROUNDING = 1e-13
"""Share of the absolute terms of a quadratic form below which its value is rounding noise."""

LARGEST_IMBALANCE = 3.0
"""Standard errors of chance by which covariates may move the estimate; beyond, they are not what they were before the arm."""


Line = tuple[float, float]
"""Coefficients of u and v in one cell."""


class Cell(NamedTuple):
    """One arm of one stratum, reduced to u and v: their centred squares over its units, and the coefficients of u."""

    n: int
    mean: float
    value: tuple[float, ...]
    uu: float
    uv: float = 0.0
    vv: float = 0.0


class Shared(NamedTuple):
    """Centred products of two cells over the units in both: u of the first with u of the second, and so on."""

    first: Key
    second: Key
    uu: float
    uv: float = 0.0
    vu: float = 0.0
    vv: float = 0.0


def linearised_difference(statistics: MeasureStatistics, used: Sequence[StratumStatistics]) -> Difference:
    """The difference of the arms over the strata ``used``: two units in each arm and, for a ratio, positive denominators.

    Covariates are centred at their stratum's mean over both arms, so the means stay on the measure's scale: this centre is itself
    random and enters the variance of each arm's mean, and cancels in the difference. Where the arms' covariates differ by more
    than chance the arm must have caused it (a champion's score that is missing for some of the challenger's requests), and what
    an adjustment would take away is part of the effect: then nothing is adjusted.
    """
    first = 2 if statistics.is_ratio else 1
    theta = adjustment(statistics, used) if len(statistics.columns) > first else ()
    if not any(theta):
        found = _unadjusted(statistics, used, first)
        return replace(found, variance_saved=0.0) if theta else found
    adjusted = _adjusted(statistics, used, first, theta)
    if adjusted.imbalance <= LARGEST_IMBALANCE:
        return adjusted
    return replace(_unadjusted(statistics, used, first), variance_saved=0.0, imbalance=adjusted.imbalance)


def _unadjusted(statistics: MeasureStatistics, used: Sequence[StratumStatistics], first: int) -> Difference:
    cells: dict[Key, Cell] = {}
    rows: list[Row] = []
    for one in used:
        revision = one.stratum.revision
        champion = cells[revision, "champion"] = _cell(one.champion, first)
        challenger = cells[revision, "challenger"] = _cell(one.challenger, first)
        rows.append((revision, champion.n, champion.mean, champion.uu, challenger.n, challenger.mean, challenger.uu))
    return combined(rows, [(one.first, one.second, one.uu) for one in _all_shared(statistics, used, cells, ())])


def _adjusted(statistics: MeasureStatistics, used: Sequence[StratumStatistics], first: int, theta: Sequence[float]) -> Difference:
    information = sum([one.weight for one in used])
    cells: dict[Key, Cell] = {}
    lines: dict[Key, tuple[Line, ...]] = {}
    shift = 0.0
    champion_mean = challenger_mean = deviations = champion_shortfall = challenger_shortfall = raw_shortfall = 0.0
    n_champion = n_challenger = 0
    for one in used:
        share, revision = one.weight / information, one.stratum.revision
        champion = cells[revision, "champion"] = _cell(one.champion, first, theta)
        challenger = cells[revision, "challenger"] = _cell(one.challenger, first, theta)
        both = champion.n + challenger.n
        apart = sum(
            [
                t * (b / challenger.n - a / champion.n)
                for t, a, b in zip(theta, one.champion.sums[first:], one.challenger.sums[first:], strict=True)
            ]
        )
        shift += share * apart
        champion_mean += share * (champion.mean + apart * challenger.n / both)
        challenger_mean += share * (challenger.mean - apart * champion.n / both)
        own, other, centre = share / champion.n, share / challenger.n, share / both
        lines[revision, "champion"] = (own, centre - own), (0.0, centre), (-own, own), (-own, 0.0), (0.0, -own)
        lines[revision, "challenger"] = (0.0, centre), (other, centre - other), (other, -other), (other, 0.0), (0.0, other)
        n_champion, n_challenger = n_champion + champion.n, n_challenger + challenger.n
        champion_spread = max(champion.uu - 2 * champion.uv + champion.vv, 0.0)
        challenger_spread = max(challenger.uu - 2 * challenger.uv + challenger.vv, 0.0)
        deviations += champion_spread + challenger_spread
        lacking = _shortfalls(share, (champion.n, champion_spread), (challenger.n, challenger_spread))
        champion_shortfall, challenger_shortfall = champion_shortfall + lacking[0], challenger_shortfall + lacking[1]
        raw_shortfall += sum(_shortfalls(share, (champion.n, champion.uu), (challenger.n, challenger.uu)))
    shared = list(_all_shared(statistics, used, cells, theta))
    champion_variance, challenger_variance, variance, before, moved = _variances(cells, shared, lines)
    guarded, guarded_before = variance + champion_shortfall + challenger_shortfall, before + raw_shortfall
    return Difference(
        champion_mean,
        challenger_mean,
        champion_variance,
        challenger_variance,
        variance,
        deviations / (n_champion + n_challenger - 2 * len(used)),
        information,
        n_champion,
        n_challenger,
        1 - guarded / guarded_before if guarded_before > 0 else None,
        champion_shortfall,
        challenger_shortfall,
        _in_errors(shift, moved),
    )


def _in_errors(shift: float, variance: float) -> float:
    return abs(shift) / math.sqrt(variance) if variance > 0 else math.inf if shift else 0.0


def _shortfalls(share: float, champion: tuple[int, float], challenger: tuple[int, float]) -> tuple[float, float]:
    """What both arms' means lack of variance for each arm to vary as the stratum does; arms as units and centred squares."""
    both = (champion[1] + challenger[1]) / (champion[0] + challenger[0] - 2)
    first, second = (share * share * max(both - spread / (n - 1), 0.0) / n for n, spread in (champion, challenger))
    return first, second


def _variances(cells: Mapping[Key, Cell], shared: Iterable[Shared], lines: Mapping[Key, Sequence[Line]]) -> list[float]:
    """Of each of the combinations whose coefficients ``lines`` has for every cell: both means, their difference, that without
    adjustment, and what the adjustment moves.

    Sum over units of the squared, centred combination; per cell with factor n / (n - 1), which makes it unbiased.
    """
    totals = [0.0] * 5
    for key, (n, _, _, uu, uv, vv) in cells.items():
        factor = n / (n - 1)
        uu, uv, vv = uu * factor, 2 * uv * factor, vv * factor
        for place, (u, v) in enumerate(lines[key]):
            totals[place] += u * u * uu + u * v * uv + v * v * vv
    for first, second, uu, uv, vu, vv in shared:
        for place, ((a, b), (c, d)) in enumerate(zip(lines[first], lines[second], strict=True)):
            totals[place] += 2 * (a * c * uu + a * d * uv + b * c * vu + b * d * vv)
    return [max(total, 0.0) for total in totals]


def _cell(arm: ArmStatistics, first: int, theta: Sequence[float] = ()) -> Cell:
    n, sums, products = arm.n, arm.sums, arm.products
    columns = len(sums)
    value: tuple[float, ...] = (1.0,)
    if first == 1:
        mean = sums[0] / n
        uu, noise = products[0] - sums[0] * mean, products[0]
    else:
        mean, per = sums[0] / sums[1], n / sums[1]
        value = (per, -mean * per)
        top, middle, bottom = products[0], products[1], products[columns]
        uu = per * per * (top - 2 * mean * middle + mean * mean * bottom)
        noise = per * per * (top + 2 * abs(mean * middle) + mean * mean * bottom)
    if uu <= _ROUNDING * noise:
        uu = 0.0
    uv = vv = 0.0
    for j, t in enumerate(theta):
        x = first + j
        x_mean = sums[x] / n
        crossed = value[0] * (products[x] - sums[0] * x_mean)
        if first == 2:
            crossed += value[1] * (products[columns + x - 1] - sums[1] * x_mean)
        uv += t * crossed
        row = x * columns - x * (x - 1) // 2 - x
        vv += t * t * (products[row + x] - sums[x] * x_mean)
        for k in range(j + 1, len(theta)):
            vv += 2 * t * theta[k] * (products[row + first + k] - sums[first + k] * x_mean)
    return Cell(n, mean, value, uu, uv, vv)


def _all_shared(
    statistics: MeasureStatistics, used: Sequence[StratumStatistics], cells: Mapping[Key, Cell], theta: Sequence[float]
) -> Iterable[Shared]:
    if not statistics.overlaps:
        return
    arms = {(one.stratum.revision, arm): one.arm(arm) for one in used for arm in ARMS}
    for overlap in statistics.overlaps:
        if overlap.first in cells and overlap.second in cells:
            value, other = cells[overlap.first].value, cells[overlap.second].value
            yield _shared(overlap, arms[overlap.first], arms[overlap.second], value, other, theta)


def _shared(
    overlap: Overlap,
    one: ArmStatistics,
    other: ArmStatistics,
    value: Sequence[float],
    other_value: Sequence[float],
    theta: Sequence[float],
) -> Shared:
    columns, first = len(one.sums), len(value)
    totals = [0.0, 0.0, 0.0, 0.0]
    row, column = (*value, *theta), (*other_value, *theta)
    for i, a in enumerate(row):
        mean = one.sums[i] / one.n
        for j, b in enumerate(column):
            other_mean = other.sums[j] / other.n
            apart = mean * (overlap.second_sums[j] - overlap.n * other_mean) + other_mean * overlap.first_sums[i]
            totals[2 * (i >= first) + (j >= first)] += a * b * (overlap.products[i * columns + j] - apart)
    return Shared(overlap.first, overlap.second, *totals)
