"""Both models by a team's own metric: values a row are compared as shipped metrics are, one number by resampling the function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from retrain_assets.drift import adjusted_p_values
from retrain_assets.gates.offline.carriers import ENOUGH, too_few
from retrain_assets.gates.offline.comparison import Pair
from retrain_assets.gates.offline.evaluation import Comparison, Slice
from retrain_assets.gates.offline.intervals import UNDEFINED, Improvement, improvement_of, percentile_improvement
from retrain_assets.gates.offline.metrics import ROW_GAIN, ROW_LOSS
from retrain_assets.gates.offline.own_metrics import LabelledRows, MetricFault, OwnMeasure
from retrain_assets.gates.offline.resampling import UNIT_BLOCKS, resampled_units
from retrain_assets.gates.offline.slice_members import SliceMembers

Array = np.ndarray
JACKKNIFE_BLOCKS = 100
"""Blocks of units, each left out once, that bounds without resampling rest on: so many calls of the function for each model."""


@dataclass(frozen=True, eq=False)
class OwnPair:
    """Two models' scores of the same labelled rows by one own metric.

    Args:
        measure: the metric.
        rows: the rows.
        pair: both models' scores of them, and how to compare.
    """

    measure: OwnMeasure
    rows: LabelledRows
    pair: Pair

    def compared(self) -> Comparison:
        """The metric on all rows.

        Values a row: as any shipped metric that is a mean over rows. One number: a paired bootstrap of units, the function called
        on each sample (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13); with fewer than 50 units a
        jackknife of units and Student's t.

        Raises:
            MetricFault: when the function raises or answers what is no metric.
        """
        if (as_rows := self._as_rows) is not None:
            return replace(as_rows.compared(self._sign), metric=self.measure.name)
        count, pair = len(self.rows.labels), self.pair
        ours = self.measure.value(self.rows, pair.candidate)
        theirs = None if pair.champion is None else self.measure.value(self.rows, pair.champion)
        if pair.champion is None or ours is None or theirs is None:
            return Comparison(self.measure.name, count, ours, theirs)
        units = len(np.unique(self._units))
        if too_few(units, pair.confidence):
            found, method = Improvement(self._better(ours, theirs), None, None), f"none, too few units carry it: {units}"
        elif units < ENOUGH:
            found, method = self._left_out(np.arange(count))[2], "jackknife, by unit"
        else:
            found, method = self._resampled(pair.champion, ours, theirs)
        return Comparison(self.measure.name, count, ours, theirs, found, method)

    def slices(self, members: Sequence[SliceMembers]) -> tuple[Slice, ...]:
        """The metric on every slice: values a row as shipped metrics, one number by a jackknife of blocks of units.

        Raises:
            MetricFault: as :meth:`compared`.
        """
        if (as_rows := self._as_rows) is not None:
            found = as_rows.slices(self._sign, members)
            return tuple(replace(one, comparison=replace(one.comparison, metric=self.measure.name)) for one in found)
        parts = [self._slice(part.rows) for part in members]
        judged = [k for k, part in enumerate(members) if part.judged and parts[k][1] is not None]
        adjusted = adjusted_p_values({k: parts[k][1] or 0.0 for k in judged})
        return tuple(
            Slice(part.column, part.value, part.judged, comparison, adjusted.get(k))
            for k, (part, (comparison, _)) in enumerate(zip(members, parts, strict=True))
        )

    @property
    def _sign(self) -> str:
        return ROW_LOSS if self.measure.lower_is_better else ROW_GAIN

    @cached_property
    def _as_rows(self) -> Pair | None:
        """Both models' values a row, to be compared by their means; None where the function gives one number."""
        ours = self.measure.of(self.rows, self.pair.candidate)
        theirs = None if self.pair.champion is None else self.measure.of(self.rows, self.pair.champion)
        kinds = {isinstance(one, np.ndarray) for one in (ours, *([theirs] if self.pair.champion is not None else []))}
        if len(kinds) > 1:
            raise MetricFault(
                f"{self.measure.name} is one number for one model and a number a row for the other; return one kind"
            )
        if not isinstance(ours, np.ndarray):
            return None
        return replace(self.pair, candidate=ours, champion=theirs if isinstance(theirs, np.ndarray) else None)

    @property
    def _units(self) -> Array:
        return np.arange(len(self.rows.labels)) if self.pair.units is None else self.pair.units

    def _better(self, ours: float, theirs: float) -> float:
        return (theirs - ours) if self.measure.lower_is_better else (ours - theirs)

    def _resampled(self, champion: Array, ours: float, theirs: float) -> tuple[Improvement, str]:
        pair = self.pair
        samples = resampled_units(self._units, resamples=pair.resample_count, seed=pair.seed)
        place = np.arange(len(self.rows.labels))
        drawn = np.full(len(samples.weights), np.nan)
        for number, weights in enumerate(samples.weights):
            chosen = np.repeat(place, weights[samples.block].astype(np.int64))
            rows = self.rows.take(chosen) if "rows" in self.measure.takes else replace(self.rows, labels=self.rows.labels[chosen])
            both = [self._sampled(rows, scores[chosen]) for scores in (pair.candidate, champion)]
            drawn[number] = self._better(*both)
        method = f"paired bootstrap, {pair.resample_count:,} resamples"
        method += f" of {UNIT_BLOCKS:,} blocks of units" if samples.blocks < len(np.unique(self._units)) else ""
        return percentile_improvement(self._better(ours, theirs), drawn, pair.confidence), method

    def _sampled(self, rows: LabelledRows, scores: Array) -> float:
        """The metric of a sample, NaN where it is undefined there."""
        found = self.measure.of(rows, scores) if len(scores) else None
        if isinstance(found, np.ndarray):
            raise MetricFault(f"{self.measure.name} is one number for some rows and a number a row for others; return one kind")
        return np.nan if found is None else found

    def _slice(self, rows: Array) -> tuple[Comparison, float | None]:
        if self.pair.champion is None:
            value = self.measure.value(self.rows.take(rows), self.pair.candidate[rows])
            return Comparison(self.measure.name, len(rows), value, None), None
        ours, theirs, found, p_value = self._left_out(rows)
        method = None if p_value is None else "jackknife, by unit"
        return Comparison(self.measure.name, len(rows), ours, theirs, found, method), p_value

    def _left_out(self, rows: Array) -> tuple[float | None, float | None, Improvement, float | None]:
        """Both values on some rows, the bounds of their difference and the p-value of "not worse at all".

        Each of at most 100 blocks of units is left out once (Kott, The delete-a-group jackknife, Journal of Official Statistics
        2001); what a block moves takes the place of the influence of a unit.
        """
        numbers = np.unique(self._units[rows], return_inverse=True)[1]
        units = int(numbers.max(initial=-1)) + 1
        blocks = min(units, JACKKNIFE_BLOCKS)
        block = np.random.default_rng(self.pair.seed).permutation(units)[numbers] % max(blocks, 1)
        kept = [rows[block != number] for number in range(blocks)] if blocks > 1 else []
        assert self.pair.champion is not None  # asked before
        found: list[tuple[float, Array] | None] = []
        values: list[float | None] = []
        for scores in (self.pair.candidate, self.pair.champion):
            value = self._sampled(self.rows.take(rows), scores[rows])
            without = np.array([self._sampled(self.rows.take(part), scores[part]) for part in kept])
            values.append(float(value) if np.isfinite(value) else None)
            usable = np.isfinite(value) and len(without) > 1 and bool(np.isfinite(without).all())
            found.append((float(value), (without.mean() - without) * (blocks - 1) / blocks) if usable else None)
        if found[0] is None or found[1] is None:
            return values[0], values[1], UNDEFINED, None
        return *values, *improvement_of(self._sign, found[0], found[1], None, confidence=self.pair.confidence)  # type: ignore[return-value]
