"""Two arms of an experiment side by side: their distributions at the same mix of stages, and quantiles of counted values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from retrain_assets.drift.column import ColumnSketch

WIDTH = 1.01
"""Ratio of neighbouring edges of the bins that durations are counted in: a quantile read from them is within half a per cent."""


@dataclass(frozen=True, slots=True)
class ArmPair:
    """What the arms gave in one stage: sketches over the same edges, and how many units stand behind the rows of each.

    Args:
        champion: sketch of the champion's values.
        challenger: sketch of the challenger's values.
        champion_units: units with a value; rows of one unit are no rows of their own.
        challenger_units: the same of the challenger.
    """

    champion: ColumnSketch
    challenger: ColumnSketch
    champion_units: int
    challenger_units: int

    @property
    def weight(self) -> float:
        """Information on the difference of the arms, n_c n_t / (n_c + n_t) in units; 0 where an arm has no value."""
        n_champion, n_challenger = self._effective
        return n_champion * n_challenger / (n_champion + n_challenger) if n_champion and n_challenger else 0.0

    @property
    def _effective(self) -> tuple[int, int]:
        return (
            min(self.champion.values, self.champion_units),
            min(self.challenger.values, self.challenger_units),
        )


def standardised(pairs: Iterable[ArmPair]) -> tuple[ColumnSketch, ColumnSketch] | None:
    """Both arms as if they had met the same stages: what moved between stages moved for both and is no difference of the arms.

    Shares, means and variances are averaged over the stages with weights n_c n_t / (n_c + n_t), which depend on counts only. The
    sketches have as many rows as independent units would give the same sampling error, so tests and corrections that go by the
    number of rows (:func:`~retrain_assets.drift.comparison.column_drift`) hold.

    Args:
        pairs: one per stage; stages in which an arm has no value are left out.

    Returns:
        Champion and challenger; None where no stage has both.
    """
    held = [pair for pair in pairs if pair.weight > 0]
    total = sum(pair.weight for pair in held)
    if not held:
        return None
    weights = [pair.weight / total for pair in held]
    champion = _mixed([pair.champion for pair in held], weights, [pair._effective[0] for pair in held])
    challenger = _mixed([pair.challenger for pair in held], weights, [pair._effective[1] for pair in held])
    return champion, challenger


def mixed_mean(values: Sequence[float], weights: Sequence[float]) -> float | None:
    """The mean of stages' means at given weights; None without any weight."""
    total = math.fsum(weights)
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / total if total > 0 else None


def counted_quantile(stages: Sequence[Mapping[int, int]], weights: Sequence[float], share: float) -> float | None:
    """A quantile of values that were counted in logarithmic bins, averaged over stages; None without a value.

    Args:
        stages: per stage, rows by bin; bin k holds values from ``WIDTH**k`` to below ``WIDTH**(k + 1)``.
        weights: weight of each stage.
        share: share of values at or below the quantile, 0..1.
    """
    mass: dict[int, float] = {}
    for counts, weight in zip(stages, weights, strict=True):
        rows = sum(counts.values())
        for place, count in counts.items():
            mass[place] = mass.get(place, 0.0) + weight * count / rows if rows else mass.get(place, 0.0)
    reached, total = 0.0, math.fsum(mass.values())
    for place in sorted(mass):
        reached += mass[place]
        if total > 0 and reached >= share * total - 1e-12 * total:
            return float(WIDTH ** (place + 0.5))
    return None


def _mixed(sketches: Sequence[ColumnSketch], weights: Sequence[float], units: Sequence[int]) -> ColumnSketch:
    shares = sum(
        weight * np.asarray(sketch.counts, dtype=np.float64) / sketch.values
        for sketch, weight in zip(sketches, weights, strict=True)
    )
    rows = max(1, round(1 / math.fsum(weight**2 / n for weight, n in zip(weights, units, strict=True))))
    means = [sketch.mean or 0.0 for sketch in sketches]
    mean = mixed_mean(means, weights) or 0.0
    spread = mixed_mean(
        [(sketch.std or 0.0) ** 2 + (one - mean) ** 2 for sketch, one in zip(sketches, means, strict=True)], weights
    )
    return replace(
        sketches[0],
        counts=_whole(np.asarray(shares), rows),
        other=0,
        missing=0,
        n=rows,
        mean=mean,
        std=math.sqrt(spread or 0.0),
        skewness=None,
        minimum=min((low for sketch in sketches if (low := sketch.minimum) is not None), default=None),
        maximum=max((high for sketch in sketches if (high := sketch.maximum) is not None), default=None),
    )


def _whole(shares: np.ndarray, rows: int) -> tuple[int, ...]:
    """Whole counts that sum to the rows and are nearest to the shares (largest remainders)."""
    exact = shares / shares.sum() * rows
    counts = np.floor(exact).astype(np.int64)
    missing = rows - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:missing]] += 1
    return tuple(counts.tolist())
