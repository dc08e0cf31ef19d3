"""Which features use outcomes before they are known: later columns and the label are taken away from a moment on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import Contract, Gate, Outcome, Verdict
from retrain_assets.gates.features.comparing import TEAM_CODE_ERRORS, Mask, changed_rows
from retrain_assets.gates.limits import TABLE_ROWS, counted, listed

Build = Callable[[pl.DataFrame], pl.DataFrame]
"""From source rows to one row of features each, in their order, without keys."""

BLOCK_ROWS = 1000
"""Rows of each of the two blocks that are probed: neighbouring ones, and ones spread over all rows."""


@dataclass(frozen=True, slots=True)
class Dependence:
    """What one feature did in the probe, in rows.

    Args:
        probed: rows that were compared.
        changed: rows that changed although nothing known at their time was touched.
        of_other_rows: those of them that changed although their own row was left as it is: they know other rows' outcomes.
        by_history: rows that changed only because outcomes known at their time were taken away; no fault.
    """

    probed: int = 0
    changed: int = 0
    of_other_rows: int = 0
    by_history: int = 0

    def __add__(self, more: Dependence) -> Dependence:
        """Both blocks together."""
        return Dependence(
            self.probed + more.probed,
            self.changed + more.changed,
            self.of_other_rows + more.of_other_rows,
            self.by_history + more.by_history,
        )


@dataclass(frozen=True, slots=True)
class Availability:
    """What :func:`availability_probe` found.

    Args:
        rows: rows probed.
        features: per feature.
        fails_without: columns without which the feature function raises; several joined by ``and`` where only all together.
        blocks_untried: blocks of rows on which the function raised when outcomes were exchanged among rows, so that only taking
            them away was tried; it may rightly refuse outcomes that do not belong together.
    """

    rows: int = 0
    features: Mapping[str, Dependence] = field(default_factory=dict)
    fails_without: Sequence[str] = ()
    blocks_untried: int = 0


def availability_probe(
    build: Build, rows: pl.DataFrame, late: Sequence[str], *, event_time: str, label_delay: timedelta
) -> Availability:
    """Take away what is not known yet, run the team's feature function again and see which features change.

    A value of a late column becomes known at its row's event time plus the label's delay and may serve rows after that.
    So values of all rows at or after a moment T are blanked, and in a second trial replaced by other values of the column, and
    no feature of a row before T + delay, or at T, may change. T is the first moment; where rows change that may have changed for
    honest history (yesterday's share of late parcels), a second T is laid on such a row. Two blocks of rows are probed,
    neighbouring ones and ones spread over all rows: at most eleven calls of the function, or one more per late column where it
    raises.

    Args:
        build: from source rows to features.
        rows: source rows; those without an event time are left out.
        late: columns known only later, the label among them; names that are not columns have no effect.
        event_time: column of the moment a prediction is made, a date or timestamp.
        label_delay: how long after it late columns and label are known.

    Raises:
        Exception: whatever ``build`` raises on the rows as they are.
    """
    rows = rows.drop_nulls(event_time).sort(event_time, maintain_order=True)
    present = [column for column in dict.fromkeys(late) if column in rows.columns]
    if rows.is_empty():
        return Availability()
    middle = max(0, (rows.height - BLOCK_ROWS) // 2)
    blocks = [rows.slice(middle, BLOCK_ROWS)]
    if rows.height > BLOCK_ROWS:
        blocks.append(rows.gather_every(-(-rows.height // BLOCK_ROWS)))
    found = Availability()
    for block in blocks:
        found = _joined(found, _Block(build, block, present, event_time, label_delay).probe())
        if found.fails_without:
            break
    return found


def features_are_known_in_time(features: Sequence[str], found: Availability, contract: Contract) -> Verdict:
    """No feature changes when outcomes that are not known at its row's time are taken away.

    Args:
        features: every feature there is.
        found: what the probe saw.
        contract: names of the late columns, the label's delay.
    """
    check, source = "features_are_known_in_time", contract.source
    late = list(dict.fromkeys([*source.known_after_prediction, source.label]))
    leaks = {name: seen for name, seen in found.features.items() if seen.changed}
    order = sorted(found.features, key=lambda name: (-found.features[name].changed, -found.features[name].by_history, name))
    evidence: dict[str, Any] = {
        "features": [_row(name, found.features[name]) for name in order[:TABLE_ROWS]],
        "features_total": len(order),
        "leaking": len(leaks),
        "rows_probed": found.rows,
        "blocks_where_exchanged_outcomes_could_not_be_tried": found.blocks_untried,
        "known_after_prediction": late,
        "label_delay_hours": source.label_delay / timedelta(hours=1),
    }
    if leaks or found.fails_without:
        words = [f"{name} ({counted(leaks[name].changed, 'row')}; {_kind(leaks[name])})" for name in order if name in leaks]
        words = [f"the function fails without {name}" for name in found.fails_without] + words
        message = f"values known only after the prediction are used: {listed(words)}; build the features without {listed(late)}"
        if leaks and not found.fails_without:
            message += f", or with what was known {_delay(source.label_delay)}"
        worst = max((seen.changed for seen in leaks.values()), default=found.rows)
        return Verdict(Gate.DATA, check, Outcome.FAIL, message, worst, 0, evidence)
    if unprobed := [name for name in features if name not in found.features]:
        message = f"not probed: {listed(unprobed)}; run the probe on the training rows"
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, message, None, 0, evidence)
    message = f"no feature of {counted(found.rows, 'probed row')} knows {listed(late)} before their time"
    if historic := [name for name in order if found.features[name].by_history]:
        message += f"; {listed(historic)} use what was known by then"
    if found.blocks_untried:
        message += "; outcomes were taken away, but exchanged ones could not be tried, as the function raises on them"
    return Verdict(Gate.DATA, check, Outcome.PASS, message, 0, 0, evidence)


@dataclass(frozen=True)
class _Block:
    build: Build
    rows: pl.DataFrame
    late: Sequence[str]
    event_time: str
    label_delay: timedelta

    def probe(self) -> Availability:
        expected = self.build(self.rows)
        moments = self.rows[self.event_time].cast(pl.Datetime("us")).to_physical().to_numpy()
        found = {name: Dependence(probed=self.rows.height) for name in expected.columns}
        if not self.late:
            return Availability(self.rows.height, found)
        changed = {name: np.zeros(self.rows.height, dtype=bool) for name in expected.columns}
        touched = {name: mask.copy() for name, mask in changed.items()}
        fails: list[str] = []
        untried = 0
        for spoil in (_blank, _exchange):
            try:
                self._trial(expected, moments, moments[0], spoil, changed, touched)
                if (cut := _historic(changed, touched, moments)) is not None:
                    self._trial(expected, moments, cut, spoil, changed, touched)
            except TEAM_CODE_ERRORS:
                if spoil is _blank:
                    fails = self._needed()
                else:
                    untried = 1
        others = self._of_other_rows(expected, moments, changed) if any(mask.any() for mask in changed.values()) else {}
        for name in found:
            history = int((touched[name] & ~changed[name]).sum())
            found[name] = replace(
                found[name], changed=int(changed[name].sum()), of_other_rows=others.get(name, 0), by_history=history
            )
        return Availability(self.rows.height, found, fails, untried)

    def _trial(
        self,
        expected: pl.DataFrame,
        moments: np.ndarray,
        cut: int,
        spoil: Callable[[pl.DataFrame, Sequence[str], Mask], pl.DataFrame],
        changed: Mapping[str, Mask],
        touched: Mapping[str, Mask],
    ) -> None:
        found = changed_rows(expected, self.build(spoil(self.rows, self.late, moments >= cut)))
        unknown = self._not_yet(moments, cut)
        for name, mask in found.items():
            changed[name][mask & unknown] = True
            touched[name][mask] = True

    def _not_yet(self, moments: np.ndarray, cut: int) -> Mask:
        """Rows at whose time no outcome of the rows from the cut on is known."""
        return (moments < cut + self.label_delay // timedelta(microseconds=1)) | (moments <= cut)

    def _of_other_rows(self, expected: pl.DataFrame, moments: np.ndarray, changed: Mapping[str, Mask]) -> dict[str, int]:
        """Rows that change while their own outcome stays: every second row is blanked, the rows between are looked at."""
        leaking = np.any(list(changed.values()), axis=0)
        cut = moments[int(np.flatnonzero(leaking)[0])]
        blanked = (moments >= cut) & (np.arange(moments.size) % 2 == 1)
        try:
            found = changed_rows(expected, self.build(_blank(self.rows, self.late, blanked)))
        except TEAM_CODE_ERRORS:
            return {}
        looked_at = self._not_yet(moments, cut) & ~blanked
        return {name: int((mask & looked_at).sum()) for name, mask in found.items()}

    def _needed(self) -> list[str]:
        every = np.ones(self.rows.height, dtype=bool)
        needed = []
        for column in self.late:
            try:
                self.build(_blank(self.rows, [column], every))
            except TEAM_CODE_ERRORS:
                needed.append(column)
        return needed or [" and ".join(self.late)]


def _historic(changed: Mapping[str, Mask], touched: Mapping[str, Mask], moments: np.ndarray) -> int | None:
    """The moment of a row that many features not yet found guilty changed in, the middle one of equals."""
    open_ = [touched[name] for name in changed if touched[name].any() and not changed[name].any()]
    if not open_:
        return None
    votes = np.sum(open_, axis=0)
    rows = np.flatnonzero(votes == votes.max())
    return int(moments[rows[rows.size // 2]])


def _blank(rows: pl.DataFrame, columns: Sequence[str], mask: Mask) -> pl.DataFrame:
    chosen = pl.Series(mask)
    return rows.with_columns(
        pl.when(chosen).then(pl.lit(None, dtype=rows.schema[column])).otherwise(pl.col(column)).alias(column)
        for column in columns
    )


def _exchange(rows: pl.DataFrame, columns: Sequence[str], mask: Mask) -> pl.DataFrame:
    """Every value becomes another value of its column: of the sorted distinct ones, the one half the list further on."""
    chosen = pl.Series(mask)
    made = []
    for column in columns:
        distinct = rows[column].drop_nulls().unique().sort() if not rows.schema[column].is_nested() else rows[column].head(0)
        if len(distinct) < 2:
            continue
        step = max(1, len(distinct) // 2)
        other = rows[column].replace_strict(distinct, distinct.gather(np.roll(np.arange(len(distinct)), -step)), default=None)
        made.append(pl.when(chosen).then(other).otherwise(pl.col(column)).alias(column))
    return rows.with_columns(made)


def _joined(one: Availability, more: Availability) -> Availability:
    names = dict.fromkeys([*one.features, *more.features])
    features = {name: one.features.get(name, Dependence()) + more.features.get(name, Dependence()) for name in names}
    return Availability(
        one.rows + more.rows, features, [*one.fails_without, *more.fails_without], one.blocks_untried + more.blocks_untried
    )


def _row(name: str, seen: Dependence) -> dict[str, Any]:
    return {
        "feature": name,
        "uses": _kind(seen) if seen.changed else "known history" if seen.by_history else "nothing late",
        "rows_changed": seen.changed,
        "rows_changed_by_other_rows": seen.of_other_rows,
        "rows_changed_by_known_history": seen.by_history,
        "rows_probed": seen.probed,
    }


def _kind(seen: Dependence) -> str:
    return "outcomes of other rows, not known yet" if seen.of_other_rows else "its own row's outcome"


def _delay(delay: timedelta) -> str:
    hours = delay / timedelta(hours=1)
    return f"of rows {hours:g} hours before" if delay else "of earlier rows"
