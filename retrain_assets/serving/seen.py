"""What is known before an experiment: the traffic seen, and how much each measure varies, from recorded looks or the champion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl

from retrain_assets.contract import Contract, CustodyError, StageError, first_line
from retrain_assets.experiment.look import Look
from retrain_assets.experiment.plan import Plan, segment_label
from retrain_assets.experiment.planning.outlook import Outlook, outlook
from retrain_assets.experiment.planning.spreads import Spread, spread_of_champion, spread_of_look
from retrain_assets.routing.cohort import meeting_as_logged
from retrain_assets.serving.exposure_log import ExposureLog

if TYPE_CHECKING:
    from retrain_assets.home import Home
    from retrain_assets.release import ReleaseController

RECENT = timedelta(days=14)
"""Traffic of this long before now tells the units a day."""

SHORTEST = timedelta(days=1)
"""Traffic of less than this tells nothing about a day."""

_BASELINE = "baseline"
_DEFINITION = ("column", "above", "aggregate", "per", "quantile", "winsorise", "direction")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the spread of a measure comes from.

    Args:
        kind: ``look`` or ``champion``.
        units: units it rests on.
        at: time of the look, or until when the champion's outcomes were taken.
        retrain: the retrain looked at; None for the champion.
    """

    kind: str
    units: int
    at: datetime
    retrain: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known before an experiment.

    Args:
        units_a_day: units of the cohort a day: new ones over the days seen, or the contract's expected ones.
        is_seen: whether it was seen.
        traffic: one sentence where it comes from.
        spreads: per measure how much it varies, or in words why that is not known.
        sources: where each known spread comes from.
        segments: share of the units seen per segment (``column=value``), 0..1; empty without traffic.
    """

    units_a_day: float
    is_seen: bool
    traffic: str
    spreads: Mapping[str, Spread | str]
    sources: Mapping[str, Source]
    segments: Mapping[str, float]


def outlook_of(
    home: Home,
    controller: ReleaseController | None,
    contract: Contract,
    now: datetime,
    effects: Mapping[str, float] | None = None,
) -> tuple[Seen, Outlook]:
    """What is known, and what the experiment of a contract can conclude with it; arguments as in :func:`seen` and ``outlook``.

    Raises:
        RetrainError: for traffic files that cannot be read.
    """
    known = seen(home, controller, contract, now)
    return known, outlook(contract, known.units_a_day, known.spreads, effects, known.segments)


def seen(home: Home, controller: ReleaseController | None, contract: Contract, now: datetime) -> Seen:
    """What is known before an experiment of this contract.

    The spread of a measure is that of the newest recorded look that has the asymptotic interval and judged the measure as the
    contract defines it now; else that of the champion's matured units of the last days.

    Args:
        home: whose traffic.
        controller: its ledger and evidence; None where nothing is recorded yet.
        contract: names the measures and the cohort.
        now: the time, timezone-aware.

    Raises:
        RetrainError: for traffic files that cannot be read.
    """
    log, window = ExposureLog(home), contract.experiment.outcome_window
    begin = now - RECENT - window
    exposures = _cohort(log.read_exposures(contract.model, since=begin).filter(pl.col("exposed_at") <= now), contract)
    units_a_day, traffic = _traffic(exposures, contract, now)
    spreads = _champion_spreads(exposures, log.read_outcomes(contract.model, since=begin), contract, begin, now)
    sources = {name: Source("champion", one.units, now) for name, one in spreads.items() if isinstance(one, Spread)}
    waiting = list(Plan.from_contract(contract).measures)
    for retrain, look, terms in _looks(controller, contract.model):
        if not waiting:
            break
        for spec in list(waiting):
            result = next((one for one in look.results if one.spec.name == spec.name), None)
            if result is None or _definition(terms, spec.name) != _definition(contract, spec.name):
                continue
            found = spread_of_look(result, look, Plan.from_contract(terms).tuning)
            if found is not None:
                own = spreads[spec.name]
                spreads[spec.name] = replace(found, is_share=isinstance(own, Spread) and own.is_share)
                sources[spec.name] = Source("look", found.units, look.at, retrain)
                waiting.remove(spec)
    return Seen(
        units_a_day=units_a_day or contract.experiment.expected_units_per_day,
        is_seen=units_a_day is not None,
        traffic=traffic,
        spreads=spreads,
        sources=sources,
        segments=_segments(exposures, contract),
    )


def _cohort(exposures: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """The exposures of units that would enter; an attribute nobody logged is met by nobody."""
    found = exposures.filter(pl.col("unit_id").is_not_null())
    for attribute, condition in contract.experiment.cohort.items():
        if attribute not in found.columns:
            return found.clear()
        found = found.filter(meeting_as_logged(found[attribute], condition.model_dump(mode="json", by_alias=True)))
    return found


def _traffic(exposures: pl.DataFrame, contract: Contract, now: datetime) -> tuple[float | None, str]:
    """Units a day seen, or None, and a sentence that says so."""
    expected = f"the contract's expected {contract.experiment.expected_units_per_day:,.0f} units a day are taken"
    recent = exposures.filter(pl.col("exposed_at") >= now - RECENT)
    first = recent["exposed_at"].min()
    if not isinstance(first, datetime):
        return None, f"no traffic of the cohort is logged in the last {RECENT.days} days, so {expected}"
    if now - first < SHORTEST:
        return None, f"the traffic logged is younger than a day, so {expected}"
    days, units = (now - first) / timedelta(days=1), recent["unit_id"].n_unique()
    unit_days = recent.select("unit_id", pl.col("exposed_at").dt.date()).unique().height
    words = f"{units / days:,.0f} new units a day, as seen in the cohort in the last {days:.1f} days"
    if unit_days > 1.5 * units:
        words += f"; a unit came on {unit_days / units:.1f} of them, so a stage fills sooner at first and later than said"
    return units / days, words


def _segments(exposures: pl.DataFrame, contract: Contract) -> dict[str, float]:
    """Share of the units per segment, each unit in the segment of its first exposure."""
    found: dict[str, float] = {}
    for column in contract.experiment.segments:
        if column in exposures.columns and exposures.height:
            first = exposures.sort("exposed_at").group_by("unit_id").agg(pl.col(column).first())
            counts = first.group_by(column).len().sort("len", descending=True)
            found |= {segment_label(column, value): count / first.height for value, count in counts.iter_rows()}
    return found


def _champion_spreads(
    exposures: pl.DataFrame, outcomes: pl.DataFrame, contract: Contract, begin: datetime, now: datetime
) -> dict[str, Spread | str]:
    """The spreads of the champion's own units, measured by the code that measures a canary."""
    from retrain_assets.compute.canary.aggregation import aggregate

    names = [*contract.experiment.success, *contract.experiment.guardrails]
    champion = exposures.filter(pl.col("arm") == "champion")
    if champion.is_empty():
        return dict.fromkeys(names, "no traffic of the champion is logged")
    plain = contract.model_copy(
        update={"experiment": contract.experiment.model_copy(update={"cohort": {}, "segments": [], "adjust_for": None})}
    )
    unreported = [name for name in contract.experiment.outcomes if name not in outcomes.columns]
    try:
        data = aggregate(
            champion.with_columns(toggle=pl.lit(_BASELINE), revision=pl.lit(1, pl.Int64), stage=pl.lit("50")),
            outcomes.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in unreported),
            contract=plain,
            toggle=_BASELINE,
            stage_started={1: begin},
            shares={1: 0.5},
            now=now,
        )
    except (StageError, pl.exceptions.PolarsError) as fault:
        why = first_line(fault)
        return dict.fromkeys(names, f"the champion's traffic cannot be measured ({why})")
    quantiles = {spec.name: spec.quantile for spec in Plan.from_contract(contract).measures}
    return {name: spread_of_champion(data.measures[name], quantiles[name]) for name in names}


def _looks(controller: ReleaseController | None, model: str) -> Iterator[tuple[str, Look, Contract]]:
    """Recorded looks of a model with the contract each was made with, the newest first; broken evidence is passed over."""
    if controller is None:
        return
    from retrain_assets.ledger import EventKind

    toggles = controller.state(model).toggles
    for event in reversed(controller.ledger.events(model=model, kinds=[EventKind.CANARY_LOOKED])):
        toggle = toggles.get(event.toggle or "")
        if toggle is None:
            continue
        try:
            look = Look.from_json(controller.evidence.get(event.payload["evidence"]))
        except (CustodyError, KeyError, TypeError, ValueError):
            continue
        yield event.retrain or "", look, toggle.terms


def _definition(contract: Contract, name: str) -> tuple[object, ...] | None:
    measure = contract.experiment.success.get(name) or contract.experiment.guardrails.get(name)
    return tuple(getattr(measure, one) for one in _DEFINITION) if measure is not None else None
