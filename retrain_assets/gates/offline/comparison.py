"""Both models on the same rows, or a slice of them: each metric with its bounds, by the method that suits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retrain_assets.drift import adjusted_p_values
from retrain_assets.gates.offline.carriers import CARRIED, ENOUGH, carriers, too_few
from retrain_assets.gates.offline.evaluation import Comparison, Slice
from retrain_assets.gates.offline.influence import influence, influence_of_terms
from retrain_assets.gates.offline.intervals import (
    Improvement,
    bootstrap_improvement,
    improvement_of,
    linearised_improvement,
)
from retrain_assets.gates.offline.metrics import metric_value
from retrain_assets.gates.offline.ranked import RANKED
from retrain_assets.gates.offline.resampling import UNIT_BLOCKS, Resamples, resampled_units
from retrain_assets.gates.offline.slice_members import SliceMembers
from retrain_assets.gates.offline.terms import terms_of

Array = np.ndarray
_Measured = tuple[float, Array] | None
ROWS_RESAMPLED_IN_ORDER = 1000
"""Rows up to which average_precision is resampled; beyond, putting each sample in order costs more than it tells."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two models' scores of the same labelled rows, and how to compare them.

    Args:
        labels: as :func:`retrain_assets.gates.offline.metrics.metric_value` takes them, at least one.
        candidate: the candidate's scores.
        champion: the champion's scores; None when there is no champion, and then nothing has bounds.
        units: number of the unit of every row, 0..k-1; None when every row is a unit of its own.
        confidence: of every bound, one-sided.
        threshold: of the positive decision.
        seed: of the resampling.
        resample_count: number of bootstrap samples.
    """

    labels: Array
    candidate: Array
    champion: Array | None
    units: Array | None
    confidence: float
    threshold: float
    seed: int
    resample_count: int

    def compared(self, metric: str) -> Comparison:
        """One metric on all rows: DeLong for areas under the ROC curve, a paired bootstrap of units for the others.

        Where few units carry the metric the percentiles of resampled units are too narrow (Cameron, Gelbach and Miller,
        Bootstrap-based improvements for inference with clustered errors, Review of Economics and Statistics 2008), and it is
        linearised instead.
        """
        rows = len(self.labels)
        if self.champion is None:
            return Comparison(metric, rows, metric_value(metric, self.labels, self.candidate, threshold=self.threshold), None)
        carried = self._carriers(metric)
        few = self._unit_count if carried is None else carried
        if metric in ("roc_auc", "roc_auc_ovr"):
            found = self._linearised(metric, self.champion)
            method = "DeLong" if metric == "roc_auc" else "DeLong, mean over classes"
        elif few < ENOUGH or (metric == "average_precision" and rows > ROWS_RESAMPLED_IN_ORDER):
            found, method = self._linearised(metric, self.champion), _LINEARISED
        else:
            scores = (self.labels, self.candidate, self.champion, self._resamples)
            found = bootstrap_improvement(metric, *scores, confidence=self.confidence, threshold=self.threshold)
            method = f"paired bootstrap, {self.resample_count:,} resamples"
            method += f" of {UNIT_BLOCKS:,} blocks of units" if self._resamples.blocks < self._unit_count else ""
        if too_few(few, self.confidence):
            method = f"none, too few units carry it: {few}"
        ours, theirs = (
            metric_value(metric, self.labels, scores, threshold=self.threshold) for scores in (self.candidate, self.champion)
        )
        return Comparison(metric, rows, ours, theirs, found, method)

    def slices(self, metric: str, members: Sequence[SliceMembers]) -> tuple[Slice, ...]:
        """One metric on every slice, linearised, with p-values corrected over the judged slices where the metric is defined."""
        compare = self._slice_in_order if metric in RANKED else self._slice_of_sums(metric)
        found = [compare(metric, part.rows) for part in members]
        judged = [k for k, part in enumerate(members) if part.judged and found[k][1] is not None]
        adjusted = adjusted_p_values({k: found[k][1] or 0.0 for k in judged})
        return tuple(
            Slice(part.column, part.value, part.judged, comparison, adjusted.get(k))
            for k, (part, (comparison, _)) in enumerate(zip(members, found, strict=True))
        )

    def _linearised(self, metric: str, champion: Array) -> Improvement:
        scores = (self.labels, self.candidate, champion, self.units)
        return linearised_improvement(metric, *scores, confidence=self.confidence, threshold=self.threshold)[0]

    def _slice_in_order(self, metric: str, rows: Array) -> tuple[Comparison, float | None]:
        labels, theirs = self.labels[rows], None if self.champion is None else self.champion[rows]
        candidate = influence(metric, labels, self.candidate[rows], threshold=self.threshold)
        champion = None if theirs is None else influence(metric, labels, theirs, threshold=self.threshold)
        return self._slice(metric, rows, candidate, champion)

    def _slice(self, metric: str, rows: Array, candidate: _Measured, champion: _Measured) -> tuple[Comparison, float | None]:
        value, other = (None if measured is None else measured[0] for measured in (candidate, champion))
        units = None if self.units is None else self.units[rows]
        carried = self._carriers(metric, rows)
        found, p_value = improvement_of(metric, candidate, champion, units, confidence=self.confidence, carried=carried)
        method = None if p_value is None else _LINEARISED
        return Comparison(metric, len(rows), value, other, found, method), p_value

    def _slice_of_sums(self, metric: str) -> Callable[[str, Array], tuple[Comparison, float | None]]:
        """As :meth:`_slice_in_order` for a metric of sums, whose terms are made once for all slices."""
        ours = terms_of(metric, self.labels, self.candidate, self.threshold)
        theirs = None if self.champion is None else terms_of(metric, self.labels, self.champion, self.threshold)

        def compare(metric: str, rows: Array) -> tuple[Comparison, float | None]:
            candidate = influence_of_terms(metric, ours.take(rows))
            champion = None if theirs is None else influence_of_terms(metric, theirs.take(rows))
            return self._slice(metric, rows, candidate, champion)

        return compare

    def _carriers(self, metric: str, rows: Array | slice = slice(None)) -> int | None:
        if self.champion is None or metric not in CARRIED:
            return None
        units = None if self.units is None else self.units[rows]
        scores = (self.candidate[rows], self.champion[rows])
        return carriers(metric, self.labels[rows], scores, units, threshold=self.threshold)

    @cached_property
    def _resamples(self) -> Resamples:
        units = np.arange(len(self.labels)) if self.units is None else self.units
        return resampled_units(units, resamples=self.resample_count, seed=self.seed)

    @property
    def _unit_count(self) -> int:
        return len(self.labels) if self.units is None else int(self.units.max()) + 1


_LINEARISED = "linearised, by unit"
