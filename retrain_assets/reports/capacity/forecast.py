"""The next retrain's rows, time and cost, stage by stage, from what earlier retrains measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from retrain_assets.contract import Contract, digest_of
from retrain_assets.contract.compute import RETRAIN_STAGES
from retrain_assets.reports.capacity.history import Measured, StageRun, place_of, work_of
from retrain_assets.reports.capacity.trend import Estimate, trend

NEEDED = 4
"""Retrains that a forecast needs; from fewer nobody could tell chance from growth."""

ALIKE = 1.1
"""Where the most rows are less than this times the fewest, they do not show how time grows with rows."""

STEEPEST = 2.0
"""Largest power of rows that time may be seen to grow with."""

NORMAL_95 = 1.645
"""Standard deviations from the middle of a normal that nine values in ten stay within."""

FASTEST_GROWTH = math.log(2) / 30
"""Fastest growth of rows that is believed of measurements: twice in a month, per day."""


@dataclass(frozen=True, slots=True)
class StageForecast:
    """One stage of the next retrain.

    Args:
        stage: its name.
        where: where it will run, in words.
        runs: runs it rests on: of the same work in the same place.
        seconds: expected time; None from too few runs.
        fit_s: of training, the time of the fit that gate training judges.
        cost: expected; None where the time or the price of the place is not known.
        power: the power of rows that time grows with, as measured or, where rows hardly differed, taken as 1.
        is_measured: whether the power was measured.
        note: why there is no forecast, or what it rests on, in a sentence.
    """

    stage: str
    where: str
    runs: Sequence[StageRun]
    seconds: Estimate | None
    fit_s: Estimate | None
    cost: Estimate | None
    power: float | None
    is_measured: bool
    note: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """The next retrain of a model.

    Args:
        model: the model.
        cutoff: of the retrain it is about.
        rows: of its training window; None from too few retrains.
        growth_a_month: growth of rows a day in thirty days, as a share; None from too few retrains.
        rows_of: retrains that rows are forecast from, with their rows: ``(cut-off, rows)``.
        stages: in the order of the road.
        currency: of costs.
    """

    model: str
    cutoff: datetime
    rows: Estimate | None
    growth_a_month: float | None
    rows_of: Sequence[tuple[datetime, int]]
    stages: Sequence[StageForecast]
    currency: str

    @property
    def seconds(self) -> Estimate | None:
        """The whole retrain; its interval is the stages' added, as they are long together. None where a stage has none."""
        return _sum([stage.seconds for stage in self.stages])

    @property
    def cost(self) -> Estimate | None:
        """The whole retrain; None where a stage has none."""
        return _sum([stage.cost for stage in self.stages])

    @property
    def sentence(self) -> str:
        """The forecast in one sentence, or why there is none."""
        if self.rows is None:
            return f"no forecast: {_count(len(self.rows_of))} measured, {NEEDED} are needed"
        rows = f"about {self.rows.expected:,.0f} rows at the cut-off {self.cutoff:%Y-%m-%d}"
        if (seconds := self.seconds) is None:
            missing = [stage.stage for stage in self.stages if stage.seconds is None]
            return f"{rows}; no forecast of the whole, as {' and '.join(missing)} ran too seldom in this way"
        time = f"{duration(seconds.expected)} ({duration(seconds.low)} to {duration(seconds.high)})"
        money = f", {self.cost.expected:,.2f} {self.currency}" if self.cost is not None else ""
        return f"{rows} take {time}{money}"

    def to_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {
            "model": self.model,
            "cutoff": self.cutoff.isoformat(),
            "forecast": self.sentence,
            "rows": self.rows.to_json() if self.rows else None,
            "growth_a_month": self.growth_a_month,
            "retrains": len(self.rows_of),
            "retrains_needed": NEEDED,
            "seconds": self.seconds.to_json() if self.seconds else None,
            "cost": self.cost.to_json() if self.cost else None,
            "currency": self.currency,
            "stages": [
                {
                    "stage": one.stage,
                    "where": one.where,
                    "retrains": [run.retrain for run in one.runs],
                    "seconds": one.seconds.to_json() if one.seconds else None,
                    "fit_seconds": one.fit_s.to_json() if one.fit_s else None,
                    "cost": one.cost.to_json() if one.cost else None,
                    "grows_with_rows_to_the_power": one.power,
                    "power_is_measured": one.is_measured,
                    "note": one.note,
                }
                for one in self.stages
            ],
        }


def forecast(known: Measured, contract: Contract, cutoff: datetime) -> Forecast:
    """The retrain with a cut-off, under a contract, from earlier ones.

    Rows a day of the training window are extrapolated over cut-offs, time over rows, both in logarithms with
    :func:`~retrain_assets.reports.capacity.trend.trend`. A run counts for a stage only where the same work was done in the same
    place: features, trainer, back-tests, cluster or machine.

    Args:
        known: what was measured.
        contract: that the retrain will be launched under.
        cutoff: of the retrain, aware.
    """
    snapshots = _one_a_cutoff(known.of("dataset"))
    rows, growth, unsure = _rows(snapshots, contract, cutoff)
    return Forecast(
        model=contract.model,
        cutoff=cutoff,
        rows=rows,
        growth_a_month=growth,
        rows_of=[(run.cutoff, run.rows) for run in snapshots],
        stages=[_stage(stage, known.of(stage), contract, rows, unsure) for stage in RETRAIN_STAGES],
        currency=contract.economics.currency if contract.economics else "",
    )


def next_cutoff(contract: Contract, now: datetime) -> datetime:
    """The cut-off of the next retrain: the day of the next tick of ``cadence.cron``, else today.

    Args:
        contract: the release contract.
        now: aware.
    """
    from cronsim import CronSim

    at = now if contract.cadence.cron is None else next(CronSim(contract.cadence.cron, now.astimezone(UTC)))
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def price_per_hour(contract: Contract, stage: str) -> tuple[float, float] | None:
    """What an hour of a stage costs, at least and at most, by the contract's prices of nodes, else
    ``economics.training_cost_per_hour``; None where it writes neither."""
    there, economics = contract.databricks, contract.economics
    if there is not None and stage in there.stages:
        if (cluster := there.cluster) is not None and cluster.price_per_node_hour is not None:
            most = cluster.max_workers or cluster.workers
            return cluster.price_per_node_hour * (1 + cluster.workers), cluster.price_per_node_hour * (1 + most)
        if there.serverless is not None and there.serverless.price_per_hour is not None:
            return there.serverless.price_per_hour, there.serverless.price_per_hour
    if economics is not None and economics.training_cost_per_hour:
        return economics.training_cost_per_hour, economics.training_cost_per_hour
    return None


def stage_rows(found: Forecast) -> list[dict[str, Any]]:
    """A row for each stage of a forecast: where, how long, for how much, and what that rests on."""
    rows = []
    for stage in found.stages:
        time, cost = stage.seconds, stage.cost
        rows.append(
            {
                "stage": stage.stage,
                "where": stage.where,
                "time": duration(time.expected) if time else None,
                "interval": f"{duration(time.low)} to {duration(time.high)}" if time else None,
                "cost": f"{cost.expected:,.2f} {found.currency}".strip() if cost else None,
                "note": stage.note,
            }
        )
    return rows


def duration(seconds: float) -> str:
    """A time in words, to two digits that matter."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _one_a_cutoff(runs: Sequence[StageRun]) -> list[StageRun]:
    """Of retrains of one cut-off the last: the data is the same."""
    return list({run.cutoff: run for run in runs}.values())


def _rows(runs: Sequence[StageRun], contract: Contract, cutoff: datetime) -> tuple[Estimate | None, float | None, float]:
    """Rows of the training window, their growth in thirty days, and the standard deviation of their logarithm."""
    counted = [run for run in runs if run.rows > 0]
    if len(counted) < NEEDED:
        return None, None, 0.0
    days = [(run.cutoff - cutoff).total_seconds() / 86_400 for run in counted]
    a_day = [math.log(run.rows / run.days) for run in counted]
    line = trend(days, a_day, 0.0, steepest=FASTEST_GROWTH)
    window = contract.window.train.total_seconds() / 86_400
    return line.from_logarithm().times(window), math.expm1(30 * line.slope), line.width / NORMAL_95


def _stage(stage: str, known: Sequence[StageRun], contract: Contract, rows: Estimate | None, unsure: float) -> StageForecast:
    runs = _alike(stage, known, contract)
    where = _where(contract, stage)
    if rows is None or len(runs) < NEEDED:
        others = len(known) - len(runs)
        elsewhere = f"; {others} more did other work or ran elsewhere" if others else ""
        note = f"{_count(len(runs))} measured, {NEEDED} are needed{elsewhere}"
        return StageForecast(stage, where, runs, None, None, None, None, is_measured=False, note=note)
    counts = [run.rows for run in runs]
    is_measured = max(counts) >= ALIKE * min(counts)
    seconds, power = _time([run.seconds for run in runs], counts, rows, unsure, is_measured=is_measured)
    fits = [run.fit_s for run in runs if run.fit_s]
    fit = _time(fits, counts, rows, unsure, is_measured=is_measured)[0] if len(fits) == len(runs) else None
    price = price_per_hour(contract, stage)
    hours = seconds.times(1 / 3600)
    cost = None if price is None else Estimate(hours.expected * sum(price) / 2, hours.low * price[0], hours.high * price[1])
    grown = (
        f"time grows with rows to the power {power:.2g}"
        if is_measured
        else "time is taken to grow as rows, which hardly differed"
    )
    return StageForecast(stage, where, runs, seconds, fit, cost, power, is_measured, f"from {_count(len(runs))}; {grown}")


def _alike(stage: str, runs: Sequence[StageRun], contract: Contract) -> list[StageRun]:
    """The runs that did the work the contract asks for, where it asks for it; of several machines those on the last one."""
    asked = digest_of(work_of(contract, stage))
    same = [run for run in runs if digest_of(work_of(run.contract, stage)) == asked]
    return [run for run in same if run.work == same[-1].work]


def _time(
    seconds: Sequence[float], rows: Sequence[int], at: Estimate, unsure: float, *, is_measured: bool
) -> tuple[Estimate, float]:
    x, y, place = [math.log(count) for count in rows], [math.log(max(one, 1e-3)) for one in seconds], math.log(at.expected)
    line = trend(x, y, place, spread=unsure, slope=None if is_measured else 1.0, steepest=STEEPEST)
    return line.from_logarithm(), line.slope


def _where(contract: Contract, stage: str) -> str:
    place: Mapping[str, Any] = place_of(contract, stage)
    if "spark" in place:
        return f"Spark {place['spark']['master']}"
    if not place:
        return "here"
    there = contract.databricks
    assert there is not None
    if (cluster := there.cluster) is not None:
        nodes = f"{cluster.workers}" if cluster.max_workers is None else f"{cluster.workers} to {cluster.max_workers}"
        kind = cluster.node_type or f"pool {cluster.instance_pool}"
        return f"Databricks, {kind} with {nodes} workers" if nodes != "0" else f"Databricks, one {kind}"
    return "Databricks, serverless" if there.serverless is not None else f"Databricks, cluster {there.existing_cluster}"


def _sum(parts: Sequence[Estimate | None]) -> Estimate | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known:
        return None
    return Estimate(*(sum(getattr(part, name) for part in known) for name in ("expected", "low", "high")))


def _count(retrains: int) -> str:
    return "one retrain" if retrains == 1 else f"{retrains or 'no'} retrains"
