"""Values that decide the label by themselves, such as a refund code only late parcels have, judged against permuted labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.gates.features.cells import Cells, Codes, binary_targets, shuffles
from retrain_assets.gates.limits import TABLE_ROWS, at_most, counted, listed, number

CHECK = "no_value_determines_label"
BINS = 50
"""Most equal-mass bins of a numeric feature with more distinct values than that; fewer where they would be too small to judge."""
MIN_ROWS = 30
"""Fewest rows of a cell that is judged."""
MIN_OTHERS = 10
"""Fewest rows of other labels that a judged cell would have at the base rate."""
MIN_SHARE = 0.005
"""Smallest share of the labelled rows in a cell that is judged."""
STRETCHES, MIN_STRETCHES = 100, 10
"""Of so many stretches of time a deciding value must stand in so many: a storm is no leak, whatever value it had."""
MIN_JUMP = 0.25
"""By so much more a value must agree than the values next to it: the far end of a strong honest feature is no leak."""
MAX_BASE_RATE = 0.8
"""A label that more of all rows have is not looked for: with rare events whole groups without any are no leak."""
PERMUTATIONS = 5
"""Permutations of the labels; the most surprising of all their cells is the level that chance reaches."""

Floats = npt.NDArray[np.float64]
Agreement = tuple[Floats, Floats]
"""Per cell: agreement of its rows in the label, and how surprising that is (log likelihood ratio to the base rate)."""


@dataclass(frozen=True, slots=True)
class Question:
    """One way to agree: having one class of the label, or (regression) having nearly the same number.

    Args:
        words: what the rows of a cell agree in.
        base_rate: agreement of all rows.
        weigh: from cells and their number, and a permutation of the rows or None, to sums per cell.
        judge: from rows per cell and those sums to agreement and surprise.
        within_bins: whether all rows with a value are judged by how they agree within bins, and no bin alone (regression).
    """

    words: str
    base_rate: float
    weigh: Callable[[Codes, int, npt.NDArray[np.int64] | None], Floats]
    judge: Callable[[Floats, Floats], Agreement]
    within_bins: bool = False


def no_value_determines_label(cells: Mapping[str, Cells], labels: pl.Series, contract: Contract) -> Verdict:
    """No value, range of values or absence of a value agrees with the label more than ``gates.data.max_value_agreement``.

    Args:
        cells: features of the labelled rows of both windows.
        labels: their labels, none null.
        contract: the limit, task, the label's name.
    """
    limit = contract.gates.data.max_value_agreement
    looked = {"rows_looked_at": len(labels)}
    questions = list(_questions(labels, contract.task))
    if not questions:
        message = "the labels are all alike, so there is nothing to agree with"
        return Verdict(Gate.DATA, CHECK, Outcome.NO_DATA, message, None, limit, looked)
    orders = list(shuffles(len(labels), PERMUTATIONS))
    chance = 0.0
    table: list[dict[str, Any]] = []
    partitions = {name: _Partition.of(feature) for name, feature in cells.items()}
    for name, partition in partitions.items():
        for question in questions:
            for order in orders:
                judged = partition.judged(question, order)
                chance = max(chance, float(judged.surprise.max(initial=0.0)))
            found = partition.judged(question, None)
            for at in np.flatnonzero(found.agreement >= min(limit, found.agreement.max(initial=0.0))):
                cell, share = int(found.cells[at]), float(found.agreement[at])
                table.append(
                    {"feature": name, "value": cell, "label": question.words, "rows": int(found.rows[at]), "agreement": share}
                    | {
                        "base_rate": question.base_rate,
                        "surprise": float(found.surprise[at]),
                        "jump": partition.jump(question, cell),
                    }
                )
    return _verdict(partitions, table, contract, looked | {"surprise_by_chance": chance})


def _verdict(
    partitions: Mapping[str, _Partition], table: list[dict[str, Any]], contract: Contract, evidence: dict[str, Any]
) -> Verdict:
    limit = contract.gates.data.max_value_agreement
    if not table:
        message = f"no value stands in {MIN_ROWS} labelled rows and {MIN_SHARE:.1%} of all"
        return Verdict(Gate.DATA, CHECK, Outcome.NO_DATA, message, None, limit, evidence)
    table.sort(key=lambda row: (-row["agreement"], -row["surprise"], row["feature"]))
    best, leaks = None, []
    for row in table:
        if row["agreement"] <= limit and best is not None:
            break
        partition = partitions[row["feature"]]
        spread = partition.stretches(row["value"])
        honest = (
            row["feature"] in contract.gates.data.vetted_features
            or spread < MIN_STRETCHES
            or row["jump"] < MIN_JUMP
            or row["surprise"] <= evidence["surprise_by_chance"]
        )
        shown = row | {"value": partition.name_of(row["value"]), "stretches": spread}
        if row["agreement"] <= limit:
            best = shown
        elif not honest:
            leaks.append(shown)
    leaks.sort(key=lambda row: (-row["surprise"], row["feature"]))
    evidence |= {"cells": leaks[:TABLE_ROWS], "cells_total": len(leaks)}
    if leaks:
        worst = {row["feature"]: row for row in reversed(leaks)}
        words = [
            f"{name} = {row['value']} ({row['agreement']:.1%} of {counted(row['rows'], 'row')} have {row['label']}, "
            f"{row['base_rate']:.1%} of all do)"
            for name, row in reversed(worst.items())
        ]
        message = (
            f"{contract.source.label} is as good as known from {listed(words, most=3)}, limit {number(limit)}; "
            "find out whether the value is filled in before the prediction: remove the feature if not, name it in "
            "gates.data.vetted_features if it is"
        )
        return Verdict(Gate.DATA, CHECK, Outcome.FAIL, message, leaks[0]["agreement"], limit, evidence)
    if best is None:
        message = "values agree with the label only within chance, in a few moments, as their neighbours do or in vetted features"
        return Verdict(Gate.DATA, CHECK, Outcome.PASS, message, None, limit, evidence)
    what = f"largest agreement of a value with the label ({best['feature']} = {best['value']}, {best['label']})"
    return at_most(Gate.DATA, CHECK, best["agreement"], limit, what=what, evidence=evidence)


@dataclass(frozen=True, slots=True)
class _Judged:
    cells: Codes
    rows: Floats
    agreement: Floats
    surprise: Floats


@dataclass(frozen=True, slots=True)
class _Partition:
    """The cells of a feature that are judged: its values, bins of them, none, any."""

    feature: Cells
    bin_of_code: Codes
    bins: int
    rows: Floats

    @classmethod
    def of(cls, feature: Cells) -> _Partition:
        counts = np.bincount(feature.codes, minlength=feature.size)
        most = int(counts[1:].sum() // _enough(feature.codes.size))
        bin_of_code, bins = feature.bins(counts, max(1, min(BINS, most)))
        if not feature.ordered or feature.size - 1 <= BINS:
            bin_of_code, bins = np.zeros(feature.size, dtype=np.int64), 1
        bare = cls(feature, bin_of_code, bins, np.empty(0))
        return cls(feature, bin_of_code, bins, bare.all_cells(counts.astype(np.float64)[None, :])[0])

    def all_cells(self, by_value: Floats) -> Floats:
        """Sums per value, then per bin, then over all rows with a value; the bin of no value is left at 0."""
        binned = np.stack([np.bincount(self.bin_of_code[1:], weights=row[1:], minlength=self.bins) for row in by_value])
        if self.bins == 1:
            binned[:] = 0.0
        return np.concatenate([by_value, binned, by_value[:, 1:].sum(1, keepdims=True)], axis=1)

    def judged(self, question: Question, order: npt.NDArray[np.int64] | None) -> _Judged:
        expected_others = self.rows * (1 - question.base_rate)
        held = (self.rows >= _enough(self.feature.codes.size)) & (expected_others >= MIN_OTHERS)
        sums = self.all_cells(question.weigh(self.feature.codes, self.feature.size, order))
        if question.within_bins and self.bins > 1:
            binned = slice(self.feature.size, self.feature.size + self.bins)
            held[binned] = False
            means = sums[0, binned] / np.maximum(self.rows[binned], 1.0)
            sums[:, -1] = 0.0, sums[1, binned].sum() - (self.rows[binned] * means**2).sum()
        cells = np.flatnonzero(held)
        agreement, surprise = question.judge(self.rows[cells], sums[:, cells])
        return _Judged(cells, self.rows[cells], agreement, surprise)

    def jump(self, question: Question, cell: int) -> float:
        """By how much more a cell agrees than the less agreeing one of its neighbours; as much as it can where it has none."""
        codes = np.flatnonzero(self._codes(cell))
        if not self.feature.ordered or codes[0] == 0 or cell == self.rows.size - 1:
            return 1.0
        sums = question.weigh(self.feature.codes, self.feature.size, None)
        rows = self.rows[: self.feature.size]
        around = [np.arange(codes[0] - 1, 0, -1), np.arange(codes[-1] + 1, self.feature.size)]
        sides = [near for side in around if (near := self._near(side)).size]
        if not sides:
            return 1.0
        own, *others = (
            float(question.judge(rows[near].sum(keepdims=True), sums[:, near].sum(1, keepdims=True))[0][0])
            for near in (codes, *sides)
        )
        return own - min(others)

    def _near(self, codes: Codes) -> Codes:
        """The first of these values that together have enough rows; none where they all have not."""
        sizes = np.cumsum(self.rows[codes])
        enough = int(np.searchsorted(sizes, _enough(self.feature.codes.size)))
        return codes[: enough + 1] if enough < codes.size else codes[:0]

    def stretches(self, cell: int) -> int:
        """In how many stretches of time the cell has rows."""
        held = np.flatnonzero(self._codes(cell)[self.feature.codes])
        return int(np.unique(held * STRETCHES // self.feature.codes.size).size)

    def name_of(self, cell: int) -> str:
        if cell < self.feature.size:
            return self.feature.name_of(cell)
        if cell == self.feature.size + self.bins:
            return "any value"
        codes = np.flatnonzero(self._codes(cell))
        return f"{self.feature.name_of(codes[0])} to {self.feature.name_of(codes[-1])}"

    def _codes(self, cell: int) -> npt.NDArray[np.bool_]:
        codes: Codes = np.arange(self.feature.size)
        if cell < self.feature.size:
            return np.asarray(codes == cell)
        if cell == self.feature.size + self.bins:
            return np.asarray(codes > 0)
        return np.asarray((self.bin_of_code == cell - self.feature.size) & (codes > 0))


def _enough(rows: int) -> float:
    """Fewest rows of a cell that is judged, of all rows."""
    return max(MIN_ROWS, MIN_SHARE * rows)


def _questions(labels: pl.Series, task: str) -> Iterator[Question]:
    if task == "regression":
        ranks = (labels.cast(pl.Float64).rank("average").to_numpy() - 0.5) / max(len(labels), 1)
        if ranks.size and ranks.var() > 0:
            yield _closeness(ranks)
        return
    targets = binary_targets(labels, task)
    if len(targets) == 1:
        targets.append(~targets[0])
    for target in targets:
        if 0 < target.mean() <= MAX_BASE_RATE:
            yield _membership(target, f"{labels.name} = {labels[int(target.argmax())]}")


def _membership(target: npt.NDArray[np.bool_], words: str) -> Question:
    base_rate, positives = float(target.mean()), int(target.sum())
    members = np.flatnonzero(target)

    def weigh(codes: Codes, size: int, order: npt.NDArray[np.int64] | None) -> Floats:
        chosen = members if order is None else order[:positives]
        return np.bincount(codes[chosen], minlength=size).astype(np.float64)[None, :]

    def judge(rows: Floats, sums: Floats) -> Agreement:
        share = sums[0] / rows
        surprise = rows * (_entropy_term(share, base_rate) + _entropy_term(1 - share, 1 - base_rate))
        return share, np.where(share > base_rate, surprise, 0.0)

    return Question(words, base_rate, weigh, judge)


def _closeness(ranks: Floats) -> Question:
    """Agreement of a regression's labels: one less the variance of their ranks in the cell, in shares of the overall variance."""
    overall = float(ranks.var())

    def weigh(codes: Codes, size: int, order: npt.NDArray[np.int64] | None) -> Floats:
        values = ranks if order is None else ranks[order]
        return np.stack([np.bincount(codes, weights=power, minlength=size) for power in (values, values**2)])

    def judge(rows: Floats, sums: Floats) -> Agreement:
        mean = sums[0] / rows
        left = np.clip((sums[1] / rows - mean**2) / overall, 1e-12, None)
        return np.clip(1 - left, 0.0, 1.0), np.where(left < 1, -0.5 * rows * np.log(left), 0.0)

    return Question("nearly the same label", 0.0, weigh, judge, within_bins=True)


def _entropy_term(share: Floats, base: float) -> Floats:
    return np.where(share > 0, share * np.log(np.maximum(share, 1e-300) / base), 0.0)
