"""The checks of gate DATA that count rows: enough of them, as many a day as before, no day doubled, halved or missing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from retrain_assets.contract import Gate, Outcome, Verdict
from retrain_assets.gates.data.history import EarlierDataset, usual_rows_a_day
from retrain_assets.gates.data.rows import DAY, SourceRows
from retrain_assets.gates.limits import TABLE_ROWS, at_least, at_most, counted

BEYOND_CHANCE = 4.0
"""Standard deviations from which on a difference of counts or shares is not put down to chance: one in 16,000, two-sided."""

LATE_BEGINNING = 0.1
"""Share of the training window without a row at its beginning from which the source is taken to begin there."""

WEEKS_FOR_WEEKDAYS = 2
"""Whole weeks of training that a comparison by weekday needs."""


def enough_rows(rows: SourceRows) -> Verdict:
    """Both windows have at least ``gates.data.min_rows`` and ``min_holdout_rows`` labelled rows."""
    thresholds = rows.contract.gates.data
    limits = {"train": thresholds.min_rows, "holdout": thresholds.min_holdout_rows}
    label = rows.contract.source.label
    found = {name: frame.height - frame[label].null_count() for name, frame in rows.windows.items()}
    worst = min(limits, key=lambda name: found[name] / limits[name])
    table = [{"window": name, "labelled_rows": found[name], "required": limits[name]} for name in limits]
    what = f"number of labelled rows in {worst}"
    return at_least(Gate.DATA, "enough_rows", found[worst], limits[worst], what=what, evidence={"windows": table})


def volume_is_steady(rows: SourceRows, history: Sequence[EarlierDataset]) -> Verdict:
    """Rows a day change by at most ``gates.data.max_volume_change``: hold-out against training, training against the median
    of earlier retrains. Rows without a label count.

    A source that comes in batches days apart has one batch more or less in a window by where the window begins; that much
    (the usual silence, over the days that are counted) is taken off a change above the limit.
    """
    check, daily = "volume_is_steady", rows.rows_a_day
    if not daily["train"]:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "there are no training rows to compare the hold-out with")
    changes = {"hold-out against training": daily["holdout"] / daily["train"] - 1}
    if usual := usual_rows_a_day(history):
        changes["training against earlier retrains"] = daily["train"] / usual - 1
    limit = rows.contract.gates.data.max_volume_change
    beyond = {name: abs(change) for name, change in changes.items()}
    batch = _usual_silence(rows.train_times) if max(beyond.values()) > limit else 0.0
    if batch >= 1:
        days = {"hold-out": (rows.labels_known_until - rows.train_end) / DAY, "training": rows.contract.window.train / DAY}
        beyond = {name: max(change - batch / days[name.split()[0]], 0.0) for name, change in beyond.items()}
    worst = max(changes, key=lambda name: (beyond[name], abs(changes[name])))
    series = [{"data": each.retrain, "rows_a_day": each.rows_a_day} for each in history]
    series += [{"data": name, "rows_a_day": daily[name]} for name in ("train", "holdout")]
    granted = f", less one batch in {batch:.3g} days" if batch >= 1 else ""
    what = f"relative change of volume ({worst}: {changes[worst]:+.1%}{granted})"
    evidence = {"rows_a_day": series, "changes": changes, "days_between_batches": batch if batch >= 1 else None}
    verdict = at_most(Gate.DATA, check, beyond[worst], limit, what=what, evidence=evidence)
    return verdict if verdict.passed else replace(verdict, message=verdict.message + _too_little_history(rows))


def _too_little_history(rows: SourceRows) -> str:
    """That the source begins late in the training window, where it does: then a day of that window has too few rows."""
    window = rows.contract.window.train
    first = rows.train_times[0]
    late = first - (rows.train_end - window)
    if late < LATE_BEGINNING * window:
        return ""
    return (
        f"; the source begins on {first:%Y-%m-%d}, {late.days} days into a training window of {window.days}: shorten "
        "window.train, or launch a later cut-off"
    )


def days_are_complete(rows: SourceRows) -> Verdict:
    """No whole UTC day of the hold-out has far more or fewer rows than the same weekday in training.

    A day counts against ``gates.data.max_day_change`` when its count is also beyond what counts of that size vary: Anscombe's
    square root (F. J. Anscombe, The transformation of Poisson, binomial and negative-binomial data, 1948), four standard
    deviations, widened by the spread of the training days about their own medians where the source varies more than Poisson.
    Days that are not over at the last known label are not judged; with less than two weeks of training, all its days are the
    comparison. A day like at least two odd ones of training, in the same direction and not farther by more than the limit, is the
    source's own habit (a snapshot on the first of each month) and is no fault.
    """
    check, limit = "days_are_complete", rows.contract.gates.data.max_day_change
    judged = _whole_days(rows.train_end, rows.labels_known_until)
    if not judged:
        message = "no whole UTC day lies in the hold-out, so there is no day to compare; nothing was judged"
        return Verdict(Gate.DATA, check, Outcome.PASS, message, threshold=limit)
    known = _whole_days(rows.train_end - rows.contract.window.train, rows.train_end)
    first = rows.train_times[0] if rows.train_times.len() else rows.cutoff
    known = [day for day in known if day + DAY > first]
    if not known:
        return Verdict(Gate.DATA, check, Outcome.NO_DATA, "no whole UTC day lies in training, so no day's usual rows are known")
    by_weekday = len(known) >= 7 * WEEKS_FOR_WEEKDAYS
    training = _by_kind(known, _rows_of(rows.train_times, known), by_weekday=by_weekday)
    spread = _spread(training)
    habits = _habits(training, spread, limit)
    table: list[dict[str, Any]] = []
    for day, count in zip(judged, _rows_of(rows.holdout_times, judged), strict=True):
        usual = training[day.weekday() if by_weekday else 0]
        expected = float(np.median(usual))
        deviation = _deviation(count, expected) / (spread * math.sqrt(1 + math.pi / 2 / len(usual)))
        table.append(
            {
                "day": f"{day:%Y-%m-%d %a}",
                "rows": count,
                "usual": expected,
                "change": (count - expected) / max(expected, 1.0),
                "standard_deviations": deviation,
                "beyond_chance": abs(deviation) > BEYOND_CHANCE,
                "as_in_training": habits[0] * (1 - limit) <= count < expected or expected < count <= habits[1] * (1 + limit),
            }
        )
    table.sort(key=lambda row: (row["beyond_chance"] and not row["as_in_training"], abs(row["change"])), reverse=True)
    worst = table[0]
    odd = worst["beyond_chance"] and not worst["as_in_training"]
    over = [row for row in table if row["beyond_chance"] and not row["as_in_training"] and abs(row["change"]) > limit]
    evidence = {
        "days": table[:TABLE_ROWS],
        "days_judged": len(table),
        "days_over": len(over),
        "compared_with": "same weekday in training" if by_weekday else "all days of training",
        "spread_against_poisson": spread,
    }
    observed = abs(worst["change"]) if odd else 0.0
    what = "largest relative change of a day's rows beyond chance"
    if odd:
        others = f", and {counted(len(over) - 1, 'more day')}" if len(over) > 1 else ""
        what += f" ({worst['day']}: {worst['rows']:,} rows, usual {worst['usual']:,.0f}{others})"
    return at_most(Gate.DATA, check, observed, limit, what=what, evidence=evidence)


def _whole_days(start: datetime, end: datetime) -> list[datetime]:
    """Beginnings of the UTC days inside [start, end]."""
    start = start.astimezone(UTC)
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    first = first if first >= start else first + DAY
    return [first + index * DAY for index in range(max((end - first) // DAY, 0))]


def _rows_of(times: pl.Series, days: Sequence[datetime]) -> list[int]:
    """Rows of each day; ``times`` ascending."""
    edges = pl.Series([*days, days[-1] + timedelta(days=1)], dtype=pl.Datetime("us", "UTC"))
    return [int(count) for count in np.diff(np.searchsorted(times.to_physical().to_numpy(), edges.to_physical().to_numpy()))]


def _by_kind(days: Sequence[datetime], counts: Sequence[int], *, by_weekday: bool) -> dict[int, list[int]]:
    kinds: dict[int, list[int]] = {}
    for day, count in zip(days, counts, strict=True):
        kinds.setdefault(day.weekday() if by_weekday else 0, []).append(count)
    return kinds


def _spread(training: dict[int, list[int]]) -> float:
    """How much more training days vary about their own median than Poisson counts do; at least 1, robust to odd days."""
    deviations = [_deviation(count, float(np.median(counts))) for counts in training.values() for count in counts]
    return max(1.0, 1.4826 * float(np.median(np.abs(deviations))))


def _habits(training: dict[int, list[int]], spread: float, limit: float) -> tuple[float, float]:
    """The second smallest and the second largest count of training days that are odd themselves; infinite and 0 without two."""
    low: list[int] = []
    high: list[int] = []
    for counts in training.values():
        expected = float(np.median(counts))
        for count in counts:
            if abs(count - expected) / max(expected, 1.0) > limit and abs(_deviation(count, expected)) / spread > BEYOND_CHANCE:
                (low if count < expected else high).append(count)
    return sorted(low)[1] if len(low) > 1 else math.inf, sorted(high)[-2] if len(high) > 1 else 0.0


def _usual_silence(times: pl.Series) -> float:
    """Days between one moment with rows and the next, such that half of all time lies in longer silences; ``times`` ascending."""
    gaps = np.sort(np.diff(np.unique(times.to_physical().to_numpy()))) / (DAY / timedelta(microseconds=1))
    return float(gaps[np.searchsorted(np.cumsum(gaps), gaps.sum() / 2)]) if gaps.size else 0.0


def _deviation(count: float, expected: float) -> float:
    return 2 * (math.sqrt(count + 0.375) - math.sqrt(expected + 0.375))
