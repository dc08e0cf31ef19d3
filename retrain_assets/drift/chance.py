"""Whether two histograms differ by more than chance: sparse cells pooled, a test that holds for few rows, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from retrain_assets.drift.column import ColumnSketch, Counts
from retrain_assets.drift.distances import population_stability_index

Name = TypeVar("Name", bound=Hashable)
Cells = npt.NDArray[np.int64]

SPARSE = 5
"""Expected rows below which a cell is pooled with others."""

LUCK = 3.0
"""Standard deviations by which a level may have been more frequent by chance in the rows that levels were chosen on."""

SURE = 30
"""Standard deviations beyond which a binomial tail is no longer told apart from a normal one."""


class Homogeneity(NamedTuple):
    """What the counts of two sketches say about one distribution behind both.

    Args:
        p_value: chance of a difference at least this large without any change; 1 where all rows are in one cell.
        corrected_psi: population stability index of the pooled cells minus its expectation without change, at least 0.
    """

    p_value: float
    corrected_psi: float


def homogeneity(reference: ColumnSketch, current: ColumnSketch) -> Homogeneity | None:
    """Test a column's window against its reference; None where either has no row.

    Without change the population stability index is about ``(1/n + 1/m)`` times a chi-square variable with one degree of freedom
    less than there are cells (Yurdakul and Naranjo, "Statistical properties of the population stability index", Journal of Risk
    Model Validation 14(4), 2020), so ``(cells - 1)(1/n + 1/m)`` is taken off it. See :func:`pooled_cells` and
    :func:`chance_of_difference`.
    """
    if reference.n == 0 or current.n == 0:
        return None
    before, after = pooled_cells(reference, current)
    expected = (len(before) - 1) * (1 / reference.n + 1 / current.n)
    psi = population_stability_index(before, after)
    return Homogeneity(chance_of_difference(before, after), max(0.0, psi - expected))


def pooled_cells(reference: ColumnSketch, current: ColumnSketch) -> tuple[Counts, Counts]:
    """Counts of both over the same cells, sparse cells pooled: bins with sparse neighbours, all sparse levels with each other.

    A cell is sparse where fewer than :data:`SPARSE` rows are expected in the smaller sample. That is decided from the rows of
    both samples together, which say nothing about their difference. Other levels and missing values are cells like levels.

    Where the reference has more levels than it lists, those it lists were chosen for being frequent in it; see
    :func:`_without_luck`.
    """
    bins, named, rest = _cells(reference, current)
    share = min(reference.n, current.n) / (reference.n + current.n)
    needed = SPARSE / share
    if reference.other:
        named, rest = _without_luck(named, rest, reference, current)
    named = np.concatenate([named, rest])
    named = named[named.sum(axis=1) > 0]
    sparse = named.sum(axis=1) < needed
    pooled = [*_joined(bins, needed), *named[~sparse]]
    if sparse.any():
        pooled.append(named[sparse].sum(axis=0))
    cells = np.array(pooled, dtype=np.int64).reshape(-1, 2)
    return cells[:, 0], cells[:, 1]


def chance_of_difference(reference: Counts | Sequence[int], current: Counts | Sequence[int]) -> float:
    """Chance of counts at least as different, when all rows come independently from one distribution, 0..1.

    Pearson's statistic with each cell's deviation measured on the exact scale: given the c + r rows of a cell, c is binomial
    with the share of the current rows; its mid-p tail (Lancaster, "Significance tests in discrete distributions", JASA 56, 1961)
    is turned into a normal score, and the squares add up to a chi-square variable with one degree of freedom less than cells.
    For many rows that is Pearson's test. For few it stays at or below its level where Pearson's is ten times above it in the far
    tail that a correction over many columns needs (retrain_assets_tests/drift/test_chance.py runs both).
    """
    from scipy.special import betainc, chdtrc, ndtri

    before, after = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    both = before + after
    held = both > 0
    before, after, both = before[held], after[held], both[held]
    if len(both) < 2:
        return 1.0
    share = after.sum() / both.sum()
    plain = (after - both * share) / np.sqrt(both * share * (1 - share))
    at_least = np.where(after > 0, betainc(np.maximum(after, 1), both - after + 1, share), 1.0)
    above = np.where(after < both, betainc(after + 1, np.maximum(both - after, 1), share), 0.0)
    at_most = np.where(before > 0, betainc(np.maximum(before, 1), both - before + 1, 1 - share), 1.0)
    below = np.where(before < both, betainc(before + 1, np.maximum(both - before, 1), 1 - share), 0.0)
    tail = np.where(plain > 0, (at_least + above) / 2, (at_most + below) / 2)
    exact = np.minimum(0.0, ndtri(np.clip(tail, 1e-300, 0.5)))
    scores = np.where(np.abs(plain) > SURE, plain, exact)
    return float(chdtrc(len(both) - 1, float(np.sum(scores**2))))


def adjusted_p_values(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """P-values corrected for their number: the chance that any of those at or below a level is a false one is at most the level.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    adjusted: dict[Name, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def _without_luck(levels: Cells, rest: Cells, reference: ColumnSketch, current: ColumnSketch) -> tuple[Cells, Cells]:
    """Levels and other cells without the luck of levels that were listed for being frequent in the reference.

    Near the end of the list that was chance: in a window those levels are rarer and the others more frequent, although nothing
    changed. So levels that have no more rows than one that is not listed might have become one cell (again from the rows of both
    samples together). Of its reference rows, those that luck may have brought count as others, as far as that makes the two
    samples more alike. What the window has of levels that are not listed has no say, so one that became frequent hides nothing.
    """
    chosen_on = min(reference.fitted_on or reference.n, reference.n) / reference.n
    chosen = levels[:, 0] * chosen_on
    rarest = float(chosen.min(initial=np.inf))
    unlisted = (rarest + LUCK * math.sqrt(rarest) + LUCK) * (1 + current.n / reference.n) / chosen_on
    doubtful = levels.sum(axis=1) < unlisted + LUCK * math.sqrt(unlisted)
    joined, (other, missing) = levels[doubtful].sum(axis=0), rest
    luck = min(int(joined[0]), int(np.sum(LUCK * np.sqrt(chosen[doubtful]) + LUCK)))
    if rows := joined[1] + other[1]:
        alike = round((joined[0] + other[0]) * other[1] / rows)
        moved = np.array([min(max(alike - other[0], 0), luck), 0])
        joined, other = joined - moved, other + moved
    return np.array([*levels[~doubtful], joined], dtype=np.int64), np.array([other, missing], dtype=np.int64)


def _cells(reference: ColumnSketch, current: ColumnSketch) -> tuple[Cells, Cells, Cells]:
    """Bins, levels, and the two cells of other levels and missing values, one row each: reference and current counts."""
    rest = np.array([(reference.other, current.other), (reference.missing, current.missing)], dtype=np.int64)
    if reference.kind == "numeric":
        return np.array([reference.counts, current.counts], dtype=np.int64).T, np.empty((0, 2), dtype=np.int64), rest
    levels = tuple(sorted({*reference.levels, *current.levels}))
    named = np.array([reference.counts_of(levels), current.counts_of(levels)], dtype=np.int64).T
    return np.empty((0, 2), dtype=np.int64), named, rest


def _joined(bins: Cells, needed: float) -> list[Cells]:
    """Bins in their order; runs of sparse ones joined until they are not sparse; what is left of a run stays a cell."""
    joined: list[Cells] = []
    run: Cells | None = None
    for cell in bins:
        if (total := cell.sum()) == 0:
            continue
        if total >= needed:
            joined.extend([cell] if run is None else [run, cell])
            run = None
            continue
        run = cell if run is None else run + cell
        if run.sum() >= needed:
            joined.append(run)
            run = None
    return joined if run is None else [*joined, run]
