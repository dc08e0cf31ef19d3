"""The numbers of a first contract, taken from the source's own history: windows, gates, ramp, margins."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl

from retrain_assets.components.scaffolding.facts import Column, Facts
from retrain_assets.components.scaffolding.roles import Roles
from retrain_assets.components.scaffolding.suspects import Sorted
from retrain_assets.contract import RetrainError

DAY = timedelta(days=1)
USED = 0.6
"""Share of the history that training and hold-out take; the rest is there for the cut-offs of a rehearsal."""
FEWEST_DAYS = 14
LONGEST_HOLDOUT, LONGEST_TRAIN = 28, 364
ENOUGH_HOLDOUT_ROWS, ENOUGH_ROWS = 2_500, 10_000
TIMES_HOLDOUT = 7
"""Training windows are at least so many hold-outs long, so that back-tests fit into them."""
MOST_BACKTESTS = 4
CANARY_DAYS = 28
FEWEST_STAGE_UNITS = 30
SLICE_LEVELS = 8
SLICE_ROWS = 200
SLICE_ROOM = 1.5
"""A slice has so many times the rows it needs, as traffic comes and goes."""
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Limits:
    """What the contract says in numbers. Durations are in days, shares 0..1.

    Args:
        first, last: days of the source's first and newest row, as ISO dates.
        days: length of the history.
        train, holdout: windows.
        backtests: how many.
        rows, holdout_rows: rows expected in the windows.
        max_age: how old the newest row may be.
        max_missing: limit of each column with gaps.
        units_a_day: units of the newest weeks.
        threshold: of the decision (binary).
        stages: of the ramp, in per cent.
        stage_units: units each stage must have seen.
        outcome_days: how long an outcome counts.
        max_days: longest canary.
        slices: columns whose values are judged by themselves.
        segment: column the canary is split by.
        label_rate: share of positives, or None.
        label_scale: standard deviation of a number that is predicted, or None.
        max_bias: largest bias of probabilities that the history's own unrest makes tolerable.
        max_ece: the same for the calibration error, chance of a small hold-out allowed for.
        data: other limits of gate data, by field: the value and why.
    """

    first: str
    last: str
    days: int
    train: int
    holdout: int
    backtests: int
    rows: int
    holdout_rows: int
    max_age: int
    max_missing: dict[str, float]
    units_a_day: int
    threshold: float | None
    stages: tuple[int, ...]
    stage_units: int
    outcome_days: float
    max_days: int
    slices: tuple[str, ...]
    segment: str | None
    label_rate: float | None
    label_scale: float | None
    max_bias: float
    max_ece: float
    data: dict[str, tuple[str, str]] = field(default_factory=dict)


def find_limits(facts: Facts, roles: Roles, columns: Sorted) -> Limits:
    """The limits that fit the source.

    Raises:
        RetrainError: when the history is too short for a training and a held-out window.
    """
    first, last = facts.span(roles.event_time)
    days = math.ceil((last - first) / DAY)
    delay = roles.label_delay / DAY
    usable = int((days - delay) * USED) if days >= 3 * FEWEST_DAYS else int(days - delay)
    if usable < FEWEST_DAYS:
        raise RetrainError(
            f"{first:%Y-%m-%d} to {last:%Y-%m-%d} are too few days for a training and a held-out window",
            where=f"--source {facts.uri}",
            remedy=f"give at least {FEWEST_DAYS + math.ceil(delay)} days of history",
        )
    rows_a_day = facts.rows / max(days, 1)
    holdout, train = _windows(usable, delay, rows_a_day)
    by_day = _by_day(facts, roles)
    recent = by_day.tail(28)
    units = max(1, round(recent["units"].mean() or 1))  # type: ignore[arg-type]
    labelled = 1 - facts.columns[roles.label].missing
    judged = rows_a_day * max(holdout - delay, 0.5) * labelled
    stages = tuple(stage for stage in (5, 25, 50) if units * stage / 100 >= FEWEST_STAGE_UNITS / 3) or (50,)
    outcome = max(delay, 1.0)
    return Limits(
        first=f"{first:%Y-%m-%d}",
        last=f"{last:%Y-%m-%d}",
        days=days,
        train=train,
        holdout=holdout,
        backtests=max(1, min(MOST_BACKTESTS, (train - 1) // holdout - 1)),
        rows=_rounded(rows_a_day * train * labelled * 0.5),
        holdout_rows=_rounded(judged * 0.5),
        max_age=max(2, math.ceil(2 * _longest_pause(by_day))),
        max_missing=_missing(facts, roles, columns),
        units_a_day=units,
        threshold=_threshold(facts, roles),
        stages=stages,
        stage_units=max(FEWEST_STAGE_UNITS, min(500, round(units * stages[0] / 100))),
        outcome_days=outcome,
        max_days=CANARY_DAYS + math.ceil(outcome) + _ramp_days(units, stages),
        slices=_slices(facts, columns, judged / SLICE_ROOM),
        segment=_segment(facts, columns),
        label_rate=_rate(facts, roles),
        label_scale=_scale(facts, roles),
        max_bias=(bias := _unrest(facts, roles, train, holdout)),
        max_ece=min(0.4, round(bias + 0.02 + 3 * math.sqrt(0.25 * CALIBRATION_BINS / max(judged, 1)) / 2, 2)),
    )


def _windows(usable: int, delay: float, rows_a_day: float) -> tuple[int, int]:
    """Hold-out and training window in days: as short as enough rows allow, as old rows mislead; whole weeks if they can."""
    most = max(usable // 6, 1)
    holdout = min(max(7, math.ceil(ENOUGH_HOLDOUT_ROWS / rows_a_day)), most, LONGEST_HOLDOUT)
    holdout = max(_whole_weeks(holdout), math.ceil(delay) + 2, 3)
    train = min(max(TIMES_HOLDOUT * holdout, math.ceil(ENOUGH_ROWS / rows_a_day)), usable - holdout, LONGEST_TRAIN)
    return holdout, max(_whole_weeks(train), holdout + 1)


def _whole_weeks(days: int) -> int:
    return days - days % 7 if days >= 7 else days


def _by_day(facts: Facts, roles: Roles) -> pl.DataFrame:
    moment = pl.col(roles.event_time).cast(pl.Datetime("us"))
    days = facts.lazy.select(day=moment.dt.truncate("1d"), unit=pl.col(roles.unit)).drop_nulls("day")
    return days.group_by("day").agg(rows=pl.len(), units=pl.col("unit").n_unique()).sort("day").collect()


def _longest_pause(by_day: pl.DataFrame) -> float:
    pauses = by_day["day"].diff().drop_nulls()
    longest = pauses.max()
    return float(longest / DAY) if isinstance(longest, timedelta) else 1.0


def _missing(facts: Facts, roles: Roles, columns: Sorted) -> dict[str, float]:
    """Half as much again as in the worst four weeks so far, and two points more; of the label, as of all."""
    names = [name for name in columns.features if facts.columns[name].missing > 0]
    block = pl.col(roles.event_time).cast(pl.Datetime("us")).dt.truncate("4w").alias("_block")
    blocks = facts.lazy.group_by(block).agg(pl.len().alias("_rows"), pl.col(names).null_count() / pl.len()).collect()
    usual = blocks.filter(pl.col("_rows") >= blocks["_rows"].median() / 2)  # type: ignore[operator]
    found = {name: max(float(usual[name].max()), facts.columns[name].missing) for name in names}  # type: ignore[arg-type]
    if facts.columns[roles.label].missing > 0:
        found[roles.label] = facts.columns[roles.label].missing
    return {name: min(1.0, math.ceil((share * 1.5 + 0.02) * 100) / 100) for name, share in found.items()}


def _threshold(facts: Facts, roles: Roles) -> float | None:
    """The share of positives: a rule that decides yes for the riskier part, whatever the classes' sizes."""
    rate = _rate(facts, roles)
    return None if rate is None else min(0.9, max(0.02, round(rate, 2)))


def _rate(facts: Facts, roles: Roles) -> float | None:
    if roles.task != "binary_classification":
        return None
    return float(facts.lazy.select(pl.col(roles.label).cast(pl.Float64).mean()).collect().item())


def _scale(facts: Facts, roles: Roles) -> float | None:
    if roles.task != "regression":
        return None
    return float(facts.lazy.select(pl.col(roles.label).cast(pl.Float64).std()).collect().item())


def _unrest(facts: Facts, roles: Roles, train: int, holdout: int) -> float:
    """How far a class's rate moved from one training window to the hold-out after it, at the worst so far; 8 to 30 points."""
    if roles.task == "regression":
        return 0.08
    moment = pl.col(roles.event_time).cast(pl.Datetime("us"))
    label = pl.col(roles.label).cast(pl.String)
    usual = facts.columns[roles.label].levels[0][0]
    blocks = (
        facts.lazy.filter(label.is_not_null())
        .group_by(block=(moment - pl.lit(facts.span(roles.event_time)[0])).dt.total_days() // holdout)
        .agg(rate=(pl.col(roles.label) == usual).mean(), rows=pl.len())
        .sort("block")
        .collect()
    )
    rates = blocks.filter(pl.col("rows") >= blocks["rows"].median() / 2)["rate"].to_list()  # type: ignore[operator]
    before = max(1, train // holdout)
    moved = [abs(rates[at] - sum(rates[at - before : at]) / before) for at in range(before, len(rates))]
    return min(0.3, max(0.08, math.ceil(max(moved, default=0.0) * 110) / 100))


def _slices(facts: Facts, columns: Sorted, holdout_rows: float) -> tuple[str, ...]:
    """Up to two columns with few levels, two of which at least have enough hold-out rows to be judged."""
    found = [facts.columns[name] for name in columns.features if _has_few_levels(facts.columns[name])]
    judged = [one for one in found if len(one.levels) > 1 and one.levels[1][1] * holdout_rows >= SLICE_ROWS]
    return tuple(one.name for one in sorted(judged, key=lambda one: one.distinct))[:2]


def _segment(facts: Facts, columns: Sorted) -> str | None:
    found = [facts.columns[name] for name in columns.features if _has_few_levels(facts.columns[name])]
    even = [one for one in found if 2 <= one.distinct <= 6 and one.levels[-1][1] >= 0.05]
    return even[0].name if even else None


def _has_few_levels(column: Column) -> bool:
    return (column.is_text or column.dtype == pl.Boolean) and 2 <= column.distinct <= SLICE_LEVELS and bool(column.levels)


def _ramp_days(units: int, stages: tuple[int, ...]) -> int:
    """Days the stages take beyond the first two weeks, where traffic is thin."""
    needed = max(FEWEST_STAGE_UNITS, min(500, round(units * stages[0] / 100)))
    days = 1 + sum(max(1.0, needed / (units * stage / 100)) for stage in stages)
    return max(0, math.ceil(days) - 14)


def _rounded(number: float) -> int:
    """Two leading digits, rounded down; at least 20."""
    if number < 20:
        return 20
    size = 10 ** (len(str(int(number))) - 2)
    return int(number // size * size)
